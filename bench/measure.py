"""How a figure is taken, and what it looks like."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One line of the table. `floor` is what the primitives alone would take, in the same unit."""

    subject: str
    name: str
    actual: float
    unit: str = "us"
    floor: float | None = None
    note: str = ""

    @property
    def share(self) -> str:
        """How much of the time is floor; of a rate, how near it comes to the floor's."""
        if self.floor is None:
            return ""
        part = self.actual / self.floor if self.unit.endswith("/s") else self.floor / self.actual
        return f"{100 * part:.0f} %"


def fastest_us(function: Callable[[], object], seconds: float = 0.6) -> float:
    """Microseconds of one call: the fastest of the batches that fit into the time."""
    once = _timed(function, 1)
    # Short batches: on a busy machine a long one is never left alone.
    batch = max(1, int(0.001 / max(once, 1e-7)))
    best = once
    collecting = gc.isenabled()
    gc.disable()
    try:
        end = time.perf_counter() + seconds
        while True:
            best = min(best, _timed(function, batch) / batch)
            if time.perf_counter() >= end:
                return best * 1e6
    finally:
        if collecting:
            gc.enable()


def latencies_us(calls: Iterable[Callable[[], object]], clock: Callable[[], float] = time.perf_counter) -> list[float]:
    """Microseconds of each call by a clock (`time.thread_time`: without what else the machine does), sorted."""
    taken = []
    for call in calls:
        start = clock()
        call()
        taken.append(1e6 * (clock() - start))
    return sorted(taken)


def percentile(ordered: list[float], part: float) -> float:
    """The value that this part of an ordered list does not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def _timed(function: Callable[[], object], count: int) -> float:
    # The thread's own time: what else the machine does meanwhile is not ours.
    start = time.thread_time()
    for _ in range(count):
        function()
    return time.thread_time() - start
