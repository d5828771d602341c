"""Both judges are put beside Bitcoin Core, and a run says which were."""

from __future__ import annotations

from pathlib import Path

import pytest
from interop.recipe import REQUIRED
from interop.twin import __main__ as twin
from interop.twin.run import Outcome, Plan


def played(monkeypatch: pytest.MonkeyPatch, *, kernel: bool) -> list[Plan]:
    """The plans of a run on a machine that has the kernel's judge, or not."""
    plans: list[Plan] = []

    def run(plan: Plan, _numbers: range, _lanes: int) -> Outcome:
        plans.append(plan)
        return Outcome()

    monkeypatch.setattr(twin, "kernel_installed", lambda: kernel)
    monkeypatch.setattr(twin, "run", run)
    return plans


def test_the_last_line_names_the_judges(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    [*plans] = played(monkeypatch, kernel=True)
    assert twin.main(["--core", "/bin/true"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("judged by kernel and btclib: 0 differ")
    assert not plans


def test_a_machine_without_the_kernel_plays_with_the_other_judge_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plans = played(monkeypatch, kernel=False)
    monkeypatch.delenv(REQUIRED, raising=False)
    assert twin.main(["--core", "/bin/true"]) == 0
    said = capsys.readouterr()
    assert "the kernel's judge is not played" in said.err and "judged by btclib:" in said.out
    assert plans == [Plan(Path("/bin/true"), 1, ("btclib",))]


def test_where_all_is_required_a_missing_kernel_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    plans = played(monkeypatch, kernel=False)
    monkeypatch.setenv(REQUIRED, "1")
    assert twin.main(["--core", "/bin/true"]) == 1
    assert not plans
