"""Paying the fee of somebody else's transaction: an HTLC transaction without one, a child that lifts its parent.

Our coins and change come after the inputs and outputs that are there, which keep their places (BOLT 5, "Generation of
HTLC Transactions"). What is kept back for anchors is kept for this, so all of it may be spent.
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.faults import Refused
from fulmen.core.base.funds import AttachFee, DetachFee, FeeAttached, FeeRefused
from fulmen.core.base.machine import Step, Tell, Topic
from fulmen.core.base.units import FeeratePerKw, Sat
from fulmen.core.bitcoin.accounts import CHANGE, P2TR_ACCOUNT, SignWalletInputs, WalletInput, input_weight, script_at
from fulmen.core.bitcoin.transaction import SEQUENCE_RBF, Tx, TxIn, TxOut, fee_at
from fulmen.core.wallet.balance import available, confirmed
from fulmen.core.wallet.facts import FeeWithdrawn, SpendDecided
from fulmen.core.wallet.faults import InsufficientFunds
from fulmen.core.wallet.scripts import next_path, path_of
from fulmen.core.wallet.selection import MIN_CHANGE_SAT, P2TR_OUTPUT_WEIGHT, select, shuffled
from fulmen.core.wallet.spending import check_feerate
from fulmen.core.wallet.state import Coin, Spend, Wallet, WalletTx

lending = Topic()


@lending.on(AttachFee)
def on_attach_fee(wallet: Wallet, event: AttachFee, env: Env) -> Step[Wallet]:
    """Pay the fee of a transaction, durably; the same request gets the same transaction again."""
    known = _lent(wallet, event.ref)
    if known is not None:
        return Step(wallet).act(_attached(event, known))
    try:
        tx = _with_fee(wallet, event, env)
    except Refused as fault:
        return Step(wallet).act(Tell(event.reply_to, FeeRefused(event.ref, fault.name, str(fault))))
    return Step(wallet).fact(SpendDecided(tx)).act(_attached(event, tx))


@lending.on(DetachFee)
def on_detach_fee(wallet: Wallet, event: DetachFee, _env: Env) -> Step[Wallet]:
    """The transaction will never be; if it is in a block all the same, there is nothing to give back."""
    known = _lent(wallet, event.ref)
    if known is None or known.block is not None:
        return Step(wallet)
    return Step(wallet).fact(FeeWithdrawn(event.ref))


def _lent(wallet: Wallet, ref: bytes) -> WalletTx | None:
    return next((tx for tx in wallet.txs if tx.own is not None and tx.own.lent and tx.own.ref == ref), None)


def _attached(event: AttachFee, tx: WalletTx) -> Tell:
    assert tx.own is not None
    return Tell(event.reply_to, FeeAttached(event.ref, tx.own.tx, tx.own.sign))


def _with_fee(wallet: Wallet, event: AttachFee, env: Env) -> WalletTx:
    """The transaction with coins that pay for it.

    Raises:
        FeerateOutOfRange, InsufficientFunds
    """
    check_feerate(event.feerate_per_kw, env)
    outputs = [TxOut(output.amount_sat, output.script_pubkey) for output in event.outputs]
    paid_in = sum(foreign.spends.amount_sat for foreign in event.inputs)
    fixed = _weight(event, outputs)
    missing = sum(out.amount_sat for out in outputs) - paid_in + event.extra_fee_sat
    # Without an output of its own the transaction cannot do without change.
    least_change = 0 if outputs else MIN_CHANGE_SAT + fee_at(event.feerate_per_kw, P2TR_OUTPUT_WEIGHT)
    target = Sat(missing + fee_at(event.feerate_per_kw, fixed) + least_change)
    entropy = env.entropy("wallet.coins", 32)
    free = available(wallet, env.height)
    selection = select(confirmed(wallet, env.height), target, event.feerate_per_kw, entropy, Sat(0))
    if selection is None:
        selection = select(free, target, event.feerate_per_kw, entropy, Sat(0))
    if selection is None:
        has = sum(coin.amount_sat for coin in free)
        raise InsufficientFunds(needed_sat=target, spendable_sat=has)
    coins = shuffled(list(selection.coins), entropy)
    fee = _fee(event.feerate_per_kw, fixed, coins) + event.extra_fee_sat
    left = paid_in + sum(coin.amount_sat for coin in coins) - sum(out.amount_sat for out in outputs) - fee
    change = left - fee_at(event.feerate_per_kw, P2TR_OUTPUT_WEIGHT)
    return _build(wallet, event, outputs, coins, Sat(change if change >= MIN_CHANGE_SAT else 0))


def _weight(event: AttachFee, outputs: list[TxOut]) -> int:
    """Of everything but the wallet's inputs and change, with room for counts of three bytes."""
    return (
        4 * (4 + 3 + 3 + 4)
        + 2
        + sum(foreign.weight for foreign in event.inputs)
        + sum(4 * len(out.serialize()) for out in outputs)
    )


def _fee(feerate_per_kw: FeeratePerKw, fixed: int, coins: list[Coin]) -> int:
    return fee_at(feerate_per_kw, fixed + sum(input_weight(coin.path) for coin in coins))


def _build(wallet: Wallet, event: AttachFee, outputs: list[TxOut], coins: list[Coin], change_sat: Sat) -> WalletTx:
    change_path = next_path(wallet, P2TR_ACCOUNT, CHANGE)
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
    own = Spend(event.ref, event.name, tx.serialize(), fee, sign, lent=True)
    return WalletTx(tx.txid, tuple(i.outpoint for i in tx.inputs), tuple(ours), own=own)
