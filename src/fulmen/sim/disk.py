"""A disk that can be stopped at any instant, told to fail, and read back as it would be after a crash.

It keeps the promises of `core.node.storage.Store`: batches whole or not at all, in the order of submission, `done`
once they are safe, one named failure and then silence.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from fulmen.core.base.faults import Fault
from fulmen.core.base.machine import Address
from fulmen.core.base.retention import Beginning, Outlived
from fulmen.core.base.stretch import Stretch, held
from fulmen.core.base.units import BlockHeight
from fulmen.core.node.batch import Batch, Ended, JournalRow, Snapshot, StoryRow
from fulmen.core.node.cold import ColdRows, among
from fulmen.core.node.storage import Stored


class DiskFull(Fault):
    """The simulated disk has no room left."""


class SimulatedDisk:
    """`rewrite` passes every stored value through a codec, so that what is read back is what a real disk would give."""

    def __init__(self, rewrite: Callable[[Any], Any] | None = None) -> None:
        self._rewrite: Callable[[Any], Any] = rewrite if rewrite is not None else lambda value: value
        self._waiting: deque[tuple[Batch, Callable[[], None]]] = deque()
        self._failed: Callable[[Fault], None] = lambda _fault: None
        self._broken: Fault | None = None
        self.rows: dict[int, JournalRow] = {}
        self.snapshots: dict[Address, Snapshot] = {}
        self.cold: dict[Address, Any] = {}
        self.ends: dict[Address, BlockHeight | None] = {}
        """When each cold row may go."""
        self.story: list[StoryRow] = []
        self.position = 0
        """The last journal row that is safe."""
        self.syncs = 0
        self.crashes = 0
        self.before_write: Callable[[Batch], None] = lambda _batch: None
        """Called before a batch is written. A crash in here loses it."""
        self.before_done: Callable[[Batch], None] = lambda _batch: None
        """Called when a batch is safe, before anybody is told: the instant at which a crash hurts most."""

    def copy(self) -> SimulatedDisk:
        """Another disk with all that is safe on this one."""
        other = SimulatedDisk(self._rewrite)
        other.rows, other.snapshots = dict(self.rows), dict(self.snapshots)
        other.cold, other.ends, other.story = dict(self.cold), dict(self.ends), list(self.story)
        other.position = self.position
        return other

    # ---- the protocol --------------------------------------------------------------------------------------------

    def load(self) -> Stored:
        """What a restart would find."""
        return Stored(tuple(self.snapshots.values()), tuple(self.rows.values()))

    def submit(self, batch: Batch, done: Callable[[], None]) -> None:
        """Wait for the next `sync`."""
        if self._broken is None:
            self._waiting.append((batch, done))

    def flush(self) -> None:
        """A simulated disk syncs when the world says so."""

    def on_failure(self, failed: Callable[[Fault], None]) -> None:
        """Whom to tell when the disk fails."""
        self._failed = failed

    def read(self, address: Address) -> Any | None:
        """A cold row, from what is safe."""
        return self.cold.get(address)

    def read_stretch(self, wanted: Stretch) -> ColdRows:
        """Cold rows whose stretch holds a number, from what is safe."""
        return held(wanted, self.cold)

    def find(self, wanted: Beginning | Outlived) -> tuple[Address, ...]:
        """Where the cold rows are that may go, from what is safe."""
        return among(wanted, self.ends)

    # ---- what the world does with it -----------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many batches are not yet safe."""
        return len(self._waiting)

    def sync(self, count: int | None = None) -> int:
        """Make the oldest batches safe (all that wait, unless a count is given), then tell whoever waits for them."""
        if self._broken is not None or not self._waiting:
            return 0
        group = [self._waiting.popleft() for _ in range(min(count or len(self._waiting), len(self._waiting)))]
        self.syncs += 1
        crashes = self.crashes
        for batch, _ in group:
            self.before_write(batch)
            if self.crashes != crashes:
                return 0
            self._write(batch)
        for batch, done in group:
            self.before_done(batch)
            if self.crashes != crashes:
                break
            done()
        return len(group)

    def crash(self) -> None:
        """Lose what was not safe; nobody is told."""
        self._waiting.clear()
        self.crashes += 1
        self._failed = lambda _fault: None

    def fail(self, fault: Fault) -> None:
        """From now on nothing is written."""
        self._broken = fault
        self._waiting.clear()
        self._failed(fault)

    def _write(self, batch: Batch) -> None:
        if batch.facts or batch.cold or batch.story:
            if batch.position != self.position + 1:
                raise ValueError(f"journal row {batch.position} after {self.position}")
            facts = tuple((address, self._rewrite(fact)) for address, fact in batch.facts)
            self.rows[batch.position] = JournalRow(batch.position, facts)
            self.position = batch.position
        for cold in batch.cold:
            if cold.row is None:
                self.cold.pop(cold.address, None)
                self.ends.pop(cold.address, None)
            else:
                self.cold[cold.address] = self._rewrite(cold.row)
                self.ends[cold.address] = cold.until
        for snapshot in batch.snapshots:
            self.snapshots[snapshot.address] = snapshot.but(state=self._rewrite(snapshot.state))
        for address, fact in batch.facts:
            if type(fact) is Ended:
                self.snapshots.pop(address, None)
        self.story.extend(batch.story)
        for position in [position for position in self.rows if position < min(batch.keep_from, self.position)]:
            del self.rows[position]
