"""TRUC: transactions of version 3 live in families of two, so that a fee bump cannot be pinned.

Source: BIP 431; Bitcoin Core, policy/truc_policy.cpp and policy/ephemeral_policy.cpp (words included).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fulmen.core.base.ids import OutPoint
from fulmen.regtest.mempool import Mempool, Pooled
from fulmen.regtest.relaypolicy import TRUC_CHILD_MAX_VSIZE, TRUC_MAX_VSIZE, TRUC_VERSION


def violation(
    pool: Mempool, candidate: Pooled, conflicts: Sequence[Pooled], package: Sequence[Pooled] = ()
) -> tuple[str, Pooled | None]:
    """What TRUC forbids about a candidate, empty if nothing, and the sibling whose eviction would mend it.

    `candidate.parents` are its unconfirmed parents, in the mempool or earlier in the package.
    """
    parents = list(candidate.parents.values())
    for parent in parents:
        if (candidate.tx.version == TRUC_VERSION) != (parent.tx.version == TRUC_VERSION):
            mine, theirs = ("", "non-") if candidate.tx.version == TRUC_VERSION else ("non-", "")
            return (
                f"{mine}version=3 tx {_named(candidate)} cannot spend from {theirs}version=3 tx {_named(parent)}",
                None,
            )
    if candidate.tx.version != TRUC_VERSION:
        return "", None
    if candidate.vsize > TRUC_MAX_VSIZE:
        return _too_big("", candidate, TRUC_MAX_VSIZE), None
    if not parents:
        return "", None
    if len(parents) > 1 or parents[0].parents:
        return f"tx {_named(candidate)} would have too many ancestors", None
    if candidate.vsize > TRUC_CHILD_MAX_VSIZE:
        return _too_big("child ", candidate, TRUC_CHILD_MAX_VSIZE), None
    return _siblings(pool, candidate, parents[0], conflicts, package)


def unspent_dust(candidate: Pooled, parents: Sequence[Pooled], dust_of: Callable[[Pooled], Sequence[int]]) -> str:
    """What is wrong if a child leaves dust of its unconfirmed parents unspent; empty if nothing."""
    spent = [spent.outpoint for spent in candidate.tx.inputs]
    for parent in parents:
        for vout in dust_of(parent):
            if OutPoint(parent.txid, vout) not in spent:
                return f"tx {_named(candidate)} did not spend parent's ephemeral dust"
    return ""


def _siblings(
    pool: Mempool, candidate: Pooled, parent: Pooled, conflicts: Sequence[Pooled], package: Sequence[Pooled]
) -> tuple[str, Pooled | None]:
    crowded = f"tx {_named(parent)} would exceed descendant count limit"
    if any(other is not candidate and parent.txid in other.parents for other in package):
        return crowded, None
    descendants = [other for other in pool.descendants(parent).values() if other is not parent]
    if not descendants or any(other in conflicts for other in descendants):
        return "", None
    only = descendants[0]
    evictable = len(descendants) == 1 and len(pool.ancestors(only)) == 2 and not package
    return crowded, only if evictable else None


def _too_big(what: str, candidate: Pooled, limit: int) -> str:
    return f"version=3 {what}tx {_named(candidate)} is too big: {candidate.vsize} > {limit} virtual bytes"


def _named(pooled: Pooled) -> str:
    return f"{pooled.txid[::-1].hex()} (wtxid={pooled.tx.wtxid[::-1].hex()})"
