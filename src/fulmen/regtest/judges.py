"""Which judges there are, and how one is chosen.

Two judges pass the same tests: Bitcoin Core's own code (`kernel`, where a wheel of py-bitcoinkernel exists) and
btclib's engine (`btclib`, everywhere).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from fulmen.core.base.faults import Refused
from fulmen.regtest.judge import BTCLIB, KERNEL, Judge


class NoSuchJudge(Refused):
    """The judge that was asked for is unknown, or its library is not installed."""


def kernel_installed() -> bool:
    """True where Bitcoin Core's own validation can be used."""
    return importlib.util.find_spec("pbk") is not None


def open_judge(name: str = "", home: Path | None = None) -> Judge:
    """The named judge, or the best one that is installed; `home` is where it may keep files, if it has any.

    Raises:
        NoSuchJudge: the name is unknown, or its library is not there.
    """
    if not name:
        name = KERNEL if kernel_installed() else BTCLIB
    if name == KERNEL and kernel_installed():
        from fulmen.regtest.kernel_judge import KernelJudge

        return KernelJudge(home)
    if name == BTCLIB:
        from fulmen.regtest.btclib_engine import BtclibJudge

        return BtclibJudge()
    raise NoSuchJudge("no such judge here", judge=name, known=(KERNEL, BTCLIB))
