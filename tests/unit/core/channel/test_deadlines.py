"""HTLCs near their deadlines fail the channel in time, in every state (B2-37, law 11)."""

from __future__ import annotations

import pytest
from tests.builders.channels import CHANNEL_ID, env_of, preimage_of
from tests.builders.normal_channels import ALICE, a_normal_channel, birth

from fulmen.core.base.env import Env
from fulmen.core.base.ids import OFFERED, RECEIVED, BlockHash, HtlcKey, PaymentHash, scid
from fulmen.core.base.machine import Address, Disconnected, Event, Lull, Tell, evolve
from fulmen.core.base.outer import Block, ChainRewound, HangUp, HeightReached, WantHeight
from fulmen.core.base.peers import MessageReceived
from fulmen.core.base.policy import DeadlinePolicy, Policy
from fulmen.core.base.units import BlockHeight, CltvDelta, Msat
from fulmen.core.channel.facts import FundingSpent, forget
from fulmen.core.channel.state import Channel, Link, Phase
from fulmen.core.channel.table import decide, initial, takes_frozen, wants
from fulmen.core.commitments.htlcs import (
    FulfillHtlc,
    HtlcOffered,
    OfferForgotten,
    OfferHtlc,
    OfferRefused,
    SeekOffer,
)
from fulmen.core.crypto.hashes import sha256
from fulmen.core.wire.messages.updates import UpdateAddHtlc

HASH = PaymentHash(sha256(preimage_of(2)))


def at(height: int) -> tuple[HeightReached, Env]:
    tip = Block(BlockHeight(height), BlockHash(bytes(32)))
    return HeightReached(tip), env_of("alice", tip=tip)


def with_an_offered_htlc() -> Channel:
    """Offered and signed: expires at 500."""
    offer = OfferHtlc(Address("payer", b"p"), 0, Msat(1_000_000), HASH, BlockHeight(500), bytes(1366))
    return decide(decide(a_normal_channel("alice"), offer, ALICE).state, Lull(), ALICE).state


def received_for_good() -> Channel:
    """An HTLC that both commitments hold; expires at 500."""
    add = UpdateAddHtlc(CHANNEL_ID, 0, Msat(1_000_000), HASH, BlockHeight(500), bytes(1366))
    channel = decide(a_normal_channel("alice"), MessageReceived(add), ALICE).state
    both = channel.local_pending
    return channel.but(local=both, remote=both.but(side=channel.remote.side))


def with_a_claimed_htlc() -> Channel:
    """The same, and we hold its preimage."""
    claim = FulfillHtlc(HtlcKey(CHANNEL_ID, RECEIVED, 0), preimage_of(2))
    return decide(received_for_good(), claim, ALICE).state


@pytest.mark.parametrize(("height", "failed"), [(501, False), (502, True)])
def test_an_offered_htlc_may_linger_two_blocks_beyond_its_expiry(height: int, failed: bool) -> None:
    step = decide(with_an_offered_htlc(), *at(height))
    assert (step.state.phase is Phase.FAILED) is failed


@pytest.mark.parametrize(("height", "failed"), [(481, False), (482, True)])
def test_a_received_htlc_that_we_claim_has_to_be_gone_18_blocks_before_its_expiry(height: int, failed: bool) -> None:
    step = decide(with_a_claimed_htlc(), *at(height))
    assert (step.state.phase is Phase.FAILED) is failed


def test_deadlines_hold_while_the_peer_is_away() -> None:
    away = with_an_offered_htlc().but(link=Link.OFFLINE)
    assert decide(away, *at(502)).state.phase is Phase.FAILED


def woken_at(channel: Channel) -> int:
    """When it wants to be woken next, once its funding is deep enough to ask for nothing itself."""
    confirmed = channel.funding.but(confirmed=Block(BlockHeight(101), BlockHash(bytes(32))))
    (wake,) = [w for w in wants(channel.but(fundings=(confirmed,), scid=scid(101, 1, 1))) if isinstance(w, WantHeight)]
    return wake.height


def test_a_channel_asks_to_be_woken_at_its_first_deadline() -> None:
    assert woken_at(with_a_claimed_htlc()) == 482
    assert woken_at(with_an_offered_htlc()) == 500


PATIENT = Policy(deadlines=DeadlinePolicy(fulfilled_deadline=CltvDelta(40)))


def claims_at_birth_under(policy: Policy) -> Channel:
    """A channel that is born under this policy, with a received HTLC that we claim."""
    env = env_of("alice", policy=policy)
    newborn = decide(initial(CHANNEL_ID), birth("alice", "bob"), env).state
    return with_a_claimed_htlc().but(fulfilled_deadline=newborn.fulfilled_deadline)


