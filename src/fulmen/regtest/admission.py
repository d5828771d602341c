"""Admission: what may enter the mempool, and what it replaces. Reasons are Bitcoin Core's words.

One transaction, or a package of a child with its parents, goes through the same steps: form, inputs, locks, fees,
relatives, replacement, scripts.

Source: Bitcoin Core, validation.cpp (MemPoolAccept), policy/rbf.cpp, policy/packages.cpp; BIP 125, 431.
"""

from __future__ import annotations

from collections.abc import Sequence

from fulmen.core.base.ids import OutPoint, Txid
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.transaction import Tx
from fulmen.regtest import btclib_engine, truc
from fulmen.regtest.blocktree import Entry
from fulmen.regtest.chainstate import ChainState
from fulmen.regtest.coins import Coin
from fulmen.regtest.consensus import (
    MissingInputs,
    Rejected,
    SequenceLocks,
    check_inputs,
    check_transaction,
    is_final,
    sequence_locks,
)
from fulmen.regtest.judge import BTCLIB
from fulmen.regtest.manners import FROM_A_BLOCK, Admitted, Manner, TransactionRejected
from fulmen.regtest.mempool import Mempool, Pooled
from fulmen.regtest.relaypolicy import (
    MAX_STANDARD_SIGOPS_COST,
    MIN_STANDARD_NONWITNESS_BYTES,
    RelayPolicy,
    adjusted_weight,
    fee_at,
)
from fulmen.regtest.replacement import (
    Case,
    PackageRejected,
    Reconsiderable,
    check_cluster,
    check_own_ancestors,
    check_package_replacement,
    check_replacement,
)


