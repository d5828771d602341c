"""Which process is ours: a file with its number, locked by the process itself for as long as it lives.

A number alone says nothing after a crash, for the system gives it to somebody else. The lock is handed to the process
at its birth and goes with it, however it ends: who finds the file locked may end the process of that number.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from pathlib import Path
from types import TracebackType
from typing import Self

from fulmen.core.base.faults import Refused
from fulmen.lab.waiting import Deviation, until

STOP_S = 60.0
KILL_S = 10.0
BIRTH_S = 5.0


class StillRuns(Refused):
    """The process of this name is there already."""


class Claim:
    """A locked file, to be handed to the process that it names."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def taken(cls, path: Path) -> Self:
        """Lock the file.

        Raises:
            StillRuns: somebody else has it locked.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise StillRuns(name=path.stem, pid=pid_in(path)) from None
        os.ftruncate(descriptor, 0)
        return cls(descriptor)

    def write(self, pid: int) -> None:
        """Say whose it is."""
        os.pwrite(self.descriptor, str(pid).encode(), 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The process that inherited the descriptor keeps the lock.
        os.close(self.descriptor)


def pid_in(path: Path) -> int:
    """The number in a claim; 0 when there is none."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def is_held(path: Path) -> bool:
    """Whether the process of a claim lives."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def end(path: Path, seconds: float = STOP_S) -> bool:
    """End the process of a claim, by Ctrl-C, and by force where that is not heard; whether there was one.

    Raises:
        Deviation: it is still there.
    """
    if not is_held(path):
        path.unlink(missing_ok=True)
        return False
    pid = until(lambda: pid_in(path), f"{path} names a process", BIRTH_S)
    for number, patience in ((signal.SIGINT, seconds), (signal.SIGKILL, KILL_S)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        with contextlib.suppress(Deviation):
            until(lambda: not is_held(path), f"the process {pid} ends", patience)
            path.unlink(missing_ok=True)
            return True
    raise Deviation(f"the process {pid} of {path} does not end")
