"""Fees for somebody else's transaction: its own parts keep their places, and ours come back when it will never be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.judge import verify_spend
from tests.builders.wallets import (
    ELSEWHERE,
    HTLC,
    HTLC_REQUEST,
    ONCHAIN,
    SECRET_ACCOUNTS,
    a_block,
    a_fee_request,
    a_wallet,
    step_of,
    told,
)

from fulmen.core.base.funds import AttachFee, DetachFee, FeeAttached, FeeRefused, ForeignInput, Output, Parent
from fulmen.core.base.ids import OutPoint, Txid
from fulmen.core.base.machine import Step, Tell
from fulmen.core.base.outer import WantPublished
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Sat, Weight
from fulmen.core.bitcoin.accounts import SignWalletInputs, sign_wallet_inputs
from fulmen.core.bitcoin.transaction import Tx, TxOut, fee_at, parse_tx
from fulmen.core.wallet.balance import balance
from fulmen.core.wallet.facts import forget
from fulmen.core.wallet.machine import wants
from fulmen.core.wallet.state import Wallet

ANCHOR = ForeignInput(OutPoint(Txid(b"\x78" * 32), 0), 0, Output(Sat(330), ELSEWHERE), Weight(280))


def attached(step: Step[Wallet]) -> tuple[Tx, SignWalletInputs]:
    (tell,) = step.actions
    assert isinstance(tell, Tell) and tell.to == ONCHAIN
    assert isinstance(tell.event, FeeAttached) and isinstance(tell.event.sign, SignWalletInputs)
    return parse_tx(tell.event.tx), tell.event.sign


def test_inputs_and_outputs_keep_their_places_and_ours_come_after() -> None:
    tx, request = attached(step_of(a_wallet(50_000, 60_000), HTLC_REQUEST))
    assert (tx.inputs[0].outpoint, tx.inputs[0].sequence) == (HTLC.outpoint, 1)
    assert (tx.outputs[0].amount_sat, tx.outputs[0].script_pubkey) == (40_000, ELSEWHERE)
    assert tx.locktime == 600_000
    signed = sign_wallet_inputs(SECRET_ACCOUNTS, tx, request)
    assert [wanted.index for wanted in request.inputs] == list(range(1, len(tx.inputs)))
    for wanted in request.inputs:
        verify_spend(signed, list(request.spent), wanted.index)


def fee_of(tx: Tx, request: SignWalletInputs) -> int:
    return sum(o.amount_sat for o in request.spent) - sum(o.amount_sat for o in tx.outputs)


def weight_of(tx: Tx, request: SignWalletInputs, foreign: ForeignInput) -> int:
    """With all witnesses; the one foreign input has none yet."""
    return sign_wallet_inputs(SECRET_ACCOUNTS, tx, request).weight - 4 * 41 - 1 + foreign.weight


@given(st.integers(253, 20_000), st.integers(0, 2_000), st.booleans())
def test_the_fee_is_what_was_asked_and_never_less(rate: int, paid: int, lifts_a_parent: bool) -> None:
    parent = Parent(Weight(1500), Sat(paid)) if lifts_a_parent else None
    parts = a_fee_request(ANCHOR, rate=rate) if lifts_a_parent else HTLC_REQUEST.but(feerate_per_kw=FeeratePerKw(rate))
    tx, request = attached(step_of(a_wallet(300_000, 90_000, 20_000), parts.but(parent=parent)))
    weight = weight_of(tx, request, ANCHOR if lifts_a_parent else HTLC)
    fee = fee_of(tx, request)
    assert fee >= rate * weight / 1000
    if lifts_a_parent:
        assert fee + paid >= rate * (weight + 1500) / 1000
    assert all(o.amount_sat >= 330 for o in tx.outputs)
    assert len(tx.outputs) >= 1


@given(
    st.integers(253, 20_000),
    st.integers(1, 5_000),
    st.booleans(),
    st.lists(st.integers(5_000, 90_000), min_size=1, max_size=5),
)
def test_a_raised_fee_pays_for_what_it_replaces_and_for_its_own_relay(
    rate: int, more: int, lifts_a_parent: bool, coins: list[int]
) -> None:
    parts = a_fee_request(ANCHOR) if lifts_a_parent else HTLC_REQUEST
    parts = parts.but(parent=Parent(Weight(1500), Sat(300)) if lifts_a_parent else None)
    foreign = ANCHOR if lifts_a_parent else HTLC
    first = step_of(a_wallet(*coins, 400_000), parts.but(feerate_per_kw=FeeratePerKw(rate)))
    before, request = attached(first)
    raised = step_of(first.state, parts.but(feerate_per_kw=FeeratePerKw(rate + more)))
    after, raised_request = attached(raised)
    weight = weight_of(after, raised_request, foreign)
    needed = fee_of(before, request) + -(-weight // 4)
    assert fee_of(after, raised_request) >= max(needed, (rate + more) * weight // 1000)
    assert (
        after.inputs[0] == before.inputs[0]
        and after.outputs[: len(parts.outputs)] == before.outputs[: len(parts.outputs)]
    )
    assert [tx.txid for tx in raised.state.txs if tx.own is not None] == [after.txid]


def test_a_raised_fee_is_paid_with_the_same_coins_as_long_as_they_reach() -> None:
    lent = step_of(a_wallet(30_000, 60_000, 90_000), HTLC_REQUEST)
    before, _ = attached(lent)
    after, _ = attached(step_of(lent.state, HTLC_REQUEST.but(feerate_per_kw=FeeratePerKw(4000))))
    assert [i.outpoint for i in after.inputs] == [i.outpoint for i in before.inputs]


def test_less_than_was_asked_is_paid_where_that_may_be_and_the_coins_do_not_reach() -> None:
    wallet, asked = a_wallet(10_000), HTLC_REQUEST.but(feerate_per_kw=FeeratePerKw(100_000))
    (tell,) = step_of(wallet, asked).actions
    assert isinstance(tell, Tell) and isinstance(tell.event, FeeRefused)
    step = step_of(wallet, asked.but(least_per_kw=FeeratePerKw(1000)))
    tx, request = attached(step)
    assert 9_500 < fee_of(tx, request) <= 10_000
    (tell,) = step.actions
    assert isinstance(tell, Tell) and isinstance(tell.event, FeeAttached)
    assert tell.event.fee_sat == fee_of(tx, request) and 5_000 < tell.event.feerate_per_kw < 100_000
    # There is nothing that could be added: what is lent stays as it is.
    again = step_of(step.state, asked.but(least_per_kw=FeeratePerKw(1000)))
    assert again.facts == [] and again.actions == step.actions


def test_a_fee_for_other_inputs_under_the_same_name_is_another_transaction() -> None:
    lent = step_of(a_wallet(30_000, 60_000, 90_000), HTLC_REQUEST)
    second = HTLC.but(outpoint=OutPoint(Txid(b"\x79" * 32), 1))
    step = step_of(lent.state, HTLC_REQUEST.but(inputs=(second,)))
    tx, _ = attached(step)
    assert tx.inputs[0].outpoint == second.outpoint
    assert [lent.txid for lent in step.state.txs if lent.own is not None] == [tx.txid]


def test_a_version_that_was_replaced_may_be_mined_all_the_same() -> None:
    lent = step_of(a_wallet(50_000), HTLC_REQUEST)
    before, _ = attached(lent)
    raised = step_of(lent.state, HTLC_REQUEST.but(feerate_per_kw=FeeratePerKw(4000))).state
    mined = step_of(raised, told(before, a_block(101))).state
    assert balance(mined, BlockHeight(101), Sat(0)).total_sat == before.outputs[1].amount_sat


def test_a_fee_once_given_is_durable_answered_again_and_published_by_the_asker() -> None:
    step = step_of(a_wallet(50_000, 60_000), HTLC_REQUEST)
    assert forget(step.state) == step.state
    again = step_of(step.state, HTLC_REQUEST)
    assert again.facts == [] and again.actions == step.actions
    assert not [want for want in wants(step.state) if isinstance(want, WantPublished)]


def test_coins_come_back_when_the_transaction_will_never_be() -> None:
    wallet = a_wallet(50_000, 60_000)
    lent = step_of(wallet, HTLC_REQUEST).state
    back = step_of(lent, DetachFee(b"ref"))
    assert back.state.unspent == wallet.unspent
    assert step_of(back.state, DetachFee(b"ref")).facts == []


def test_nothing_comes_back_from_a_transaction_in_a_block() -> None:
    step = step_of(a_wallet(50_000, 60_000), HTLC_REQUEST)
    tx, _request = attached(step)
    confirmed = step_of(step.state, told(tx, a_block(101))).state
    assert step_of(confirmed, DetachFee(b"ref")).facts == []


def test_a_transaction_that_was_given_up_may_be_mined_all_the_same() -> None:
    step = step_of(a_wallet(50_000), HTLC_REQUEST)
    tx, _request = attached(step)
    given_up = step_of(step.state, DetachFee(b"ref")).state
    mined = step_of(given_up, told(tx, a_block(101))).state
    change = tx.outputs[1].amount_sat
    assert balance(mined, BlockHeight(101), Sat(0)).total_sat == change


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (HTLC_REQUEST.but(parent=Parent(Weight(30_000), Sat(0))), "InsufficientFunds"),
        (HTLC_REQUEST.but(feerate_per_kw=FeeratePerKw(10)), "FeerateOutOfRange"),
        (a_fee_request(ANCHOR, rate=250_000), "InsufficientFunds"),
    ],
)
def test_a_fee_that_cannot_be_paid_is_refused_by_name(event: AttachFee, why: str) -> None:
    step = step_of(a_wallet(50_000), event)
    (tell,) = step.actions
    assert isinstance(tell, Tell) and isinstance(tell.event, FeeRefused)
    assert tell.event.why == why
    assert step.facts == []


# -- several that must not wait for each other --------------------------------------------------------------------


def requests(count: int, **changes: Any) -> list[AttachFee]:
    """For HTLC transactions of one close, each alone."""
    return [
        HTLC_REQUEST.but(
            ref=b"ref %d" % n,
            inputs=(HTLC.but(outpoint=OutPoint(HTLC.outpoint.txid, 10 + n)),),
            alongside=count - 1 - n,
            **changes,
        )
        for n in range(count)
    ]


def paid(wallet: Wallet, events: list[AttachFee]) -> tuple[Wallet, list[Any]]:
    answers = []
    for event in events:
        step = step_of(wallet, event)
        wallet = step.state
        (tell,) = step.actions
        assert isinstance(tell, Tell)
        answers.append(tell.event)
    return wallet, answers


def test_one_coin_is_split_for_transactions_that_must_not_wait_for_each_other() -> None:
    wallet, answers = paid(a_wallet(500_000), requests(4))
    assert all(isinstance(answer, FeeAttached) for answer in answers)
    split, *lent = wallet.txs[1:]
    assert split.own is not None and not split.own.lent and len(split.coins) == 4
    assert len({coin.amount_sat for coin in split.coins}) == 1
    assert split.own.fee_sat == 500_000 - sum(coin.amount_sat for coin in split.coins)
    hung = [[i.outpoint for i in parse_tx(tx.own.tx).inputs[1:]] for tx in lent if tx.own is not None]
    assert sorted(outpoint for [outpoint] in hung) == [coin.outpoint for coin in split.coins]
    signed = sign_wallet_inputs(SECRET_ACCOUNTS, parse_tx(split.own.tx), split.own.sign)
    coin = wallet.txs[0].coins[0]
    verify_spend(signed, [TxOut(coin.amount_sat, coin.script_pubkey)])
    rate = fee_at(HTLC_REQUEST.feerate_per_kw, signed.weight)
    assert rate <= split.own.fee_sat <= rate + 10


def test_nothing_is_split_where_there_are_coins_enough_or_one_transaction_alone() -> None:
    for wallet, count in ((a_wallet(100_000, 100_000, 100_000), 3), (a_wallet(500_000), 1)):
        after, answers = paid(wallet, requests(count))
        assert all(isinstance(answer, FeeAttached) for answer in answers)
        assert all(tx.own is None or tx.own.lent for tx in after.txs)


def test_what_is_missing_is_split_off_and_the_other_coins_stay() -> None:
    wallet, answers = paid(a_wallet(300_000, 90_000), requests(4))
    assert all(isinstance(answer, FeeAttached) for answer in answers)
    (split,) = [tx for tx in wallet.txs if tx.own is not None and not tx.own.lent]
    assert len(split.coins) == 3


def test_a_small_coin_is_split_into_what_each_transaction_needs_at_least() -> None:
    wallet, answers = paid(a_wallet(20_000), requests(6))
    (split,) = [tx for tx in wallet.txs if tx.own is not None and not tx.own.lent]
    assert 2 <= len(split.coins) < 6
    assert [isinstance(answer, FeeAttached) for answer in answers].count(True) >= len(split.coins)
    untouched, answers = paid(a_wallet(5_000), requests(6))
    assert isinstance(answers[0], FeeAttached)
    assert all(tx.own is None or tx.own.lent for tx in untouched.txs)


def test_a_split_is_not_made_for_a_feerate_that_is_refused() -> None:
    step = step_of(a_wallet(500_000), requests(3, feerate_per_kw=FeeratePerKw(1))[0])
    (tell,) = step.actions
    assert isinstance(tell, Tell) and isinstance(tell.event, FeeRefused) and step.facts == []


def test_when_one_is_raised_the_others_stay() -> None:
    wallet, _ = paid(a_wallet(500_000), requests(3))
    before = {tx.txid for tx in wallet.txs}
    raised, (answer,) = paid(wallet, [requests(3)[1].but(feerate_per_kw=FeeratePerKw(6000))])
    assert isinstance(answer, FeeAttached)
    assert len(before - {tx.txid for tx in raised.txs}) == 1
    assert all(tx in raised.alive for tx in raised.txs)
