"""A scenario is a small function that is played with one peer (or one chain daemon) on daemons that are up already.

    @scenario("we pay them")
    def we_pay_them(lab: Lab) -> None:
        ...

It ends well, or raises. The file it stands in is its room: the heading of the report, and what one lane plays in a row.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from interop.lab import Lab
from interop.peers.peer import Can

LIMIT_S = 150
"""On a machine that has much else to do, with the daemons that a scenario is the first to ask for."""

Play = Callable[[Lab], None]


@dataclass(frozen=True)
class Scenario:
    """One row of the report."""

    name: str
    play: Play
    needs: frozenset[Can] = frozenset()
    differs: Mapping[str, str] = field(default_factory=dict)
    """Column key -> what this peer does differently from the BOLTs, which the scenario handles and checks."""
    lacks: Mapping[str, str] = field(default_factory=dict)
    """Column key -> why it cannot be played there."""
    limit_s: int = LIMIT_S


@dataclass
class Room:
    """The scenarios of one file, in its order."""

    title: str
    scenarios: list[Scenario] = field(default_factory=list)


ROOMS: dict[str, Room] = {}
"""Module name -> its room."""


def scenario(
    name: str,
    *needs: Can,
    differs: Mapping[str, str] | None = None,
    lacks: Mapping[str, str] | None = None,
    limit_s: int = LIMIT_S,
) -> Callable[[Play], Play]:
    """Register a function as a scenario of the module it stands in, which says its `TITLE`."""

    def register(play: Play) -> Play:
        room = ROOMS.setdefault(play.__module__, Room(sys.modules[play.__module__].TITLE))
        room.scenarios.append(Scenario(name, play, frozenset(needs), differs or {}, lacks or {}, limit_s))
        return play

    return register
