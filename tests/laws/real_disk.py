"""SQLite on a file system that can lose its power, be slow or fall ill, as the disk of a host in a world.

A crash of the host is a power cut: of what was written and not synced any part may be gone, and writes may be torn.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import apsw
from tests.builders.sick_disk import SickDisk, SickFile, Write

from fulmen.adapters.store import SqliteStore
from fulmen.core.base.faults import Fault
from fulmen.core.node import Batch
from fulmen.core.node.storage import Stored
from fulmen.sim.disk import SimulatedDisk

_names = count()


class RealDisk(SimulatedDisk):
    """What a world calls, over the real store; `sync` waits for the writer, unless it is slow."""

    def __init__(self, directory: Path, seed: int) -> None:
        super().__init__()
        self._path = directory / "journal.sqlite"
        self._random = random.Random(seed)
        self._store: SqliteStore | None = None
        self._pending = 0
        self.torn = 0
        """Writes that power cuts have found unsynced."""
        self.power_goes_at: int | None = None
        """Before this operation of the disk, counted from now."""
        self.quick = threading.Event()
        """While it is not set, no sync ends."""
        self.quick.set()
        self._open()

    def _open(self) -> None:
        self.vfs = SickDisk(f"real {next(_names)}", self._before)
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._store = SqliteStore(self._path, self._calls.put, vfs=self.vfs.name, enough=2)
        self._store.on_failure(self._fell_ill)

    def _before(self, operation: str, _file: SickFile, _write: Write | None) -> None:
        if operation == "read":
            return
        if operation == "sync":
            assert self.quick.wait(60)
        if self.power_goes_at is not None:
            self.power_goes_at -= 1
            if self.power_goes_at < 0:
                self.vfs.dead = True
                raise apsw.IOError("the power is gone")

    @property
    def position(self) -> int:  # type: ignore[override]
        """The last journal row that somebody else finds on the disk."""
        with contextlib.closing(apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READONLY)) as other:
            ((last,),) = other.execute("SELECT coalesce(max(position), 0) FROM journal")
        return int(last)

    @position.setter
    def position(self, _value: int) -> None:
        """The disk says it itself."""

    @property
    def _now(self) -> SqliteStore:
        if self._store is None:
            self._open()
        assert self._store is not None
        return self._store

    def load(self) -> Stored:
        return self._now.load()

    def submit(self, batch: Batch, done: Callable[[], None]) -> None:
        self._pending += 1
        self._now.submit(batch, lambda: self._safe(done))

    def read(self, address: Any) -> Any:
        return self._now.read(address)

    def read_stretch(self, wanted: Any) -> Any:
        return self._now.read_stretch(wanted)

    def find(self, wanted: Any) -> Any:
        return self._now.find(wanted)

    def flush(self) -> None:
        self._now.flush()

    def on_failure(self, failed: Callable[[Fault], None]) -> None:
        self._failed = failed

    def sync(self, count: int | None = None) -> int:
        """All that waits, or as much of it as was written before the disk failed."""
        if self._store is None:
            return 0
        before, crashes = self._pending, self.crashes
        self._store.flush()
        while self._pending and self.crashes == crashes and (self.quick.is_set() or not self._calls.empty()):
            self._calls.get(timeout=30)()
        return before - self._pending if self.crashes == crashes else 1

    def crash(self) -> None:
        """The power goes, if it has not yet."""
        self.crashes += 1
        self._failed = lambda _fault: None
        if self._store is None:
            return
        self.vfs.dead = True
        self.quick.set()
        with contextlib.suppress(apsw.Error):
            self._store.close()
        self._store, self._pending, self.power_goes_at = None, 0, None
        self.torn += self.vfs.cut_the_power(self._random)
        self._path.with_name(self._path.name + "-shm").unlink(missing_ok=True)

    def _safe(self, done: Callable[[], None]) -> None:
        self._pending -= 1
        done()

    def _fell_ill(self, fault: Fault) -> None:
        self._pending = 0
        self._failed(fault)
