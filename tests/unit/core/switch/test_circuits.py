"""A circuit judges its HTLC once: forward, receive or fail, and whatever comes back goes upstream."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders.switch import (
    ALSO_TO_CAROL,
    BOB,
    CAROL,
    CAROL_KEY,
    FROM_ALICE,
    HASH,
    HEIGHT,
    INCOMING,
    OUTGOING,
    PREIMAGE,
    SCID,
    SESSION_KEY,
    TO_CAROL,
    a_link,
    an_htlc,
    bob,
    locked_in,
    onion_for_bob,
    onion_through_bob,
    told,
)

from fulmen.adapters.store import Codec
from fulmen.core.base.ids import ChannelId, HtlcKey, NodeId
from fulmen.core.base.machine import Address, Event, Keep, Step, Tell, Undelivered, fold
from fulmen.core.base.mount import NOTHING
from fulmen.core.base.outer import Linger, Lingered, Notify, TimeReached, WantTime
from fulmen.core.base.policy import ForwardPolicy, Policy, RelayPolicy
from fulmen.core.commitments.htlcs import (
    Failed,
    FailHtlc,
    FailMalformedHtlc,
    Fulfilled,
    FulfillHtlc,
    HtlcOffered,
    HtlcRemoved,
    OfferForgotten,
    OfferHtlc,
    OfferRefused,
    SeekOffer,
    circuit_address,
)
from fulmen.core.crypto.hashes import sha256
from fulmen.core.crypto.secp256k1 import ecdh
from fulmen.core.onion import failures as f
from fulmen.core.onion.errors import fail, unwrap
from fulmen.core.onion.failures import Failure, decode_failure, encode_failure
from fulmen.core.onion.payload import Payload, PaymentData, encode_payload
from fulmen.core.onion.sphinx import OnionHop, build_onion, peel
from fulmen.core.switch.arrivals import needs
from fulmen.core.switch.circuit import Circuit, CircuitFulfilled, CircuitOpened, Phase, ended, forget, initial, remains
from fulmen.core.switch.circuits import MOUNT, NotForACircuit, decide, wants
from fulmen.core.switch.offers import PATIENCE_S
from fulmen.core.switch.records import FAILED_BLOCKS, PAST, forward_row, live_row
from fulmen.core.switch.words import AcceptHtlc, HtlcArrived, RejectHtlc

FINAL = Payload(100_000, HEIGHT + 30, payment_data=PaymentData(b"s" * 32, 100_000), payment_metadata=b"m")
SENT = an_htlc(100_000, HEIGHT + 30)
FEE = 1_100
"""What Bob keeps of `an_htlc` for Carol."""


def a_circuit() -> Circuit:
    return initial(circuit_address(INCOMING).key)


def run(circuit: Circuit, *events: Event, env: Any = None) -> Step[Circuit]:
    """All events one after the other; the last one's step, on the state that all have made."""
    step = Step(circuit)
    for event in events:
        before = step.state
        step = decide(before, event, env or bob(a_link()))
        assert fold(before, step.facts) == step.state
        durable = [fact for fact in step.facts if not fact.passing]
        assert forget(step.state) == fold(forget(before), durable)
    return step


def opened(env: Any = None) -> Circuit:
    return run(a_circuit(), locked_in(onion_through_bob()), env=env).state


def failure_of(step: Step[Circuit], onion: Any) -> Failure:
    """What Alice reads in the failure that goes back to her."""
    (event,) = told(step)
    assert isinstance(event, FailHtlc)
    returned = unwrap(onion.shared_secrets, event.reason)
    assert returned is not None
    return decode_failure(returned.message)


def test_an_htlc_is_offered_to_the_next_peer_with_the_next_onion():
    onion = onion_through_bob()
    step = run(a_circuit(), locked_in(onion))
    (offer,) = told(step)
    assert isinstance(offer, OfferHtlc)
    assert (offer.amount_msat, offer.cltv_expiry, offer.payment_hash) == (100_000, HEIGHT + 30, HASH)
    assert offer.owner == circuit_address(INCOMING)
    assert peel(offer.onion, onion.shared_secrets[1], HASH).next_packet is None
    assert isinstance(step.facts[0], CircuitOpened)
    assert [action.to.key for action in step.actions if isinstance(action, Tell)] == [TO_CAROL]


def test_the_opened_circuit_stands_in_one_durable_fact():
    step = run(a_circuit(), locked_in(onion_through_bob()))
    assert [type(fact) for fact in step.facts if not fact.passing] == [CircuitOpened]


