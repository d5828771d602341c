"""What a peer may propose, and what it may not (B2-38 … B2-43)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders.channels import CAPACITY_SAT, CHANNEL_ID, preimage_of
from tests.builders.normal_channels import ALICE, BOB, a_normal_channel

from fulmen.core.base.env import Env
from fulmen.core.base.faults import Remedy
from fulmen.core.base.ids import OFFERED as WE_OFFERED
from fulmen.core.base.ids import RECEIVED, HtlcKey, PaymentHash, Preimage
from fulmen.core.base.machine import Address, Step, Tell, evolve
from fulmen.core.base.outer import Send
from fulmen.core.base.peers import MessageReceived
from fulmen.core.base.policy import CommitmentPolicy, Policy
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Msat, Sat, to_msat
from fulmen.core.channel import faults
from fulmen.core.channel.facts import LocalProposed, PreimageHeld, PreimageLearned, RemoteProposed, ShutdownReceived
from fulmen.core.channel.limits import (
    most_htlcs,
    opener_cost_msat,
    over_fee_bound,
    receivable_msat,
    spendable_msat,
    why_not_offer,
)
from fulmen.core.channel.state import Channel, Link, Phase
from fulmen.core.channel.table import decide
from fulmen.core.channel.updates import MAX_FEE_CHANGES, FeeratesChanged, follow_feerate, locked_in
from fulmen.core.commitments.commitment import including_remote
from fulmen.core.commitments.htlcs import (
    FailHtlc,
    FailMalformedHtlc,
    Fulfilled,
    FulfillHtlc,
    HtlcOffered,
    OfferHtlc,
    OfferRefused,
)
from fulmen.core.crypto.hashes import sha256
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC, STATIC_REMOTEKEY
from fulmen.core.wire.messages.updates import (
    UpdateAddHtlc,
    UpdateFailHtlc,
    UpdateFailMalformedHtlc,
    UpdateFee,
    UpdateFulfillHtlc,
)

OWNER = Address("payer", b"p")


def an_add(id: int = 0, amount_msat: int = 1_000_000, cltv_expiry: int = 500, **changes: Any) -> UpdateAddHtlc:
    return UpdateAddHtlc(
        CHANNEL_ID,
        id,
        Msat(amount_msat),
        PaymentHash(sha256(preimage_of(id))),
        BlockHeight(cltv_expiry),
        bytes(1366),
        **changes,
    )


def an_offer(amount_msat: int, ref: int = 0) -> OfferHtlc:
    return OfferHtlc(
        OWNER, ref, Msat(amount_msat), PaymentHash(sha256(preimage_of(ref))), BlockHeight(500), bytes(1366)
    )


def heard(channel: Channel, message: Any, env: Any = BOB) -> Step[Channel]:
    return decide(channel, MessageReceived(message), env)


def refused(channel: Channel, offer: OfferHtlc, env: Any = ALICE) -> str:
    (action,) = decide(channel, offer, env).actions
    assert isinstance(action, Tell) and isinstance(action.event, OfferRefused)
    return action.event.why


def test_an_offer_that_expires_at_once_is_refused_unless_it_is_known() -> None:
    channel, offer = a_normal_channel("alice"), an_offer(1_000_000)
    late = ALICE.height + ALICE.policy.deadlines.offered_grace
    assert refused(channel, offer.but(cltv_expiry=BlockHeight(late))) == "ExpiryTooSoon"
    offered = decide(channel, offer.but(cltv_expiry=BlockHeight(late + 1)), ALICE).state
    (told,) = decide(offered, offer.but(cltv_expiry=BlockHeight(1)), ALICE).actions
    assert isinstance(told, Tell) and isinstance(told.event, HtlcOffered)


def test_an_add_of_the_peer_passes_until_a_commitment_holds_it() -> None:
    step = heard(a_normal_channel("bob"), an_add())
    (fact,) = step.facts
    assert isinstance(fact, RemoteProposed) and fact.passing
    assert not step.actions
    assert step.state.local_pending.totals.received_msat == 1_000_000
    assert step.state.local.totals.received_msat == 0


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        (an_add(id=1), faults.HtlcIdOutOfOrder),
        (an_add(amount_msat=0), faults.AmountBelowMinimum),
        (an_add(cltv_expiry=500_000_000), faults.ExpiryNotAHeight),
        (an_add(amount_msat=600_000_000), faults.CannotAfford),
        (UpdateFulfillHtlc(CHANNEL_ID, 0, preimage_of(0)), faults.HtlcUnknown),
        (UpdateFailHtlc(CHANNEL_ID, 5, b""), faults.HtlcUnknown),
        (UpdateFailMalformedHtlc(CHANNEL_ID, 5, bytes(32), 0x8004), faults.HtlcUnknown),
        (UpdateFee(CHANNEL_ID, FeeratePerKw(252)), faults.FeerateOutOfRange),
        (UpdateFee(CHANNEL_ID, FeeratePerKw(25_001)), faults.FeerateOutOfRange),
    ],
)
def test_what_breaks_a_rule_is_refused_by_its_name(message: Any, fault: type[faults.ChannelFault]) -> None:
    with pytest.raises(fault) as caught:
        heard(a_normal_channel("bob"), message)
    assert caught.value.bolt == 2 and caught.value.rule
    assert caught.value.remedy in (Remedy.FAIL_CHANNEL, Remedy.WARN_AND_CLOSE)


def test_only_the_opener_may_change_the_feerate() -> None:
    with pytest.raises(faults.NotTheFeePayer):
        heard(a_normal_channel("alice"), UpdateFee(CHANNEL_ID, FeeratePerKw(2000)), ALICE)


def test_a_feerate_that_the_opener_cannot_pay_is_refused() -> None:
    channel = a_normal_channel("bob")
    poor = channel.local_pending.totals.but(remote_msat=Msat(1_000_000), local_msat=Msat(999_000_000))
    channel = channel.but(local_pending=channel.local_pending.but(totals=poor))
    with pytest.raises(faults.CannotAfford):
        heard(channel, UpdateFee(CHANNEL_ID, FeeratePerKw(20_000)))


LEGACY = STATIC_REMOTEKEY.name


def with_htlcs(channel: Channel, count: int, env: Any = BOB) -> Channel:
    """With so many HTLCs offered by the peer that have an output."""
    for id in range(count):
        channel = heard(channel, an_add(id), env).state
    return channel


def bounded(env: Any, share_ppm: int, allowance_sat: int = 0) -> Any:
    """An Env in which the fee of a commitment may take this share of a channel, of 1,000,000 sat."""
    limits = CommitmentPolicy(max_commitment_fee_ppm=share_ppm, commitment_fee_allowance_sat=Sat(allowance_sat))
    return replace(env, policy=Policy(commitment=limits))


def test_without_anchors_a_feerate_may_be_higher() -> None:
    """What must confirm by itself needs what the market asks: wallets open at 45,000 sat/kw."""
    dear = UpdateFee(CHANNEL_ID, FeeratePerKw(45_000))
    assert heard(a_normal_channel("bob", LEGACY), dear).facts
    with pytest.raises(faults.FeerateOutOfRange):
        heard(a_normal_channel("bob"), dear)
    with pytest.raises(faults.FeerateOutOfRange):
        heard(a_normal_channel("bob", LEGACY), UpdateFee(CHANNEL_ID, FeeratePerKw(250_001)))


def test_a_feerate_that_puts_too_much_of_the_channel_into_fees_is_refused() -> None:
    """An opener that mines would leave there, in an old state, what has since become ours."""
    channel = a_normal_channel("bob", LEGACY)
    assert heard(channel, UpdateFee(CHANNEL_ID, FeeratePerKw(250_000))).facts
    tight = bounded(BOB, 100_000)
    assert heard(channel, UpdateFee(CHANNEL_ID, FeeratePerKw(138_122)), tight).facts
    with pytest.raises(faults.TooMuchInFees) as caught:
        heard(channel, UpdateFee(CHANNEL_ID, FeeratePerKw(138_123)), tight)
    assert caught.value.remedy is Remedy.FAIL_CHANNEL


def test_htlcs_count_in_the_share_of_fees() -> None:
    channel = with_htlcs(a_normal_channel("bob"), 10)
    tight = bounded(BOB, 28_440)
    # 1124 + 10 * 172 = 2844.
    assert heard(channel, UpdateFee(CHANNEL_ID, FeeratePerKw(10_000)), tight).facts
    with pytest.raises(faults.TooMuchInFees):
        heard(channel, UpdateFee(CHANNEL_ID, FeeratePerKw(10_001)), tight)


def test_a_feerate_that_falls_is_taken_where_it_is_still_too_high() -> None:
    channel = with_htlcs(a_normal_channel("bob"), 10)
    assert heard(channel, UpdateFee(CHANNEL_ID, FeeratePerKw(900)), bounded(BOB, 100)).facts


def test_a_small_channel_has_an_allowance_in_place_of_a_share() -> None:
    channel, rate = a_normal_channel("bob"), UpdateFee(CHANNEL_ID, FeeratePerKw(20_000))
    assert heard(channel, rate, bounded(BOB, 1000, allowance_sat=22_480)).facts
    with pytest.raises(faults.TooMuchInFees):
        heard(channel, rate, bounded(BOB, 1000, allowance_sat=22_479))


def test_an_opener_cannot_fill_a_commitment_with_fees_by_adding_htlcs_either() -> None:
    """With anchors an HTLC of 354 sat adds more to the fee than it is worth."""
    tight = bounded(BOB, 1984)
    channel = with_htlcs(a_normal_channel("bob"), 5, tight)
    with pytest.raises(faults.TooMuchInFees) as caught:
        heard(channel, an_add(5), tight)
    assert caught.value.remedy is Remedy.FAIL_CHANNEL
    assert heard(channel, an_add(5, 353_999), tight).facts, "what has no output costs no fee"


def test_what_we_offer_leaves_half_of_the_fees_to_what_the_peer_offers() -> None:
    """Else HTLCs that cross would be over the bound, and a peer that did no wrong would lose its channel."""
    tight = bounded(BOB, 2 * 4100)
    channel = at_feerate(a_normal_channel("bob"), FeeratePerKw(2500))
    for ref in range(3):
        channel = decide(channel, an_offer(1_000_000, ref), tight).state
    assert refused(channel, an_offer(1_000_000, 3), tight) == "FeeExposure"
    for id in range(9):
        channel = heard(channel, an_add(id), tight).state
    # Ours are on their side only, theirs on ours: a commitment with all of them pays for 12.
    with pytest.raises(faults.TooMuchInFees):
        heard(channel, an_add(9), tight)


def filled(channel: Channel, limit: int, env: Any, *, first: int) -> Channel:
    """With all that the peer may offer, the first of it before all that we may, the rest after."""
    for id in range(first):
        channel = heard(channel, an_add(id, 354_000), env).state
    ours = 0
    while (step := decide(channel, an_offer(354_000, ours), env)).facts:
        channel, ours = step.state, ours + 1
    for id in range(first, limit):
        channel = heard(channel, an_add(id, 354_000), env).state
    return channel


@pytest.mark.parametrize("name", ["alice", "bob"], ids=["we opened", "the peer opened"])
@settings(max_examples=20, deadline=None)
@given(st.integers(25_000, 60_000), st.integers(1000, 2500), st.integers(0, 1000))
def test_a_peer_that_keeps_to_what_we_announced_is_not_failed_for_fees(
    name: str, bound_sat: int, feerate: int, before_ours: int
) -> None:
    """Strangers send through us both ways, as much as either side takes; they would end channels of the honest."""
    env = bounded(ALICE if name == "alice" else BOB, bound_sat)
    limit = most_htlcs(CAPACITY_SAT, env.policy.commitment)
    channel = at_feerate(a_normal_channel(name), FeeratePerKw(feerate))
    channel = channel.but(params=channel.terms.but(local=channel.terms.local.but(max_accepted_htlcs=limit)))
    busy = filled(channel, limit, env, first=limit * before_ours // 1000)
    assert len(busy.remote_log.adds) == limit
    assert not over_fee_bound(busy, env)


@settings(max_examples=20, deadline=None)
@given(st.integers(25_000, 60_000), st.integers(253, 2500), st.integers(253, 2500), st.integers(0, 1000))
def test_an_opener_may_raise_the_feerate_to_what_good_ones_ask_for_however_much_we_have_offered(
    bound_sat: int, feerate: int, raised: int, before_ours: int
) -> None:
    """The HTLCs that are offered while fees are low are still there when they are high."""
    env = bounded(BOB, bound_sat)
    limit = most_htlcs(CAPACITY_SAT, env.policy.commitment)
    channel = at_feerate(a_normal_channel("bob"), FeeratePerKw(feerate))
    channel = channel.but(params=channel.terms.but(local=channel.terms.local.but(max_accepted_htlcs=limit)))
    busy = filled(channel, limit, env, first=limit * before_ours // 1000)
    assert heard(busy, UpdateFee(CHANNEL_ID, FeeratePerKw(raised)), env).facts


def at_feerate(channel: Channel, feerate_per_kw: FeeratePerKw) -> Channel:
    """The same channel, as if it had been opened at this feerate."""
    local, remote = (one.but(feerate_per_kw=feerate_per_kw) for one in (channel.local_pending, channel.remote_pending))
    return channel.but(local=local, local_pending=local, remote=remote, remote_pending=remote)


def test_where_we_opened_what_the_peer_adds_is_taken_whatever_it_costs() -> None:
    """The bound is against an opener that mines. Here the fee is ours: to fail the channel would only pay it."""
    tight = bounded(ALICE, 1984)
    channel = with_htlcs(a_normal_channel("alice"), 5, tight)
    step = heard(channel, an_add(5), tight)
    assert step.facts and over_fee_bound(step.state, tight)
    limited = channel.but(params=channel.terms.but(local=channel.terms.local.but(max_accepted_htlcs=5)))
    with pytest.raises(faults.TooManyHtlcs):
        heard(limited, an_add(5), tight)


def test_our_own_feerate_takes_half_of_the_share_at_most() -> None:
    dear = replace(ALICE, feerates=ALICE.feerates.but(commitment_per_kw=FeeratePerKw(200_000)))
    channel = a_normal_channel("alice", LEGACY)
    (said,) = [one.message for one in decide(channel, FeeratesChanged(), dear).actions if isinstance(one, Send)]
    assert said == UpdateFee(CHANNEL_ID, FeeratePerKw(125_000_000 // 724))
    assert heard(a_normal_channel("bob", LEGACY), said).facts


def test_our_own_feerate_does_not_rise_while_htlcs_would_make_it_too_much() -> None:
    risen = replace(bounded(ALICE, 10_000), feerates=ALICE.feerates.but(commitment_per_kw=FeeratePerKw(2400)))
    busy = with_htlcs(a_normal_channel("alice"), 8, ALICE)
    assert not decide(busy, FeeratesChanged(), risen).actions
    assert decide(a_normal_channel("alice"), FeeratesChanged(), risen).actions
    fallen = replace(risen, feerates=ALICE.feerates.but(commitment_per_kw=FeeratePerKw(300)))
    assert decide(busy, FeeratesChanged(), fallen).actions


def test_feerates_that_never_become_irrevocable_do_not_pile_up() -> None:
    """A peer that proposes and proposes would grow our memory and its own signed state without end."""
    channel = a_normal_channel("bob")
    for number in range(MAX_FEE_CHANGES):
        channel = heard(channel, UpdateFee(CHANNEL_ID, FeeratePerKw(1000 + number % 2))).state
    with pytest.raises(faults.TooManyFeeChanges) as caught:
        heard(channel, UpdateFee(CHANNEL_ID, FeeratePerKw(1000)))
    assert caught.value.remedy is Remedy.WARN_AND_CLOSE, "a new connection forgets them"


def test_more_htlcs_than_we_accept_are_refused() -> None:
    channel = a_normal_channel("bob")
    terms = channel.terms.but(local=channel.terms.local.but(max_accepted_htlcs=2))
    step = heard(heard(channel.but(params=terms), an_add(0)).state, an_add(1))
    with pytest.raises(faults.TooManyHtlcs):
        heard(step.state, an_add(2))


def test_more_value_than_we_accept_in_flight_is_refused() -> None:
    channel = a_normal_channel("bob")
    terms = channel.terms.but(local=channel.terms.local.but(max_htlc_value_in_flight_msat=Msat(1_500_000)))
    step = heard(channel.but(params=terms), an_add(0))
    with pytest.raises(faults.TooMuchInFlight):
        heard(step.state, an_add(1))


def test_what_we_accept_in_flight_is_accepted_to_the_last_msat() -> None:
    channel = a_normal_channel("bob")
    terms = channel.terms.but(local=channel.terms.local.but(max_htlc_value_in_flight_msat=Msat(2_000_000)))
    first = heard(channel.but(params=terms), an_add(0)).state
    assert heard(first, an_add(1)).facts
    with pytest.raises(faults.TooMuchInFlight):
        heard(first, an_add(1, 1_000_001))


@pytest.mark.parametrize("over", [0, 1])
def test_what_the_peer_accepts_in_flight_is_offered_to_the_last_msat(over: int) -> None:
    channel = a_normal_channel("alice")
    terms = channel.terms.but(remote=channel.terms.remote.but(max_htlc_value_in_flight_msat=Msat(2_000_000)))
    first = decide(channel.but(params=terms), an_offer(1_000_000), ALICE).state
    offer = an_offer(1_000_000 + over, ref=1)
    assert why_not_offer(first, ALICE, offer.amount_msat, offer.cltv_expiry) == ("TooMuchInFlight" if over else None)


def test_as_many_htlcs_are_offered_as_the_peer_accepts() -> None:
    channel = a_normal_channel("alice")
    terms = channel.terms.but(remote=channel.terms.remote.but(max_accepted_htlcs=2))
    channel = channel.but(params=terms)
    for ref in range(2):
        channel = decide(channel, an_offer(1_000_000, ref), ALICE).state
    assert len(channel.local_log.adds) == 2
    assert refused(channel, an_offer(1_000_000, 2)) == "TooManyHtlcs"


def test_the_smallest_amounts_are_taken_and_offered() -> None:
    channel = a_normal_channel("bob")
    assert channel.terms.local.htlc_minimum_msat == 1 and heard(channel, an_add(0, 1)).facts
    terms = channel.terms.but(local=channel.terms.local.but(htlc_minimum_msat=Msat(500)))
    assert heard(channel.but(params=terms), an_add(0, 500)).facts
    with pytest.raises(faults.AmountBelowMinimum):
        heard(channel.but(params=terms), an_add(0, 499))
    ours = a_normal_channel("alice")
    asks = ours.terms.but(remote=ours.terms.remote.but(htlc_minimum_msat=Msat(500)))
    for amount, why in ((499, "AmountBelowMinimum"), (500, None)):
        assert why_not_offer(ours.but(params=asks), ALICE, Msat(amount), BlockHeight(500)) == why


def test_two_htlcs_may_have_one_payment_hash() -> None:
    first = heard(a_normal_channel("bob"), an_add(0))
    again = heard(first.state, an_add(1).but(payment_hash=an_add(0).payment_hash))
    assert again.state.local_pending.totals.received_count == 2


def test_dust_beyond_our_bound_is_taken_only_to_be_given_back() -> None:
    env = BOB
    policy = Policy(commitment=CommitmentPolicy(max_dust_htlc_exposure_msat=Msat(500_000)))
    tight = type(env)(**{name: getattr(env, name) for name in env.__slots__} | {"policy": policy})
    first = heard(a_normal_channel("bob"), an_add(0, 300_000), tight)
    second = heard(first.state, an_add(1, 300_000), tight)
    flags = [add.over_dust_exposure for add in second.state.remote_log.adds]
    assert flags == [False, True]


def test_dust_is_taken_and_offered_up_to_the_bound_itself() -> None:
    tight = replace(BOB, policy=Policy(commitment=CommitmentPolicy(max_dust_htlc_exposure_msat=Msat(600_000))))
    second = heard(heard(a_normal_channel("bob"), an_add(0, 300_000), tight).state, an_add(1, 300_000), tight)
    assert [add.over_dust_exposure for add in second.state.remote_log.adds] == [False, False]
    one = heard(a_normal_channel("bob"), an_add(0, 300_000), tight).state
    offer = an_offer(300_000)
    assert why_not_offer(one, tight, Msat(300_000), offer.cltv_expiry) is None
    assert why_not_offer(one, tight, Msat(300_001), offer.cltv_expiry) == "DustExposure"


def test_a_channel_without_anything_to_spend_shows_nothing() -> None:
    channel = a_normal_channel("alice")
    totals = channel.remote_pending.totals.but(local_msat=Msat(9_000_000), remote_msat=Msat(991_000_000))
    poor = channel.but(
        remote_pending=channel.remote_pending.but(totals=totals), local_pending=channel.local_pending.but(totals=totals)
    )
    assert spendable_msat(poor, ALICE) == 0


def test_what_the_opener_pays_for_the_transaction_cannot_be_received() -> None:
    bob, alice = a_normal_channel("bob"), a_normal_channel("alice")
    theirs, reserve = bob.local_pending.totals.remote_msat, to_msat(bob.terms.local.channel_reserve_sat)
    assert receivable_msat(bob) == theirs - reserve - opener_cost_msat(bob, bob.local_pending, 2)
    assert receivable_msat(alice) == 400_000_000 - to_msat(alice.terms.local.channel_reserve_sat)


def test_without_anchors_what_a_higher_feerate_would_trim_counts_as_dust() -> None:
    tight = replace(BOB, policy=Policy(commitment=CommitmentPolicy(max_dust_htlc_exposure_msat=Msat(5_000_000))))
    for format, over in ((STATIC_REMOTEKEY.name, True), (ANCHORS_ZERO_FEE_HTLC.name, False)):
        channel = a_normal_channel("bob", format)
        for id in range(2):
            channel = heard(channel, an_add(id, 2_000_000), tight).state
        assert channel.local_pending.totals.output_count == 2, "at the feerate of today they are no dust"
        last = heard(channel, an_add(2, 2_000_000), tight).state.remote_log.adds
        assert [add.over_dust_exposure for add in last] == [False, False, over]
        offer = an_offer(2_000_000)
        why = None if over is False else "DustExposure"
        assert why_not_offer(channel, tight, offer.amount_msat, offer.cltv_expiry) == why


def test_an_htlc_that_is_not_irrevocable_cannot_be_settled() -> None:
    step = decide(a_normal_channel("alice"), an_offer(1_000_000), ALICE)
    with pytest.raises(faults.HtlcNotCommitted):
        heard(step.state, UpdateFulfillHtlc(CHANNEL_ID, 0, preimage_of(0)), ALICE)


def _with_a_committed_offer() -> Channel:
    """An offered HTLC that both commitments hold for good."""
    step = decide(a_normal_channel("alice"), an_offer(1_000_000), ALICE)
    channel = step.state
    upto = channel.local_log.next_index
    return channel.but(
        local=channel.local.but(local_upto=upto),
        remote=channel.remote.but(local_upto=upto),
        local_pending=channel.remote_pending.but(side=channel.local.side),
    )


def test_an_htlc_that_only_the_peers_commitment_holds_cannot_be_settled() -> None:
    """The peer acknowledged it and has not signed for it: ours does not have it yet."""
    channel = _with_a_committed_offer()
    channel = channel.but(local=channel.local.but(local_upto=channel.local.local_upto - 1))
    for message in (UpdateFulfillHtlc(CHANNEL_ID, 0, preimage_of(0)), UpdateFailHtlc(CHANNEL_ID, 0, b"")):
        with pytest.raises(faults.HtlcNotCommitted):
            heard(channel, message, ALICE)


def test_an_htlc_whose_preimage_we_hold_is_never_given_back() -> None:
    """Law 5, also in the moment after a reconnection when the claim has not been said again."""
    channel = heard(a_normal_channel("bob"), an_add()).state
    channel = channel.but(remote=channel.remote.but(remote_upto=channel.remote_log.next_index))
    key = HtlcKey(CHANNEL_ID, RECEIVED, 0)
    for give_back in (FailHtlc(key, b"no"), FailMalformedHtlc(key, bytes(32), 0x8000)):
        assert decide(channel, give_back, BOB).facts
        step = decide(evolve(channel, PreimageHeld(0, preimage_of(0))), give_back, BOB)
        assert not step.facts and not step.actions


def test_a_preimage_is_stored_in_the_step_that_passes_it_on() -> None:
    step = heard(_with_a_committed_offer(), UpdateFulfillHtlc(CHANNEL_ID, 0, preimage_of(0)), ALICE)
    assert step.facts[0] == PreimageLearned(0, preimage_of(0))
    told = Fulfilled(0, HtlcKey(CHANNEL_ID, WE_OFFERED, 0), preimage_of(0))
    assert step.actions == [Tell(OWNER, told)]


def test_a_wrong_preimage_fails_the_channel() -> None:
    with pytest.raises(faults.PreimageMismatch):
        heard(_with_a_committed_offer(), UpdateFulfillHtlc(CHANNEL_ID, 0, Preimage(bytes(32))), ALICE)


def test_an_htlc_is_settled_once() -> None:
    step = heard(_with_a_committed_offer(), UpdateFulfillHtlc(CHANNEL_ID, 0, preimage_of(0)), ALICE)
    with pytest.raises(faults.AlreadySettled):
        heard(step.state, UpdateFailHtlc(CHANNEL_ID, 0, b"x" * 292), ALICE)


def test_a_malformed_failure_needs_its_bit() -> None:
    with pytest.raises(faults.BadOnionBitMissing):
        heard(_with_a_committed_offer(), UpdateFailMalformedHtlc(CHANNEL_ID, 0, bytes(32), 0x4004), ALICE)


def test_an_offer_is_sent_and_its_owner_told() -> None:
    step = decide(a_normal_channel("alice"), an_offer(1_000_000), ALICE)
    assert isinstance(step.facts[0], LocalProposed)
    send, told = step.actions
    assert isinstance(send, Send) and isinstance(send.message, UpdateAddHtlc) and send.message.id == 0
    assert isinstance(told, Tell) and told.to == OWNER


def test_the_same_offer_twice_is_one_htlc() -> None:
    once = decide(a_normal_channel("alice"), an_offer(1_000_000), ALICE)
    twice = decide(once.state, an_offer(1_000_000), ALICE)
    assert not twice.facts
    assert once.actions[-1] == twice.actions[-1]


@pytest.mark.parametrize(
    ("amount_msat", "why"),
    [(0, "AmountBelowMinimum"), (590_000_001, "InsufficientBalance"), (10**12, "TooMuchInFlight")],
)
def test_an_offer_that_the_channel_cannot_carry_is_refused_with_its_reason(amount_msat: int, why: str) -> None:
    assert refused(a_normal_channel("alice"), an_offer(amount_msat)) == why


def test_a_refusal_names_the_channel_even_where_nothing_is_left_of_it() -> None:
    """Else a circuit that resumes after its channel has become cold takes the answer for that of another one."""
    (told,) = decide(Channel(channel_id=CHANNEL_ID), an_offer(1000), ALICE).actions
    assert isinstance(told, Tell) and isinstance(told.event, OfferRefused)
    assert told.event.channel_id == CHANNEL_ID


def test_what_is_shown_as_spendable_can_be_offered_and_not_a_msat_more() -> None:
    channel = a_normal_channel("alice")
    most = spendable_msat(channel, ALICE)
    assert decide(channel, an_offer(most), ALICE).facts
    assert refused(channel, an_offer(most + 1)) == "InsufficientBalance"


def test_the_opener_keeps_a_buffer_for_a_spike_of_the_feerate() -> None:
    opener, accepter = a_normal_channel("alice"), a_normal_channel("bob")
    reserve_msat = 10_000_000
    assert 600_000_000 - reserve_msat - spendable_msat(opener, ALICE) > 2_000_000
    assert spendable_msat(accepter, BOB) == 400_000_000 - reserve_msat


def test_nothing_is_offered_for_which_the_opener_could_not_pay() -> None:
    """Only what is too small for an output costs the opener no fee."""
    channel = a_normal_channel("bob")
    totals = channel.local.totals.but(local_msat=Msat(990_000_000), remote_msat=Msat(10_000_000))
    poor = channel.but(
        local_pending=channel.local_pending.but(totals=totals), remote_pending=channel.remote_pending.but(totals=totals)
    )
    assert refused(poor, an_offer(1_000_000), BOB) == "InsufficientBalance"
    assert spendable_msat(poor, BOB) == 353_999


def test_what_both_have_proposed_at_once_counts_together() -> None:
    """Our own offer is on the peer's side only, the fee of the peer's on ours: the opener has to afford both."""
    channel = decide(a_normal_channel("alice"), an_offer(100_000_000), ALICE).state
    for id in range(5):
        channel = heard(channel, an_add(id), ALICE).state
    spiked = FeeratePerKw(2 * channel.local_pending.feerate_per_kw)
    cost = opener_cost_msat(channel, channel.local_pending, 2, spiked)
    assert spendable_msat(channel, ALICE) == 600_000_000 - 100_000_000 - 10_000_000 - cost


def test_which_threshold_trims_depends_on_whose_commitment_it_is() -> None:
    """Between what HTLC-timeout and what HTLC-success costs, an HTLC has an output with the one who offered it only."""
    amount = 354_000 + 680_000
    received = heard(a_normal_channel("bob", STATIC_REMOTEKEY.name), an_add(0, amount)).state
    assert received.local_pending.totals.output_count == 0
    both = including_remote(
        received.remote_pending, received.terms, received.local_log, received.remote_log, received.remote_log.next_index
    )
    assert both.totals.output_count == 1
    offered = decide(a_normal_channel("alice", STATIC_REMOTEKEY.name), an_offer(amount), ALICE).state
    assert offered.remote_pending.totals.output_count == 0


def test_which_htlcs_are_dust_depends_on_who_offered_them() -> None:
    """The peer's dust limit meets what HTLC-timeout costs where the peer offered, and HTLC-success where we did."""
    policy = Policy(commitment=CommitmentPolicy(max_dust_htlc_exposure_msat=Msat(1_000_000)))
    tight = replace(BOB, policy=policy)
    channel = a_normal_channel("bob", STATIC_REMOTEKEY.name)
    high = channel.terms.but(remote=channel.terms.remote.but(dust_limit_sat=Sat(1000)))
    # At 1000 + 2530 sat/kw an HTLC-timeout transaction costs 2340 sat, and an HTLC-success transaction 2481 sat.
    received = heard(channel.but(params=high), an_add(0, 3_400_000), tight).state.remote_log.adds
    assert [add.over_dust_exposure for add in received] == [False]
    assert why_not_offer(channel.but(params=high), tight, Msat(3_400_000), BlockHeight(500)) == "DustExposure"
    assert why_not_offer(channel.but(params=high), tight, Msat(3_500_000), BlockHeight(500)) is None


