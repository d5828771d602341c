"""A column that cannot be opened leaves nothing running, and a run that plays nothing is no success."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from interop.__main__ import MOST_HASTE, main
from interop.columns import PEERS
from interop.play import Told
from interop.ports import Ports
from interop.results import Cell, Outcome, Outcomes, Verdict

from interop import __main__ as command


class Stillborn:
    """A lab whose chain is started and does not answer."""

    closed = 0

    def open(self) -> None:
        raise TimeoutError

    def close(self) -> None:
        self.closed += 1


def test_a_lab_that_does_not_open_is_closed(tmp_path: Path):
    lab = Stillborn()
    with pytest.raises(TimeoutError):
        replace(PEERS[0], make=lambda *_about: lab).open(tmp_path, Ports())
    assert lab.closed == 1


def test_words_that_no_scenario_has_are_an_error(capsys: pytest.CaptureFixture[str]):
    assert main(["--peer", "lnd", "zzz"]) == 2
    assert "zzz" in capsys.readouterr().out


@pytest.mark.parametrize(("haste", "code"), [(0, 0), (MOST_HASTE, 0), (MOST_HASTE + 1, 1)])
def test_a_run_with_many_second_tries_is_no_success(monkeypatch: pytest.MonkeyPatch, haste: int, code: int):
    def play(cells: list[Cell], _told: Told, _lanes: int) -> Outcomes:
        verdicts = [Verdict.SECOND_TRY] * haste + [Verdict.GREEN] * len(cells)
        return {cell.key: Outcome(verdict) for cell, verdict in zip(cells, verdicts, strict=False)}

    monkeypatch.setattr(command, "play", play)
    monkeypatch.setattr(command, "_build", lambda _columns: {})
    assert main(["--peer", "lnd"]) == code