def test_a_circuit_told_again_does_not_offer_again():
    step = run(opened(), locked_in(onion_through_bob()))
    assert not step.actions and not step.facts


def test_after_a_crash_the_same_offer_is_made_again():
    before = run(a_circuit(), locked_in(onion_through_bob()))
    after = run(forget(before.state), locked_in(onion_through_bob()))
    assert told(after) == told(before)


def test_a_preimage_is_claimed_upstream_in_the_same_step():
    step = run(opened(), HtlcOffered(0, OUTGOING), Fulfilled(0, OUTGOING, PREIMAGE))
    assert step.facts == [CircuitFulfilled(an_htlc(), PREIMAGE, OUTGOING, step.state.resolved_at)]
    assert told(step) == [FulfillHtlc(INCOMING, PREIMAGE, FEE)]
    assert step.state.phase is Phase.FULFILLED


def test_a_preimage_is_claimed_even_by_a_circuit_that_waits_to_offer_again():
    step = run(opened(), OfferForgotten(0, TO_CAROL), Fulfilled(0, OUTGOING, PREIMAGE))
    assert told(step) == [FulfillHtlc(INCOMING, PREIMAGE, FEE)]


def test_a_claim_is_told_again_until_it_is_gone():
    settled = run(opened(), Fulfilled(0, OUTGOING, PREIMAGE)).state
    assert told(run(settled, locked_in(onion_through_bob()))) == [FulfillHtlc(INCOMING, PREIMAGE, FEE)]
    assert not ended(settled)
    gone = run(settled, HtlcRemoved(INCOMING)).state
    assert ended(gone)
    assert not run(gone, locked_in(onion_through_bob()), HtlcRemoved(INCOMING)).actions


def test_a_known_preimage_is_never_followed_by_a_failure():
    settled = run(opened(), Fulfilled(0, OUTGOING, PREIMAGE)).state
    step = run(settled, Failed(0, OUTGOING, b"reason"), OfferRefused(0, TO_CAROL, "x"), OfferForgotten(0, TO_CAROL))
    assert not step.actions and step.state == settled


def test_a_wrong_preimage_is_our_own_bug():
    with pytest.raises(Exception, match="preimage") as caught:
        run(opened(), Fulfilled(0, OUTGOING, b"x" * 32))
    assert type(caught.value).__name__ == "InvariantBroken"


def test_a_failure_gets_our_layer_on_its_way_back():
    onion = onion_through_bob()
    reason = fail(onion.shared_secrets[1], encode_failure(f.MppTimeout()))
    step = run(opened(), Failed(0, OUTGOING, reason))
    (event,) = told(step)
    assert isinstance(event, FailHtlc)
    returned = unwrap(onion.shared_secrets, event.reason)
    assert returned is not None and returned.hop == 1
    assert decode_failure(returned.message) == f.MppTimeout()
    again = run(step.state, locked_in(onion))
    assert told(again) == [event]


def test_a_malformed_htlc_becomes_our_failure_that_says_so():
    step = run(opened(), Failed(0, OUTGOING, failure_code=0xC005, sha256_of_onion=b"h" * 32))
    assert failure_of(step, onion_through_bob()) == f.InvalidOnionHmac(b"h" * 32)


def test_an_htlc_that_the_chain_took_fails_for_good():
    step = run(opened(), Failed(0, OUTGOING, on_chain=True))
    assert failure_of(step, onion_through_bob()) == f.PermanentChannelFailure()


def test_a_giant_failure_is_replaced_by_ours():
    step = run(opened(), Failed(0, OUTGOING, bytes(40_000)))
    assert failure_of(step, onion_through_bob()) == f.TemporaryChannelFailure()


def test_a_preimage_after_a_failure_is_claimed_if_it_can_be_and_told_as_a_loss():
    failed = run(opened(), Failed(0, OUTGOING, b"r" * 292)).state
    step = run(failed, Fulfilled(0, OUTGOING, PREIMAGE))
    assert told(step) == [FulfillHtlc(INCOMING, PREIMAGE)]
    assert [action.topic for action in step.actions if isinstance(action, Notify)] == ["loss"]
    assert step.state.lost
    row = live_row(step.state)
    assert row is not None and row.status == "lost"
    assert told(run(step.state, locked_in(onion_through_bob()))) == [FulfillHtlc(INCOMING, PREIMAGE)]