class Admission:
    """The door of the mempool."""

    def __init__(self, chain: ChainState, pool: Mempool, policy: RelayPolicy) -> None:
        self._chain = chain
        self._pool = pool
        self._policy = policy

    def admit(self, tx: Tx, manner: Manner | None = None, *, dry_run: bool = False) -> Admitted:
        """Take one transaction.

        Args:
            dry_run: only say what would happen.

        Raises:
            Rejected: with Core's reason; `Reconsiderable` when only the fee is wrong.
        """
        manner = manner or Manner()
        case = Case()
        candidate = self._examine(tx, case, manner)
        doomed = check_replacement(case, self._pool, self._policy) if case.conflicts else {}
        check_cluster(case, doomed, self._pool, self._policy)
        if case.conflicts:
            check_own_ancestors(case, self._pool)
        self._check_ceiling(candidate, manner.max_sat_per_kvb)
        if not manner.from_a_block:
            self._check_dust_spent(candidate)
        self._check_scripts(candidate)
        [admitted] = self._finish(case, doomed, dry_run=dry_run)
        return admitted

    def admit_package(self, txs: Sequence[Tx], manner: Manner, *, dry_run: bool = False) -> list[Admitted]:
        """Take related transactions together. The package is well formed.

        Raises:
            PackageRejected: the package as a whole is refused.
            TransactionRejected: one of its transactions is.
        """
        case = Case()
        for tx in txs:
            try:
                self._check_ceiling(self._examine(tx, case, manner), manner.max_sat_per_kvb)
            except Rejected as why:
                raise TransactionRejected(tx, why) from None
        for candidate in case.candidates:
            if reason := truc.package_violation(self._pool, candidate, case.candidates):
                raise PackageRejected("TRUC-violation", reason)
        if not manner.pays_for_itself:
            try:
                self._check_fee(case.fee, case.vsize)
            except Rejected as why:
                raise TransactionRejected(txs[-1], why) from None
        doomed = check_package_replacement(case, self._pool, self._policy) if case.conflicts else {}
        try:
            check_cluster(case, doomed, self._pool, self._policy)
        except Rejected as why:
            raise PackageRejected(why.reason, why.debug) from None
        for candidate in case.candidates:
            try:
                self._check_dust_spent(candidate)
            except Rejected as why:
                raise TransactionRejected(candidate.tx, why, "unspent-dust") from None
        for candidate in case.candidates:
            try:
                self._check_scripts(candidate)
            except Rejected as why:
                raise TransactionRejected(candidate.tx, why) from None
        return self._finish(case, doomed, dry_run=dry_run, together=not manner.pays_for_itself)

    def expire(self) -> None:
        """Drop what has waited for too long."""
        oldest = self._chain.clock() - self._policy.expiry_s
        for pooled in self._pool:
            if pooled.time < oldest and self._pool.get(pooled.txid) is pooled:
                self._pool.remove_with_descendants(pooled)

    def after_reorg(self, *, take_back: bool = True) -> None:
        """Take back what disconnected blocks had confirmed, and drop what the new chain makes impossible.

        Args:
            take_back: else what they had confirmed is gone, and what depends on it.
        """
        back = self._pool.take_unconfirmed()
        if back is None:
            return
        for tx in back:
            try:
                if not take_back:
                    raise Rejected("too deep")
                self.admit(tx, FROM_A_BLOCK)
            except Rejected:
                if (same := self._pool.get(tx.txid)) is not None:
                    self._pool.remove_with_descendants(same)
                for vout in range(len(tx.outputs)):
                    if (child := self._pool.spender(OutPoint(tx.txid, vout))) is not None:
                        self._pool.remove_with_descendants(child)
        for pooled in self._pool:
            if self._pool.get(pooled.txid) is not None and not self._still_possible(pooled):
                self._pool.remove_with_descendants(pooled)
        self.expire()

    def _examine(self, tx: Tx, case: Case, manner: Manner) -> Pooled:
        """Everything that can be asked of a transaction alone: gives it as a candidate of the case."""
        raw = tx.serialize()
        check_transaction(tx)
        if tx.is_coinbase:
            raise Rejected("coinbase")
        if reason := btclib_engine.standard_form(raw, self._policy.dust_relay_sat_per_kvb):
            raise Rejected(reason)
        if len(tx.base) < MIN_STANDARD_NONWITNESS_BYTES:
            raise Rejected("tx-size-small")
        tip = self._chain.tip
        if not is_final(tx, tip.height + 1, tip.median_time_past):
            raise Rejected("non-final")
        if (same := self._pool.get(tx.txid)) is not None:
            raise Rejected(
                "txn-already-in-mempool" if same.tx.wtxid == tx.wtxid else "txn-same-nonwitness-data-in-mempool"
            )
        conflicts: dict[Txid, Pooled] = {}
        for spent in tx.inputs:
            if (conflicting := self._pool.spender(spent.outpoint)) is not None:
                if not manner.may_replace:
                    raise Rejected("bip125-replacement-disallowed")
                conflicts[conflicting.txid] = conflicting
        coins = self._coins_of(tx, case)
        locks, locks_from = self._locks_of(tx, coins)
        if not locks.pass_at(tip.height + 1, tip.median_time_past):
            raise Rejected("non-BIP68-final")
        fee = check_inputs(tx, coins, tip.height + 1)
        candidate = self._candidate(tx, raw, coins, fee, case)
        candidate.locks, candidate.locks_from = locks, locks_from
        if (fee or candidate.modified_fee) and self._dust_of(candidate):
            raise Rejected("dust", "tx with dust output must be 0-fee")
        if candidate.sigops_cost > MAX_STANDARD_SIGOPS_COST:
            raise Rejected("bad-txns-too-many-sigops", str(candidate.sigops_cost))
        if not manner.from_a_block:
            if self._pool.total_vsize + candidate.vsize > self._policy.max_mempool_vsize:
                raise Reconsiderable("mempool full")
            if manner.pays_for_itself:
                self._check_fee(candidate.modified_fee, candidate.vsize)
            self._check_truc(candidate, conflicts, case, manner)
        case.conflicts |= conflicts
        case.candidates.append(candidate)
        return candidate

    def _candidate(self, tx: Tx, raw: bytes, coins: list[Coin], fee: Sat, case: Case) -> Pooled:
        outputs = [coin.output for coin in coins]
        if problem := btclib_engine.standard_inputs(raw, outputs):
            raise Rejected(*problem)
        sigops = btclib_engine.sigops_cost(raw, outputs)
        tip = self._chain.tip
        candidate = Pooled(
            tx, raw, tuple(coins), fee, adjusted_weight(tx.weight, sigops), sigops, self._chain.clock(), tip.height
        )
        candidate.fee_delta = self._pool.deltas.get(tx.txid, 0)
        for spent in tx.inputs:
            parent = self._unconfirmed(spent.outpoint.txid, case)
            if parent is not None:
                candidate.parents[parent.txid] = parent
        return candidate

    def _unconfirmed(self, txid: Txid, case: Case) -> Pooled | None:
        for candidate in case.candidates:
            if candidate.txid == txid:
                return candidate
        return self._pool.get(txid)

    def _coins_of(self, tx: Tx, case: Case) -> list[Coin]:
        coins = []
        next_height = self._chain.height + 1
        for spent in tx.inputs:
            coin = self._chain.coins.get(spent.outpoint)
            if coin is None:
                parent = self._unconfirmed(spent.outpoint.txid, case)
                if parent is not None and spent.outpoint.vout < len(parent.tx.outputs):
                    coin = Coin(parent.tx.outputs[spent.outpoint.vout], next_height, False)
            if coin is None:
                if any(self._chain.coins.get(tx.outpoint(vout)) for vout in range(len(tx.outputs))):
                    raise Rejected("txn-already-known")
                raise MissingInputs
            coins.append(coin)
        return coins

    def _median_time_at(self, height: int) -> int:
        return self._chain.median_time_at(min(height, self._chain.height))

    def _check_fee(self, fee: int, vsize: int) -> None:
        needed = fee_at(self._policy.min_relay_sat_per_kvb, vsize)
        if fee < needed:
            raise Reconsiderable("min relay fee not met", f"{fee} < {needed}")

    def _check_ceiling(self, candidate: Pooled, max_sat_per_kvb: int) -> None:
        if max_sat_per_kvb and candidate.modified_fee * 1000 > max_sat_per_kvb * candidate.vsize:
            raise Rejected("max feerate exceeded")

    def _check_truc(self, candidate: Pooled, conflicts: dict[Txid, Pooled], case: Case, manner: Manner) -> None:
        reason, sibling = truc.violation(self._pool, candidate, conflicts)
        if sibling is not None and manner.may_evict_sibling:
            conflicts[sibling.txid] = sibling
            case.sibling_evicted = True
        elif reason:
            raise Rejected("TRUC-violation", reason)

    def _check_dust_spent(self, candidate: Pooled) -> None:
        if reason := truc.unspent_dust(candidate, list(candidate.parents.values()), self._dust_of):
            raise Rejected("missing-ephemeral-spends", reason)

    def _dust_of(self, pooled: Pooled) -> list[int]:
        return btclib_engine.dust_outputs(pooled.raw, self._policy.dust_relay_sat_per_kvb)

    def _check_scripts(self, candidate: Pooled) -> None:
        outputs = [coin.output for coin in candidate.coins]
        if reason := btclib_engine.standard_scripts(candidate.raw, outputs):
            raise Rejected(f"mempool-script-verify-flag-failed ({reason})")
        # What passed all of btclib's rules passes its consensus rules, which are some of them.
        judge = self._chain.judge
        if judge.name != BTCLIB and (reason := judge.scripts(candidate.raw, outputs)):
            raise Rejected(f"block-script-verify-flag-failed ({reason})")

    def _finish(
        self, case: Case, doomed: dict[Txid, Pooled], *, dry_run: bool, together: bool = False
    ) -> list[Admitted]:
        admitted = []
        for candidate in case.candidates:
            reckoned = case.candidates if together else [candidate]
            admitted.append(
                Admitted(
                    candidate.txid,
                    candidate.tx.wtxid,
                    candidate.vsize,
                    candidate.fee,
                    effective_fee=sum(other.modified_fee for other in reckoned),
                    effective_vsize=sum(other.vsize for other in reckoned),
                    includes=tuple(other.tx.wtxid for other in reckoned),
                    replaced=tuple(doomed),
                )
            )
        if not dry_run:
            for pooled in doomed.values():
                self._pool.remove(pooled)
            for candidate in case.candidates:
                self._pool.add(candidate)
        return admitted

    def _locks_of(self, tx: Tx, coins: Sequence[Coin]) -> tuple[SequenceLocks, Entry | None]:
        """Its relative locks, and the highest block with an output that it spends, or the genesis block."""
        heights = [coin.height for coin in coins]
        locks = sequence_locks(tx, heights, self._median_time_at)
        confirmed = [height for height in heights if height <= self._chain.height]
        return locks, self._chain.at(max(confirmed, default=0))

    def _still_possible(self, pooled: Pooled) -> bool:
        tip = self._chain.tip
        if not is_final(pooled.tx, tip.height + 1, tip.median_time_past):
            return False
        try:
            coins = self._coins_of(pooled.tx, Case())
            check_inputs(pooled.tx, coins, tip.height + 1)
        except Rejected:
            return False
        # As in Core, locks stay as they were reckoned: what waits for an unconfirmed parent leaves when the chain
        # gets shorter than it was then.
        if pooled.locks_from is None or not self._chain.is_active(pooled.locks_from):
            pooled.locks, pooled.locks_from = self._locks_of(pooled.tx, coins)
        return pooled.locks.pass_at(tip.height + 1, tip.median_time_past)
