"""From what is to be paid to a transaction that only lacks its signatures.

Inputs signal that they may be replaced (BIP 125), the locktime discourages fee sniping, change goes to a new key of
the BIP 86 account, and the order of inputs and outputs says nothing about which output is change.
"""

from __future__ import annotations

from hashlib import sha256

from fulmen.core.base.env import Env
from fulmen.core.base.feerates import check_feerate
from fulmen.core.base.funds import Output
from fulmen.core.base.ids import OutPoint
from fulmen.core.base.units import MAX_MONEY_SAT, BlockHeight, FeeratePerKw, Sat
from fulmen.core.bitcoin.accounts import CHANGE, P2TR_ACCOUNT, SignWalletInputs, WalletInput, input_weight, script_at
from fulmen.core.bitcoin.cursor import compact_size
from fulmen.core.bitcoin.script import dust_limit
from fulmen.core.bitcoin.transaction import SEQUENCE_RBF, Tx, TxIn, TxOut, fee_at
from fulmen.core.wallet.balance import available, balance, confirmed
from fulmen.core.wallet.faults import (
    AmountTooLarge,
    CoinUnavailable,
    DustOutput,
    InsufficientFunds,
    NothingToPay,
    TransactionTooHeavy,
)
from fulmen.core.wallet.scripts import next_path, path_of
from fulmen.core.wallet.selection import (
    MIN_CHANGE_SAT,
    P2TR_OUTPUT_WEIGHT,
    Selection,
    effective_value,
    left_after,
    priced,
    select,
    shuffled,
)
from fulmen.core.wallet.state import Coin, Spend, Wallet, WalletTx

MAX_STANDARD_WEIGHT = 400_000
"""Nodes relay no heavier transaction."""
SNIPING_BLOCKS = 100


def pay(
    wallet: Wallet,
    outputs: tuple[Output, ...],
    feerate_per_kw: FeeratePerKw,
    env: Env,
    *,
    ref: bytes,
    name: str,
    reserve_sat: Sat,
    inputs: tuple[OutPoint, ...] = (),
    minconf: int = 0,
) -> WalletTx:
    """A transaction that pays these outputs and leaves at least `reserve_sat` in the wallet.

    Raises:
        NothingToPay, DustOutput, AmountTooLarge, FeerateOutOfRange: it was asked wrongly.
        InsufficientFunds, CoinUnavailable, TransactionTooHeavy: it cannot be paid.
    """
    if not outputs:
        raise NothingToPay
    for output in outputs:
        check_amount(output)
    check_feerate(feerate_per_kw, env.policy.feerates, env.feerates)
    target = Sat(sum(output.amount_sat for output in outputs) + fee_at(feerate_per_kw, _bare_weight(outputs)))
    entropy = env.entropy("wallet.coins", 32)
    free = available(wallet, env.height)
    if inputs:
        selection = priced(_named(wallet, inputs, env.height), target, feerate_per_kw)
    else:
        # What is in a block already can be mined without its parents: only where that is too little comes change.
        first = confirmed(wallet, env.height, max(1, minconf))
        shallow = sum(coin.amount_sat for coin in confirmed(wallet, env.height)) - sum(c.amount_sat for c in first)
        selection = select(first, target, feerate_per_kw, entropy, Sat(max(0, reserve_sat - shallow)))
        if selection is None and not minconf:
            selection = select(free, target, feerate_per_kw, entropy, reserve_sat)
    if selection is None or left_after(selection, free) < reserve_sat:
        raise _insufficient(wallet, env.height, target, reserve_sat)
    return _build(wallet, selection, outputs, env, entropy, ref, name)


