"""What becomes of offered HTLCs, block by block, and when a whole close is over (B5-6, B5-8)."""

from __future__ import annotations

import pytest
from tests.builders.cheats import HTLCS
from tests.builders.endings import (
    ANCHORS,
    FIRST,
    STATIC,
    a_claim,
    block,
    closed,
    done,
    ending,
    facts_of,
    key_of,
    output_of,
    published,
    seen,
    the,
    told,
    took,
    tx_of,
    unspent,
    view_of,
)
from tests.builders.onchain import Plan, Planned, owner_of
from tests.builders.papers import Papers

from fulmen.core.base.env import Env
from fulmen.core.base.funds import DetachFee
from fulmen.core.base.ids import PaymentHash, Preimage, Txid
from fulmen.core.base.machine import Address, Story, Tell
from fulmen.core.base.units import CltvDelta, FeeratePerKw, Sat
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut
from fulmen.core.commitments.building import build
from fulmen.core.commitments.close import ChannelResolved, KnownPreimage
from fulmen.core.commitments.htlcs import Failed, Fulfilled, HtlcRemoved, circuit_address
from fulmen.core.crypto.hashes import sha256
from fulmen.core.onchain.classify import Kind
from fulmen.core.onchain.facts import AllResolved, OfferedHtlcDead, OfferedPreimageSeen
from fulmen.core.onchain.fates import is_deep, learn_preimages, tell_dead, undecided
from fulmen.core.onchain.matters import Matter, Purpose
from fulmen.core.onchain.resolution import resolve
from fulmen.core.onchain.showing import view
from fulmen.core.onchain.state import GivenUp, Onchain, SecondStage

OFFER, RECEIVED = Planned(0, "alice", expires_in=30), Planned(1, "bob", 40_000_000, expires_in=30)
TRIMMED = Planned(2, "alice", 300_000, expires_in=30)
SAFE, OVER = 3, 12
"""Confirmations after which an HTLC may fail upstream, and after which a channel is forgotten (`DEADLINES`)."""


def a_close(which: str = "bob", *htlcs: Planned, format: str = STATIC) -> tuple[Papers, Onchain]:
    papers = Papers(Plan(format, htlcs or (OFFER, RECEIVED)))
    return papers, closed(papers, which)


def at(papers: Papers, confirmations: int, since: int = FIRST) -> Env:
    """When a block of height `since` has so many confirmations."""
    return papers.env_at("alice", since + confirmations - 1)


def dead(state: Onchain, env: Env) -> list[int]:
    """The ids of HTLCs whose owners are told now."""
    step = tell_dead(state, env)
    assert [fact.key for fact in facts_of(step, OfferedHtlcDead)] == [event.key for event in told(step, Failed)]
    assert all(event.on_chain for event in told(step, Failed))
    return [event.key.id for event in told(step, Failed)]


def showing(*preimages: Preimage) -> Tx:
    """A transaction with these in its witnesses."""
    inputs = [TxIn(FUNDING.but(vout=n), witness=(b"sig", preimage, b"script")) for n, preimage in enumerate(preimages)]
    return Tx(2, tuple(inputs), (TxOut(Sat(1), b"\x51"),))


FUNDING = Papers(Plan()).funding


# -- preimages --------------------------------------------------------------------------------------------------------


def test_every_offered_htlc_that_a_preimage_pays_is_paid_once() -> None:
    twin = Planned(5, "alice", 45_000_000, same_hash_as=0)
    _, state = a_close("bob", OFFER, twin, RECEIVED)
    step = learn_preimages(state, showing(OFFER.preimage, RECEIVED.preimage))
    assert [fact.key.id for fact in facts_of(step, OfferedPreimageSeen)] == [0, 5]
    events = told(step, Fulfilled)
    assert [(event.ref, event.preimage) for event in events] == [(0, OFFER.preimage), (5, OFFER.preimage)]
    assert [tell.to for tell in done(step, Tell)] == [owner_of("alice", OFFER), owner_of("alice", twin)]
    again = learn_preimages(step.state, showing(OFFER.preimage))
    assert not again.facts and not again.actions


def test_a_preimage_counts_in_the_mempool_and_for_htlcs_that_the_close_has_not() -> None:
    later = Planned(5, "alice", 45_000_000, within=("bob_next",))
    papers = Papers(Plan(STATIC, (OFFER, later), bob_has_next=True))
    for state in (closed(papers, "bob"), seen(papers, "alice")):
        assert [event.ref for event in told(learn_preimages(state, showing(later.preimage)), Fulfilled)] == [5]
    for state in (unspent(papers), published(papers)):
        assert not learn_preimages(state, showing(later.preimage)).facts


