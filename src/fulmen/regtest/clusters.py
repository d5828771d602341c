"""Clusters: transactions that are related, cut into the pieces that are worth mining together, best first.

A chunk is the set of transactions, with all they depend on, that pays most for its weight; then the same of what is
left. It is found exactly: as the closed set of most value, by a minimum cut, where each transaction is worth what it
pays above a feerate, and the feerate rises to that of the set found until no set is worth more than nothing
(Dinkelbach's method). The cumulated chunks are a feerate diagram, and a replacement must improve it everywhere.

Bitcoin Core orders clusters by another method that ends with the same diagram.

Source: Bitcoin Core, "cluster mempool" (txgraph, util/feefrac).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Protocol, TypeVar

from fulmen.core.base.ids import Txid


class Member(Protocol):
    """What this room needs to know of a transaction."""

    @property
    def txid(self) -> Txid: ...
    @property
    def adjusted_weight(self) -> int: ...
    @property
    def modified_fee(self) -> int: ...
    @property
    def parent_ids(self) -> Iterable[Txid]: ...


M = TypeVar("M", bound=Member)


class Chunk(tuple[int, int, tuple[M, ...]]):
    """Fee, weight, and the transactions, parents first."""

    __slots__ = ()

    @property
    def fee(self) -> int:
        """Satoshis."""
        return self[0]

    @property
    def weight(self) -> int:
        """Weight units, adjusted for signature checks."""
        return self[1]

    @property
    def members(self) -> tuple[M, ...]:
        """The transactions, parents first."""
        return self[2]

    @property
    def feerate(self) -> Fraction:
        """Satoshis per weight unit."""
        return Fraction(self[0], self[1])


def chunks_of(members: Sequence[M]) -> list[Chunk[M]]:
    """The chunks of related transactions, best feerate first. Parents that are not among them do not count."""
    left = {member.txid: member for member in members}
    parents = {txid: [parent for parent in member.parent_ids if parent in left] for txid, member in left.items()}
    chunks: list[Chunk[M]] = []
    while left:
        best = _best(left, parents)
        taken = tuple([left.pop(txid) for txid in _parents_first(best, parents)])
        parents = {txid: [parent for parent in parents[txid] if parent in left] for txid in left}
        fee = sum(member.modified_fee for member in taken)
        chunks.append(Chunk((fee, sum(member.adjusted_weight for member in taken), taken)))
    return chunks


def improves(old: Iterable[Chunk[M]], new: Iterable[Chunk[M]]) -> bool:
    """Whether the diagram of `new` is nowhere below that of `old`, and somewhere above."""
    before, after = _diagram(old), _diagram(new)
    better = False
    for weight in sorted({weight for weight, _ in before} | {weight for weight, _ in after}):
        was, becomes = _fee_at(before, weight), _fee_at(after, weight)
        if becomes < was:
            return False
        better = better or becomes > was
    return better


_Parents = Mapping[Txid, Sequence[Txid]]


def _best(members: Mapping[Txid, M], parents: _Parents) -> list[Txid]:
    """The closed set of the highest feerate, the smallest of several."""
    found = [next(txid for txid in members if not parents[txid])]
    while True:
        fee = sum(members[txid].modified_fee for txid in found)
        weight = sum(members[txid].adjusted_weight for txid in found)
        worth = {txid: member.modified_fee * weight - fee * member.adjusted_weight for txid, member in members.items()}
        better = _most_valuable(worth, parents)
        if not better:
            return _smallest(found, worth, parents)
        found = better


def _smallest(found: list[Txid], worth: Mapping[Txid, int], parents: _Parents) -> list[Txid]:
    """A closed part of a set that has its feerate already: what all together are worth is nothing."""
    if len(found) == 1:
        return found
    candidates = [found]
    for wanted in found:
        needed = dict.fromkeys(_with_ancestors(wanted, parents))
        others = {txid: worth[txid] for txid in found if txid not in needed}
        loose = {txid: [parent for parent in parents[txid] if parent not in needed] for txid in others}
        part = [*needed, *_most_valuable(others, loose)]
        if sum(worth[txid] for txid in part) == 0:
            candidates.append(part)
    return min(candidates, key=len)


def _most_valuable(worth: Mapping[Txid, int], parents: _Parents) -> list[Txid]:
    """The smallest closed set of the highest value; empty when nothing is worth more than nothing.

    A cut of least capacity parts it from the rest: what pays is fed by the source, what costs drains into the sink, and
    from each transaction unlimited flow may go to its parents.
    """
    if all(value <= 0 for value in worth.values()):
        return []
    excess = {txid: value for txid, value in worth.items() if value > 0}
    drain = {txid: -value for txid, value in worth.items() if value < 0}
    flow: dict[tuple[Txid, Txid], int] = {}
    children: dict[Txid, list[Txid]] = {}
    for txid in worth:
        for parent in parents[txid]:
            children.setdefault(parent, []).append(txid)
    while True:
        reached: dict[Txid, Txid | None] = {txid: None for txid, left in excess.items() if left}
        todo = deque(reached)
        end: Txid | None = None
        while todo and end is None:
            txid = todo.popleft()
            if drain.get(txid):
                end = txid
                break
            # Flow runs to the parents, and back from a child to which it went.
            ahead = [parent for parent in parents[txid] if parent not in reached]
            back = [child for child in children.get(txid, ()) if child not in reached and flow.get((child, txid))]
            for following in (*ahead, *back):
                reached[following] = txid
                todo.append(following)
        if end is None:
            return list(reached)
        _push(end, reached, excess, drain, flow, parents)


def _push(
    end: Txid,
    reached: Mapping[Txid, Txid | None],
    excess: dict[Txid, int],
    drain: dict[Txid, int],
    flow: dict[tuple[Txid, Txid], int],
    parents: _Parents,
) -> None:
    """Send as much as the way to `end` can take."""
    steps: list[tuple[Txid, Txid]] = []
    at = end
    amount = drain[end]
    while (before := reached[at]) is not None:
        steps.append((before, at))
        if at not in parents[before]:
            amount = min(amount, flow[at, before])
        at = before
    amount = min(amount, excess[at])
    excess[at] -= amount
    drain[end] -= amount
    for before, after in steps:
        if after in parents[before]:
            flow[before, after] = flow.get((before, after), 0) + amount
        else:
            flow[after, before] -= amount


def _with_ancestors(txid: Txid, parents: _Parents) -> list[Txid]:
    found: dict[Txid, None] = {}
    todo = [txid]
    while todo:
        at = todo.pop()
        if at not in found:
            found[at] = None
            todo.extend(parents[at])
    return list(found)


def _parents_first(txids: Iterable[Txid], parents: _Parents) -> list[Txid]:
    left = dict.fromkeys(txids)
    order: list[Txid] = []
    while left:
        ready = [txid for txid in left if not any(parent in left for parent in parents[txid])]
        order.extend(ready)
        for txid in ready:
            del left[txid]
    return order


def _diagram(chunks: Iterable[Chunk[M]]) -> list[tuple[int, int]]:
    points = [(0, 0)]
    for chunk in sorted(chunks, key=lambda chunk: -chunk.feerate):
        weight, fee = points[-1]
        points.append((weight + chunk.weight, fee + chunk.fee))
    return points


def _fee_at(points: list[tuple[int, int]], weight: int) -> Fraction:
    for (left_weight, left_fee), (right_weight, right_fee) in pairwise(points):
        if left_weight <= weight <= right_weight:
            return left_fee + Fraction((right_fee - left_fee) * (weight - left_weight), right_weight - left_weight)
    return Fraction(points[-1][1])
