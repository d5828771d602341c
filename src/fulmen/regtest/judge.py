"""The consensus port: who says what is valid.

A judge sees a transaction's scripts, and each block on its way into the active chain; the rules that the mempool shares
with blocks (inputs, maturity, locks, amounts) are also in `consensus`, so a block passes two readings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fulmen.core.bitcoin.transaction import TxOut

KERNEL = "kernel"
BTCLIB = "btclib"


@dataclass(frozen=True, slots=True)
class BlockContext:
    """What a block cannot say of itself."""

    height: int
    median_time_past: int
    """Of its parent."""
    now: int
    """Seconds, the chain's clock (`setmocktime` moves it)."""
    spent: Sequence[Sequence[TxOut]]
    """The outputs that each transaction but the coinbase spends, in order of its inputs."""
    ancestors: Callable[[], Iterable[bytes]]
    """The raw blocks from height 1 to its parent, for a judge that keeps a chain of its own."""


class Judge(Protocol):
    """Says whether transactions and blocks obey consensus. Answers are empty when they do, else the reason."""

    name: str

    def scripts(self, tx: bytes, spent: Sequence[TxOut]) -> str:
        """Whether every input's script and witness satisfy the output it spends, by consensus rules."""
        ...

    def block(self, block: bytes, context: BlockContext) -> str:
        """Whether a block may follow its parent at the tip of the active chain."""
        ...

    def close(self) -> None:
        """Give back what it holds (files, memory of a foreign library)."""
        ...
