"""`docs/security.md` names no test and no function that is not there, and every threat has both."""

import ast
import re
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "security.md").read_text()
LISTS = PAGE.partition("\n## 3")[0]
"""Of threats; tables of figures follow."""
THREATS = [
    row
    for row in re.findall(r"^\| (.+?) \| (.+) \| (.+) \|$", LISTS, re.MULTILINE)
    if not row[0].startswith(("---", "What went wrong"))
]
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)))


@lru_cache
def names_in(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }


@pytest.mark.parametrize(("file", "name"), NAMED, ids=str)
def test_what_the_page_names_exists(file, name):
    path = (ROOT if file.startswith("tests/") else ROOT / "src" / "fulmen") / file
    assert path.is_file(), file
    assert name in names_in(path), f"{file} has no {name}"


@pytest.mark.parametrize("threat", THREATS, ids=lambda threat: threat[0][:60])
def test_every_threat_has_a_test(threat):
    _, stand, tested = threat
    assert re.search(r"`tests/[\w/]+\.py::test_\w+`", tested)
    assert stand


def test_no_threat_was_lost():
    assert len(THREATS) == 64


@pytest.mark.parametrize(
    "line", [line for line in LISTS.splitlines() if line.startswith("|")], ids=lambda line: line[:40]
)
def test_a_row_of_the_page_has_as_many_cells_as_its_head(line):
    assert line.count(" | ") == 2 and line.endswith(" |")
