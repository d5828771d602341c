"""docs/conformance.md says what the scripts cover, and every script says what it covers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from fulmen.conformance.coverage import page
from fulmen.conformance.ids import SUBJECTS
from fulmen.conformance.scripts import ALL

PAGE = Path(__file__).parents[3] / "docs" / "conformance.md"


def test_the_page_is_up_to_date():
    written = PAGE.read_text(encoding="utf-8")
    assert page(written) == written, "python -m fulmen.conformance.coverage docs/conformance.md"


def test_every_script_names_what_it_covers():
    for script in ALL:
        assert script.ids and set(script.ids) <= set(SUBJECTS), script.name
        assert script.quotes and all(script.quotes), script.name


def test_no_two_scripts_have_one_name():
    assert [name for name, count in Counter(script.name for script in ALL).items() if count > 1] == []