def pay_all(
    wallet: Wallet,
    script_pubkey: bytes,
    feerate_per_kw: FeeratePerKw,
    env: Env,
    *,
    ref: bytes,
    name: str,
    reserve_sat: Sat,
    inputs: tuple[OutPoint, ...] = (),
    minconf: int = 0,
) -> WalletTx:
    """A transaction that pays everything there is (or all of the named coins) to one script.

    What has to stay for anchors stays, as change if no other coin holds it. Coins that cost more than they bring are
    left alone.

    Raises:
        As `pay`.
    """
    check_feerate(feerate_per_kw, env.policy.feerates, env.feerates)
    worth, kept = _all_but_reserve(wallet, feerate_per_kw, env.height, reserve_sat, inputs, minconf)
    paid = Output(most_to_one(worth, script_pubkey, feerate_per_kw, kept), script_pubkey)
    if paid.amount_sat < dust_limit(script_pubkey):
        raise _insufficient(wallet, env.height, dust_limit(script_pubkey), reserve_sat)
    entropy = env.entropy("wallet.coins", 32)
    return _build(wallet, Selection(worth, kept, 0), (paid,), env, entropy, ref, name)


def most_to_pay(
    wallet: Wallet,
    script_pubkey: bytes,
    feerate_per_kw: FeeratePerKw,
    height: BlockHeight,
    *,
    reserve_sat: Sat,
    inputs: tuple[OutPoint, ...] = (),
    minconf: int = 0,
) -> tuple[Sat, tuple[OutPoint, ...]]:
    """The most that `pay` could send to one script, and the coins that it has to name for that; 0 if there are none.

    Raises:
        CoinUnavailable: a named coin cannot be spent.
    """
    worth, kept = _all_but_reserve(wallet, feerate_per_kw, height, reserve_sat, inputs, minconf)
    change = kept + fee_at(feerate_per_kw, P2TR_OUTPUT_WEIGHT) if kept else 0
    bare = fee_at(feerate_per_kw, _bare_weight((Output(Sat(0), script_pubkey),)))
    most = sum(effective_value(coin, feerate_per_kw) for coin in worth) - bare - change
    return Sat(max(0, most)), tuple(coin.outpoint for coin in worth)


def check_funds(
    wallet: Wallet,
    output: Output,
    feerate_per_kw: FeeratePerKw,
    height: BlockHeight,
    *,
    reserve_sat: Sat,
    inputs: tuple[OutPoint, ...] = (),
    minconf: int = 0,
) -> None:
    """Refuse what all coins together are too little for, before anybody else is asked; `pay` has the last word.

    Raises:
        InsufficientFunds: not even without change and with the fewest inputs.
        CoinUnavailable: a named coin cannot be spent.
    """
    worth, _kept = _all_but_reserve(wallet, feerate_per_kw, height, reserve_sat, inputs, minconf)
    target = Sat(output.amount_sat + fee_at(feerate_per_kw, _bare_weight((output,))))
    free_sat = sum(coin.amount_sat for coin in available(wallet, height))
    if sum(effective_value(coin, feerate_per_kw) for coin in worth) < target or free_sat < target + reserve_sat:
        raise _insufficient(wallet, height, target, reserve_sat)


def _all_but_reserve(
    wallet: Wallet,
    feerate_per_kw: FeeratePerKw,
    height: BlockHeight,
    reserve_sat: Sat,
    inputs: tuple[OutPoint, ...],
    minconf: int,
) -> tuple[tuple[Coin, ...], Sat]:
    """All coins that bring more than they cost, and what has to come back of them as change for the reserve."""
    free = available(wallet, height)
    some = confirmed(wallet, height, minconf) if minconf else free
    coins = _named(wallet, inputs, height) if inputs else some
    worth = tuple(coin for coin in coins if effective_value(coin, feerate_per_kw) > 0)
    missing = reserve_sat - left_after(Selection(worth, Sat(0), 0), free)
    return worth, Sat(max(missing, MIN_CHANGE_SAT) if missing > 0 else 0)


def most_to_one(coins: tuple[Coin, ...], script_pubkey: bytes, feerate_per_kw: FeeratePerKw, kept_sat: Sat) -> Sat:
    """The most that one output to this script can carry when all these coins are spent; below dust is as good as 0."""
    outputs = [Output(Sat(0), script_pubkey)]
    if kept_sat:
        outputs.append(Output(kept_sat, _P2TR_SHAPE))
    weight = _bare_weight(tuple(outputs)) + sum(input_weight(coin.path) for coin in coins)
    total = sum(coin.amount_sat for coin in coins)
    return Sat(max(0, total - kept_sat - fee_at(feerate_per_kw, weight)))


