"""The chapters, in the order in which they are played. Each is a module with a TITLE and a `play(story)`."""

from __future__ import annotations

from demo.chapters import (
    books,
    cheat,
    closing,
    coins,
    crash,
    curtain,
    gossip,
    invoice,
    liquidity,
    opening,
    pending,
    stream,
    unilateral,
)

ALL = (
    curtain,
    coins,
    opening,
    gossip,
    invoice,
    stream,
    liquidity,
    crash,
    books,
    closing,
    pending,
    unilateral,
    cheat,
    books,
)

__all__ = ["ALL"]
