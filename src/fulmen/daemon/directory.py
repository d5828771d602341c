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
        """Make the directory if it is not there.

        Raises:
            DirectoryUnusable: it belongs to somebody else, others can write to it, or it cannot be made.
        """
        self.path = base.expanduser() / network
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self.path.stat()
            if not stat.S_ISDIR(found.st_mode):
                raise DirectoryUnusable(path=str(self.path), why="it is no directory")
            if found.st_uid != os.geteuid():
                raise DirectoryUnusable(path=str(self.path), why="it belongs to another user")
            if found.st_mode & 0o077:
                self.path.chmod(0o700)
        except OSError as error:
            raise DirectoryUnusable(path=str(self.path), why=error.strerror or str(error)) from error

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
