"""Balances of lost channels, and what a rescan finds: the seed alone is enough."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.builders.channels import keys_of
from tests.builders.judge import verify_spend
from tests.builders.wallets import (
    ACCOUNTS,
    ELSEWHERE,
    a_block,
    a_command,
    a_payment,
    an_outpoint,
    our_script,
    step_of,
    told,
)

from fulmen.core.base.ids import OutPoint
from fulmen.core.base.outer import Answer, Block, WantPublished
from fulmen.core.base.units import BlockHeight, Sat
from fulmen.core.bitcoin.accounts import KeyPath
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut, parse_tx
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC, STATIC_REMOTEKEY
from fulmen.core.wallet.balance import balance
from fulmen.core.wallet.lost import LostFound, LostOutput, Payee, ScanBegun, ScanEnded, TakenHome, lost_in, payees
from fulmen.core.wallet.machine import wants
from fulmen.core.wallet.rescan import LOOKAHEAD, Rescan
from fulmen.core.wallet.state import Wallet

KEYS = keys_of("alice")
INDEX = 5
POINTS = [KEYS.basepoints(index).payment_basepoint for index in range(INDEX + 1)]
KNOWN: Mapping[bytes, Payee] = payees(POINTS)
BOTH = (STATIC_REMOTEKEY.csv, ANCHORS_ZERO_FEE_HTLC.csv)


def payee(csv: int, index: int = INDEX) -> Payee:
    return Payee(index, POINTS[index], csv)


def a_close(csv: int, amount: int = 70_000, spends: OutPoint | None = None, index: int = INDEX) -> Tx:
    """A commitment of a peer, with our balance in its second output."""
    outputs = (TxOut(Sat(9_000), ELSEWHERE), TxOut(Sat(amount), payee(csv, index).script_pubkey))
    return Tx(2, (TxIn(spends or an_outpoint(500 + csv)),), outputs)


def found_in(*txs: Tx) -> tuple[LostOutput, ...]:
    return tuple([lost for tx in txs for lost in lost_in(tx, KNOWN, ())])


def a_rescan(blocks: list[list[Tx]], living: tuple[OutPoint, ...] = ()) -> tuple[Rescan, int]:
    """Rounds until nothing new turns up, and how many it took."""
    scan, rounds = Rescan(ACCOUNTS, (0, 0, 0, 0), KNOWN, living), 0
    while rounds == 0 or scan.again():
        rounds += 1
        for height, txs in enumerate(blocks, 1):
            scan.look(a_block(height), txs)
    return scan, rounds


# -- keys -------------------------------------------------------------------------------------------------------------


def test_the_payment_key_of_any_channel_is_one_of_those_that_the_seed_alone_gives() -> None:
    bound = 1 << 14
    for index in (0, 3, bound - 1, bound, 123 * bound + 3, (1 << 48) - 1):
        assert KEYS.basepoints(index).payment_basepoint == KEYS.basepoints(index % bound).payment_basepoint
    several = {KEYS.basepoints(index).payment_basepoint for index in range(20)}
    assert len(several) == 20
    points = KEYS.payment_points()
    assert [next(points) for _ in range(3)] == POINTS[:3]


def test_nothing_else_of_a_channels_keys_repeats() -> None:
    one, other = KEYS.basepoints(3), KEYS.basepoints((1 << 14) + 3)
    assert one.but(payment_basepoint=b"") != other.but(payment_basepoint=b"")
    for name in ("funding_pubkey", "revocation_basepoint", "delayed_payment_basepoint", "htlc_basepoint"):
        assert getattr(one, name) != getattr(other, name)
    assert KEYS.per_commitment_point(3, 0) != KEYS.per_commitment_point((1 << 14) + 3, 0)


# -- sweeps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("csv", BOTH)
def test_our_balance_on_a_lost_channels_close_is_taken_home(csv: int) -> None:
    close = a_close(csv)
    wallet = step_of(Wallet(ACCOUNTS), LostFound(found_in(close))).state
    (want,) = [want for want in wants(wallet) if isinstance(want, WantPublished)]
    tx = parse_tx(KEYS.complete(want))
    assert [i.outpoint for i in tx.inputs] == [close.outpoint(1)]
    verify_spend(tx, [close.outputs[1]])
    (output,) = tx.outputs
    assert output.script_pubkey == our_script(KeyPath(86, 1, 0)) and 69_000 < output.amount_sat < 70_000
    assert balance(wallet, BlockHeight(100), Sat(0)).pending_sat == output.amount_sat
    (coin,) = wallet.unspent
    mined = step_of(wallet, told(tx, a_block(101))).state
    assert [confirmed.but(block=None) for confirmed in mined.unspent] == [coin]
    assert balance(mined, BlockHeight(101), Sat(0)).spendable_sat == output.amount_sat


def test_several_are_taken_home_together_each_by_its_own_key() -> None:
    closes = [a_close(0, index=1), a_close(1, index=2), a_close(1, spends=an_outpoint(9), index=3)]
    wallet = step_of(Wallet(ACCOUNTS), LostFound(found_in(*closes))).state
    (want,) = [want for want in wants(wallet) if isinstance(want, WantPublished)]
    tx = parse_tx(KEYS.complete(want))
    for index in range(3):
        verify_spend(tx, [close.outputs[1] for close in closes], index)


def test_what_is_on_its_way_home_is_not_taken_twice() -> None:
    found = LostFound(found_in(a_close(1)))
    wallet = step_of(Wallet(ACCOUNTS), found).state
    assert step_of(wallet, found).facts == []


def test_what_costs_more_than_it_brings_is_let_be() -> None:
    assert step_of(Wallet(ACCOUNTS), LostFound(found_in(a_close(1, amount=400)))).facts == []
    dust = [a_close(1, amount=700, spends=an_outpoint(n)) for n in range(2)]
    assert step_of(Wallet(ACCOUNTS), LostFound(found_in(dust[0]))).facts == []
    both = step_of(Wallet(ACCOUNTS), LostFound(found_in(*dust, a_close(0))))
    assert len(both.facts) == 1


def test_a_living_channels_close_is_its_own_business() -> None:
    close = a_close(1)
    assert list(lost_in(close, KNOWN, {close.inputs[0].outpoint: True})) == []
    scan, _ = a_rescan([[close]], (close.inputs[0].outpoint,))
    assert scan.lost == ()


def test_whoever_asked_for_a_scan_hears_what_comes_home() -> None:
    found = found_in(a_close(1), a_close(0))
    step = step_of(Wallet(ACCOUNTS), ScanEnded(a_command(1), found))
    (answer,) = [action for action in step.actions if isinstance(action, Answer)]
    (tx,) = step.state.txs
    assert answer.result == TakenHome((tx.txid,), 2, tx.coins[0].amount_sat)
    again = step_of(step.state, ScanEnded(a_command(2), found))
    assert [action.result for action in again.actions if isinstance(action, Answer)] == [TakenHome((), 0, Sat(0))]


def test_a_scan_that_begins_moves_the_gaps_on_and_never_back() -> None:
    wallet = step_of(Wallet(ACCOUNTS), ScanBegun((0, 0, 7, 3))).state
    assert wallet.issued == (0, 0, 7, 3) and wallet.lookout
    assert step_of(wallet, ScanBegun((0, 0, 5, 3))).facts == []
    assert step_of(wallet, ScanBegun((1, 0, 0, 4))).state.issued == (1, 0, 7, 4)
    assert step_of(Wallet(ACCOUNTS), ScanBegun((0, 0, 0, 0))).state.lookout


# -- rescans ----------------------------------------------------------------------------------------------------------


def restored(scan: Rescan) -> Wallet:
    """As the shell tells it to a wallet that knows nothing."""
    wallet = step_of(Wallet(ACCOUNTS), ScanBegun(scan.issued)).state
    for block, tx in scan.found:
        wallet = step_of(wallet, told(tx, block)).state
    return wallet


def test_coins_of_all_four_branches_are_found() -> None:
    paths = [KeyPath(84, 0, 3), KeyPath(84, 1, 0), KeyPath(86, 0, 19), KeyPath(86, 1, 7)]
    blocks = [[a_payment(n, 10_000 + n, path)] for n, path in enumerate(paths)]
    scan, rounds = a_rescan([*blocks, []])
    assert rounds == 1 and scan.issued == (4, 1, 20, 8)
    wallet = restored(scan)
    assert sorted(coin.amount_sat for coin in wallet.unspent) == [10_000, 10_001, 10_002, 10_003]
    assert wallet.issued == (4, 1, 20, 8)


def test_what_was_spent_is_known_to_be_spent_though_it_pays_nobody_we_know() -> None:
    paid = a_payment(1, 50_000)
    spend = Tx(2, (TxIn(paid.outpoint(1)),), (TxOut(Sat(49_000), ELSEWHERE),))
    scan, _ = a_rescan([[paid, a_payment(2, 7_000)], [], [spend]])
    assert [tx.txid for _, tx in scan.found] == [paid.txid, a_payment(2, 7_000).txid, spend.txid]
    assert [coin.amount_sat for coin in restored(scan).unspent] == [7_000]


def test_an_address_far_ahead_that_was_paid_first_is_found_in_another_round() -> None:
    """It was out of sight while its block was looked at, and its coin was spent again."""
    far = a_payment(1, 50_000, KeyPath(86, 0, 2 * LOOKAHEAD - 20))
    spend = Tx(2, (TxIn(far.outpoint(1)),), (TxOut(Sat(49_000), ELSEWHERE),))
    near = a_payment(2, 7_000, KeyPath(86, 0, LOOKAHEAD - 10))
    scan, rounds = a_rescan([[far], [near], [spend]])
    assert rounds > 1
    assert [tx.txid for _, tx in scan.found] == [far.txid, near.txid, spend.txid]
    assert scan.issued[2] == 2 * LOOKAHEAD - 19


def test_an_address_beyond_all_gaps_is_not_looked_for() -> None:
    scan, rounds = a_rescan([[a_payment(1, 50_000, KeyPath(86, 0, LOOKAHEAD))]])
    assert (scan.found, scan.issued, rounds) == ((), (0, 0, 0, 0), 1)


def test_what_lost_channels_paid_is_found_unless_somebody_took_it() -> None:
    left, taken, between = a_close(1), a_close(0), a_close(0, spends=an_outpoint(77))
    sweep = Tx(2, (TxIn(taken.outpoint(1)),), (TxOut(Sat(69_000), ELSEWHERE),))
    many = a_payment(2, 7_000, KeyPath(86, 0, LOOKAHEAD - 10))
    scan, rounds = a_rescan([[left, taken], [many], [sweep, between]])
    assert rounds == 2, "what was taken is not found again in the second"
    assert {lost.outpoint for lost in scan.lost} == {left.outpoint(1), between.outpoint(1)}


def test_what_cannot_be_read_is_passed_over() -> None:
    scan = Rescan(ACCOUNTS, (0, 0, 0, 0), KNOWN, ())
    payment = a_payment(1, 50_000)
    block: Block = a_block(1)
    scan.look(block, [None, payment])
    assert scan.found == ((block, payment),)
