"""Cut a wire between two messages: one has passed, and the next, with all that follows, has not."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fulmen.lab.waiting import until
from interop.frames import Frames
from interop.proxy import FROM_TARGET, TO_TARGET, Judge
from interop.telling_node import KEYS
from interop.us import Us

AT_REST_S = 0.4
"""Nobody takes longer to say the next message of a dance."""


@dataclass(frozen=True)
class Place:
    """Between which two messages of one direction a wire was cut."""

    way: int
    passed: str
    """Empty: nothing that counts had passed since the scissors were armed."""
    lost: str


class Scissors:
    """Lets so many messages of one direction pass, of those that count, and cuts before the next.

    Args:
        us: the node that dials; started as `interop.telling_node`.
        counted: the names of the messages that count. Others pass, until the cut.
    """

    def __init__(self, us: Us, counted: Iterable[str]) -> None:
        self._keys = us.home / KEYS
        self._counted = frozenset(counted)
        self._lock = threading.Lock()
        self._way = TO_TARGET
        self._left = -1
        self._passed = ""
        self._then: tuple[tuple[int, int], ...] = ()
        self._heard = 0.0
        self.places: list[Place] = []
        """All cuts so far."""

    def arm(self, way: int, pass_on: int, *then: tuple[int, int]) -> None:
        """Cut soon: let so many pass in this direction, and lose the next; `then` says the same of what follows."""
        with self._lock:
            self._way, self._left, self._passed, self._then = way, pass_on, "", then

    @property
    def armed(self) -> bool:
        """Whether they are still going to cut."""
        return self._left >= 0

    def disarm(self) -> bool:
        """Cut no more; whether they were still going to."""
        with self._lock:
            armed, self._left, self._then = self._left >= 0, -1, ()
            return armed

    def await_rest(self) -> None:
        """Wait until no message that counts comes by, in either direction."""
        until(lambda: time.monotonic() - self._heard > AT_REST_S, "nothing is said any more")

    def wire(self) -> Judge:
        """The judge of one connection."""
        frames = {way: Frames(way, self._told) for way in (TO_TARGET, FROM_TARGET)}

        def judge(way: int, data: bytes) -> tuple[bytes, bool]:
            passed = b""
            for frame in frames[way].feed(data):
                if self._loses(way, frame.name):
                    # Every other time its first half arrives, which is as good as nothing.
                    return passed + (frame.data[: len(frame.data) // 2] if len(self.places) % 2 else b""), False
                passed += frame.data
            return passed, True

        return judge

    def _loses(self, way: int, name: str) -> bool:
        if name not in self._counted:
            return False
        with self._lock:
            self._heard = time.monotonic()
            if self._left < 0 or way != self._way:
                return False
            self._left -= 1
            if self._left >= 0:
                self._passed = name
                return False
            self.places.append(Place(way, self._passed, name))
            self._passed = ""
            if self._then:
                (self._way, self._left), *later = self._then
                self._then = tuple(later)
            return True

    def _told(self) -> list[tuple[bytes, bytes]]:
        return read_keys(self._keys)


def read_keys(path: Path) -> list[tuple[bytes, bytes]]:
    """What a telling node has written."""
    lines = path.read_text(encoding="ascii").splitlines()
    return [
        (bytes.fromhex(key), bytes.fromhex(chaining)) for key, _, chaining in (line.partition(" ") for line in lines)
    ]
