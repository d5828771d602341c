"""Our own change is spent before it is confirmed; what others may undo is not, and chains stay short."""

from __future__ import annotations

import pytest
from tests.builders.regtest import a_node
from tests.builders.wallets import (
    ACCOUNTS,
    ELSEWHERE,
    HTLC_REQUEST,
    SECRET_ACCOUNTS,
    a_block,
    a_command,
    a_payment,
    a_wallet,
    our_script,
    step_of,
    told,
)

from fulmen.core.base.funds import DetachFee, FeeAttached, FundTransaction, Output
from fulmen.core.base.ids import BlockHash, OutPoint, Txid
from fulmen.core.base.machine import Address, CallerGone, Tell
from fulmen.core.base.outer import Block, ChainRewound, ScriptPaid, WantPublished
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Sat
from fulmen.core.bitcoin.accounts import SignWalletInputs, input_weight, sign_wallet_inputs
from fulmen.core.bitcoin.transaction import Tx, fee_at, parse_tx
from fulmen.core.wallet.balance import Balance, available, balance
from fulmen.core.wallet.change import MAX_CHAIN, spendable_change
from fulmen.core.wallet.commands import Withdraw
from fulmen.core.wallet.faults import CoinUnavailable, InsufficientFunds
from fulmen.core.wallet.machine import wants
from fulmen.core.wallet.splitting import split_for
from fulmen.core.wallet.state import Wallet


def withdraw(wallet: Wallet, n: int, amount: int = 1_000, inputs: tuple[OutPoint, ...] = ()) -> tuple[Wallet, Tx]:
    step = step_of(wallet, Withdraw(a_command(n), ELSEWHERE, Sat(amount), inputs=inputs))
    return step.state, parse_tx(step.actions[0].result.tx)


def a_chain(length: int, coin_sat: int = 1_000_000) -> tuple[Wallet, list[Tx]]:
    """So many payments from one coin, each with the change of the one before."""
    wallet, made = a_wallet(coin_sat), []
    for n in range(length):
        wallet, tx = withdraw(wallet, n)
        made.append(tx)
    return wallet, made


def attached(wallet: Wallet) -> tuple[Wallet, Tx]:
    step = step_of(wallet, HTLC_REQUEST)
    (tell,) = step.actions
    assert isinstance(tell, Tell) and isinstance(tell.event, FeeAttached)
    return step.state, parse_tx(tell.event.tx)


def parts(wallet: Wallet) -> Balance:
    return balance(wallet, BlockHeight(100), Sat(0))


def test_the_change_of_a_payment_pays_the_next_one() -> None:
    wallet, (first, second) = a_chain(2)
    assert [i.outpoint.txid for i in second.inputs] == [first.txid]
    left = 1_000_000 - 2 * 1_000 - sum(tx.own.fee_sat for tx in wallet.txs if tx.own is not None)
    assert parts(wallet) == Balance(Sat(left), Sat(0), Sat(0), Sat(0))


def test_parents_are_published_before_their_children() -> None:
    wallet, made = a_chain(4)
    published = [parse_tx(want.tx).txid for want in wants(wallet) if isinstance(want, WantPublished)]
    assert published == [tx.txid for tx in made]


def test_what_a_stranger_sends_is_never_spent_before_its_block() -> None:
    stranger = a_payment(1, 900_000)
    wallet = step_of(Wallet(ACCOUNTS), told(stranger)).state
    assert spendable_change(wallet) == ()
    with pytest.raises(InsufficientFunds):
        withdraw(wallet, 1)
    with pytest.raises(CoinUnavailable):
        withdraw(wallet, 1, inputs=(stranger.outpoint(1),))


def test_coins_in_blocks_go_first() -> None:
    wallet, (first,) = a_chain(1)
    other = a_payment(7, 30_000)
    wallet = step_of(wallet, told(other, a_block(100))).state
    wallet, second = withdraw(wallet, 2)
    assert [i.outpoint for i in second.inputs] == [other.outpoint(1)]
    _, third = withdraw(wallet, 3, amount=500_000)
    assert first.txid in [i.outpoint.txid for i in third.inputs]


def test_change_can_be_named() -> None:
    wallet, (first,) = a_chain(1)
    (change,) = spendable_change(wallet)
    _, second = withdraw(wallet, 2, inputs=(change.outpoint,))
    assert [i.outpoint.txid for i in second.inputs] == [first.txid]


def test_a_chain_ends_before_a_mempool_would_end_it() -> None:
    wallet, made = a_chain(MAX_CHAIN)
    assert spendable_change(wallet) == () and parts(wallet).spendable_sat == 0
    assert parts(wallet).pending_sat > 900_000
    with pytest.raises(InsufficientFunds):
        withdraw(wallet, 99)
    mined = step_of(wallet, told(made[0], a_block(101))).state
    withdraw(mined, 99)


def test_many_unconfirmed_coins_are_not_taken_together_beyond_that() -> None:
    """Each alone has few ancestors; a payment of everything would have them all."""
    wallet = a_wallet(*[50_000] * (MAX_CHAIN + 3))
    for n in range(MAX_CHAIN + 3):
        coin = next(coin for coin in wallet.unspent if coin.block is not None)
        wallet, _ = withdraw(wallet, n, inputs=(coin.outpoint,))
    assert len(spendable_change(wallet)) == MAX_CHAIN - 1


