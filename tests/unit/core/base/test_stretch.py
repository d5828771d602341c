"""Rows that are true for a stretch of numbers are found by any number within, and by no other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fulmen.core.base.machine import Address
from fulmen.core.base.stretch import MOST, Stretch, found, stretch_key

numbers = st.integers(0, 40) | st.integers(0, MOST - 2)


@given(numbers, numbers, numbers)
def test_a_stretch_holds_its_start_and_not_what_is_behind_it(start: int, behind: int, number: int) -> None:
    wanted = Stretch("kept", b"channel", number)
    address = Address("kept", stretch_key(b"channel", start, behind, b"rest"))
    assert wanted.holds(address) == (start <= number < behind)
    if wanted.holds(address):
        assert wanted.first_key <= address.key < wanted.last_key
        assert address.key[wanted.start_at :] <= wanted.greatest_start + b"rest"


def test_another_kind_or_prefix_is_not_held() -> None:
    wanted = Stretch("kept", b"channel", 5)
    assert wanted.holds(Address("kept", stretch_key(b"channel", 5, 6, b"")))
    assert not wanted.holds(Address("lost", stretch_key(b"channel", 5, 6, b"")))
    assert not wanted.holds(Address("kept", stretch_key(b"another", 5, 6, b"")))


def test_a_machine_gets_what_tells_the_rows_apart() -> None:
    wanted = Stretch("kept", b"channel", 5)
    rows = tuple((Address("kept", stretch_key(b"channel", 5, 6, rest)), rest[0]) for rest in (b"a", b"bc"))
    assert found(wanted, rows).rows == ((b"a", ord("a")), (b"bc", ord("b")))
