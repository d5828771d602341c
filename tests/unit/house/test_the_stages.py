"""Tests that share a stage of real processes run on one worker: a second stage would cost ten seconds more."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from tests.conftest import STAGES, lot_of, next_lot

ROOT = Path(__file__).parents[3]
SHARED = {"playhouse": "story", "line": "line", "subject": "conformance"}
"""Fixture -> the stage that it is, or stands on."""


@pytest.mark.parametrize("file", sorted((ROOT / "tests" / "end_to_end").glob("test_*.py")), ids=lambda file: file.stem)
def test_whoever_asks_for_a_shared_stage_is_sent_where_it_is(file: Path) -> None:
    functions = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)]
    asked = {each.arg for one in functions if one.name.startswith("test_") for each in one.args.args}
    wanted = {SHARED[name] for name in asked if name in SHARED}
    assert wanted in (set(), {STAGES.get(f"tests/end_to_end/{file.name}")})


def test_no_stage_has_a_file_that_is_not_there() -> None:
    assert [file for file in STAGES if not (ROOT / file).is_file()] == []


def test_stages_and_files_of_units_are_lots_and_every_other_test_is_one() -> None:
    assert lot_of("tests/end_to_end/test_closing.py::test_a[1]") == "line"
    assert lot_of("tests/unit/core/test_a.py::test_b[x::y]") == "tests/unit/core/test_a.py"
    alone = ("tests/laws/test_a.py::test_b", "tests/end_to_end/test_the_lab.py::test_c")
    assert [lot_of(each) for each in alone] == list(alone)


def test_one_worker_plays_and_the_others_compute_and_nobody_is_idle() -> None:
    lots = ["tests/unit/test_a.py", "line", "tests/laws/test_a.py::test_b", "tests/end_to_end/test_the_lab.py::test_c"]
    assert [next_lot(lots, plays) for plays in (True, False)] == ["line", "tests/unit/test_a.py"]
    assert next_lot(lots[2:], plays=True) == lots[3]
    assert next_lot(lots[1:2], plays=False) == "line"
    assert next_lot(lots[:1], plays=True) == lots[0]
