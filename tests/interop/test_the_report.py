"""docs/interop.md says what a run showed, always in the same words and order."""

from __future__ import annotations

import random

from interop.columns import COLUMNS, PEERS
from interop.report import page
from interop.results import Cell, Outcome, Outcomes, Verdict, cells_of


def all_green() -> Outcomes:
    return {
        cell.key: Outcome(
            Verdict.GREEN if cell.playable else Verdict.NO_FEATURE, random.random(), differed=_may_differ(cell)
        )
        for cell in cells_of(COLUMNS)
    }


def test_the_same_outcomes_make_the_same_page_however_long_they_took() -> None:
    first, second = all_green(), dict(reversed(all_green().items()))
    assert page(first) == page(second)
    assert "failed" not in page(first) and "not run" not in page(first)


def test_every_scenario_of_a_peer_is_a_row() -> None:
    text = page(all_green())
    for cell in cells_of(PEERS[:1]):
        assert f"| {cell.scenario.name} |" in text


def test_what_a_peer_does_differently_stands_in_a_note() -> None:
    text = page(all_green())
    notes = [(cell, cell.scenario.differs[cell.column.key]) for cell in cells_of(PEERS) if _may_differ(cell)]
    assert notes
    for cell, words in notes:
        assert f". {cell.column.title}: {words}\n" in text
    assert "differs (" in text and "green, without (" not in text


def test_what_a_peer_may_do_differently_and_did_not_is_said() -> None:
    outcomes = all_green()
    cell = next(cell for cell in cells_of(PEERS) if _may_differ(cell))
    outcomes[cell.key] = Outcome(Verdict.GREEN)
    assert page(outcomes).count("green, without (") == 1


def test_what_failed_and_what_was_not_run_is_said() -> None:
    outcomes = all_green()
    one, two = [cell.key for cell in cells_of(PEERS[:1]) if cell.playable][:2]
    outcomes[one] = Outcome(Verdict.FAILED, words="a long story")
    del outcomes[two]
    text = page(outcomes)
    assert "| failed |" in text and "| not run |" in text and "a long story" not in text


def test_no_two_scenarios_of_a_column_have_one_name() -> None:
    keys = [cell.key for cell in cells_of(COLUMNS)]
    assert len(keys) == len(set(keys))


def _may_differ(cell: Cell) -> bool:
    return cell.playable and cell.column.key in cell.scenario.differs
