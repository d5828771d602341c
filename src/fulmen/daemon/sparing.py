"""What strangers can make happen as often as they like has so many lines of the log a minute, and no more."""

from __future__ import annotations

import time
from collections.abc import Callable

EVERY_S = 60.0


class Sparing:
    """Lines of one kind. Those that are left out are counted by the next one that is written."""

    def __init__(self, most: int, now: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._now = now
        self._since = float("-inf")
        self._written = 0
        self._left_out = 0

    def line(self) -> dict[str, int] | None:
        """What to add to a line that is due: how many were left out before it, if any. None: leave it out."""
        if self._now() - self._since >= EVERY_S:
            self._since, self._written = self._now(), 0
        if self._written >= self._most:
            self._left_out += 1
            return None
        self._written += 1
        left_out, self._left_out = self._left_out, 0
        return {"more": left_out} if left_out else {}
