"""How each stored type stands on disk is pinned: data written by one version is read by the next."""

from __future__ import annotations

import pytest
from tests.builders.stored_forms import (
    Line,
    current_lines,
    differences,
    line_of,
    newest,
    ours,
    read_lines,
    renewed,
    sample,
    stored_types,
    unreadable,
    value_of,
)

from fulmen.adapters.store.names import name_of
from fulmen.core.base.machine import Fact, Kept
from fulmen.core.base.record import Record
from fulmen.core.base.units import Msat


def test_every_stored_form_is_the_one_in_the_golden_file():
    wrong = differences(read_lines(), current_lines())
    assert not wrong, f"{wrong}: see docs/stored-forms.md, then run scripts/stored_forms.py"


def test_every_form_that_was_ever_written_is_still_read():
    assert unreadable(read_lines()) == []


@pytest.mark.parametrize("cls", stored_types(), ids=name_of)
def test_a_sample_is_read_back_equal(cls):
    line = newest(read_lines())[line_of(cls).name]
    assert value_of(line) == sample(cls)


def test_the_file_is_in_order_and_says_nothing_twice():
    lines = read_lines()
    assert [line.name for line in lines] == sorted(line.name for line in lines)
    assert len(dict.fromkeys(lines)) == len(lines)


def test_all_facts_all_kept_rows_and_all_states_are_among_them():
    names = {name_of(cls) for cls in stored_types()}
    assert {name_of(cls) for cls in ours(Fact) if not cls.passing} <= names
    assert {name_of(cls) for cls in ours(Kept)} <= names
    assert {"channel.Channel", "switch.Circuit", "wallet.Wallet", "node.Retention", "node.Ended"} <= names
    assert not {name_of(cls) for cls in ours(Fact) if cls.passing} & names


class Before(Record):
    """A stored type."""

    amount_msat: Msat
    to: bytes = b""


class Added(Record):
    amount_msat: Msat
    to: bytes = b""
    note: str = ""


class Swapped(Record):
    to: bytes = b""
    amount_msat: Msat = Msat(0)


@pytest.mark.parametrize("after", [Added, Swapped])
def test_a_changed_form_is_noticed(after):
    stored, now = line_of(Before), line_of(after)
    now = now._replace(name=stored.name, names=stored.names)
    assert differences([stored], [now]) == [f"{stored.name} stands otherwise on disk than before"]
    assert differences([stored], [stored]) == []
    assert renewed([stored], [now]) == [stored, now]
    assert differences(renewed([stored], [now]), [now]) == []


def test_a_type_without_a_line_is_noticed():
    lines = read_lines()
    assert differences(lines[1:], current_lines()) == [f"{lines[0].name} has no line"]
    assert renewed(lines[1:], current_lines()) == lines


def test_what_can_no_longer_be_read_is_named():
    line = line_of(Before)
    gone = Line("test.Gone", "920105", "test.Gone")
    longer = line._replace(packed="940105c400c0")
    colors = [Line("enum:Color", "RED,BLUE", "red,blue"), Line("enum:Color", "RED,GREEN", "red,green")]
    assert unreadable(colors) == ["enum:Color: the value blue is gone"]
    assert [text.partition(":")[0] for text in unreadable([line, gone, longer])] == ["test.Gone", line.name]