# -- at the very bounds -----------------------------------------------------------------------------------------------


def test_nothing_at_all_is_no_amount_even_where_we_ask_for_no_least_one() -> None:
    channel = a_normal_channel("bob")
    free = channel.but(params=channel.terms.but(local=channel.terms.local.but(htlc_minimum_msat=Msat(0))))
    with pytest.raises(faults.AmountBelowMinimum):
        heard(free, an_add(amount_msat=0))
    assert heard(free, an_add(amount_msat=1)).facts


def test_the_last_height_that_can_be_written_is_one() -> None:
    assert heard(a_normal_channel("bob"), an_add(cltv_expiry=499_999_999)).facts


def test_after_its_shutdown_a_peer_adds_nothing() -> None:
    channel = evolve(a_normal_channel("bob"), ShutdownReceived(b"\x00\x14" + bytes(20)))
    with pytest.raises(faults.AddAfterShutdown):
        heard(channel, an_add())


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_a_peer_adds_as_much_as_leaves_it_its_reserve_and_the_fee_to_the_last_msat(name: str) -> None:
    channel, env = a_normal_channel(name), ALICE if name == "alice" else BOB
    most = channel.local_pending.totals.remote_msat - to_msat(channel.terms.local.channel_reserve_sat)
    if not channel.terms.is_opener:
        most = Msat(most - opener_cost_msat(channel, channel.local_pending, 1))
    assert heard(channel, an_add(amount_msat=most), env).facts
    with pytest.raises(faults.CannotAfford):
        heard(channel, an_add(amount_msat=most + 1), env)


