"""One daemon per directory."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from fulmen.adapters.store.faults import DirectoryInUse


class DirectoryLock:
    """Held from here until `release`, or until the process is gone, however it went."""

    def __init__(self, directory: Path) -> None:
        """Take the lock.

        Raises:
            DirectoryInUse: another process holds it.
        """
        self._path = directory / "lock"
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._file, 32, 0).decode("ascii", "replace").strip()
            os.close(self._file)
            raise DirectoryInUse(directory=str(directory), process=holder or "unknown") from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Let another daemon in. The file stays: removing it would let two in."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
