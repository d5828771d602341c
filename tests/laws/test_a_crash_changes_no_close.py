"""A node that falls at any commit point of a close ends with the same money, and tells every owner the same."""

from __future__ import annotations

from typing import Any

import pytest
from tests.builders.court import Court
from tests.builders.crashes import crash_at
from tests.builders.onchain import NAMES, Plan, Planned

from fulmen.core.node import Batch
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC, STATIC_REMOTEKEY

HTLCS = (
    Planned(0, "alice", 40_000_000, expires_in=6),
    Planned(1, "alice", 41_000_000, expires_in=8),
    Planned(2, "bob", 42_000_000, expires_in=9),
    Planned(3, "bob", 43_000_000, expires_in=9),
    Planned(4, "alice", 200_000, expires_in=9),
)


def a_close(closer: str, format: str) -> Court:
    """A court with something of everything; nobody has done anything yet."""
    return Court(Plan(format, HTLCS, known=(("bob", 1), ("alice", 2))))


def run(court: Court, closer: str) -> dict[str, Any]:
    """The whole close, and how it ended."""
    court.close_by(closer)
    court.mine(3)
    for _ in range(2):
        # A channel says it again after a restart; twice is as good as once.
        court.claim("alice", HTLCS[3])
    court.mine_until_resolved()
    court.settle()
    return {
        "fates": {planned.id: court.hosts[planned.by].fate_of(planned) for planned in HTLCS},
        "gains": {name: court.gain_of(name) for name in NAMES},
        "names": {name: court.hosts[name].names for name in NAMES},
    }


@pytest.mark.parametrize("format", [ANCHORS_ZERO_FEE_HTLC.name, STATIC_REMOTEKEY.name])
@pytest.mark.parametrize("closer", NAMES)
def test_a_crash_at_any_commit_point_changes_nothing(closer: str, format: str) -> None:
    quiet = a_close(closer, format)
    points = 0

    def count(_batch: Batch) -> None:
        nonlocal points
        points += 1

    quiet.alice.disk.before_done = count
    expected = run(quiet, closer)
    assert points >= 8
    for point in range(1, points + 1):
        for written in (True, False):
            court = a_close(closer, format)
            crash_at(court.alice.disk, court.alice.crash, point, written)
            assert run(court, closer) == expected, f"crashed at {point}, written: {written}"
