"""What the docs name is there."""

import re
from functools import reduce
from pathlib import Path

import pytest

from fulmen.cli.exits import __doc__ as exit_codes
from fulmen.daemon.settings import Settings, names

ROOT = Path(__file__).parents[3]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
BOLTS = (ROOT / "docs" / "bolts.md").read_text()
LINES = [line for line in BOLTS.splitlines() if line.startswith("|") and not line.startswith(("| id |", "| ---"))]
"""Of its tables, less their heads."""
ROWS = [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in LINES]
RUNS = (
    *(("B1", 1, 10), ("B2", 1, 44), ("B2", 60, 66), ("B3", 1, 11), ("B4", 1, 15), ("B5", 1, 11), ("B7", 1, 8)),
    *(("B8", 1, 1), ("B9", 1, 2), ("B10", 1, 1), ("B11", 1, 3), ("B12", 1, 7)),
)
"""BOLT, first and last number of its requirements. B5-7a is one more, for BOLT 5's matrix of outputs."""


def test_every_line_of_a_table_is_a_requirement_with_its_three_cells():
    assert [line for line, row in zip(LINES, ROWS, strict=True) if len(row) != 4 or not all(row)] == []


def test_each_requirement_has_one_row_and_no_other_has_one():
    ids = [row[0] for row in ROWS]
    wanted = {f"{bolt}-{number}" for bolt, first, last in RUNS for number in range(first, last + 1)}
    assert [one for one in ids if ids.count(one) > 1] == []
    assert wanted | {"B5-7a"} == set(ids)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_room_and_test_of_a_requirement_exists(row):
    _, _, done, tested = row
    assert (done == "not yet") == (tested == "not yet")
    if done != "not yet":
        for cell, below in ((done, "src/fulmen/"), (tested, "tests/")):
            paths = re.findall(r"`([^`]+)`", cell)
            assert paths
            for path in paths:
                assert path.startswith(below) and (ROOT / path).is_file(), path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_the_exit_codes_of_the_page_are_those_of_the_program():
    table = (exit_codes or "").partition("\n\n")[2].strip()
    assert table.startswith("| code |") and table in (ROOT / "docs" / "cli.md").read_text()


def test_every_setting_is_on_the_page_with_its_default():
    told = dict(re.findall(r"^\| `([a-z_.]+)` \| (.+?) \|", (ROOT / "docs" / "running.md").read_text(), re.MULTILINE))
    files = {"seed", "journal.sqlite", "graph", "settings.toml", "rpc", "lock"}
    defaults = {name: reduce(getattr, name.split("."), Settings()) for name in names()}
    assert {name: said for name, said in told.items() if name not in files} == {
        name: _written(default) for name, default in defaults.items()
    }


def _written(default):
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        default = ", ".join(default)
    return f"`{default}`" if default not in (None, "", b"") else "–"


def test_every_room_of_the_core_is_on_the_map():
    drawn = (ROOT / "docs" / "architecture.md").read_text()
    for package in sorted((ROOT / "src" / "fulmen").glob("core/*/__init__.py")):
        assert f"{package.parent.name}/" in drawn
    for package in sorted((ROOT / "src" / "fulmen").glob("*/__init__.py")):
        assert f"{package.parent.name}/" in drawn
