"""What a channel earns by passing on what came in over it: counted once, handed over at the end."""

from __future__ import annotations

from tests.builders.channels import CHANNEL_ID, env_of, preimage_of
from tests.builders.normal_channels import ALICE, a_normal_channel

from fulmen.core.base.ids import RECEIVED, BlockHash, HtlcKey, PaymentHash
from fulmen.core.base.machine import Disconnected, Tell
from fulmen.core.base.outer import Block
from fulmen.core.base.peers import MessageReceived
from fulmen.core.base.units import BlockHeight, Msat
from fulmen.core.channel.facts import FundingSpent
from fulmen.core.channel.state import Channel
from fulmen.core.channel.table import decide, forget
from fulmen.core.commitments.close import EARNINGS, ChannelResolved, FeesHandedOver
from fulmen.core.commitments.htlcs import FulfillHtlc
from fulmen.core.crypto.hashes import sha256
from fulmen.core.switch import earnings
from fulmen.core.wire.messages.updates import UpdateAddHtlc

CLAIM = FulfillHtlc(HtlcKey(CHANNEL_ID, RECEIVED, 0), preimage_of(2), Msat(1_100))


def received_for_good() -> Channel:
    payment_hash = PaymentHash(sha256(preimage_of(2)))
    add = UpdateAddHtlc(CHANNEL_ID, 0, Msat(1_000_000), payment_hash, BlockHeight(500), bytes(1366))
    channel = decide(a_normal_channel("alice"), MessageReceived(add), ALICE).state
    both = channel.local_pending
    return channel.but(local=both, remote=both.but(side=channel.remote.side))


def spent(channel: Channel) -> Channel:
    block = Block(BlockHeight(200), BlockHash(bytes(32)))
    return (
        decide(channel, Disconnected(), ALICE)
        .then(lambda state: decide(state, Disconnected(), ALICE).fact(FundingSpent(b"", block)))
        .state
    )


def test_a_claim_that_is_told_again_is_counted_once() -> None:
    once = decide(received_for_good(), CLAIM, ALICE).state
    twice = decide(decide(once, CLAIM, ALICE).state, Disconnected(), ALICE).state
    assert once.fees_earned_msat == twice.fees_earned_msat == forget(twice).fees_earned_msat == 1_100


def test_a_claim_after_the_funding_is_spent_counts_as_well() -> None:
    channel = spent(received_for_good())
    assert decide(channel, CLAIM, ALICE).state.fees_earned_msat == 1_100


def test_the_sum_is_handed_over_when_the_channel_is_over() -> None:
    step = decide(spent(decide(received_for_good(), CLAIM, ALICE).state), ChannelResolved(), ALICE)
    assert Tell(EARNINGS, FeesHandedOver(CHANNEL_ID, Msat(1_100))) in step.actions
    nothing = decide(spent(a_normal_channel("alice")), ChannelResolved(), ALICE)
    assert not [action for action in nothing.actions if isinstance(action, Tell) and action.to == EARNINGS]


def test_a_channel_that_says_it_twice_is_counted_once() -> None:
    state = earnings.Earnings()
    for told in (FeesHandedOver(CHANNEL_ID, Msat(7)), FeesHandedOver(CHANNEL_ID, Msat(7))):
        state = earnings.decide(state, told, env_of("alice")).state
    assert state.total_msat == 7
