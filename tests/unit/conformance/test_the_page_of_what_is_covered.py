"""docs/conformance.md says what the scripts cover, and every script says what it covers."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from fulmen.conformance.coverage import page, sentences
from fulmen.conformance.ids import SUBJECTS
from fulmen.conformance.script import Script
from fulmen.conformance.scripts import ALL

PAGE = Path(__file__).parents[3] / "docs" / "conformance.md"


def test_the_page_is_up_to_date():
    written = PAGE.read_text(encoding="utf-8")
    assert page(written) == written, "python -m fulmen.conformance.coverage docs/conformance.md"


def test_the_numbers_on_the_page_are_those_of_what_stands_below_them():
    written = PAGE.read_text(encoding="utf-8")
    scripts, sentences = map(int, re.findall(r"^(\d+) scripts hold a node to (\d+) sentences", written, re.M)[0])
    ids, of = map(int, re.findall(r"^(\d+) of (\d+) ids have scripts", written, re.M)[0])
    quoted = {quote.strip() for quote in re.findall(r"^  > (.+)$", written, re.M)}
    # A part of a sentence that is quoted as a whole elsewhere is no second sentence.
    assert sentences == sum(not any(each in other for other in quoted - {each}) for each in quoted)
    assert scripts == len(set(re.findall(r"^\* \*\*(.+?)\*\*", written, re.M))) == len(ALL)
    assert ids == len(re.findall(r"^### B\d+-\d+", written, re.M)) and of == len(SUBJECTS)


def test_a_sentence_that_is_quoted_twice_counts_once():
    def quoting(*quotes: str) -> Script:
        return Script(name="a script", ids=("B1-6",), quotes=quotes, steps=())

    scripts = [quoting("MUST do it.", "if so:"), quoting("if so: - MUST do it."), quoting("MUST do that.")]
    assert sentences(scripts) == {"if so: - MUST do it.", "MUST do that."}


def test_every_script_names_what_it_covers():
    for script in ALL:
        assert script.ids and set(script.ids) <= set(SUBJECTS), script.name
        assert script.quotes and all(script.quotes), script.name


def test_no_two_scripts_have_one_name():
    assert [name for name, count in Counter(script.name for script in ALL).items() if count > 1] == []