def test_an_htlc_that_is_next_to_become_irrevocable_is_not_yet() -> None:
    """One that the peer's commitment holds no further than up to it can be neither claimed nor given back."""
    channel = heard(heard(a_normal_channel("bob"), an_add(0)).state, an_add(1)).state
    channel = channel.but(remote=channel.remote.but(remote_upto=1))
    for id, sent in ((0, 1), (1, 0)):
        key = HtlcKey(CHANNEL_ID, RECEIVED, id)
        assert locked_in(channel, channel.remote_log.adds[id]) is (sent == 1)
        assert len(decide(channel, FailHtlc(key, b"no"), BOB).actions) == sent
        claimed = decide(channel, FulfillHtlc(key, preimage_of(id)), BOB)
        assert len(claimed.actions) == sent and claimed.facts[0] == PreimageHeld(id, preimage_of(id))


def test_what_is_irrevocable_is_settled_while_the_channel_is_usable_or_shuts_down() -> None:
    channel = heard(a_normal_channel("bob"), an_add()).state
    channel = channel.but(remote=channel.remote.but(remote_upto=1))
    give_back = FailHtlc(HtlcKey(CHANNEL_ID, RECEIVED, 0), b"no")
    for phase, sent in ((Phase.NORMAL, 1), (Phase.SHUTDOWN, 1), (Phase.AWAITING_READY, 0)):
        assert len(decide(channel.but(phase=phase), give_back, BOB).actions) == sent