def test_a_preimage_has_32_bytes_whatever_else_has_that_hash() -> None:
    papers, state = a_close("bob", OFFER)
    assert state.ending is not None
    short = b"p" * 31
    view = state.ending.close.remote
    other = view.but(htlcs=tuple([htlc.but(payment_hash=PaymentHash(sha256(short))) for htlc in view.htlcs]))
    close = state.ending.close.but(local=view.but(htlcs=()), remote=other)
    state = state.but(ending=state.ending.but(close=close))
    assert not learn_preimages(state, showing(Preimage(short))).facts
    htlcs = tuple([htlc.but(payment_hash=PaymentHash(sha256(OFFER.preimage))) for htlc in view.htlcs])
    state = state.but(ending=ending(papers, "bob").but(close=close.but(remote=view.but(htlcs=htlcs))))
    assert learn_preimages(state, showing(OFFER.preimage)).facts


def test_a_preimage_whose_owner_is_gone_is_known_all_the_same() -> None:
    _, state = a_close()
    assert state.ending is not None
    state = state.but(ending=state.ending.but(close=state.ending.close.but(owners=())))
    step = learn_preimages(state, showing(OFFER.preimage))
    assert facts_of(step, OfferedPreimageSeen) and not step.actions


# -- dead -------------------------------------------------------------------------------------------------------------


def test_depth_counts_the_block_itself() -> None:
    papers, _ = a_close()
    assert is_deep(block(FIRST), 1, at(papers, 1)) and not is_deep(block(FIRST), 2, at(papers, 1))


def test_an_htlc_that_the_close_has_not_fails_when_the_close_is_deep() -> None:
    papers, state = a_close("bob", OFFER, TRIMMED)
    assert dead(state, at(papers, SAFE - 1)) == []
    assert dead(state, at(papers, SAFE)) == [TRIMMED.id]
    assert dead(state.but(failed=(key_of(papers, TRIMMED),)), at(papers, SAFE)) == []
    assert dead(state.but(fulfilled=(key_of(papers, TRIMMED),)), at(papers, SAFE)) == []
    assert dead(state.but(ending=None), at(papers, SAFE)) == []


@pytest.mark.parametrize("which", ["alice", "bob", "bob_last"])
def test_an_htlc_fails_when_what_took_its_output_is_deep(which: str) -> None:
    offer = Planned(0, "alice", expires_in=30, within=("alice", "bob", "bob_last"))
    papers, state = a_close(which, offer)
    htlc = output_of(papers, state, offer)
    assert dead(state, at(papers, 1000)) == [], "as long as nobody has taken it"
    state = took(state, htlc, FIRST + 50)
    assert dead(state, at(papers, SAFE - 1, FIRST + 50)) == []
    assert dead(state, at(papers, SAFE, FIRST + 50)) == [0]


def given_up_of(state: Onchain, *matters: Matter) -> Onchain:
    return state.but(given_up=tuple([GivenUp(matter.outpoint, "dear") for matter in matters]))


def at_our_floor(papers: Papers, floor: int) -> None:
    """We publish nothing for less than this."""
    papers.policy = papers.policy.but(feerates=papers.policy.feerates.but(floor_per_kw=FeeratePerKw(floor)))


def test_an_htlc_that_was_given_up_for_good_fails_some_blocks_after_its_expiry() -> None:
    papers, state = a_close()
    given_up = given_up_of(state, output_of(papers, state, OFFER))
    expiry = papers.expiry(OFFER)
    at_our_floor(papers, 200_000)
    assert dead(given_up, papers.env_at("alice", expiry + SAFE - 1)) == []
    assert dead(given_up, papers.env_at("alice", expiry + SAFE)) == [0]
    assert dead(state, papers.env_at("alice", expiry + SAFE)) == []


@pytest.mark.parametrize("delta", [80, 20])
def test_an_htlc_that_was_given_up_in_a_spike_fails_when_upstream_needs_its_last_blocks(delta: int) -> None:
    papers, state = a_close()
    given_up = given_up_of(state, output_of(papers, state, OFFER))
    deadlines = papers.policy.deadlines.but(cltv_expiry_delta=CltvDelta(delta))
    papers.policy = papers.policy.but(deadlines=deadlines)
    papers.feerates = papers.feerates.but(floor_per_kw=FeeratePerKw(200_000))
    last = papers.expiry(OFFER) + max(SAFE, delta - deadlines.fulfilled_deadline)
    assert dead(given_up, papers.env_at("alice", last - 1)) == []
    assert dead(given_up, papers.env_at("alice", last)) == [0]
    assert dead(state, papers.env_at("alice", last)) == []


