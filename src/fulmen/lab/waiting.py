"""Wait for what must become true, for so long and no longer. Nothing in the demo sleeps and hopes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LOOK_EVERY_S = 0.02


class Deviation(Exception):
    """The story did not go as it must."""


def until(look: Callable[[], T | None], what: str, deadline_s: float = 30.0) -> T:
    """The first answer of `look` that is something.

    Raises:
        Deviation: it did not come in time; says what was waited for.
    """
    end = time.monotonic() + deadline_s
    while True:
        if found := look():
            return found
        if time.monotonic() > end:
            raise Deviation(f"waited {deadline_s:g} s in vain for this: {what}")
        time.sleep(LOOK_EVERY_S)


def expect(holds: bool, otherwise: str) -> None:
    """Go on only if it holds.

    Raises:
        Deviation: what is wrong.
    """
    if not holds:
        raise Deviation(otherwise)