def check_amount(output: Output) -> None:
    """Raises: DustOutput, AmountTooLarge."""
    smallest = dust_limit(output.script_pubkey)
    if output.amount_sat < smallest:
        raise DustOutput(amount_sat=output.amount_sat, smallest_sat=smallest)
    if output.amount_sat > MAX_MONEY_SAT:
        raise AmountTooLarge(amount_sat=output.amount_sat)


_P2TR_SHAPE = b"\x51\x20" + bytes(32)


def _bare_weight(outputs: tuple[Output, ...]) -> int:
    """Of a transaction without inputs and change; room is left for a count of inputs of three bytes."""
    sizes = (8 + len(compact_size(len(o.script_pubkey))) + len(o.script_pubkey) for o in outputs)
    return 4 * (4 + 3 + len(compact_size(len(outputs) + 1)) + sum(sizes) + 4) + 2


def _named(wallet: Wallet, inputs: tuple[OutPoint, ...], height: BlockHeight) -> tuple[Coin, ...]:
    free = {coin.outpoint: coin for coin in available(wallet, height)}
    coins = []
    for outpoint in inputs:
        coin = free.pop(outpoint, None)
        if coin is None:
            raise CoinUnavailable(coin=outpoint)
        coins.append(coin)
    return tuple(coins)


def _insufficient(wallet: Wallet, height: BlockHeight, needed_sat: Sat, reserve_sat: Sat) -> InsufficientFunds:
    has = balance(wallet, height, reserve_sat)
    return InsufficientFunds(
        needed_sat=needed_sat,
        spendable_sat=has.spendable_sat,
        pending_sat=has.pending_sat,
        reserved_sat=has.reserved_sat,
        immature_sat=has.immature_sat,
    )


def _build(
    wallet: Wallet, selection: Selection, outputs: tuple[Output, ...], env: Env, entropy: bytes, ref: bytes, name: str
) -> WalletTx:
    coins = tuple(shuffled(list(selection.coins), entropy))
    outs = [TxOut(output.amount_sat, output.script_pubkey) for output in outputs]
    change_path = next_path(wallet, P2TR_ACCOUNT, CHANGE)
    change_at = None
    if selection.change_sat:
        change_at = int.from_bytes(sha256(entropy + b"change").digest()[:4], "big") % (len(outs) + 1)
        outs.insert(change_at, TxOut(selection.change_sat, script_at(wallet.accounts, change_path)))
    tx = Tx(2, tuple(TxIn(c.outpoint, b"", SEQUENCE_RBF) for c in coins), tuple(outs), _locktime(env.height, entropy))
    weight = tx.weight + 2 + sum(input_weight(coin.path) - 4 * 41 for coin in coins)
    if weight > MAX_STANDARD_WEIGHT:
        raise TransactionTooHeavy(inputs=len(coins), weight=weight, most=MAX_STANDARD_WEIGHT)
    spent = tuple(TxOut(coin.amount_sat, coin.script_pubkey) for coin in coins)
    sign = SignWalletInputs(spent, tuple(WalletInput(index, coin.path) for index, coin in enumerate(coins)))
    fee = Sat(sum(o.amount_sat for o in spent) - sum(o.amount_sat for o in outs))
    ours = []
    for vout, out in enumerate(outs):
        path = change_path if vout == change_at else path_of(wallet, out.script_pubkey)
        if path is not None:
            ours.append(Coin(tx.outpoint(vout), out.amount_sat, out.script_pubkey, path))
    own = Spend(ref, name, tx.serialize(), fee, sign)
    return WalletTx(tx.txid, tuple(c.outpoint for c in coins), tuple(ours), own=own)


def _locktime(height: BlockHeight, entropy: bytes) -> int:
    """The height of the tip, so that nobody gains by undoing it; one in ten is a little older, as others' are."""
    dice = int.from_bytes(sha256(entropy + b"locktime").digest()[:4], "big")
    return max(0, height - (dice // 10 % SNIPING_BLOCKS if dice % 10 == 0 else 0))
