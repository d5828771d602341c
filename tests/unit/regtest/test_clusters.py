"""Clusters: the order miners want, and what an improvement is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from fulmen.core.base.ids import Txid
from fulmen.regtest.clusters import Chunk, chunks_of, improves


@dataclass(frozen=True)
class Node:
    txid: Txid
    modified_fee: int
    adjusted_weight: int
    parent_ids: tuple[Txid, ...] = ()


def name(number: int) -> Txid:
    return Txid(number.to_bytes(32, "big"))


def a_node(number: int, fee: int, weight: int = 400, *parents: int) -> Node:
    return Node(name(number), fee, weight, tuple(name(parent) for parent in parents))


def closed_sets(members: Sequence[Node]) -> list[tuple[Fraction, int]]:
    """Feerate and number of all sets that hold the parents of their members, tried one by one."""
    places = {node.txid: place for place, node in enumerate(members)}
    needs = [sum(1 << places[parent] for parent in node.parent_ids if parent in places) for node in members]
    found = []
    for chosen in range(1, 1 << len(members)):
        inside = [place for place in range(len(members)) if chosen >> place & 1]
        if all(needs[place] & ~chosen == 0 for place in inside):
            fee = sum(members[place].modified_fee for place in inside)
            found.append((Fraction(fee, sum(members[place].adjusted_weight for place in inside)), len(inside)))
    return found


@st.composite
def families(draw):
    members = []
    for number in range(draw(st.integers(1, 9))):
        parents = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        members.append(a_node(number, draw(st.integers(0, 1000)), draw(st.integers(1, 300)), *sorted(parents)))
    return members


def test_a_child_pays_for_its_parent_in_one_chunk():
    [chunk] = chunks_of([a_node(0, 10), a_node(1, 1000, 400, 0)])
    assert (chunk.fee, chunk.weight, [node.txid for node in chunk.members]) == (1010, 800, [name(0), name(1)])


def test_a_cheap_child_does_not_drag_its_parent_down():
    chunks = chunks_of([a_node(0, 1000), a_node(1, 10, 400, 0)])
    assert [chunk.fee for chunk in chunks] == [1000, 10]


@given(families())
def test_parents_always_come_first(members):
    order = [node.txid for chunk in chunks_of(members) for node in chunk.members]
    assert sorted(order) == sorted(node.txid for node in members)
    for node in members:
        assert all(order.index(parent) < order.index(node.txid) for parent in node.parent_ids)


@given(families())
def test_chunks_fall_in_feerate_and_hold_everything(members):
    chunks = chunks_of(members)
    rates = [chunk.feerate for chunk in chunks]
    assert rates == sorted(rates, reverse=True)
    assert sum(chunk.fee for chunk in chunks) == sum(node.modified_fee for node in members)
    assert sum(len(chunk.members) for chunk in chunks) == len(members)


@given(families())
def test_no_closed_set_pays_better_than_the_first_chunk(members):
    [best, *_] = chunks_of(members)
    assert best.feerate == max(rate for rate, _ in closed_sets(members))


@given(families())
def test_no_smaller_set_pays_as_well_as_the_first_chunk(members):
    [best, *_] = chunks_of(members)
    within = closed_sets(best.members)
    assert min(size for rate, size in within if rate == best.feerate) == len(best.members)


def test_two_that_pay_alike_are_two_chunks():
    assert [chunk.fee for chunk in chunks_of([a_node(0, 100), a_node(1, 100, 400, 0)])] == [100, 100]


def test_parents_that_share_a_child_are_taken_together_when_only_all_are_worth_it():
    chunks = chunks_of([a_node(0, 0), a_node(1, 0), a_node(2, 900, 400, 0, 1), a_node(3, 1, 400, 2)])
    assert [chunk.fee for chunk in chunks] == [900, 1]


@given(families())
def test_nothing_improves_on_itself(members):
    assert not improves(chunks_of(members), chunks_of(members))


@given(families(), st.integers(1, 1000))
def test_more_fee_for_the_same_bytes_improves(members, more):
    old = chunks_of(members)
    best = old[0]
    new = [Chunk((best.fee + more, best.weight, best.members)), *old[1:]]
    assert improves(old, new)
    assert not improves(new, old)
