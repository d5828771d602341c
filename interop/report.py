"""`docs/interop.md`: who was met with what. Made by a run; the same outcomes always make the same page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from interop.columns import CHAINS, MIXED, ON_OTHER_CHAINS, PEERS, Column
from interop.results import Outcome, Outcomes, Verdict
from interop.scenario import Room, Scenario

PAGE = Path(__file__).parent.parent / "docs" / "interop.md"
BEGIN = """# Fulmen among others

Made by `make interop`, which plays each row for real with each column: unmodified daemons that others wrote, on one
machine, over their own sockets. How to run it, and to add a row or a column: [interop-lab.md](interop-lab.md). What
other nodes taught us in words: [interop-notes.md](interop-notes.md).

**green**: played, and it went as it must. **differs**: green, and the other side does something else than the BOLTs
say, which was seen, handled and checked; the note says what. **green, without**: it may do what the note says, and did
not this time. **–**: the other side has no such feature, or no way to ask for it, or the note says why it is not
played. **second try**: it went wrong beside other daemons, and as it must when it was played again, alone.
"""


def page(outcomes: Outcomes) -> str:
    """The whole page."""
    notes: list[str] = []
    parts = [
        BEGIN,
        "## Lightning nodes\n",
        _table(PEERS, outcomes, notes),
        "## Lightning nodes mixed\n",
        _table(MIXED, outcomes, notes),
        "## Chains\n",
        _table(CHAINS, outcomes, notes),
        "## Lightning nodes on the embedded chain, and on btcd\n",
        _table(ON_OTHER_CHAINS, outcomes, notes),
    ]
    if notes:
        parts += ["## Notes\n", "\n".join(f"{at}. {note}" for at, note in enumerate(notes, 1)) + "\n"]
    return "\n".join(parts)


def _table(columns: Sequence[Column], outcomes: Outcomes, notes: list[str]) -> str:
    lines = [f"| | {' | '.join(column.title for column in columns)} |", "| --- |" + " --- |" * len(columns)]
    rooms: list[Room] = []
    for column in columns:
        rooms += [room for room in column.rooms if room not in rooms]
    for room in rooms:
        lines.append(f"| **{room.title}** |" + " |" * len(columns))
        for scenario in room.scenarios:
            cells = [_cell(column, room, scenario, outcomes, notes) for column in columns]
            lines.append(f"| {scenario.name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(column: Column, room: Room, scenario: Scenario, outcomes: Outcomes, notes: list[str]) -> str:
    if room not in column.rooms:
        return Verdict.NO_FEATURE.value
    outcome = outcomes.get((column.key, room.title, scenario.name), Outcome(Verdict.NOT_RUN))
    if outcome.verdict is Verdict.NO_FEATURE and column.key in scenario.lacks:
        return f"– {_note(scenario.lacks[column.key], column, notes)}"
    if outcome.verdict is Verdict.GREEN and column.key in scenario.differs:
        how = "differs" if outcome.differed else "green, without"
        return f"{how} {_note(scenario.differs[column.key], column, notes)}"
    return outcome.verdict.value


def _note(words: str, column: Column, notes: list[str]) -> str:
    said = f"{column.title}: {words}"
    if said not in notes:
        notes.append(said)
    return f"({notes.index(said) + 1})"