def test_each_of_two_preimages_is_held_and_each_that_is_shown_is_stored() -> None:
    channel = heard(heard(a_normal_channel("bob"), an_add(0)).state, an_add(1)).state
    for id in (0, 1):
        channel = decide(channel, FulfillHtlc(HtlcKey(CHANNEL_ID, RECEIVED, id), preimage_of(id)), BOB).state
    assert [held.preimage for held in channel.held_preimages] == [preimage_of(0), preimage_of(1)]

    channel = decide(a_normal_channel("alice"), an_offer(1_000_000, 0), ALICE).state
    channel = decide(channel, an_offer(1_000_000, 1), ALICE).state
    channel = channel.but(local=channel.local.but(local_upto=2), local_pending=channel.remote_pending)
    for id in (0, 1):
        channel = heard(channel, UpdateFulfillHtlc(CHANNEL_ID, id, preimage_of(id)), ALICE).state
    assert [known.preimage for known in channel.learned_preimages] == [preimage_of(0), preimage_of(1)]


def test_a_preimage_that_is_shown_again_after_a_reconnection_is_stored_once() -> None:
    channel = evolve(_with_a_committed_offer(), PreimageLearned(0, preimage_of(0)))
    step = heard(channel, UpdateFulfillHtlc(CHANNEL_ID, 0, preimage_of(0)), ALICE)
    assert [type(fact) for fact in step.facts] == [RemoteProposed]
    assert len(step.actions) == 1, "its owner hears of it again"


