"""What fails beside others is played once more, alone; it never counts as plain green."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from interop.columns import PEERS
from interop.results import Cell, Outcome, Outcomes, Verdict, cells_of

from interop import play

CELLS = [cell for cell in cells_of(PEERS[:1]) if cell.playable]


def played(monkeypatch: pytest.MonkeyPatch, *rounds: set[tuple[str, str, str]]) -> tuple[Outcomes, list[int]]:
    """Play with the keys that fail in each round; the outcomes, and the lanes of each round."""
    coming = list(rounds)
    lanes_of_rounds: list[int] = []

    def once(cells: Sequence[Cell], told: play.Told, lanes: int, _home: Path) -> Outcomes:
        failing = coming.pop(0)
        lanes_of_rounds.append(lanes)
        outcomes: Outcomes = {}
        for cell in cells:
            outcomes[cell.key] = Outcome(Verdict.FAILED if cell.key in failing else Verdict.GREEN)
            told(cell, outcomes[cell.key])
        return outcomes

    monkeypatch.setattr(play, "_play_once", once)
    return play.play(CELLS, lambda _cell, _outcome: None), lanes_of_rounds


def test_what_failed_once_is_said_to_be_a_second_try(monkeypatch: pytest.MonkeyPatch) -> None:
    once, twice = CELLS[0].key, CELLS[3].key
    outcomes, lanes = played(monkeypatch, {once, twice}, {twice})
    assert outcomes.pop(once).verdict is Verdict.SECOND_TRY
    assert outcomes.pop(twice).verdict is Verdict.FAILED
    assert {outcome.verdict for outcome in outcomes.values()} == {Verdict.GREEN}
    assert lanes == [play.LANES, 1]


def test_where_much_fails_nothing_is_played_again(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = {cell.key for cell in CELLS[: play.MOST_SECOND_TRIES + 1]}
    outcomes, lanes = played(monkeypatch, failing)
    assert {key for key, outcome in outcomes.items() if outcome.verdict is Verdict.FAILED} == failing
    assert lanes == [play.LANES]


def test_a_whole_run_is_played_once(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes, lanes = played(monkeypatch, set())
    assert {outcome.verdict for outcome in outcomes.values()} == {Verdict.GREEN}
    assert lanes == [play.LANES]