def test_a_circuit_whose_incoming_htlc_is_gone_waits_for_the_outgoing_one():
    waiting = run(opened(), HtlcRemoved(INCOMING)).state
    assert not ended(waiting)
    lost = run(waiting, Fulfilled(0, OUTGOING, PREIMAGE))
    assert lost.state.lost and ended(lost.state)
    assert ended(run(waiting, Failed(0, OUTGOING, b"r" * 292)).state)


def test_a_node_that_dies_before_it_has_offered_asks_once_upstream_is_gone_and_ends_the_circuit():
    """The peer upstream never came back, but closed on the chain: nobody else would wake this circuit any more."""
    dead = forget(opened())
    assert wants(dead) == ()
    loose = forget(run(dead, HtlcRemoved(INCOMING)).state)
    assert wants(loose) == (WantTime(loose.opened_at),)
    asks = run(loose, TimeReached(loose.opened_at))
    assert told(asks) == [SeekOffer(circuit_address(INCOMING), 0)]
    assert [action.to.key for action in asks.actions if isinstance(action, Tell)] == [TO_CAROL]
    over = run(loose, OfferForgotten(0, TO_CAROL))
    assert ended(over.state) and over.state.phase is Phase.FAILED
    row = live_row(over.state)
    assert row is not None and row.status == "failed"
    assert wants(over.state) == ()


def test_a_circuit_whose_offer_is_on_its_way_though_upstream_is_gone_waits_for_the_channel_to_tell():
    loose = forget(run(opened(), HtlcRemoved(INCOMING)).state)
    waiting = run(loose, HtlcOffered(0, OUTGOING)).state
    assert wants(waiting) == () and not ended(waiting)
    assert run(waiting, Fulfilled(0, OUTGOING, PREIMAGE)).state.lost
    assert wants(forget(waiting)) == wants(loose)


def test_an_answer_that_comes_once_more_keeps_no_circuit_from_offering_again():
    waits = run(opened(), OfferForgotten(0, TO_CAROL)).state
    assert run(waits, HtlcOffered(0, OUTGOING)).state == waits


def test_a_channel_that_cannot_say_whether_it_has_an_offer_is_asked_again_in_a_while():
    env = bob(a_link())
    loose = forget(run(opened(), HtlcRemoved(INCOMING)).state)
    (tell,) = [one for one in run(loose, TimeReached(env.wall)).actions if isinstance(one, Tell)]
    waits = run(loose, Undelivered(tell, None), env=env)
    assert not waits.actions
    assert wants(waits.state) == (WantTime(env.wall + PATIENCE_S),)
    assert told(run(waits.state, TimeReached(env.wall + PATIENCE_S))) == [tell.event]


@pytest.mark.parametrize("comes", [OfferForgotten(0, TO_CAROL), OfferRefused(0, TO_CAROL, "ChannelOffline")])
def test_nothing_is_offered_any_more_once_upstream_is_gone(comes):
    env = bob(a_link(), a_link(ALSO_TO_CAROL, scid=5))
    over = run(opened(env), HtlcRemoved(INCOMING), comes, env=env)
    assert ended(over.state)
    assert not [event for event in told(over) if isinstance(event, OfferHtlc)]
    delayed = bob(a_link(), policy=Policy(relay=RelayPolicy(max_delay_ms=500)))
    gone = run(opened(delayed), HtlcRemoved(INCOMING), env=delayed).state
    assert not run(gone, Lingered(), env=delayed).actions


def test_a_forward_that_is_over_leaves_one_short_row():
    fulfilled = run(opened(), Fulfilled(0, OUTGOING, PREIMAGE)).state
    over = run(fulfilled, HtlcRemoved(INCOMING))
    (keep,) = [action for action in over.actions if isinstance(action, Keep)]
    assert ended(over.state)
    assert remains(over.state) == NOTHING
    assert (keep.at, keep.until) == (Address(PAST, circuit_address(INCOMING).key), None)
    assert forward_row(keep.at.key, keep.row) == live_row(over.state)
    assert len(Codec().pack(keep.row)) < 120


def test_a_forward_that_failed_is_shown_for_a_day():
    failed = run(opened(), Failed(0, OUTGOING, b"r" * 292)).state
    over = run(failed, HtlcRemoved(INCOMING))
    (keep,) = [action for action in over.actions if isinstance(action, Keep)]
    assert keep.until == HEIGHT + FAILED_BLOCKS
    assert remains(over.state) == NOTHING
    row = forward_row(keep.at.key, keep.row)
    assert row == live_row(over.state)
    assert row is not None and row.status == "failed"