def test_of_an_offer_without_an_owner_nobody_hears() -> None:
    channel = _with_a_committed_offer()
    (add,) = channel.local_log.adds
    channel = channel.but(local_log=channel.local_log.but(adds=(add.but(owner=None),)))
    assert not heard(channel, UpdateFulfillHtlc(CHANNEL_ID, 0, preimage_of(0)), ALICE).actions


def test_an_htlc_that_is_long_gone_was_settled_already() -> None:
    channel = a_normal_channel("alice")
    used = channel.but(local_log=channel.local_log.but(next_id=3))
    with pytest.raises(faults.AlreadySettled):
        heard(used, UpdateFailHtlc(CHANNEL_ID, 2, b""), ALICE)
    with pytest.raises(faults.HtlcUnknown):
        heard(used, UpdateFailHtlc(CHANNEL_ID, 3, b""), ALICE)


def test_an_offer_hears_that_the_peer_is_away_or_that_somebody_wants_the_channel_closed() -> None:
    channel = a_normal_channel("alice")
    assert refused(channel.but(link=Link.OFFLINE), an_offer(1000)) == "ChannelOffline"
    assert refused(channel.but(link=Link.REESTABLISHING), an_offer(1000)) == "ChannelOffline"
    assert refused(channel.but(shutdown_wanted=b"script"), an_offer(1000)) == "ChannelClosing"