def test_the_operator_says_how_long_before_the_expiry_it_is_woken() -> None:
    for channel in (claims_at_birth_under(PATIENT), restarted(with_a_claimed_htlc(), PATIENT)):
        assert woken_at(channel) == 460
    assert woken_at(restarted(claims_at_birth_under(PATIENT), Policy())) == 482


def restarted(channel: Channel, policy: Policy) -> Channel:
    """What a start under another policy makes of it; the setting outlives what a disconnect forgets."""
    step = decide(forget(channel), Disconnected(), env_of("alice", policy=policy))
    again = decide(step.state, Disconnected(), env_of("alice", policy=policy))
    assert not [fact for fact in again.facts if not fact.passing]
    return forget(step.state)


def test_an_htlc_that_nobody_waits_for_fails_no_channel() -> None:
    """Committed or not: without its preimage it is the peer's to take back."""
    waiting = with_a_claimed_htlc().but(held_preimages=())
    add = UpdateAddHtlc(CHANNEL_ID, 0, Msat(1_000_000), HASH, BlockHeight(500), bytes(1366))
    proposed = decide(a_normal_channel("alice"), MessageReceived(add), ALICE).state
    for channel in (waiting, proposed):
        assert decide(channel, *at(600)).state.phase is Phase.NORMAL


@pytest.mark.parametrize(("to", "phase"), [(600, Phase.SPENT), (599, Phase.FAILED)])
def test_only_a_reorg_that_takes_the_spend_away_undoes_it(to: int, phase: Phase) -> None:
    spent = evolve(a_normal_channel("alice"), FundingSpent(b"", Block(BlockHeight(600), BlockHash(bytes(32)))))
    assert decide(spent, ChainRewound(BlockHeight(to)), ALICE).state.phase is phase


def an_offer(ref: int) -> OfferHtlc:
    return OfferHtlc(Address("payer", b"p"), ref, Msat(1_000_000), HASH, BlockHeight(500), bytes(1366))


def heard(channel: Channel, event: Event) -> list[Event]:
    """What a frozen channel tells others."""
    assert takes_frozen(channel, event)
    step = decide(channel, event, ALICE)
    assert not step.facts
    return [action.event for action in step.actions if isinstance(action, Tell)]


def test_a_frozen_channel_says_which_offers_it_has_and_takes_no_other() -> None:
    """Law 10: nobody else can say that an HTLC was never signed, and upstream it has a deadline."""
    frozen = with_an_offered_htlc().but(frozen=True)
    key = HtlcKey(CHANNEL_ID, OFFERED, 0)
    owner = Address("payer", b"p")
    assert heard(frozen, an_offer(0)) == heard(frozen, SeekOffer(owner, 0)) == [HtlcOffered(0, key)]
    assert heard(frozen, an_offer(1)) == [OfferRefused(1, CHANNEL_ID, "ChannelFrozen")]
    assert heard(frozen, SeekOffer(owner, 1)) == [OfferForgotten(1, CHANNEL_ID)]


def test_a_frozen_channel_hangs_up_on_the_peer_that_might_wait_for_offers_it_never_signs() -> None:
    unsigned = decide(a_normal_channel("alice"), an_offer(0), ALICE).state.but(frozen=True)
    assert heights(unsigned)
    hung_up = [action for action in decide(unsigned, *at(300)).actions if isinstance(action, HangUp)]
    assert [action.to for action in hung_up] == [unsigned.terms.node_id]
    assert heard_of_leaving(unsigned) == [OfferForgotten(0, CHANNEL_ID)]
    for quiet in (unsigned.but(frozen=False), with_an_offered_htlc().but(frozen=True), left(unsigned)):
        assert not any(isinstance(action, HangUp) for action in decide(quiet, *at(300)).actions)


def left(channel: Channel) -> Channel:
    return decide(channel, Disconnected(), ALICE).state


def heard_of_leaving(channel: Channel) -> list[Event]:
    return [action.event for action in decide(channel, Disconnected(), ALICE).actions if isinstance(action, Tell)]


def heights(channel: Channel) -> list[BlockHeight]:
    return [want.height for want in wants(channel) if isinstance(want, WantHeight)]


def test_a_frozen_channel_holds_a_preimage_and_proposes_nothing() -> None:
    frozen = received_for_good().but(frozen=True)
    step = decide(frozen, FulfillHtlc(HtlcKey(CHANNEL_ID, RECEIVED, 0), preimage_of(2)), ALICE)
    assert [held.preimage for held in step.state.held_preimages] == [preimage_of(2)]
    assert not step.actions and not step.state.local_log.removes
    assert decide(step.state, *at(482)).state.phase is Phase.FAILED
