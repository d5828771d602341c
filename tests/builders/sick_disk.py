"""A file system for SQLite that can fail at any operation, be slow, tear a write, and lose what was not synced."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import apsw

Before = Callable[[str, "SickFile", "Write | None"], None]
"""Told the operation (`read`, `write`, `sync`, `truncate`) before it is done; it may raise, wait, or kill."""


class Write(NamedTuple):
    """Bytes for a place in a file."""

    offset: int
    data: bytes

    def covers(self, other: Write) -> bool:
        """Whether nothing of the other one is left once this is done."""
        return self.offset <= other.offset and other.offset + len(other.data) <= self.offset + len(self.data)


class SickDisk(apsw.VFS):
    """SQLite's own file system under a name of its own, with somebody looking over its shoulder."""

    def __init__(self, name: str = "sick", before: Before = lambda _operation, _file, _write: None) -> None:
        self.name = name
        self.before = before
        self.dead = False
        """Its process is gone: nothing reaches the disk any more."""
        self.since_trouble: list[tuple[str, str]] = []
        """(operation, file's ending) since the first one that failed, but for reads."""
        self._troubled = False
        self._unsynced: dict[Path, list[Any]] = {}
        self._dropped: dict[Path, list[Any]] = {}
        """What a sync has failed for: kernels forget that it is not on the disk, and only writing it again helps."""
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> SickFile:
        return SickFile(self, name, flags)

    def ask(self, operation: str, file: SickFile, write: Write | None) -> None:
        """May this be done?"""
        if self._troubled and operation != "read":
            self.since_trouble.append((operation, file.ending))
        try:
            self.before(operation, file, write)
        except apsw.Error:
            self._troubled = True
            raise

    def changed(self, path: Path, undo: Any) -> None:
        """This changes a file, and no sync has come since."""
        self._unsynced.setdefault(path, []).append(undo)
        dropped = self._dropped.get(path, [])
        self._dropped[path] = [change for change in dropped if not undo.write.covers(change.write)]

    def synced(self, path: Path) -> None:
        """What a file holds is safe, but for what an earlier sync has failed for."""
        self._unsynced.pop(path, None)

    def not_synced(self, path: Path) -> None:
        """A sync has failed: the next one will say yes, and mean what is written from now on."""
        self._dropped.setdefault(path, []).extend(self._unsynced.pop(path, []))

    def cut_the_power(self, chance: random.Random) -> int:
        """Of what was not synced any part may be gone, and any write may be torn. Gives how many writes that were.

        All connections must be closed.
        """
        changes = 0
        for path in dict.fromkeys((*self._dropped, *self._unsynced)):
            if not path.exists():
                continue
            dropped, unsynced = self._dropped.get(path, []), self._unsynced.get(path, [])
            undone = [*dropped, *unsynced]
            changes += len(undone)
            kept = [(change.write, chance.random()) for change in unsynced]
            data = bytearray(path.read_bytes())
            for change in reversed(undone):
                data[change.write.offset : change.write.offset + len(change.write.data)] = change.before
                del data[change.size :]
            for write, draw in kept:
                if draw < 0.5:
                    continue
                part = write.data if draw < 0.8 else write.data[: chance.randrange(len(write.data))]
                data.extend(bytes(max(0, write.offset - len(data))))
                data[write.offset : write.offset + len(part)] = part
            path.write_bytes(data)
        self._unsynced.clear()
        self._dropped.clear()
        return changes


class Change(NamedTuple):
    """What a write overwrote, and how long the file was."""

    write: Write
    before: bytes
    size: int


class SickFile(apsw.VFSFile):
    """One file of it."""

    def __init__(self, disk: SickDisk, name: Any, flags: list[int]) -> None:
        self.disk = disk
        filename = name.filename() if isinstance(name, apsw.URIFilename) else name
        self.path = Path(filename or "nameless")
        self.ending = self.path.suffix.partition("-")[2] or "db"
        super().__init__("", name, flags)

    def _ask(self, operation: str, write: Write | None = None) -> None:
        if self.disk.dead:
            raise apsw.IOError("the process is gone")
        self.disk.ask(operation, self, write)

    def xRead(self, amount: int, offset: int) -> bytes:
        if not self.disk.dead:
            self._ask("read")
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:
        write = Write(offset, bytes(data))
        self._ask("write", write)
        self.put(write)

    def put(self, write: Write) -> None:
        """Write it, remembering how it was before."""
        size = super().xFileSize()
        before = super().xRead(min(len(write.data), size - write.offset), write.offset) if write.offset < size else b""
        self.disk.changed(self.path, Change(write, before, size))
        super().xWrite(write.data, write.offset)

    def xSync(self, flags: int) -> None:
        try:
            self._ask("sync")
        except apsw.Error:
            self.disk.not_synced(self.path)
            raise
        super().xSync(flags)
        self.disk.synced(self.path)

    def xTruncate(self, size: int) -> None:
        self._ask("truncate")
        super().xTruncate(size)
