"""Paying the fee of somebody else's transaction: an HTLC transaction without one, a child that lifts its parent.

Our coins and change come after the inputs and outputs that are there, which keep their places (BOLT 5, "Generation of
HTLC Transactions"). What is kept back for anchors is kept for this, so all of it may be spent. A fee that proves too
small is raised by a transaction that replaces the one before, first with the same coins.
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.faults import Refused
from fulmen.core.base.feerates import check_feerate
from fulmen.core.base.funds import AttachFee, DetachFee, FeeAttached, FeeRefused
from fulmen.core.base.machine import Step, Tell, Topic
from fulmen.core.base.units import FeeratePerKw, Sat
from fulmen.core.bitcoin.accounts import CHANGE, P2TR_ACCOUNT, SignWalletInputs, WalletInput, input_weight, script_at
from fulmen.core.bitcoin.transaction import INCREMENTAL_PER_KW, SEQUENCE_RBF, Tx, TxIn, TxOut, fee_at, parse_tx
from fulmen.core.wallet.balance import available, confirmed
from fulmen.core.wallet.facts import FeeWithdrawn, SpendDecided, without_lent
from fulmen.core.wallet.faults import InsufficientFunds
from fulmen.core.wallet.scripts import next_path, path_of
from fulmen.core.wallet.selection import (
    CHANGE_SPEND_WEIGHT,
    MIN_CHANGE_SAT,
    P2TR_OUTPUT_WEIGHT,
    priced,
    select,
    shuffled,
)
from fulmen.core.wallet.splitting import split_for
from fulmen.core.wallet.state import Coin, Spend, Wallet, WalletTx

lending = Topic()


@lending.on(AttachFee)
def on_attach_fee(wallet: Wallet, event: AttachFee, env: Env) -> Step[Wallet]:
    """Pay the fee of a transaction, durably; the same request gets the same transaction again, one for more a new."""
    known = _lent(wallet, event.ref)
    if known is not None and _is_enough(known, event):
        return Step(wallet).act(_attached(event, known))
    step = Step(wallet)
    try:
        if known is None and event.alongside:
            check_feerate(event.feerate_per_kw, env.policy.feerates, env.feerates)
            # Twice what it takes now: fees rise.
            least = Sat(2 * _Bill(event, None).target(event.feerate_per_kw))
            split = split_for(wallet, event.alongside + 1, least, event.feerate_per_kw, env.height, event.ref)
            if split is not None:
                step.fact(SpendDecided(split))
        tx = _with_fee(step.state, event, env, known)
    except Refused as fault:
        if known is not None and _is_same(known, event):
            return Step(wallet).act(_attached(event, known))
        return Step(wallet).act(Tell(event.reply_to, FeeRefused(event.ref, fault.name, str(fault))))
    return step.fact(SpendDecided(tx)).act(_attached(event, tx))


@lending.on(DetachFee)
def on_detach_fee(wallet: Wallet, event: DetachFee, _env: Env) -> Step[Wallet]:
    """The transaction will never be; if it is in a block all the same, there is nothing to give back."""
    known = _lent(wallet, event.ref)
    if known is None or known.block is not None:
        return Step(wallet)
    return Step(wallet).fact(FeeWithdrawn(event.ref))


def _lent(wallet: Wallet, ref: bytes) -> WalletTx | None:
    """What was lent under this name last."""
    return next((tx for tx in reversed(wallet.txs) if tx.own is not None and tx.own.lent and tx.own.ref == ref), None)


def _is_same(known: WalletTx, event: AttachFee) -> bool:
    """Whether it takes what is asked to be taken, and pays what is asked to be paid."""
    assert known.own is not None
    tx = parse_tx(known.own.tx)
    inputs = tuple([foreign.outpoint for foreign in event.inputs])
    ours = tuple([i.outpoint for i in tx.inputs[: len(inputs)]])
    outputs = tuple([TxOut(output.amount_sat, output.script_pubkey) for output in event.outputs])
    foreign = len(tx.inputs) - len(known.own.sign.inputs)
    return ours == inputs and foreign == len(inputs) and tx.outputs[: len(outputs)] == outputs


def _is_enough(known: WalletTx, event: AttachFee) -> bool:
    """Whether nothing more is asked for than there is, or nothing can be changed any more."""
    assert known.own is not None
    return _is_same(known, event) and (known.block is not None or known.own.feerate_per_kw >= event.feerate_per_kw)


def _attached(event: AttachFee, tx: WalletTx) -> Tell:
    own = tx.own
    assert own is not None
    return Tell(event.reply_to, FeeAttached(event.ref, own.tx, own.sign, own.fee_sat, own.feerate_per_kw))


def _with_fee(wallet: Wallet, event: AttachFee, env: Env, known: WalletTx | None) -> WalletTx:
    """The transaction with coins that pay for it, and for the relay of what it replaces.

    Raises:
        FeerateOutOfRange, InsufficientFunds
    """
    check_feerate(event.feerate_per_kw, env.policy.feerates, env.feerates)
    if known is not None and known.own is not None and known.block is None:
        wallet = without_lent(wallet, known)
    else:
        known = None
    free = available(wallet, env.height)
    bill = _Bill(event, known)
    rate = event.feerate_per_kw
    if event.least_per_kw is not None:
        rate = bill.most_affordable(free, event.least_per_kw, rate)
    entropy = env.entropy("wallet.coins", 32)
    target = bill.target(rate)
    same = tuple([coin for coin in free if known is not None and coin.outpoint in known.spends])
    sure = confirmed(wallet, env.height)
    for selection in (
        priced(same, target, rate),
        *(select(coins, target, rate, entropy, Sat(0)) for coins in (sure, free)),
    ):
        if selection is None:
            continue
        coins = shuffled(list(selection.coins), entropy)
        left = bill.left(rate, coins)
        change = left - fee_at(rate, P2TR_OUTPUT_WEIGHT)
        if change >= MIN_CHANGE_SAT:
            return _build(wallet, event, coins, Sat(change), rate)
        if left >= 0 and event.outputs:
            return _build(wallet, event, coins, Sat(0), rate)
    raise InsufficientFunds(needed_sat=target, spendable_sat=sum(coin.amount_sat for coin in free))


class _Bill:
    """What a transaction lacks at a feerate, whatever coins pay for it."""

    def __init__(self, event: AttachFee, replaced: WalletTx | None) -> None:
        self.event = event
        outputs = [TxOut(output.amount_sat, output.script_pubkey) for output in event.outputs]
        paid_in = sum(foreign.spends.amount_sat for foreign in event.inputs)
        self.fixed = _weight(event, outputs)
        self.missing = sum(out.amount_sat for out in outputs) - paid_in
        self.replaced_sat = 0 if replaced is None or replaced.own is None else replaced.own.fee_sat

    def lifting(self, rate: FeeratePerKw) -> int:
        """What the parent lacks."""
        parent = self.event.parent
        return 0 if parent is None else max(0, fee_at(rate, parent.weight) - parent.fee_sat)

    def replacing(self, weight: int) -> int:
        """The least fee of a transaction of this weight: BIP 125, rules 3 and 4."""
        return self.replaced_sat + fee_at(INCREMENTAL_PER_KW, weight) if self.replaced_sat else 0

    def target(self, rate: FeeratePerKw) -> Sat:
        """What coins have to bring beyond the cost of their own inputs, however few they are."""
        # Without an output of its own the transaction cannot do without change.
        least_change = 0 if self.event.outputs else MIN_CHANGE_SAT + fee_at(rate, P2TR_OUTPUT_WEIGHT)
        fee = fee_at(rate, self.fixed) + self.lifting(rate)
        lightest = self.fixed + CHANGE_SPEND_WEIGHT
        replacing = self.replacing(lightest + P2TR_OUTPUT_WEIGHT) - fee_at(rate, CHANGE_SPEND_WEIGHT)
        return Sat(self.missing + max(fee, replacing) + least_change)

    def left(self, rate: FeeratePerKw, coins: list[Coin]) -> int:
        """What these coins leave behind when everything but change is paid."""
        weight = self.fixed + sum(input_weight(coin.path) for coin in coins)
        fee = max(fee_at(rate, weight) + self.lifting(rate), self.replacing(weight + P2TR_OUTPUT_WEIGHT))
        return sum(coin.amount_sat for coin in coins) - self.missing - fee

    def most_affordable(self, coins: tuple[Coin, ...], least: FeeratePerKw, most: FeeratePerKw) -> FeeratePerKw:
        """The highest feerate between these two for which all coins together suffice, or the lower one."""
        if self._is_affordable(coins, most):
            return most
        low, high = min(least, most), most
        while high - low > 1:
            middle = FeeratePerKw((low + high) // 2)
            low, high = (middle, high) if self._is_affordable(coins, middle) else (low, middle)
        return low

    def _is_affordable(self, coins: tuple[Coin, ...], rate: FeeratePerKw) -> bool:
        worth = sum(max(0, coin.amount_sat - fee_at(rate, input_weight(coin.path))) for coin in coins)
        return worth >= self.target(rate)


def _weight(event: AttachFee, outputs: list[TxOut]) -> int:
    """Of everything but the wallet's inputs and change, with room for counts of three bytes."""
    return (
        4 * (4 + 3 + 3 + 4)
        + 2
        + sum(foreign.weight for foreign in event.inputs)
        + sum(4 * len(out.serialize()) for out in outputs)
    )


