"""The channel machine: the bytes play a peer that holds its keys and says what it likes, in any order.

The peer, and what has to hold after each of its moves, are those of `tests/laws/test_a_lying_peer.py`; there a seed
chooses the moves, here each choice costs a byte, so that the fuzzer can keep what went far and change what follows.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.laws.test_a_lying_peer import ENDINGS, HAPPENINGS, ALyingPeer

from fuzz.target import Target

MOST_STEPS = 200


def targets() -> Iterator[Target]:
    """One."""
    yield Target("channel", _channel, lambda: [random.Random(seed).randbytes(120) for seed in range(40)], longest=1500)


class _Over(Exception):
    """No bytes are left."""


class _Dice(random.Random):
    """Chance that is read from bytes."""

    def __init__(self, data: bytes) -> None:
        super().__init__(0)
        self._bytes = iter(data)

    def random(self) -> float:
        """One byte of it."""
        for byte in self._bytes:
            return byte / 256
        raise _Over


def _channel(data: bytes) -> None:
    try:
        liar = ALyingPeer(_Dice(data))
        liar.go(MOST_STEPS, HAPPENINGS)
        liar.go(MOST_STEPS, HAPPENINGS + ENDINGS)
    except _Over:
        return
