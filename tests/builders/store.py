"""A SQLite store without a loop: what it wants to call is called when the test says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from fulmen.adapters.store import SqliteStore
from fulmen.adapters.store.fresh import ENOUGH
from fulmen.core.base.faults import Fault
from fulmen.core.node import Batch


class Pumped:
    """A store, the batches that it has made durable, and how it failed."""

    def __init__(
        self, path: Path, about: dict[str, str] | None = None, vfs: str | None = None, enough: int = ENOUGH
    ) -> None:
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.store = SqliteStore(path, self._calls.put, about or {"network": "regtest"}, vfs=vfs, enough=enough)
        self.store.on_failure(self._failed)
        self.done: list[Batch] = []
        self.fault: Fault | None = None

    def submit(self, *batches: Batch) -> None:
        for batch in batches:
            self.store.submit(batch, lambda batch=batch: self.done.append(batch))

    def pump(self, until: Callable[[], Any], timeout: float = 10.0) -> None:
        """Call what the store wants called until something holds."""
        while not until():
            self._calls.get(timeout=timeout)()

    def close(self) -> None:
        self.store.close()
        while True:
            try:
                self._calls.get_nowait()()
            except Empty:
                return

    def _failed(self, fault: Fault) -> None:
        self.fault = fault
