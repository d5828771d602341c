"""The consensus port: who says what is valid, and how one is chosen.

Two judges pass the same tests: Bitcoin Core's own code (`kernel`, where a wheel of py-bitcoinkernel exists) and
btclib's engine (`btclib`, everywhere). A judge sees a transaction's scripts, and each block on its way into the active
chain; the rules that the mempool shares with blocks (inputs, maturity, locks, amounts) are also in `consensus`, so a
block passes two readings.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fulmen.core.base.faults import Refused
from fulmen.core.bitcoin.transaction import TxOut


class NoSuchJudge(Refused):
    """The judge that was asked for is unknown, or its library is not installed."""


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


KERNEL = "kernel"
BTCLIB = "btclib"


def kernel_installed() -> bool:
    """True where Bitcoin Core's own validation can be used."""
    return importlib.util.find_spec("pbk") is not None


def open_judge(name: str = "") -> Judge:
    """The named judge, or the best one that is installed.

    Raises:
        NoSuchJudge: the name is unknown, or its library is not there.
    """
    if not name:
        name = KERNEL if kernel_installed() else BTCLIB
    if name == KERNEL and kernel_installed():
        from fulmen.regtest.kernel_judge import KernelJudge

        return KernelJudge()
    if name == BTCLIB:
        from fulmen.regtest.btclib_engine import BtclibJudge

        return BtclibJudge()
    raise NoSuchJudge("no such judge here", judge=name, known=(KERNEL, BTCLIB))
