"""What many scripts begin with."""

from __future__ import annotations

from typing import Any

from fulmen.conformance.script import (
    ALICE,
    Connect,
    Expect,
    FundChannel,
    Send,
    Step,
)


def hello(peer: str = ALICE) -> tuple[Step, ...]:
    """Connected, and `init` exchanged."""
    return Connect(peer=peer), Expect("init", peer=peer), Send("init", peer=peer)


def accepted(peer: str = ALICE, **fields: Any) -> tuple[Step, ...]:
    """The node has accepted a channel that the fake peer offered."""
    return *hello(peer), Send("open_channel", fields, peer=peer), Expect("accept_channel", peer=peer)


def opened(peer: str = ALICE, depth: int = 6, **fields: Any) -> tuple[Step, ...]:
    """A channel that the fake peer has opened is ready on both sides."""
    return (
        *accepted(peer, **fields),
        Send("funding_created", peer=peer),
        Expect("funding_signed", peer=peer),
        FundChannel(depth=depth, peer=peer),
        Send("channel_ready", peer=peer),
        Expect("channel_ready", peer=peer, within_s=30.0),
    )


HELLO = hello()
ACCEPTED = accepted()
OPENED = opened()
