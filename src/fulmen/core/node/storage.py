"""What the driver and the node ask of a store. SQLite is one, the simulated disk another.

A store writes batches in the order in which it got them, each whole or not at all, and calls `done` in that order
once they are safe. When the disk fails it says so once, by name, and calls no `done` again (law 8).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from fulmen.core.base.faults import Fault
from fulmen.core.base.machine import Address
from fulmen.core.base.record import Record
from fulmen.core.base.retention import Beginning, Outlived
from fulmen.core.base.stretch import Stretch
from fulmen.core.node.batch import Batch, JournalRow, Snapshot
from fulmen.core.node.cold import ColdRows


class Stored(Record):
    """What a store has kept: what `Node.resume` starts from."""

    snapshots: tuple[Snapshot, ...] = ()
    rows: tuple[JournalRow, ...] = ()


class Store(Protocol):
    """A durable store of one node."""

    def load(self) -> Stored:
        """All snapshots, and the journal's rows in order."""
        ...

    def submit(self, batch: Batch, done: Callable[[], None]) -> None:
        """Write a batch in one transaction; `done` is called once it is safe, in the order of submission."""
        ...

    def flush(self) -> None:
        """Write now what was waiting for company."""
        ...

    def on_failure(self, failed: Callable[[Fault], None]) -> None:
        """Whom to tell when the disk fails."""
        ...

    def read(self, address: Address) -> Any | None:
        """A cold row, from what is on disk."""
        ...

    def read_stretch(self, wanted: Stretch) -> ColdRows:
        """Cold rows whose stretch holds a number, from what is on disk."""
        ...

    def find(self, wanted: Beginning | Outlived) -> tuple[Address, ...]:
        """Where the cold rows are that may go, from what is on disk."""
        ...