def test_an_htlc_that_did_not_go_out_leaves_nothing():
    for packet in (onion_through_bob(scid=999), onion_for_bob(FINAL)):
        judged = run(a_circuit(), locked_in(packet))
        over = run(judged.state, HtlcRemoved(INCOMING))
        assert ended(over.state)
        assert not over.actions
        assert remains(over.state) == NOTHING


def test_what_the_chain_had_for_dead_is_known_for_a_while_and_a_late_preimage_is_a_loss():
    dead = run(opened(), Failed(0, OUTGOING, on_chain=True)).state
    over = run(dead, HtlcRemoved(INCOMING)).state
    left = remains(over)
    assert left.until is not None and left.until > an_htlc().cltv_expiry + 1000
    assert left.state.verdict.reason == b""
    late = run(left.state, Fulfilled(0, OUTGOING, PREIMAGE))
    assert late.state.lost
    (keep,) = [action for action in late.actions if isinstance(action, Keep)]
    assert (keep.row.status, keep.until) == ("lost", None)
    assert remains(late.state) == NOTHING


@pytest.mark.parametrize(
    "late",
    [
        Fulfilled(0, OUTGOING, PREIMAGE),
        Failed(0, OUTGOING, b"r" * 292),
        HtlcRemoved(INCOMING),
        HtlcOffered(0, OUTGOING),
        OfferRefused(0, TO_CAROL, "TooManyHtlcs"),
        OfferForgotten(0, TO_CAROL),
        AcceptHtlc(INCOMING, PREIMAGE),
        RejectHtlc(INCOMING, b""),
    ],
)
def test_what_is_said_twice_to_a_circuit_that_left_nothing_changes_nothing(late):
    step = run(a_circuit(), late)
    assert not step.facts
    assert not step.actions


def test_a_refused_offer_goes_to_another_channel_of_the_same_peer():
    env = bob(a_link(), a_link(ALSO_TO_CAROL, scid=5))
    step = run(opened(env), OfferRefused(0, TO_CAROL, "InsufficientBalance"), env=env)
    (offer,) = told(step)
    assert isinstance(offer, OfferHtlc) and offer.ref == 1
    assert step.state.forward is not None and step.state.forward.channel_id == ALSO_TO_CAROL
    refused = run(step.state, OfferRefused(1, ALSO_TO_CAROL, "TooManyHtlcs"), env=env)
    assert failure_of(refused, onion_through_bob()) == f.TemporaryChannelFailure()


def test_a_tighter_channel_of_the_same_peer_serves_when_the_named_one_is_empty():
    env = bob(
        a_link(spendable_msat=1000),
        a_link(ChannelId(b"e" * 32), scid=6),
        a_link(ALSO_TO_CAROL, scid=5, spendable_msat=200_000),
    )
    step = run(a_circuit(), locked_in(onion_through_bob()), env=env)
    assert step.state.forward is not None and step.state.forward.channel_id == ALSO_TO_CAROL


def test_a_refusal_of_an_older_offer_changes_nothing():
    env = bob(a_link(), a_link(ALSO_TO_CAROL, scid=5))
    circuit = run(opened(env), OfferRefused(0, TO_CAROL, "x"), env=env).state
    step = run(circuit, OfferRefused(0, TO_CAROL, "x"), Failed(0, OUTGOING, b"r"), OfferForgotten(0, TO_CAROL), env=env)
    assert not step.actions and step.state == circuit


def test_a_forgotten_offer_is_made_again_until_patience_ends():
    start = bob(a_link())
    waiting = run(opened(start), OfferForgotten(0, TO_CAROL), env=start).state
    assert wants(waiting) == (WantTime(start.wall + 1),)
    early = run(waiting, TimeReached(start.wall), env=start)
    assert not early.actions
    later = bob(a_link(), wall=start.wall + 1)
    again = run(waiting, TimeReached(later.wall), env=later)
    assert [type(event) for event in told(again)] == [OfferHtlc]
    refused = run(again.state, OfferRefused(0, TO_CAROL, "ChannelOffline"), env=later)
    assert wants(refused.state) == (WantTime(later.wall + 1),)
    end = bob(a_link(), wall=start.wall + PATIENCE_S)
    last = run(run(refused.state, TimeReached(end.wall), env=end).state, OfferRefused(0, TO_CAROL, "x"), env=end)
    assert failure_of(last, onion_through_bob()) == f.TemporaryChannelFailure()
    assert wants(last.state) == ()


