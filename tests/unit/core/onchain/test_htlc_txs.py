"""HTLC transactions of our own commitment: what they weigh and cost, what the wallet is asked, what it gives back."""

from __future__ import annotations

import pytest
from tests.builders.endings import (
    ANCHORS,
    DESTINATION,
    FIRST,
    STATIC,
    a_claim,
    closed,
    elsewhere,
    key_of,
    output_of,
    the,
    took,
)
from tests.builders.onchain import Plan, Planned
from tests.builders.papers import Papers

from fulmen.core.base.env import Env
from fulmen.core.base.funds import AttachFee, FeeAttached, Output
from fulmen.core.base.outer import SignRequest
from fulmen.core.base.units import BlockHeight, CltvDelta, FeeratePerKw, Sat
from fulmen.core.bitcoin.script import dust_limit
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut, fee_at
from fulmen.core.commitments.close import KnownPreimage
from fulmen.core.crypto.secp256k1 import sign_ecdsa
from fulmen.core.onchain.htlc_txs import (
    FEE_INPUT_AND_CHANGE_WEIGHT,
    as_it_is,
    ask_for_fee,
    is_worth_paying,
    lot_in,
    ref_of,
    with_fee,
)
from fulmen.core.onchain.matters import Matter, Purpose
from fulmen.core.onchain.state import Bid, Ending, Onchain
from fulmen.core.onchain.sweeps import weight_of
from fulmen.core.transactions.formats import format_named
from fulmen.core.transactions.spending import (
    MAX_SIGNATURE_LENGTH,
    htlc_tx_input_weight,
    htlc_tx_witness,
    spend_second_stage,
    witness_signature,
)

OFFER, RECEIVED = Planned(0, "alice", 50_000_000, expires_in=60), Planned(1, "bob", 40_000_000, expires_in=60)
SIGNATURE = sign_ecdsa(b"\x01" * 32, b"\x02" * 32)
SHORT = MAX_SIGNATURE_LENGTH - len(witness_signature(SIGNATURE))


def a_close(format: str, *htlcs: Planned) -> tuple[Papers, Onchain, tuple[Matter, ...]]:
    papers = Papers(Plan(format, htlcs or (OFFER, RECEIVED)))
    state = closed(papers, "alice")
    return papers, state, tuple([output_of(papers, state, planned) for planned in papers.plan.htlcs])


def ending_of(state: Onchain) -> Ending:
    assert state.ending is not None
    return state.ending


def signed(format: str, *lot: Matter) -> int:
    """What the HTLC transactions of a lot weigh in one, with both longest signatures in each input."""
    inputs, outputs = [], []
    for matter in lot:
        assert matter.htlc_tx is not None and matter.output is not None
        preimage = OFFER.preimage if matter.purpose is Purpose.HTLC_SUCCESS else None
        witness = htlc_tx_witness(format_named(format), matter.output, SIGNATURE, SIGNATURE, preimage)
        inputs.append(matter.htlc_tx.tx.inputs[0].but(witness=witness))
        outputs += matter.htlc_tx.tx.outputs
    return Tx(2, tuple(inputs), tuple(outputs)).weight + 2 * SHORT * len(lot)


def asked(state: Onchain, lot: tuple[Matter, ...], env: Env, alongside: int = 0) -> AttachFee | None:
    tell = ask_for_fee(state, lot, env, alongside)
    assert tell is None or isinstance(tell.event, AttachFee)
    return None if tell is None else tell.event


@pytest.mark.parametrize("place", [0, 1])
def test_a_transaction_that_pays_its_own_fee_says_what_it_pays(place: int) -> None:
    _, state, matters = a_close(STATIC)
    matter = matters[place]
    claim = as_it_is(state, ending_of(state), matter)
    assert matter.htlc_tx is not None
    fee = matter.amount_sat - matter.htlc_tx.tx.outputs[0].amount_sat
    assert claim.fee_sat == fee > 600
    assert claim.feerate_per_kw == fee * 1000 // signed(STATIC, matter)
    assert claim.root == ending_of(state).txid and claim.name == matter.purpose.value and not claim.wallet_ref
    [request] = claim.sign
    assert request.index == 0 and request.htlc == matter.output


def test_the_wallet_is_asked_for_the_fee_of_several_in_one() -> None:
    papers, state, matters = a_close(ANCHORS)
    env = papers.env_at("alice", FIRST)
    request = asked(state, matters, env, alongside=3)
    assert request is not None
    assert request.ref == ref_of(state, matters[0].outpoint) and request.reply_to == papers.address
    assert request.name == "HTLC-timeout + HTLC-success" and request.alongside == 3
    assert [one.outpoint for one in request.inputs] == [matter.outpoint for matter in matters]
    for given, paid, matter in zip(request.inputs, request.outputs, matters, strict=True):
        assert matter.htlc_tx is not None and matter.output is not None
        [output] = matter.htlc_tx.tx.outputs
        assert paid == Output(output.amount_sat, output.script_pubkey)
        assert given.spends == Output(matter.amount_sat, matter.script_pubkey) and given.sequence == 1
        assert given.weight == htlc_tx_input_weight(matter.output)
    assert (request.locktime, request.version) == (0, 2), "that of the last: HTLC-success has none"
    assert request.parent is None and request.least_per_kw == 253
    last = asked(state, matters[:1], env)
    assert last is not None and last.locktime == papers.expiry(OFFER)


@pytest.mark.parametrize("chosen", [(0,), (1,), (0, 1)])
def test_what_a_deadline_sets_free_is_reckoned_on_what_the_whole_will_weigh(chosen: tuple[int, ...]) -> None:
    papers, state, matters = a_close(ANCHORS)
    lot = tuple(matters[place] for place in chosen)
    request = asked(state, lot, papers.env_at("alice", papers.expiry(OFFER) + 200))
    assert request is not None
    weight = signed(ANCHORS, *lot) + FEE_INPUT_AND_CHANGE_WEIGHT
    assert request.feerate_per_kw == sum(matter.amount_sat for matter in lot) // 2 * 1000 // weight


