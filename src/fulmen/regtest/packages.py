"""Packages: a child that pays for its parents, submitted together (`submitpackage`, `testmempoolaccept` of several).

Source: Bitcoin Core, policy/packages.cpp and validation.cpp (AcceptPackage); its words.
"""

from __future__ import annotations

from collections.abc import Sequence

from fulmen.core.base.record import Record
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.transaction import Tx
from fulmen.regtest.admission import Admission
from fulmen.regtest.consensus import MissingInputs, Rejected
from fulmen.regtest.manners import TRIED_TOGETHER, Admitted, Manner, TransactionRejected
from fulmen.regtest.mempool import Mempool
from fulmen.regtest.relaypolicy import MAX_PACKAGE_COUNT, MAX_PACKAGE_WEIGHT
from fulmen.regtest.replacement import PackageRejected, Reconsiderable

FAILED = "transaction failed"


class AlreadyThere(Record):
    """The mempool has this transaction already, perhaps with another witness (`wtxid` is the one it has)."""

    wtxid: bytes
    vsize: int
    fee: Sat


Outcome = Admitted | AlreadyThere | Rejected


class PackageOutcome(Record):
    """What became of a package: `refused` is empty on success; `outcomes` are by wtxid."""

    refused: str
    outcomes: dict[bytes, Outcome]


def check_well_formed(txs: Sequence[Tx]) -> None:
    """Count, weight, order, no duplicates, no conflicts inside.

    Raises:
        PackageRejected: with Core's reason.
    """
    if len(txs) > MAX_PACKAGE_COUNT:
        raise PackageRejected("package-too-many-transactions")
    if len(txs) > 1 and sum(tx.weight for tx in txs) > MAX_PACKAGE_WEIGHT:
        raise PackageRejected("package-too-large")
    later = {tx.txid for tx in txs}
    if len(later) != len(txs):
        raise PackageRejected("package-contains-duplicates")
    for tx in txs:
        if any(spent.outpoint.txid in later for spent in tx.inputs):
            raise PackageRejected("package-not-sorted")
        later.discard(tx.txid)
    spends = [outpoint for tx in txs for outpoint in dict.fromkeys(spent.outpoint for spent in tx.inputs)]
    if len(set(spends)) != len(spends):
        raise PackageRejected("conflict-in-package")


def is_child_with_parents(txs: Sequence[Tx]) -> bool:
    """True if all but the last are parents of the last, and none of them depends on another."""
    spent_by_child = {spent.outpoint.txid for spent in txs[-1].inputs}
    parents = {tx.txid for tx in txs[:-1]}
    return parents <= spent_by_child and not any(
        spent.outpoint.txid in parents for tx in txs[:-1] for spent in tx.inputs
    )


def submit(admission: Admission, pool: Mempool, txs: Sequence[Tx], *, max_sat_per_kvb: int = 0) -> PackageOutcome:
    """Take a child with its parents: each alone where that is enough, the rest together."""
    try:
        check_well_formed(txs)
    except PackageRejected as why:
        return PackageOutcome(str(why), {})
    alone = Manner(max_sat_per_kvb=max_sat_per_kvb)
    outcomes: dict[bytes, Outcome] = {}
    together: list[Tx] = []
    refused = ""
    for tx in txs:
        if (there := pool.get(tx.txid)) is not None:
            outcomes[tx.wtxid] = AlreadyThere(there.tx.wtxid, there.vsize, there.fee)
            continue
        try:
            outcomes[tx.wtxid] = admission.admit(tx, alone)
        except (Reconsiderable, MissingInputs) as why:
            outcomes[tx.wtxid] = why
            together.append(tx)
            if len(txs) == 1:
                refused = FAILED
        except Rejected as why:
            outcomes[tx.wtxid] = why
            refused = FAILED
    if together and not refused:
        refused = _submit_together(admission, together, outcomes, alone)
    admission.expire()
    for tx in txs:
        if isinstance(outcomes.get(tx.wtxid), (Admitted, AlreadyThere)) and pool.get(tx.txid) is None:
            outcomes[tx.wtxid] = Rejected("mempool full")
            refused = FAILED
    return PackageOutcome(refused, outcomes)


def try_all(admission: Admission, txs: Sequence[Tx]) -> PackageOutcome:
    """What would become of several transactions, nothing is taken (`testmempoolaccept`)."""
    outcomes: dict[bytes, Outcome] = {}
    try:
        check_well_formed(txs)
        for admitted in admission.admit_package(txs, TRIED_TOGETHER, dry_run=True):
            outcomes[admitted.wtxid] = admitted
    except TransactionRejected as failed:
        outcomes[failed.tx.wtxid] = failed.why
        return PackageOutcome("", outcomes)
    except PackageRejected as why:
        return PackageOutcome(str(why), {})
    return PackageOutcome("", outcomes)


def _submit_together(admission: Admission, txs: Sequence[Tx], outcomes: dict[bytes, Outcome], alone: Manner) -> str:
    try:
        if len(txs) == 1:
            outcomes[txs[0].wtxid] = admission.admit(txs[0], alone)
            return ""
        together = alone.but(may_evict_sibling=False, pays_for_itself=False)
        for admitted in admission.admit_package(txs, together):
            outcomes[admitted.wtxid] = admitted
    except TransactionRejected as failed:
        outcomes[failed.tx.wtxid] = failed.why
        return failed.package
    except PackageRejected as why:
        return str(why)
    except Rejected as why:
        outcomes[txs[0].wtxid] = why
        return FAILED
    return ""