def test_a_forgotten_offer_whose_expiry_is_near_fails():
    env = bob(a_link(), height=HEIGHT + 25)
    step = run(opened(), OfferForgotten(0, TO_CAROL), env=env)
    assert failure_of(step, onion_through_bob()) == f.TemporaryChannelFailure()


def test_an_offer_to_a_frozen_channel_is_a_refused_one():
    before = run(a_circuit(), locked_in(onion_through_bob()))
    (tell,) = [action for action in before.actions if isinstance(action, Tell)]
    step = run(before.state, Undelivered(tell, None))
    assert failure_of(step, onion_through_bob()) == f.TemporaryChannelFailure()


def test_after_a_crash_a_frozen_channel_may_hold_the_offer_so_nothing_is_failed():
    after = run(forget(opened()), locked_in(onion_through_bob()))
    (tell,) = [action for action in after.actions if isinstance(action, Tell)]
    step = run(after.state, Undelivered(tell, None))
    assert not step.actions
    assert wants(step.state) == (WantTime(1_700_000_000 + PATIENCE_S),)


def failed_with(onion: Any = None, env: Any = None, htlc: Any = None, **changes: Any) -> Failure:
    onion = onion or onion_through_bob()
    return failure_of(run(a_circuit(), locked_in(onion, htlc, **changes), env=env), onion)


def test_a_frozen_channel_that_surely_has_no_offer_is_not_waited_for_longer_than_one_that_is_away():
    """It says so itself; until the HTLC's expiry the peer upstream would wait in vain, and close then."""
    after = run(forget(opened()), locked_in(onion_through_bob())).state
    waits = run(after, OfferRefused(0, TO_CAROL, "ChannelFrozen")).state
    assert waits.retry_at
    later = bob(a_link(usable=False), wall=1_700_000_000 + PATIENCE_S)
    offers = run(waits, TimeReached(later.wall), env=later).state
    over = run(offers, OfferRefused(0, TO_CAROL, "ChannelFrozen"), env=later)
    assert failure_of(over, onion_through_bob()) == f.TemporaryChannelFailure()


def test_a_channel_that_we_do_not_have_is_an_unknown_next_peer():
    assert failed_with(env=bob()) == f.UnknownNextPeer()
    assert failed_with(onion_through_bob(scid=99)) == f.UnknownNextPeer()


def test_an_alias_names_a_channel_and_the_real_scid_may_not():
    link = a_link(local_alias=77, scid_alias_only=True)
    assert failed_with(env=bob(link)) == f.UnknownNextPeer()
    step = run(a_circuit(), locked_in(onion_through_bob(scid=77)), env=bob(link))
    assert [type(event) for event in told(step)] == [OfferHtlc]


def test_an_amount_below_the_minimum_of_policy_or_peer():
    policy = ForwardPolicy(htlc_minimum_msat=100_001)
    assert failed_with(env=bob(a_link(forward=policy))) == f.AmountBelowMinimum(100_000)
    assert failed_with(env=bob(a_link(htlc_minimum_msat=100_001))) == f.AmountBelowMinimum(100_000)


def test_a_fee_that_is_one_msat_short():
    assert failed_with(htlc=an_htlc(100_999)) == f.FeeInsufficient(100_999)
    step = run(a_circuit(), locked_in(onion_through_bob(), an_htlc(101_000)))
    assert [type(event) for event in told(step)] == [OfferHtlc]


def test_an_incoming_amount_below_the_outgoing_one():
    assert failed_with(htlc=an_htlc(99_999)) == f.FeeInsufficient(99_999)


def test_an_expiry_delta_that_is_one_block_short():
    assert failed_with(htlc=an_htlc(cltv_expiry=HEIGHT + 109)) == f.IncorrectCltvExpiry(HEIGHT + 30)


def test_an_expiry_too_near_and_one_too_far():
    assert failed_with(onion_through_bob(cltv_expiry=HEIGHT + 6)) == f.ExpiryTooSoon()
    assert failed_with(htlc=an_htlc(cltv_expiry=HEIGHT + 2017)) == f.ExpiryTooFar()


def delaying(*links: Any, **changes: Any) -> Any:
    return bob(*(links or (a_link(),)), policy=Policy(relay=RelayPolicy(max_delay_ms=200)), **changes)


