"""docs/conformance-others.md lists what peers do not keep: the ids, the reason, and the last that was said."""

from __future__ import annotations

import pytest
from interop.columns import PEERS
from interop.conformance.deviations import DEVIATIONS, reason_of
from interop.conformance.page import LAST_LINES, UNKNOWN, NoPlace, page

from fulmen.conformance.runner import Outcome, Verdict
from fulmen.conformance.scripts import ALL
from fulmen.conformance.talking import Line

LND = PEERS[0]
KEY = "02" + "ab" * 32


def told(**by_script: Outcome) -> str:
    return page("", {LND: list(by_script.values())})


def listed() -> list[tuple[str, str]]:
    return [(key, name) for key, reasons in DEVIATIONS.items() for names in reasons.values() for name in names]


@pytest.mark.parametrize("key", DEVIATIONS)
def test_every_deviation_names_scripts_that_there_are_and_each_once(key: str):
    names = [name for of, name in listed() if of == key]
    assert len(names) == len(set(names))
    assert set(names) <= {script.name for script in ALL}


def test_a_reason_is_a_sentence():
    for reasons in DEVIATIONS.values():
        assert all(reason.endswith(".") and names for reason, names in reasons.items())


def test_what_was_not_kept_stands_with_ids_reason_sentence_and_the_end_of_what_was_said(monkeypatch):
    script = ALL[0]
    monkeypatch.setitem(DEVIATIONS, "lnd", {"It does something else.": (script.name,)})
    lines = tuple(Line("alice", "→", f"ping num_pong_bytes={number}") for number in range(20))
    lines += (Line("alice", "·", f"connects as {KEY}"), Line("alice", "←", "error “no”"))
    text = told(one=Outcome(script, Verdict.FAILED, f"step 3: {KEY} is wrong", lines))
    for part in (*script.ids, "It does something else.", *script.quotes, "step 3: … is wrong.", "alice ← error “no”"):
        assert part in text
    assert text.count("ping") == LAST_LINES - 2 and KEY not in text and "num_pong_bytes" not in text


def test_what_nobody_has_looked_into_is_said():
    script = next(script for script in ALL if not reason_of("lnd", script))
    assert UNKNOWN in told(one=Outcome(script, Verdict.WARNED, "step 1: no"))


def test_the_table_counts_what_was_not_run_and_what_was_not_played_to_its_end():
    script = ALL[0]
    text = told(
        one=Outcome(script, Verdict.NOT_RUN, "the node does not offer option_splice"),
        two=Outcome(script, Verdict.NOT_RUN, "step 7: not played to its end within 300 s", unfinished=True),
        three=Outcome(script, Verdict.PASSED),
        four=Outcome(script, Verdict.NOT_RUN, "it refuses what is right, too", refuses_good=True),
    )
    assert "| kept | 1 |" in text and "| 4 scripts | |" in text
    assert "it lacks the feature | 1 |" in text and "not played to the end | 1 |" in text
    assert "it refuses what is right, too | 1 |" in text
    assert "not offer option_splice" in text and "within 300 s" in text


def test_the_part_of_one_peer_is_made_anew_and_those_of_others_stay():
    script = ALL[0]
    both = page("", {column: [Outcome(script, Verdict.PASSED)] for column in PEERS[:2]})
    again = page(both, {LND: [Outcome(script, Verdict.FAILED, "step 1: no")]})
    assert again.count("| kept | 0 |") == 1 and again.count("| kept | 1 |") == 1
    assert page(again, {LND: [Outcome(script, Verdict.PASSED)]}) == both
    with pytest.raises(NoPlace):
        page(both.replace("<!-- end of lnd -->", ""), {LND: []})