def test_a_parent_has_no_more_descendants_than_a_mempool_takes() -> None:
    """Two outputs of one payment are ours: what hangs on either counts against both."""
    wallet = a_wallet(2_000_000)
    step = step_of(wallet, Withdraw(a_command(1), our_script(), Sat(900_000)))
    wallet = step.state
    first, second = (coin.outpoint for coin in spendable_change(wallet))
    on_first = {first.txid: True}
    at = first
    for n in range(2, MAX_CHAIN + 1):
        wallet, tx = withdraw(wallet, n, inputs=(at,))
        on_first[tx.txid] = True
        at = next(coin.outpoint for coin in wallet.unspent if coin.outpoint.txid == tx.txid)
    assert second in [coin.outpoint for coin in wallet.unspent]
    assert spendable_change(wallet) == ()


def test_the_change_of_what_was_lent_waits_for_its_block() -> None:
    """The peer may take the HTLC first, and the change would never be."""
    wallet, htlc = attached(a_wallet(500_000))
    assert spendable_change(wallet) == () and parts(wallet).pending_sat > 400_000
    with pytest.raises(InsufficientFunds):
        withdraw(wallet, 1)
    mined = step_of(wallet, told(htlc, a_block(101))).state
    assert available(mined, BlockHeight(101)) != ()
    assert parts(step_of(wallet, DetachFee(HTLC_REQUEST.ref)).state).spendable_sat == 500_000


def test_change_pays_for_an_htlc_transaction() -> None:
    wallet, (first,) = a_chain(1)
    wallet, htlc = attached(wallet)
    assert first.txid in [i.outpoint.txid for i in htlc.inputs]
    assert spendable_change(wallet) == ()


def test_change_of_a_coin_that_was_undone_is_not_spent() -> None:
    """Its sender may spend it otherwise in the next block."""
    wallet, _ = a_chain(1)
    assert spendable_change(wallet) != ()
    undone = step_of(step_of(wallet, ChainRewound(BlockHeight(50))).state, CallerGone()).state
    assert spendable_change(undone) == ()
    assert parts(undone).pending_sat > 900_000


def test_a_whole_chain_of_change_is_mined_in_one_block() -> None:
    node = a_node()
    node.mine(101)
    node.give(our_script(), Sat(1_000_000))
    node.mine(1)
    entry = node.chain.tip
    wallet = Wallet(ACCOUNTS)
    for tx in node.chain.block(entry).txs:
        block = Block(BlockHeight(entry.height), BlockHash(entry.hash))
        wallet = step_of(wallet, ScriptPaid(tx.txid, tx.serialize(), block)).state
    made: list[Txid] = []
    for n in range(MAX_CHAIN):
        step = step_of(wallet, Withdraw(a_command(n), ELSEWHERE, Sat(1_000)), height=entry.height)
        wallet = step.state
        newest = wallet.txs[-1]
        assert newest.own is not None and isinstance(newest.own.sign, SignWalletInputs)
        node.submit_tx(sign_wallet_inputs(SECRET_ACCOUNTS, parse_tx(newest.own.tx), newest.own.sign))
        made.append(newest.txid)
    node.mine(1)
    assert [tx.txid for tx in node.chain.block(node.chain.tip).txs[1:]] == made


def test_what_is_lent_is_never_safe_whatever_it_spends() -> None:
    wallet, _ = a_chain(1)
    (first, made) = wallet.txs
    assert made.own is not None and spendable_change(wallet) != ()
    assert spendable_change(wallet.but(txs=(first, made.but(own=made.own.but(lent=True))))) == ()


def test_change_that_is_promised_to_an_opening_is_spent_by_nobody_else() -> None:
    wallet, _ = a_chain(1)
    request = FundTransaction(b"opening", Address("opening"), (Output(Sat(100_000), ELSEWHERE),), FeeratePerKw(1000))
    promised = step_of(wallet, request).state
    assert len(promised.reservations) == 1 and spendable_change(promised) == ()
    assert parts(promised).reserved_sat == parts(wallet).spendable_sat
    with pytest.raises(InsufficientFunds):
        withdraw(promised, 2)


def test_a_coin_is_split_into_parts_that_are_just_enough() -> None:
    wallet = a_wallet(100_000)
    rate = FeeratePerKw(1000)
    whole = split_for(wallet, 3, Sat(1_000), rate, BlockHeight(100), b"ref")
    assert whole is not None
    each = whole.coins[0].amount_sat
    spending = fee_at(rate, input_weight(whole.coins[0].path))
    assert [coin.amount_sat for coin in whole.coins] == [each] * 3
    for least, count in ((each - spending, 3), (each - spending + 1, 2)):
        split = split_for(wallet, 3, Sat(least), rate, BlockHeight(100), b"ref")
        assert split is not None and len(split.coins) == count
    assert split_for(wallet, 3, Sat(60_000), rate, BlockHeight(100), b"ref") is None
