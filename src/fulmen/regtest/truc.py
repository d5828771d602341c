"""TRUC: transactions of version 3 live in families of two, so that a fee bump cannot be pinned; and dust that must be
spent at once.

Source: BIP 431; Bitcoin Core, policy/truc_policy.cpp and policy/ephemeral_policy.cpp (words included).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fulmen.core.base.ids import OutPoint, Txid
from fulmen.regtest.mempool import Mempool, Pooled
from fulmen.regtest.relaypolicy import TRUC_CHILD_MAX_VSIZE, TRUC_MAX_VSIZE, TRUC_VERSION


def violation(pool: Mempool, candidate: Pooled, conflicts: Mapping[Txid, Pooled]) -> tuple[str, Pooled | None]:
    """What TRUC forbids about a candidate and its parents in the mempool, empty if nothing, and the sibling whose
    eviction would mend it."""
    parents = _in_pool(pool, candidate)
    if reason := _mixed(candidate, parents):
        return reason, None
    if candidate.tx.version != TRUC_VERSION:
        return "", None
    if candidate.vsize > TRUC_MAX_VSIZE:
        return _too_big("", candidate, TRUC_MAX_VSIZE), None
    if not parents:
        return "", None
    if len(parents) > 1 or parents[0].parents:
        return _too_many_ancestors(candidate), None
    if candidate.vsize > TRUC_CHILD_MAX_VSIZE:
        return _too_big("child ", candidate, TRUC_CHILD_MAX_VSIZE), None
    siblings = [other for other in pool.descendants(parents[0]).values() if other is not parents[0]]
    if not siblings or any(other.txid in conflicts for other in siblings):
        return "", None
    # A reorg may have left more children, or grandchildren: then none of them is evicted.
    evictable = len(siblings) == 1 and len(pool.ancestors(siblings[0])) == 2
    return _crowded(parents[0]), siblings[0] if evictable else None


def package_violation(pool: Mempool, candidate: Pooled, package: Sequence[Pooled]) -> str:
    """What TRUC forbids about a candidate among the others of its package; empty if nothing.

    What it says of the mempool alone was asked before.
    """
    pooled = _in_pool(pool, candidate)
    packed = [other for other in package if other.txid in candidate.parents and other is not candidate]
    parents = [*pooled, *packed]
    if candidate.tx.version != TRUC_VERSION:
        return _mixed(candidate, parents)
    if len(parents) > 1 or any(parent.parents for parent in pooled):
        return _too_many_ancestors(candidate)
    if not parents:
        return ""
    [parent] = parents
    if candidate.vsize > TRUC_CHILD_MAX_VSIZE:
        return _too_big("child ", candidate, TRUC_CHILD_MAX_VSIZE)
    if reason := _mixed(candidate, parents):
        return reason
    for other in package:
        if other is candidate:
            continue
        for spent in other.tx.inputs:
            if spent.outpoint.txid == parent.txid:
                return _crowded(parent)
            if spent.outpoint.txid == candidate.txid:
                return _too_many_ancestors(other)
    if pooled and len(pool.descendants(parent)) > 1:
        return _crowded(parent)
    return ""


def unspent_dust(candidate: Pooled, parents: Sequence[Pooled], dust_of: Callable[[Pooled], Sequence[int]]) -> str:
    """What is wrong if a child leaves dust of its unconfirmed parents unspent; empty if nothing."""
    spent = [spent.outpoint for spent in candidate.tx.inputs]
    for parent in parents:
        for vout in dust_of(parent):
            if OutPoint(parent.txid, vout) not in spent:
                return f"tx {_named(candidate)} did not spend parent's ephemeral dust"
    return ""


def _in_pool(pool: Mempool, candidate: Pooled) -> list[Pooled]:
    """The parents that are in the mempool, in the order of their txids."""
    found = [parent for parent in candidate.parents.values() if pool.get(parent.txid) is parent]
    return sorted(found, key=lambda parent: parent.txid)


def _mixed(candidate: Pooled, parents: Sequence[Pooled]) -> str:
    for parent in parents:
        if (candidate.tx.version == TRUC_VERSION) != (parent.tx.version == TRUC_VERSION):
            mine, theirs = ("", "non-") if candidate.tx.version == TRUC_VERSION else ("non-", "")
            return f"{mine}version=3 tx {_named(candidate)} cannot spend from {theirs}version=3 tx {_named(parent)}"
    return ""


def _too_many_ancestors(candidate: Pooled) -> str:
    return f"tx {_named(candidate)} would have too many ancestors"


def _crowded(parent: Pooled) -> str:
    return f"tx {_named(parent)} would exceed descendant count limit"


def _too_big(what: str, candidate: Pooled, limit: int) -> str:
    return f"version=3 {what}tx {_named(candidate)} is too big: {candidate.vsize} > {limit} virtual bytes"


def _named(pooled: Pooled) -> str:
    return f"{pooled.txid[::-1].hex()} (wtxid={pooled.tx.wtxid[::-1].hex()})"
