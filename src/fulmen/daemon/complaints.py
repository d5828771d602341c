"""What goes on being wrong: said at once, then at growing intervals, and said when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

FIRST_S = 10.0
LONGEST_S = 3600.0


class Complaint:
    """One thing that may be wrong. `again(seconds)` is called while it is, with how long it has been."""

    def __init__(self, again: Callable[[float], None]) -> None:
        self._again = again
        self._since: float | None = None
        self._next_s = FIRST_S
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """It is wrong, or it is wrong in another way; whoever says so has just said it."""
        self._stop()
        if self._since is None:
            self._since = asyncio.get_running_loop().time()
        self._next_s = FIRST_S
        self._wait()

    def end(self) -> float:
        """It is well. How many seconds it was not."""
        self._stop()
        since, self._since = self._since, None
        return 0.0 if since is None else asyncio.get_running_loop().time() - since

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._next_s, self._due)

    def _due(self) -> None:
        assert self._since is not None
        self._next_s = min(2 * self._next_s, LONGEST_S)
        self._wait()
        self._again(asyncio.get_running_loop().time() - self._since)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