def test_a_forward_waits_for_a_moment_that_the_shell_draws():
    step = run(a_circuit(), locked_in(onion_through_bob()), env=delaying())
    assert isinstance(step.facts[0], CircuitOpened)
    assert told(step) == [] and Linger(circuit_address(INCOMING), 200) in step.actions
    after = run(step.state, Lingered(), env=delaying())
    assert [type(event) for event in told(after)] == [OfferHtlc]
    assert not run(after.state, Lingered(), env=delaying()).actions, "once is enough"


def test_without_a_delay_a_forward_goes_at_once():
    for policy in (Policy(), Policy(relay=RelayPolicy(max_delay_ms=0))):
        step = run(a_circuit(), locked_in(onion_through_bob()), env=bob(a_link(), policy=policy))
        assert [type(event) for event in told(step)] == [OfferHtlc]


def test_an_htlc_that_is_told_again_while_it_waits_goes_on_once():
    """After a reconnection, or a crash, with which the moment ended."""
    waiting = run(a_circuit(), locked_in(onion_through_bob()), env=delaying()).state
    for circuit in (waiting, forget(waiting)):
        again = run(circuit, locked_in(onion_through_bob()), env=delaying())
        assert [type(event) for event in told(again)] == [OfferHtlc]
        assert not run(again.state, Lingered(), env=delaying()).actions


def test_a_moment_that_ends_after_all_else_changes_nothing():
    circuit = run(opened(), Failed(0, OUTGOING, b"r")).state
    assert not run(circuit, Lingered()).actions
    assert not run(a_circuit(), Lingered()).actions
    waits = run(opened(), OfferForgotten(0, TO_CAROL)).state
    assert waits.retry_at and not run(waits, Lingered()).actions


def test_a_channel_that_is_gone_when_the_moment_ends_fails_the_htlc():
    waiting = run(a_circuit(), locked_in(onion_through_bob()), env=delaying()).state
    step = run(waiting, Lingered(), OfferRefused(0, TO_CAROL, "ChannelClosing"), env=delaying(a_link(usable=False)))
    assert failure_of(step, onion_through_bob()) == f.TemporaryChannelFailure()


def test_a_disabled_channel_an_offline_one_and_one_without_balance():
    assert failed_with(env=bob(a_link(disabled=True))) == f.ChannelDisabled()
    assert failed_with(env=bob(a_link(usable=False))) == f.TemporaryChannelFailure()
    assert failed_with(env=bob(a_link(spendable_msat=99_999))) == f.TemporaryChannelFailure()
    policy = ForwardPolicy(htlc_maximum_msat=99_999)
    assert failed_with(env=bob(a_link(forward=policy))) == f.TemporaryChannelFailure()


def test_no_policy_takes_fewer_blocks_than_our_own_deadlines_on_the_chain_reckon_with():
    """Else what went out is fetched back, at a fee that rises, up to a height at which upstream has timed out."""
    hasty = a_link(forward=ForwardPolicy(cltv_expiry_delta=40))
    assert failed_with(onion_through_bob(cltv_expiry=HEIGHT + 31), env=bob(hasty)) == f.IncorrectCltvExpiry(HEIGHT + 31)
    policy = bob().policy
    short = policy.but(deadlines=policy.deadlines.but(cltv_expiry_delta=40))
    step = run(a_circuit(), locked_in(onion_through_bob(cltv_expiry=HEIGHT + 31)), env=bob(hasty, policy=short))
    assert [type(event) for event in told(step)] == [OfferHtlc]


def test_the_old_policy_is_good_for_ten_minutes():
    dear = ForwardPolicy(fee_base_msat=5000)
    env = bob(a_link(forward=dear, previous_forward=ForwardPolicy(), previous_forward_until=1_700_000_600))
    step = run(a_circuit(), locked_in(onion_through_bob()), env=env)
    assert [type(event) for event in told(step)] == [OfferHtlc]
    later = bob(
        a_link(forward=dear, previous_forward=ForwardPolicy(), previous_forward_until=1_700_000_600), wall=1_700_000_600
    )
    assert failed_with(env=later) == f.FeeInsufficient(101_100)


def test_an_htlc_beyond_the_dust_exposure_fails_whatever_it_is_for():
    assert failed_with(over_dust_exposure=True) == f.TemporaryChannelFailure()


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda packet: b"\x01" + packet[1:], 0xC004),
        (lambda packet: packet[:-1] + bytes([packet[-1] ^ 1]), 0xC005),
        (lambda packet: packet[:1] + b"\x05" + packet[2:], 0xC006),
        (lambda packet: b"", 0xC004),
    ],
)
def test_an_onion_that_nobody_can_read_is_malformed(spoil, code):
    packet = spoil(onion_through_bob().packet)
    step = run(a_circuit(), locked_in(packet))
    assert told(step) == [FailMalformedHtlc(INCOMING, sha256(packet), code)]
    assert told(run(step.state, locked_in(packet))) == told(step)


