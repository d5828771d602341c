"""Tests that share a stage of real processes run on one worker: a second stage would cost ten seconds more."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from tests.conftest import STAGES

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
