"""Clusters: transactions that are related, put into the order a miner wants them.

A linearisation takes again and again the ancestor set with the best feerate; its chunks are the pieces that are worth
mining together, best first. The cumulated chunks are a feerate diagram, and a replacement must improve it everywhere.

Source: Bitcoin Core, "cluster mempool" (txgraph, util/feefrac).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Protocol, TypeVar

from fulmen.core.base.ids import Txid


class Member(Protocol):
    """What this room needs to know of a transaction."""

    @property
    def txid(self) -> Txid: ...
    @property
    def vsize(self) -> int: ...
    @property
    def modified_fee(self) -> int: ...
    @property
    def parent_ids(self) -> Iterable[Txid]: ...


M = TypeVar("M", bound=Member)


class Chunk(tuple[int, int, tuple[M, ...]]):
    """Fee, virtual size, and the transactions, parents first."""

    __slots__ = ()

    @property
    def fee(self) -> int:
        """Satoshis."""
        return self[0]

    @property
    def vsize(self) -> int:
        """Virtual bytes."""
        return self[1]

    @property
    def members(self) -> tuple[M, ...]:
        """The transactions, parents first."""
        return self[2]

    @property
    def feerate(self) -> Fraction:
        """Satoshis per virtual byte."""
        return Fraction(self[0], self[1])


def chunks_of(members: Sequence[M]) -> list[Chunk[M]]:
    """The chunks of related transactions, best feerate first."""
    if len(members) == 1:
        only = members[0]
        return [Chunk((only.modified_fee, only.vsize, (only,)))]
    found: list[Chunk[M]] = []
    for member in linearize(members):
        chunk: Chunk[M] = Chunk((member.modified_fee, member.vsize, (member,)))
        while found and chunk.fee * found[-1].vsize > found[-1].fee * chunk.vsize:
            before = found.pop()
            chunk = Chunk((before.fee + chunk.fee, before.vsize + chunk.vsize, before.members + chunk.members))
        found.append(chunk)
    return found


def linearize(members: Sequence[M]) -> list[M]:
    """An order in which parents come first and the best ancestor sets as early as possible."""
    left = {member.txid: member for member in members}
    ancestors = {member.txid: _ancestors(member, left) for member in members}
    order: list[M] = []
    while left:
        best = min(left, key=lambda txid: (-_feerate(ancestors[txid], left), len(ancestors[txid])))
        taken = _parents_first(ancestors[best], left)
        for txid in taken:
            order.append(left.pop(txid))
        for txid in left:
            for gone in taken:
                ancestors[txid].pop(gone, None)
    return order


def improves(old: Iterable[Chunk[M]], new: Iterable[Chunk[M]]) -> bool:
    """Whether the diagram of `new` is nowhere below that of `old`, and somewhere above."""
    before, after = _diagram(old), _diagram(new)
    better = False
    for size in sorted({size for size, _ in before} | {size for size, _ in after}):
        was, becomes = _fee_at(before, size), _fee_at(after, size)
        if becomes < was:
            return False
        better = better or becomes > was
    return better


def _ancestors(member: M, inside: dict[Txid, M]) -> dict[Txid, None]:
    found: dict[Txid, None] = {}
    todo = [member.txid]
    while todo:
        txid = todo.pop()
        if txid in inside and txid not in found:
            found[txid] = None
            todo.extend(inside[txid].parent_ids)
    return found


def _feerate(txids: Iterable[Txid], members: dict[Txid, M]) -> Fraction:
    fee, size = 0, 0
    for txid in txids:
        fee += members[txid].modified_fee
        size += members[txid].vsize
    return Fraction(fee, size)


def _parents_first(txids: Iterable[Txid], members: dict[Txid, M]) -> list[Txid]:
    left = dict.fromkeys(txids)
    order: list[Txid] = []
    while left:
        ready = [txid for txid in left if not any(parent in left for parent in members[txid].parent_ids)]
        order.extend(ready)
        for txid in ready:
            del left[txid]
    return order


def _diagram(chunks: Iterable[Chunk[M]]) -> list[tuple[int, int]]:
    points = [(0, 0)]
    for chunk in sorted(chunks, key=lambda chunk: -chunk.feerate):
        size, fee = points[-1]
        points.append((size + chunk.vsize, fee + chunk.fee))
    return points


def _fee_at(points: list[tuple[int, int]], size: int) -> Fraction:
    for (left_size, left_fee), (right_size, right_fee) in pairwise(points):
        if left_size <= size <= right_size:
            return left_fee + Fraction((right_fee - left_fee) * (size - left_size), right_size - left_size)
    return Fraction(points[-1][1])