def test_an_onion_that_came_in_another_htlc_is_a_replay():
    onion = onion_through_bob()
    other = HtlcKey(FROM_ALICE, INCOMING.direction, 6)
    (at,) = needs(locked_in(onion).event)
    first = run(a_circuit(), locked_in(onion))
    (keep,) = [action for action in first.actions if isinstance(action, Keep)]
    assert keep.at == at
    replayed = run(initial(circuit_address(other).key), locked_in(onion, an_htlc(key=other), seen=keep.row))
    assert told(replayed) == [FailMalformedHtlc(other, sha256(onion.packet), 0xC005)]
    same = run(a_circuit(), locked_in(onion, seen=keep.row))
    assert told(same) == told(first)


@pytest.mark.parametrize(
    ("cltv_expiry", "onion", "until"),
    [
        (HEIGHT + 110, onion_through_bob(), HEIGHT + 110),
        (HEIGHT + 1, onion_through_bob(cltv_expiry=HEIGHT + 300), HEIGHT + 300),
        (400_000_000, onion_through_bob(), HEIGHT + 2016),
        (HEIGHT + 110, onion_through_bob(cltv_expiry=400_000_000), HEIGHT + 2016),
    ],
)
def test_an_onion_is_known_until_what_it_asks_for_has_expired(cltv_expiry, onion, until):
    step = run(a_circuit(), locked_in(onion, an_htlc(cltv_expiry=cltv_expiry)))
    (keep,) = [action for action in step.actions if isinstance(action, Keep)]
    assert keep.until == until


def test_the_row_of_an_onion_is_short():
    onion = onion_through_bob()
    (keep,) = [action for action in run(a_circuit(), locked_in(onion)).actions if isinstance(action, Keep)]
    assert len(keep.at.key) + len(Codec().pack(keep.row)) < 40


def test_payloads_that_lack_what_a_forwarder_needs():
    assert failed_with(onion_through_bob(to_bob=Payload(1, 1))) == f.InvalidOnionPayload(6, 0)
    assert failed_with(onion_through_bob(to_bob=Payload(1, None, SCID))) == f.InvalidOnionPayload(4, 0)
    assert failed_with(onion_through_bob(to_bob=Payload(unknown=((100, b""),)))) == f.InvalidOnionPayload(100, 2)


def test_a_blinded_route_is_not_relayed():
    onion = onion_through_bob(to_bob=Payload(encrypted_recipient_data=b"x", current_path_key=NodeId(b"\x02" * 33)))
    assert failed_with(onion) == f.InvalidOnionBlinding(sha256(onion.packet))
    step = run(a_circuit(), locked_in(onion, path_key=b"\x02" * 33))
    assert told(step) == [FailMalformedHtlc(INCOMING, sha256(onion.packet), 0xC018)]


def test_an_htlc_that_ends_here_asks_its_invoice():
    step = run(a_circuit(), locked_in(onion_for_bob(FINAL), SENT))
    assert told(step) == [HtlcArrived(INCOMING, HASH, 100_000, HEIGHT + 30, 100_000, 100_000, b"s" * 32, b"m")]
    assert told(run(step.state, locked_in(onion_for_bob(FINAL), SENT))) == told(step)
    assert forget(step.state) == a_circuit()


def test_without_payment_data_the_total_is_what_the_onion_says():
    bare = Payload(100_000, HEIGHT + 30)
    (arrived,) = told(run(a_circuit(), locked_in(onion_for_bob(bare), SENT)))
    assert isinstance(arrived, HtlcArrived)
    assert (arrived.total_msat, arrived.payment_secret) == (100_000, None)


def test_an_accepted_htlc_is_claimed():
    waiting = run(a_circuit(), locked_in(onion_for_bob(FINAL), SENT)).state
    step = run(waiting, AcceptHtlc(INCOMING, PREIMAGE))
    assert told(step) == [FulfillHtlc(INCOMING, PREIMAGE)]
    assert fold(a_circuit(), [fact for fact in step.facts if not fact.passing]) == step.state
    assert live_row(step.state) is None


