"""Ctrl-C for whoever directs several processes: every way to be told to end is one, and the end is not interrupted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def end_like_ctrl_c() -> None:
    """A closed terminal and a `kill` are a Ctrl-C: the players have sessions of their own and would play on.

    Who starts us in the background of a script hands us a SIGINT that is ignored; the nodes hear it all the same, and
    so do we. `nohup` means what it says.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


@contextmanager
def deaf_to_ctrl_c() -> Iterator[None]:
    """Who presses it twice gets a clean end all the same, and no process is left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_IGN) for number in ends]
    try:
        yield
    finally:
        for number, handler in zip(ends, before, strict=True):
            signal.signal(number, handler)