def _build(wallet: Wallet, event: AttachFee, coins: list[Coin], change_sat: Sat, rate: FeeratePerKw) -> WalletTx:
    change_path = next_path(wallet, P2TR_ACCOUNT, CHANGE)
    outputs = [TxOut(output.amount_sat, output.script_pubkey) for output in event.outputs]
    if change_sat:
        outputs = [*outputs, TxOut(change_sat, script_at(wallet.accounts, change_path))]
    inputs = [
        *(TxIn(foreign.outpoint, b"", foreign.sequence) for foreign in event.inputs),
        *(TxIn(coin.outpoint, b"", SEQUENCE_RBF) for coin in coins),
    ]
    tx = Tx(event.version, tuple(inputs), tuple(outputs), event.locktime)
    spent = (
        *(TxOut(foreign.spends.amount_sat, foreign.spends.script_pubkey) for foreign in event.inputs),
        *(TxOut(coin.amount_sat, coin.script_pubkey) for coin in coins),
    )
    first = len(event.inputs)
    sign = SignWalletInputs(spent, tuple(WalletInput(first + at, coin.path) for at, coin in enumerate(coins)))
    fee = Sat(sum(out.amount_sat for out in spent) - sum(out.amount_sat for out in outputs))
    ours = []
    for vout, out in enumerate(outputs):
        changes = bool(change_sat) and vout == len(outputs) - 1
        path = change_path if changes else path_of(wallet, out.script_pubkey)
        if path is not None:
            ours.append(Coin(tx.outpoint(vout), out.amount_sat, out.script_pubkey, path))
    own = Spend(event.ref, event.name, tx.serialize(), fee, sign, lent=True, feerate_per_kw=rate)
    return WalletTx(tx.txid, tuple(i.outpoint for i in tx.inputs), tuple(ours), own=own)