def test_a_rejected_htlc_is_failed_with_the_invoices_words():
    onion = onion_for_bob(FINAL)
    waiting = run(a_circuit(), locked_in(onion, SENT)).state
    failure = f.IncorrectOrUnknownPaymentDetails(100_000, HEIGHT)
    step = run(waiting, RejectHtlc(INCOMING, encode_failure(failure)))
    assert failure_of(step, onion) == failure
    assert not run(step.state, AcceptHtlc(INCOMING, PREIMAGE)).actions


def test_an_invoice_that_cannot_be_asked_fails_the_htlc_for_now():
    onion = onion_for_bob(FINAL)
    before = run(a_circuit(), locked_in(onion, SENT))
    (tell,) = [action for action in before.actions if isinstance(action, Tell)]
    assert failure_of(run(before.state, Undelivered(tell, None)), onion) == f.TemporaryNodeFailure()


def test_an_htlc_that_differs_from_its_onion():
    onion = onion_for_bob(FINAL)
    assert failed_with(onion, htlc=an_htlc(99_999, HEIGHT + 30)) == f.FinalIncorrectHtlcAmount(99_999)
    assert failed_with(onion, htlc=an_htlc(100_000, HEIGHT + 29)) == f.FinalIncorrectCltvExpiry(HEIGHT + 29)


def test_a_final_expiry_beyond_all_reason():
    failure = failed_with(onion_for_bob(FINAL), htlc=an_htlc(100_000, HEIGHT + 2017))
    assert failure == f.IncorrectOrUnknownPaymentDetails(100_000, HEIGHT)


def test_a_circuit_refuses_what_is_not_its_business():
    with pytest.raises(NotForACircuit):
        decide(a_circuit(), OfferHtlc(circuit_address(INCOMING), 0, 1, HASH, 1, b""), bob())


def test_events_for_a_circuit_that_knows_nothing_leave_no_trace():
    events: list[Event] = [
        Fulfilled(0, OUTGOING, PREIMAGE),
        Failed(0, OUTGOING, b"r"),
        HtlcRemoved(INCOMING),
        OfferForgotten(0, TO_CAROL),
        OfferRefused(0, TO_CAROL, "x"),
        AcceptHtlc(INCOMING, PREIMAGE),
        RejectHtlc(INCOMING, b""),
        TimeReached(0),
    ]
    for event in events:
        step = run(a_circuit(), event)
        assert not step.facts and not step.actions


def test_a_frozen_circuit_still_takes_preimages():
    assert MOUNT.takes_frozen(a_circuit(), Fulfilled(0, OUTGOING, PREIMAGE))
    assert not MOUNT.takes_frozen(a_circuit(), OfferForgotten(0, TO_CAROL))


@settings(deadline=None)
@given(st.binary(max_size=1400) | st.binary(min_size=1366, max_size=1366))
def test_any_bytes_for_an_onion_are_given_back_as_malformed(packet):
    (event,) = told(run(a_circuit(), locked_in(packet)))
    assert isinstance(event, FailMalformedHtlc) and event.sha256_of_onion == sha256(packet)


u64 = st.integers(0, (1 << 64) - 1)
any_payload = st.builds(
    Payload,
    st.none() | u64 | st.just(100_000),
    st.none() | st.integers(0, (1 << 32) - 1) | st.just(HEIGHT + 30),
    st.none() | u64 | st.just(SCID),
    st.none() | st.builds(PaymentData, st.binary(min_size=32, max_size=32), u64),
    st.none() | st.binary(max_size=5),
    st.none() | st.just(b"\x02" * 33),
).map(encode_payload)


@settings(deadline=None)
@given(any_payload | st.binary(max_size=200), st.booleans(), u64, st.integers(0, 500_000_000))
def test_any_payload_is_offered_received_or_given_back(payload, final, amount_msat, cltv_expiry):
    hops = [OnionHop(BOB, payload)] if final else [OnionHop(BOB, payload), OnionHop(CAROL, b"xx")]
    onion = build_onion(SESSION_KEY, hops, HASH)
    (event,) = told(run(a_circuit(), locked_in(onion, an_htlc(amount_msat, cltv_expiry))))
    assert isinstance(event, FailHtlc | (HtlcArrived if final else OfferHtlc))


def test_the_next_node_reads_what_alice_wrote_for_it():
    onion = onion_through_bob()
    (offer,) = told(run(a_circuit(), locked_in(onion)))
    carol = bob(ecdh=lambda point: ecdh(CAROL_KEY, point))
    final = run(a_circuit(), locked_in(offer.onion, SENT), env=carol)
    assert [type(event) for event in told(final)] == [HtlcArrived]
