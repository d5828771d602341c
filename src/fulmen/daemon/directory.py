"""Where a node's data lies: `~/.fulmen/<network>/`, for its owner alone.

lock              one daemon per directory
journal.sqlite    all that the node has promised
seed              the encrypted seed
rpc               the socket of the API (or `rpc.path`, where it is)
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from fulmen.adapters.store import DirectoryLock
from fulmen.core.base.faults import Refused


class DirectoryUnusable(Refused):
    """The data directory cannot be made, or others can get in."""


class DataDirectory:
    """The files of one node on one network."""

    def __init__(self, base: Path, network: str) -> None:
        """Name it; nothing is made before there is something to keep, so who is refused leaves nothing behind.

        Raises:
            DirectoryUnusable: it belongs to somebody else, is no directory, or nobody can say what it is.
        """
        self.path = base.expanduser() / network
        try:
            self._look()
        except FileNotFoundError:
            return
        except OSError as error:
            raise DirectoryUnusable(path=str(self.path), why=error.strerror or str(error)) from error

    def make(self) -> None:
        """Make the directory if it is not there.

        Raises:
            DirectoryUnusable: as above, or it cannot be made.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._look().st_mode & 0o077:
                self.path.chmod(0o700)
        except OSError as error:
            raise DirectoryUnusable(path=str(self.path), why=error.strerror or str(error)) from error

    def _look(self) -> os.stat_result:
        found = self.path.stat()
        if not stat.S_ISDIR(found.st_mode):
            raise DirectoryUnusable(path=str(self.path), why="it is no directory")
        if found.st_uid != os.geteuid():
            raise DirectoryUnusable(path=str(self.path), why="it belongs to another user")
        return found

    @property
    def journal(self) -> Path:
        """The database."""
        return self.path / "journal.sqlite"

    @property
    def seed(self) -> Path:
        """The encrypted seed."""
        return self.path / "seed"

    def lock(self) -> DirectoryLock:
        """Keep other daemons out.

        Raises:
            DirectoryInUse: there is one already.
        """
        return DirectoryLock(self.path)