def test_the_least_and_the_highest_feerate_are_taken() -> None:
    for feerate in (253, 25_000):
        assert heard(a_normal_channel("bob"), UpdateFee(CHANNEL_ID, FeeratePerKw(feerate))).facts


def test_a_feerate_that_confirms_too_late_is_refused_only_where_it_falls_and_nothing_can_be_added() -> None:
    env = replace(BOB, feerates=BOB.feerates.but(floor_per_kw=FeeratePerKw(1000)))
    hopeless = at_feerate(a_normal_channel("bob", LEGACY), FeeratePerKw(400))
    for feerate in (400, 450):
        assert heard(hopeless, UpdateFee(CHANNEL_ID, FeeratePerKw(feerate)), env).facts, "no worse than it was"
    with pytest.raises(faults.FeerateOutOfRange, match="too low"):
        heard(hopeless, UpdateFee(CHANNEL_ID, FeeratePerKw(399)), env)
    anchored = at_feerate(a_normal_channel("bob"), FeeratePerKw(400))
    assert heard(anchored, UpdateFee(CHANNEL_ID, FeeratePerKw(399)), env).facts


def with_what_3000_would_trim(name: str) -> Channel:
    """Without anchors, at 1000 sat/kw: an HTLC of 2,000 sat, which needs 354 + 2109 at 3000, and 1057 now."""
    return heard(a_normal_channel(name, LEGACY), an_add(0, 2_000_000), ALICE if name == "alice" else BOB).state


