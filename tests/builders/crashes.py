"""A host that dies at the n-th batch that it stores: just before it is on disk, or just after."""

from __future__ import annotations

from collections.abc import Callable

from fulmen.core.node import Batch
from fulmen.sim.disk import SimulatedDisk


def crash_at(disk: SimulatedDisk, die: Callable[[], None], point: int, written: bool) -> None:
    """Have `die` called at the batch of this number, counted from 1; `written` says whether the disk has it then."""
    seen = 0

    def count(_batch: Batch) -> None:
        nonlocal seen
        seen += 1
        if seen == point:
            die()

    if written:
        disk.before_done = count
    else:
        disk.before_write = count
