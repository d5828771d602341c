"""Clusters: the order miners want, and what an improvement is."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from fulmen.core.base.ids import Txid
from fulmen.regtest.clusters import Chunk, chunks_of, improves, linearize


@dataclass(frozen=True)
class Node:
    txid: Txid
    modified_fee: int
    vsize: int
    parent_ids: tuple[Txid, ...] = ()


def name(number: int) -> Txid:
    return Txid(number.to_bytes(32, "big"))


def a_node(number: int, fee: int, vsize: int = 100, *parents: int) -> Node:
    return Node(name(number), fee, vsize, tuple(name(parent) for parent in parents))


@st.composite
def families(draw):
    members = []
    for number in range(draw(st.integers(1, 12))):
        parents = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        members.append(a_node(number, draw(st.integers(0, 1000)), draw(st.integers(1, 300)), *sorted(parents)))
    return members


def test_a_child_pays_for_its_parent_in_one_chunk():
    [chunk] = chunks_of([a_node(0, 10), a_node(1, 1000, 100, 0)])
    assert (chunk.fee, chunk.vsize, [node.txid for node in chunk.members]) == (1010, 200, [name(0), name(1)])


def test_a_cheap_child_does_not_drag_its_parent_down():
    chunks = chunks_of([a_node(0, 1000), a_node(1, 10, 100, 0)])
    assert [chunk.fee for chunk in chunks] == [1000, 10]


@given(families())
def test_parents_always_come_first(members):
    order = [node.txid for node in linearize(members)]
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
def test_nothing_improves_on_itself(members):
    assert not improves(chunks_of(members), chunks_of(members))


@given(families(), st.integers(1, 1000))
def test_more_fee_for_the_same_bytes_improves(members, more):
    old = chunks_of(members)
    best = old[0]
    new = [Chunk((best.fee + more, best.vsize, best.members)), *old[1:]]
    assert improves(old, new)
    assert not improves(new, old)