def within_dust(env: Env, most_msat: int) -> Env:
    return replace(env, policy=Policy(commitment=CommitmentPolicy(max_dust_htlc_exposure_msat=Msat(most_msat))))


def test_a_feerate_that_would_trim_more_than_our_bound_is_refused_where_it_rises() -> None:
    channel, rise = with_what_3000_would_trim("bob"), UpdateFee(CHANNEL_ID, FeeratePerKw(3000))
    assert heard(channel, rise, within_dust(BOB, 2_000_000)).facts
    with pytest.raises(faults.FeerateOutOfRange, match="trimmed"):
        heard(channel, rise, within_dust(BOB, 1_999_999))
    high = at_feerate(channel, FeeratePerKw(5000))
    high = heard(high, UpdateFee(CHANNEL_ID, FeeratePerKw(5000)), BOB).state
    for feerate in (5000, 3000):
        assert heard(high, UpdateFee(CHANNEL_ID, FeeratePerKw(feerate)), within_dust(BOB, 0)).facts


def test_we_ourselves_raise_no_feerate_that_would_trim_more_than_our_bound() -> None:
    channel = with_what_3000_would_trim("alice")
    risen = replace(ALICE, feerates=ALICE.feerates.but(commitment_per_kw=FeeratePerKw(3000)))
    assert decide(channel, FeeratesChanged(), within_dust(risen, 2_000_000)).facts
    assert not decide(channel, FeeratesChanged(), within_dust(risen, 1_999_999)).facts
    fallen = replace(ALICE, feerates=ALICE.feerates.but(commitment_per_kw=FeeratePerKw(3000)))
    assert decide(at_feerate(channel, FeeratePerKw(5000)), FeeratesChanged(), within_dust(fallen, 0)).facts