def test_more_is_asked_for_only_when_it_pays_for_its_relay() -> None:
    papers, state, matters = a_close(ANCHORS)
    state = state.but(claims=(a_claim(state, matters[0], feerate=1000, ref=b"ref"),))
    due = []
    for market in (1000, 1252, 1253, 1300):
        papers.feerates = papers.feerates.but(closing_per_kw=FeeratePerKw(market), urgent_per_kw=FeeratePerKw(market))
        request = asked(state, matters[:1], papers.env_at("alice", FIRST))
        due.append(request is not None)
        assert request is None or request.least_per_kw == 1253
    assert due == [False, False, True, True]


def test_a_bid_for_any_of_them_is_kept() -> None:
    papers, state, matters = a_close(ANCHORS)
    state = state.but(bids=(Bid(matters[1].outpoint, BlockHeight(FIRST), FeeratePerKw(7777)),))
    request = asked(state, matters, papers.env_at("alice", FIRST))
    assert request is not None and request.feerate_per_kw == 7777


# -- what the wallet gives back ---------------------------------------------------------------------------------------


def raw(*inputs: TxIn) -> bytes:
    return Tx(2, inputs, (TxOut(Sat(1000), DESTINATION),)).serialize()


def test_what_the_wallet_gives_back_is_known_by_the_outputs_it_takes_first() -> None:
    _, state, (one, two) = a_close(ANCHORS)
    first, second, coin = TxIn(one.outpoint), TxIn(two.outpoint), TxIn(elsewhere())
    assert lot_in(state, raw(first, coin)) == (one,)
    assert lot_in(state, raw(first, second, coin)) == (one, two)
    assert lot_in(state, raw(first, coin, second)) == (one,), "coins come last"
    assert lot_in(state, raw(coin)) is None
    assert lot_in(state, raw(coin, first)) is None


def test_what_can_no_longer_be_is_not_taken_back() -> None:
    _, state, (one, two) = a_close(ANCHORS)
    whole = raw(TxIn(one.outpoint), TxIn(two.outpoint), TxIn(elsewhere()))
    for gone in (one, two):
        assert lot_in(took(state, gone, FIRST + 1), whole) is None
    balance = the(state, Purpose.TO_LOCAL)
    assert lot_in(state, raw(TxIn(balance.outpoint), TxIn(elsewhere()))) is None


def test_a_transaction_with_the_wallets_fee_is_signed_by_us_in_every_place_and_by_the_wallet_after() -> None:
    papers, state, matters = a_close(ANCHORS)
    state = state.but(preimages=(KnownPreimage(key_of(papers, RECEIVED), RECEIVED.preimage),))
    given = FeeAttached(b"ref", b"tx", SignRequest(), Sat(999), FeeratePerKw(888))
    claim = with_fee(state, ending_of(state), matters, given)
    assert claim.outpoints == (matters[0].outpoint, matters[1].outpoint) and claim.tx == b"tx"
    assert (claim.fee_sat, claim.feerate_per_kw, claim.wallet_ref) == (999, 888, b"ref")
    first, second, wallets = claim.sign
    assert [one.index for one in (first, second)] == [0, 1] and wallets == SignRequest()
    assert [one.payment_preimage for one in (first, second)] == [None, RECEIVED.preimage]


# -- whether it is worth it -------------------------------------------------------------------------------------------


def worth(state: Onchain, matter: Matter, env: Env, left_sat: int) -> bool:
    """Whether an HTLC is worth its transactions whose second stage brings so much when it has paid for itself."""
    htlc_tx = matter.htlc_tx
    assert htlc_tx is not None
    rate = env.feerates.floor_per_kw
    stage = spend_second_stage(Sat(0), htlc_tx.second_stage_script, htlc_tx.to_self_delay)
    cost = fee_at(rate, weight_of(((matter.outpoint, stage),), DESTINATION))
    [output] = htlc_tx.tx.outputs
    tx = htlc_tx.tx.but(outputs=(output.but(amount_sat=Sat(left_sat + cost)),))
    return is_worth_paying(state, matter.but(htlc_tx=htlc_tx.but(tx=tx)), env)


@pytest.mark.parametrize("place", [0, 1])
def test_an_htlc_is_worth_it_if_more_is_left_than_its_first_stage_costs_and_no_dust(place: int) -> None:
    papers, state, matters = a_close(ANCHORS)
    matter = matters[place]
    dear, cheap = 2000, 100
    for rate in (dear, cheap):
        papers.policy = papers.policy.but(feerates=papers.policy.feerates.but(floor_per_kw=FeeratePerKw(1)))
        papers.feerates = papers.feerates.but(floor_per_kw=FeeratePerKw(rate))
        env = papers.env_at("alice", FIRST)
        first = fee_at(FeeratePerKw(rate), signed(ANCHORS, matter) + FEE_INPUT_AND_CHANGE_WEIGHT)
        least = max(first + 1, dust_limit(DESTINATION))
        assert (least == first + 1) is (rate == dear)
        assert worth(state, matter, env, least) and not worth(state, matter, env, least - 1)


def test_delays_of_the_channel_are_in_the_second_stage() -> None:
    papers, _, matters = a_close(ANCHORS)
    for matter in matters:
        assert matter.htlc_tx is not None and matter.htlc_tx.to_self_delay == CltvDelta(6)
        assert matter.ripe_at == (papers.expiry(OFFER) if matter.purpose is Purpose.HTLC_TIMEOUT else FIRST)
