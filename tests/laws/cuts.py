"""Where a process can be cut off: before a batch is on disk, or after any number of the actions that it let go.

rehearsal = Rehearsal(host)          # plays once, uncut
for cut in rehearsal.cuts():         # plays again, each time with `cut_off(host, cut)` first
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from fulmen.core.node import Batch
from fulmen.sim.disk import SimulatedDisk

LOST = -1


class Mortal(Protocol):
    """A host that can be cut off."""

    disk: SimulatedDisk
    breath: int | None

    def crash(self) -> None:
        """Memory is gone."""


class Cut(NamedTuple):
    """`kept`: how many actions of the batch are still performed, or `LOST` if the batch does not reach the disk."""

    batch: int
    """From 1."""
    kept: int

    def __str__(self) -> str:
        return f"before batch {self.batch}" if self.kept == LOST else f"after {self.kept} actions of batch {self.batch}"


class Rehearsal:
    """Counts a host's durable batches, and what each lets go."""

    def __init__(self, host: Mortal) -> None:
        self.outward: list[int] = []
        host.disk.before_done = self._count

    def _count(self, batch: Batch) -> None:
        self.outward.append(len(batch.actions) + bool(batch.wants))

    def cuts(self) -> Iterator[Cut]:
        """All of them. After the last action of a batch is before the next one's, so that is no cut of its own."""
        for number, outward in enumerate(self.outward, 1):
            yield Cut(number, LOST)
            for kept in range(max(1, outward)):
                yield Cut(number, kept)


class CutOff:
    """Cuts a host off, once."""

    def __init__(self, host: Mortal, cut: Cut) -> None:
        self._host = host
        self._cut = cut
        self._seen = 0
        self.done = False
        if cut.kept == LOST:
            host.disk.before_write = self._reached
        else:
            host.disk.before_done = self._reached

    def _reached(self, _batch: Batch) -> None:
        self._seen += 1
        if self._seen != self._cut.batch:
            return
        self.done = True
        if self._cut.kept > 0:
            self._host.breath = self._cut.kept
        else:
            self._host.crash()