def test_an_opener_may_set_a_feerate_that_takes_all_it_has() -> None:
    """BOLT 2 asks whether it can pay, not whether it keeps its reserve."""
    channel, dear = a_normal_channel("bob"), FeeratePerKw(20_000)
    cost = opener_cost_msat(channel, channel.local_pending, 0, dear)
    for theirs, taken in ((cost, True), (cost - 1, False)):
        totals = channel.local_pending.totals.but(remote_msat=Msat(theirs))
        left = channel.but(local_pending=channel.local_pending.but(totals=totals))
        if taken:
            assert heard(left, UpdateFee(CHANNEL_ID, dear)).facts
        else:
            with pytest.raises(faults.CannotAfford):
                heard(left, UpdateFee(CHANNEL_ID, dear))


def test_a_feerate_that_stays_is_taken_where_it_is_already_too_high() -> None:
    channel = a_normal_channel("bob")
    assert heard(channel, UpdateFee(CHANNEL_ID, FeeratePerKw(1000)), bounded(BOB, 100)).facts
    with pytest.raises(faults.TooMuchInFees):
        heard(channel, UpdateFee(CHANNEL_ID, FeeratePerKw(1001)), bounded(BOB, 100))


@pytest.mark.parametrize(("wanted", "follows"), [(1199, False), (1200, True), (801, False), (800, True)])
def test_a_feerate_is_followed_once_it_has_moved_by_a_fifth(wanted: int, follows: bool) -> None:
    moved = replace(ALICE, feerates=ALICE.feerates.but(commitment_per_kw=FeeratePerKw(wanted)))
    assert bool(decide(a_normal_channel("alice"), FeeratesChanged(), moved).facts) is follows


@pytest.mark.parametrize(
    "changes", [{"link": Link.REESTABLISHING}, {"link": Link.OFFLINE}, {"phase": Phase.SHUTDOWN}], ids=str
)
def test_no_feerate_is_followed_while_nothing_may_be_said_or_the_channel_shuts_down(changes: dict[str, Any]) -> None:
    risen = replace(ALICE, feerates=ALICE.feerates.but(commitment_per_kw=FeeratePerKw(2000)))
    step = follow_feerate(a_normal_channel("alice").but(**changes), risen)
    assert not step.facts and not step.actions
