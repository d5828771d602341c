"""What a newcomer evicts, and how large its cluster may be. Words are Bitcoin Core's.

Source: BIP 125; Bitcoin Core, policy/rbf.cpp and validation.cpp (ReplacementChecks, PackageRBFChecks).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fulmen.core.base.ids import Txid
from fulmen.core.bitcoin.transaction import WITNESS_SCALE
from fulmen.regtest.clusters import chunks_of, improves
from fulmen.regtest.consensus import Rejected, money
from fulmen.regtest.mempool import Mempool, Pooled
from fulmen.regtest.relaypolicy import RelayPolicy, fee_at

NO_IMPROVEMENT = "insufficient feerate: does not improve feerate diagram"


class Reconsiderable(Rejected):
    """Refused for its fee alone: as part of a package it may pass."""


class PackageRejected(Rejected):
    """A package as a whole is refused."""


@dataclass(slots=True)
class Case:
    """What is decided together: one transaction, or a package."""

    candidates: list[Pooled] = field(default_factory=list)
    conflicts: dict[Txid, Pooled] = field(default_factory=dict)
    sibling_evicted: bool = False

    @property
    def fee(self) -> int:
        return sum(candidate.modified_fee for candidate in self.candidates)

    @property
    def vsize(self) -> int:
        return sum(candidate.vsize for candidate in self.candidates)


def check_replacement(case: Case, pool: Mempool, policy: RelayPolicy) -> dict[Txid, Pooled]:
    """What one transaction would evict.

    Raises:
        Rejected: it may not; `Reconsiderable` when only the fee is wrong.
    """
    also = " (including sibling eviction)" if case.sibling_evicted else ""
    doomed, problem = _doomed(case, pool, policy)
    if problem:
        raise Rejected(f"too many potential replacements{also}", problem)
    if problem := _pays_for(case, doomed, policy):
        raise Reconsiderable(f"insufficient fee{also}", problem)
    check_cluster(case, doomed, pool, policy)
    if not _improves(case, doomed, pool):
        raise Reconsiderable("replacement-failed", NO_IMPROVEMENT)
    return doomed


def check_own_ancestors(case: Case, pool: Mempool) -> None:
    """A transaction cannot evict what it depends on.

    Raises:
        Rejected: it would.
    """
    candidate = case.candidates[0]
    for txid in sorted(pool.ancestors(candidate)):
        if txid in case.conflicts:
            raise Rejected(
                "bad-txns-spends-conflicting-tx",
                f"{_hex(candidate.txid)} spends conflicting transaction {_hex(txid)}",
            )


def check_package_replacement(case: Case, pool: Mempool, policy: RelayPolicy) -> dict[Txid, Pooled]:
    """What a package would evict.

    Raises:
        PackageRejected: it may not.
    """
    if len(case.candidates) != 2:
        raise PackageRejected("package RBF failed: package must be 1-parent-1-child")
    parent, child = case.candidates
    if parent.parents or list(child.parents) != [parent.txid]:
        raise PackageRejected("package RBF failed: new transaction cannot have mempool ancestors")
    doomed, problem = _doomed(case, pool, policy)
    if problem:
        raise PackageRejected("package RBF failed: too many potential replacements", problem)
    if problem := _pays_for(case, doomed, policy):
        raise PackageRejected("package RBF failed: insufficient anti-DoS fees", problem)
    if case.fee * parent.vsize <= parent.modified_fee * case.vsize:
        together, alone = _rate(case.fee, case.vsize), _rate(parent.modified_fee, parent.vsize)
        raise PackageRejected(
            "package RBF failed: package feerate is less than or equal to parent feerate",
            f"package feerate {together} <= parent feerate is {alone}",
        )
    check_cluster(case, doomed, pool, policy)
    if not _improves(case, doomed, pool):
        raise PackageRejected(f"package RBF failed: {NO_IMPROVEMENT}")
    return doomed


def check_cluster(case: Case, doomed: dict[Txid, Pooled], pool: Mempool, limits: RelayPolicy) -> None:
    """All that would be related stays within the bounds of a cluster.

    Raises:
        Rejected: it would not.
    """
    kept: dict[Txid, Pooled] = {candidate.txid: candidate for candidate in case.candidates}
    todo = _pool_parents(case)
    while todo:
        pooled = todo.pop()
        if pooled.txid not in kept and pooled.txid not in doomed:
            kept[pooled.txid] = pooled
            todo += [*pooled.parents.values(), *pooled.children.values()]
    weight = sum(pooled.adjusted_weight for pooled in kept.values())
    if len(kept) > limits.max_cluster_count or weight > limits.max_cluster_vsize * WITNESS_SCALE:
        raise Rejected("too-large-cluster")


def _doomed(case: Case, pool: Mempool, policy: RelayPolicy) -> tuple[dict[Txid, Pooled], str]:
    """All that a case would evict, and what is wrong with that (BIP 125 rule 5)."""
    clusters: dict[Txid, None] = {}
    doomed: dict[Txid, Pooled] = {}
    for conflict in case.conflicts.values():
        clusters[min(pool.cluster(conflict))] = None
        doomed |= pool.descendants(conflict)
    if len(clusters) > policy.max_replacement_clusters:
        name = _hex(case.candidates[-1].txid)
        return doomed, (
            f"rejecting replacement {name}; too many conflicting clusters "
            f"({len(clusters)} > {policy.max_replacement_clusters})"
        )
    return doomed, ""


def _pays_for(case: Case, doomed: dict[Txid, Pooled], policy: RelayPolicy) -> str:
    """BIP 125 rules 3 and 4: empty when the new fees cover the old ones and the relay of the new bytes."""
    name = _hex(case.candidates[-1].txid)
    replaced = sum(pooled.modified_fee for pooled in doomed.values())
    if case.fee < replaced:
        return f"rejecting replacement {name}, less fees than conflicting txs; {money(case.fee)} < {money(replaced)}"
    needed = fee_at(policy.incremental_sat_per_kvb, case.vsize)
    if case.fee - replaced < needed:
        return (
            f"rejecting replacement {name}, not enough additional fees to relay; "
            f"{money(case.fee - replaced)} < {money(needed)}"
        )
    return ""


def _improves(case: Case, doomed: dict[Txid, Pooled], pool: Mempool) -> bool:
    old = []
    touched: dict[Txid, Pooled] = {}
    for start in (*case.conflicts.values(), *_pool_parents(case)):
        if start.txid not in touched:
            cluster = pool.cluster(start)
            touched |= cluster
            old += chunks_of(list(cluster.values()))
    staying = [pooled for txid, pooled in touched.items() if txid not in doomed]
    new = chunks_of([*staying, *case.candidates])
    return improves(old, new)


def _pool_parents(case: Case) -> list[Pooled]:
    ours = {candidate.txid for candidate in case.candidates}
    return [parent for candidate in case.candidates for parent in candidate.parents.values() if parent.txid not in ours]


def _rate(fee: int, vsize: int) -> str:
    per_kvb = fee * 1000 // vsize
    return f"{per_kvb // 10**8}.{per_kvb % 10**8:08d} BTC/kvB"


def _hex(txid: bytes) -> str:
    return txid[::-1].hex()
