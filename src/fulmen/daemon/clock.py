"""The clock: what time it is, and waking machines that want it.

A wanted time is told once. The wall clock may be set, forth or back, while we wait, so nobody waits longer than a
minute without looking at it again.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from typing import Protocol

from fulmen.core.base.machine import Address, Event
from fulmen.core.base.outer import TimeReached, Want, WantTime
from fulmen.core.base.units import Monotonic, Timestamp
from fulmen.core.node import WantsChanged

LOOK_AGAIN_S = 60.0
SPARE = 1000
"""Times that nobody wants any more may be as many as those that are wanted, and so many more, before they go."""


class Inbox(Protocol):
    """Where events go: the driver."""

    def post(self, address: Address, event: Event) -> None:
        """Give an event to a machine."""


class Clock:
    """Wall and monotonic time, and everything that is due by the wall clock."""

    def __init__(self, inbox: Inbox, wall: Callable[[], float] = time.time) -> None:
        self._inbox = inbox
        self._wall = wall
        self._heap: list[tuple[Timestamp, int]] = []
        self._wanted: dict[tuple[Address, Want], int] = {}
        self._waiting: dict[int, tuple[Address, WantTime]] = {}
        self._counter = 0
        self._timer: asyncio.TimerHandle | None = None
        self._due: Timestamp | None = None
        """What the timer is set for."""

    def wall(self) -> Timestamp:
        """Whole seconds since 1970."""
        return Timestamp(int(self._wall()))

    def mono(self) -> Monotonic:
        """Seconds of a clock that never steps back."""
        return Monotonic(time.monotonic())

    def wants_changed(self, changed: WantsChanged) -> None:
        """Machines want other times now."""
        for wanted in changed.removed:
            if isinstance(wanted[1], WantTime):
                self._waiting.pop(self._wanted.pop(wanted, 0), None)
        for address, want in changed.added:
            if isinstance(want, WantTime):
                self._counter += 1
                self._wanted[address, want] = self._counter
                self._waiting[self._counter] = (address, want)
                heapq.heappush(self._heap, (want.at, self._counter))
        self._set()

    def close(self) -> None:
        """Wake nobody any more."""
        self._heap.clear()
        self._waiting.clear()
        self._set()

    def look(self) -> None:
        """Wake everybody whose time has come."""
        now = self._wall()
        heap = self._heap
        while heap and heap[0][0] <= now:
            _, number = heapq.heappop(heap)
            waiting = self._waiting.pop(number, None)
            if waiting is not None:
                self._wanted.pop(waiting, None)
                self._inbox.post(waiting[0], TimeReached(Timestamp(int(now))))
        self._due = None
        self._set()

    def _set(self) -> None:
        """One timer, for the earliest; payments come and go, and mostly it is the same."""
        self._tidy()
        due = self._heap[0][0] if self._heap else None
        if due == self._due:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = due
        if due is not None:
            delay = min(max(due - self._wall(), 0.0), LOOK_AGAIN_S)
            self._timer = asyncio.get_running_loop().call_later(delay, self.look)

    def _tidy(self) -> None:
        heap, waiting = self._heap, self._waiting
        while heap and heap[0][1] not in waiting:
            heapq.heappop(heap)
        if len(heap) > 2 * len(waiting) + SPARE:
            # An invoice that was paid would stay until the day on which it would have lapsed.
            heap[:] = [(want.at, number) for number, (_, want) in waiting.items()]
            heapq.heapify(heap)