@pytest.mark.parametrize("kind", [Kind.BEYOND, Kind.UNKNOWN])
def test_where_scripts_cannot_be_read_amounts_tell_which_output_may_be_the_htlc(kind: Kind) -> None:
    twin = Planned(5, "alice", 50_000_999, expires_in=30, within=("bob",))
    papers, state = a_close("bob", OFFER, twin, Planned(6, "alice", 45_000_000, within=("alice",)))
    state = state.but(ending=ending(papers, "bob").but(kind=kind))
    htlcs = [matter for matter in state.matters.values() if matter.amount_sat == 50_000]
    assert len(htlcs) == 2 and all(matter.purpose is Purpose.WATCH for matter in htlcs)
    deep = at(papers, SAFE, FIRST + 9)
    assert dead(state, deep) == [6], "which stands nowhere"
    one = took(state, htlcs[0], FIRST + 9)
    assert dead(one, deep) == [6]
    assert sorted(dead(took(one, htlcs[1], FIRST + 9, b"u" * 32), deep)) == [0, 5, 6]


def test_our_balance_is_no_htlc_though_it_is_as_large() -> None:
    fee = build(view_of(Papers(Plan(STATIC, (OFFER,), outdated=True)), "bob")).fee_sat
    half = Planned(0, "alice", (600_000 - fee) // 2 * 1000, expires_in=30)
    papers = Papers(Plan(STATIC, (half,)))
    state = closed(papers, "bob").but(ending=ending(papers, "bob").but(kind=Kind.BEYOND))
    balance = the(state, Purpose.TO_REMOTE)
    [htlc] = [
        matter for matter in state.matters.values() if matter.amount_sat == balance.amount_sat and matter != balance
    ]
    assert dead(took(state, htlc, FIRST + 9), at(papers, SAFE, FIRST + 9)) == [0]


def test_who_waits_for_a_verdict_is_who_has_none() -> None:
    papers, state = a_close("bob", OFFER, TRIMMED)
    assert state.ending is not None
    assert [owner.ref for owner in undecided(state, state.ending)] == [0, 2]
    told_one = state.but(fulfilled=(key_of(papers, OFFER),))
    assert [owner.ref for owner in undecided(told_one, state.ending)] == [2]
    both = told_one.but(failed=(key_of(papers, TRIMMED),))
    assert undecided(both, state.ending) == []


# -- all --------------------------------------------------------------------------------------------------------------


def over(state: Onchain, env: Env) -> bool:
    step = resolve(state, env)
    is_over = bool(facts_of(step, AllResolved))
    assert is_over is bool(told(step, ChannelResolved)) is bool(done(step, Story))
    assert is_over or not step.actions
    return is_over


def all_taken(state: Onchain, height: int, *but: Matter) -> Onchain:
    for matter in list(state.matters.values()):
        if matter not in but and matter.purpose not in (Purpose.WATCH, Purpose.ANCHOR):
            state = took(state, matter, height)
    return state


def test_a_close_is_over_when_it_and_all_that_took_its_outputs_are_deep() -> None:
    papers, state = a_close("bob", RECEIVED, format=ANCHORS)
    taken = all_taken(state, FIRST + 5)
    assert not over(taken, at(papers, OVER - 1, FIRST + 5)) and over(taken, at(papers, OVER, FIRST + 5))
    assert not over(state, at(papers, 1000)) and not over(unspent(papers), at(papers, 1000))
    empty = Papers(Plan(STATIC))
    alone = closed(empty, "bob").but(ending=ending(empty, "bob").but(kind=Kind.UNKNOWN))
    only = took(alone, the(alone, Purpose.TO_REMOTE), FIRST - 9)
    assert not over(only, at(papers, OVER - 1)) and over(only, at(papers, OVER)), "what we only watch holds up nothing"


def test_an_anchor_that_nobody_takes_holds_up_nothing() -> None:
    papers = Papers(Plan(ANCHORS))
    state = closed(papers, "alice")
    assert the(state, Purpose.ANCHOR)
    assert over(all_taken(state, FIRST), at(papers, OVER))


def test_a_close_is_not_over_before_every_owner_has_been_told() -> None:
    papers, state = a_close("bob", OFFER)
    taken = all_taken(state, FIRST)
    assert not over(taken, at(papers, OVER))
    assert over(taken.but(failed=(key_of(papers, OFFER),)), at(papers, OVER))


def test_what_was_given_up_for_good_is_over_and_what_waits_for_the_end_of_a_spike_is_not() -> None:
    papers = Papers(Plan(STATIC))
    state = closed(papers, "bob")
    given_up = given_up_of(state, the(state, Purpose.TO_REMOTE))
    papers.feerates = papers.feerates.but(floor_per_kw=FeeratePerKw(250_000))
    least = the(state, Purpose.TO_REMOTE).amount_sat
    assert not over(given_up, at(papers, OVER)) and not over(given_up, at(papers, 100_000))
    at_our_floor(papers, 1000 * least)
    papers.policy = papers.policy.but(
        feerates=papers.policy.feerates.but(cap_per_kw=papers.policy.feerates.floor_per_kw)
    )
    assert not over(state, at(papers, OVER)) and not over(given_up, at(papers, OVER - 1))
    assert over(given_up, at(papers, OVER))
    [story] = done(resolve(given_up, at(papers, OVER)), Story)
    assert story.details == {"kind": Kind.REMOTE.value, "left_sat": least}


@pytest.mark.parametrize("which", ["alice", "bob"])
def test_a_received_htlc_that_we_can_claim_and_that_is_worth_nothing_is_over_after_its_expiry(which: str) -> None:
    papers, state = a_close(which, RECEIVED, format=ANCHORS)
    htlc = output_of(papers, state, RECEIVED)
    rest = all_taken(state, FIRST, htlc).but(preimages=(KnownPreimage(key_of(papers, RECEIVED), RECEIVED.preimage),))
    last = papers.expiry(RECEIVED) + OVER
    assert not over(given_up_of(rest, htlc), papers.env_at("alice", last + 1000)), "it may be worth its fee yet"
    at_our_floor(papers, 200_000)
    assert not over(given_up_of(rest, htlc), papers.env_at("alice", last - 1))
    assert over(given_up_of(rest, htlc), papers.env_at("alice", last))


@pytest.mark.parametrize("which", ["alice", "bob"])
def test_a_received_htlc_without_its_preimage_is_over_long_after_its_expiry(which: str) -> None:
    papers, state = a_close(which, RECEIVED)
    htlc = output_of(papers, state, RECEIVED)
    rest = all_taken(state, FIRST, htlc)
    last = papers.expiry(RECEIVED) + OVER
    assert not over(rest, papers.env_at("alice", last - 1)) and over(rest, papers.env_at("alice", last))
    known = rest.but(preimages=(KnownPreimage(key_of(papers, RECEIVED), RECEIVED.preimage),))
    assert not over(known, papers.env_at("alice", last + 1000)), "it is ours to take"


def test_the_end_is_told_to_the_channel_its_story_and_the_circuits_of_what_came_in() -> None:
    papers, state = a_close("bob", OFFER, RECEIVED)
    state = all_taken(state, FIRST).but(failed=(key_of(papers, OFFER),))
    step = resolve(state, at(papers, OVER))
    key = key_of(papers, RECEIVED)
    assert Tell(circuit_address(key), HtlcRemoved(key)) in step.actions and len(told(step, HtlcRemoved)) == 1
    [story] = done(step, Story)
    assert story.about == Address("channel", papers.channel_id) and story.details == {"kind": Kind.REMOTE.value}
    assert step.actions[-1] == Tell(Address("channel", papers.channel_id), ChannelResolved())
    assert step.state.resolved


def test_in_the_end_the_wallet_gets_back_what_it_lent_for_nothing() -> None:
    papers, state = a_close("alice", RECEIVED, format=ANCHORS)
    anchor, htlc = the(state, Purpose.ANCHOR), output_of(papers, state, RECEIVED)
    used, unused, own = a_claim(state, htlc, ref=b"used"), a_claim(state, anchor, ref=b"unused"), a_claim(state, anchor)
    state = all_taken(state, FIRST).but(claims=(used, unused, own))
    assert [event.ref for event in told(resolve(state, at(papers, OVER)), DetachFee)] == [b"unused"]


# -- what callers see -------------------------------------------------------------------------------------------------


def test_a_view_shows_money_and_how_far_it_has_come() -> None:
    papers, state = a_close("alice", OFFER, format=ANCHORS)
    balance, htlc = the(state, Purpose.TO_LOCAL), output_of(papers, state, OFFER)
    claim = a_claim(state, balance)
    state = took(state.but(claims=(claim,)), htlc, FIRST + 1, by=b"t" * 32, stage=SecondStage(0, Sat(49_000)))
    state = state.but(given_up=(GivenUp(the(state, Purpose.SECOND_STAGE).outpoint, "dear"),))
    shown = view(state)
    assert shown is not None and (shown.txid, shown.height) == (tx_of(papers, "alice").txid, FIRST)
    assert {one.what: (one.claimed_by, one.taken_by, one.given_up) for one in shown.outputs} == {
        "to_local": (claim.txid, None, False),
        "HTLC-timeout": (None, Txid(b"t" * 32), False),
        "second stage": (None, None, True),
    }
    for nothing in (state.but(resolved=True), unspent(papers), seen(papers, "bob")):
        assert view(nothing) is None


def test_a_cheat_without_an_owner_left_to_tell_is_over_when_all_is_taken() -> None:
    papers = Papers(Plan(STATIC, HTLCS))
    state = all_taken(closed(papers, "bob_last"), FIRST)
    keys = tuple(key_of(papers, planned) for planned in HTLCS if planned.by == "alice")
    assert over(state.but(failed=keys), at(papers, OVER))
