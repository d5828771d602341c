"""What came of each scenario with each peer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from interop.columns import Column
from interop.scenario import Room, Scenario


class Verdict(Enum):
    """How it ended, in the words of the report."""

    GREEN = "green"
    SECOND_TRY = "second try"
    FAILED = "failed"
    NOT_RUN = "not run"
    NO_FEATURE = "–"


@dataclass(frozen=True)
class Cell:
    """One scenario with one peer."""

    column: Column
    room: Room
    scenario: Scenario

    @property
    def key(self) -> tuple[str, str, str]:
        """Names it across processes."""
        return self.column.key, self.room.title, self.scenario.name

    @property
    def playable(self) -> bool:
        """Whether this peer has what the scenario needs."""
        if self.column.key in self.scenario.lacks:
            return False
        return self.column.peer is None or self.scenario.needs <= self.column.can

    def __str__(self) -> str:
        return f"{self.column.title}: {self.room.title.lower()}: {self.scenario.name}"


@dataclass(frozen=True)
class Outcome:
    """How it ended, and what there is to say about it."""

    verdict: Verdict
    seconds: float = 0.0
    words: str = ""
    differed: bool = False
    """Whether the other side was seen to do what the row says that it does differently."""


Outcomes = dict[tuple[str, str, str], Outcome]


def cells_of(columns: tuple[Column, ...]) -> list[Cell]:
    """All of them, column by column, in the order of the report."""
    return [Cell(column, room, scenario) for column in columns for room in column.rooms for scenario in room.scenarios]
