"""What the chain is handed when the funding is spent, and what it is told when that comes to nothing (B5-1, B5-2)."""

from __future__ import annotations

from typing import TypeVar

from tests.builders.channels import CHANNEL_ID, env_of, preimage_of
from tests.builders.closing_channels import drained_channel
from tests.builders.normal_channels import ALICE, BOB, a_normal_channel

from fulmen.core.base.ids import OFFERED, RECEIVED, BlockHash, HtlcKey, PaymentHash, Signature
from fulmen.core.base.machine import Address, Event, Lull, Step, Tell, evolve
from fulmen.core.base.outer import Block, ChainRewound, HeightReached, Notify, OutputSpent, WantHeight
from fulmen.core.base.peers import ChannelDetached, ChannelErrored, MessageReceived
from fulmen.core.base.units import BlockHeight, Msat, Sat
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.channel.chain import at_close
from fulmen.core.channel.closing import closing_tx
from fulmen.core.channel.dance import local_view
from fulmen.core.channel.facts import CloseAgreed, PreimageHeld, PreimageLearned
from fulmen.core.channel.state import Agreed, Channel, Phase
from fulmen.core.channel.table import decide, wants
from fulmen.core.commitments.building import build
from fulmen.core.commitments.close import (
    ChannelResolved,
    ChannelSpent,
    ChannelUnspent,
    ClaimHtlc,
    CommitmentPublished,
    CommitmentSeen,
    CommitmentWithdrawn,
    KnownPreimage,
)
from fulmen.core.commitments.htlcs import FulfillHtlc, OfferHtlc
from fulmen.core.commitments.revoked import forget_revoked
from fulmen.core.crypto.hashes import sha256
from fulmen.core.wire.messages.updates import UpdateAddHtlc

OWNER = Address("payer", b"p")
BLOCK = Block(BlockHeight(600), BlockHash(bytes(32)))
E = TypeVar("E", bound=Event)


def told(step: Step[Channel], kind: type[E], whom: str = "onchain") -> list[E]:
    events = [action.event for action in step.actions if isinstance(action, Tell) and action.to.kind == whom]
    return [event for event in events if isinstance(event, kind)]


def offering(channel: Channel, ref: int = 0) -> Channel:
    """An offer that no commitment holds yet."""
    hash_ = PaymentHash(sha256(preimage_of(ref)))
    return decide(channel, OfferHtlc(OWNER, ref, Msat(1_000_000), hash_, BlockHeight(500), bytes(1366)), ALICE).state


def signed(channel: Channel) -> Channel:
    """What is proposed is in the peer's next commitment."""
    return decide(channel, Lull(), ALICE).state


def commitment_spends(channel: Channel) -> OutputSpent:
    return OutputSpent(channel.funding.outpoint, build(local_view(channel, channel.local, ALICE)).tx.serialize(), BLOCK)


def test_preimages_of_both_directions_are_handed_over() -> None:
    """Law 5: an HTLC whose preimage the peer has shown is never failed upstream, whatever the chain does to it."""
    channel = evolve(signed(offering(a_normal_channel())), PreimageLearned(0, preimage_of(0)))
    channel = evolve(channel, PreimageHeld(7, preimage_of(7), Msat(0)))
    (spent,) = told(decide(channel, commitment_spends(channel), ALICE), ChannelSpent)
    assert spent.close.preimages == (
        KnownPreimage(HtlcKey(CHANNEL_ID, RECEIVED, 7), preimage_of(7)),
        KnownPreimage(HtlcKey(CHANNEL_ID, OFFERED, 0), preimage_of(0)),
    )


def test_the_peers_next_commitment_is_handed_over_while_it_is_not_acknowledged() -> None:
    channel = signed(offering(a_normal_channel()))
    close = at_close(channel, ALICE)
    assert close.remote_next is not None and close.remote_next.number == close.remote.number + 1
    assert close.remote_next.per_commitment_point == channel.remote_next_point
    assert at_close(a_normal_channel(), ALICE).remote_next is None


def test_a_mutual_close_in_a_block_withdraws_a_commitment_that_we_had_published() -> None:
    failed = decide(drained_channel(), ChannelErrored(b"no"), ALICE)
    assert told(failed, CommitmentPublished)
    mutual = OutputSpent(failed.state.funding.outpoint, closing_tx(failed.state, Sat(500)).serialize(), BLOCK)
    step = decide(failed.state, mutual, ALICE)
    assert told(step, CommitmentWithdrawn) and not told(step, ChannelSpent)
    assert step.state.phase is Phase.SPENT
    about = {"channel_id": CHANNEL_ID.hex(), "height": 600, "txid": parse_tx(mutual.tx).txid[::-1].hex()}
    assert Notify("funding_spent", about) in step.actions
    assert WantHeight(BlockHeight(BLOCK.height + 1)) in wants(step.state), "each block counts from then on"


def test_a_spend_in_the_mempool_ends_nothing_yet() -> None:
    channel = a_normal_channel()
    unconfirmed = commitment_spends(channel).but(block=None)
    step = decide(channel, unconfirmed, ALICE)
    assert step.state == channel
    assert Notify("funding_spend_seen", {"channel_id": CHANNEL_ID.hex()}) in step.actions
    assert told(step, CommitmentSeen) == [CommitmentSeen(at_close(channel, ALICE), unconfirmed.tx)]


def test_a_mutual_close_in_the_mempool_is_nothing_to_resolve() -> None:
    channel = drained_channel()
    mutual = OutputSpent(channel.funding.outpoint, closing_tx(channel, Sat(500)).serialize(), None)
    assert not told(decide(channel, mutual, ALICE), Event)


def test_a_preimage_that_comes_after_the_spend_is_claimed_on_the_chain_and_kept_once() -> None:
    channel = with_a_received_htlc()
    spent = decide(channel, commitment_spends(channel), BOB).state
    claim = FulfillHtlc(HtlcKey(CHANNEL_ID, RECEIVED, 0), preimage_of(2))
    step = decide(spent, claim, BOB)
    assert told(step, ClaimHtlc) == [ClaimHtlc(claim.key, claim.preimage)]
    assert [held.preimage for held in step.state.held_preimages] == [preimage_of(2)]
    again = decide(step.state, claim, BOB)
    assert not again.facts and not again.actions


def with_a_received_htlc() -> Channel:
    """In both commitments of bob's end."""
    hash_ = PaymentHash(sha256(preimage_of(2)))
    add = UpdateAddHtlc(CHANNEL_ID, 0, Msat(1_000_000), hash_, BlockHeight(500), bytes(1366))
    channel = decide(a_normal_channel("bob"), MessageReceived(add), BOB).state
    both = channel.local_pending
    return channel.but(local=both, remote=both.but(side=channel.remote.side))


def test_a_preimage_between_our_failing_and_the_block_is_held_for_the_chain() -> None:
    failed = decide(with_a_received_htlc(), ChannelErrored(b"no"), BOB).state
    claim = FulfillHtlc(HtlcKey(CHANNEL_ID, RECEIVED, 0), preimage_of(2))
    held = decide(failed, claim, BOB).state
    assert [one.preimage for one in held.held_preimages] == [preimage_of(2)]
    (published,) = told(decide(failed, claim, BOB), CommitmentPublished)
    assert published.claimable == (claim.key,)
    again = decide(held, claim, BOB)
    assert not again.facts and not again.actions
    unknown = decide(failed, FulfillHtlc(HtlcKey(CHANNEL_ID, RECEIVED, 9), preimage_of(9)), BOB)
    assert not unknown.facts and not unknown.actions


def test_each_of_two_preimages_reaches_the_chain_before_the_spend_and_after_it() -> None:
    hash_ = PaymentHash(sha256(preimage_of(3)))
    add = UpdateAddHtlc(CHANNEL_ID, 1, Msat(1_000_000), hash_, BlockHeight(500), bytes(1366))
    two = decide(with_a_received_htlc(), MessageReceived(add), BOB).state
    failed = evolve(decide(two, Lull(), BOB).state, PreimageHeld(0, preimage_of(2)))
    both = failed.local_pending
    failed = failed.but(phase=Phase.FAILED, local=both, remote=both.but(side=failed.remote.side), remote_next=None)
    claim = FulfillHtlc(HtlcKey(CHANNEL_ID, RECEIVED, 1), preimage_of(3))
    assert [one.id for one in decide(failed, claim, BOB).state.held_preimages] == [0, 1]
    spent = failed.but(phase=Phase.SPENT)
    assert told(decide(spent, claim, BOB), ClaimHtlc) == [ClaimHtlc(claim.key, claim.preimage)]
    assert not told(decide(spent, FulfillHtlc(HtlcKey(CHANNEL_ID, RECEIVED, 0), preimage_of(2)), BOB), ClaimHtlc)


def test_a_spend_that_leaves_the_chain_is_told_and_our_commitment_published_again() -> None:
    channel = a_normal_channel()
    spent = decide(channel, commitment_spends(channel), ALICE).state
    step = decide(spent, ChainRewound(BlockHeight(599)), ALICE)
    assert told(step, ChannelUnspent) and told(step, CommitmentPublished)
    assert step.state.phase is Phase.FAILED and step.state.local_point == ALICE.per_commitment_point(7, 0)
    assert not decide(spent, ChainRewound(BlockHeight(600)), ALICE).facts


def test_a_mutual_close_is_over_a_hundred_blocks_deep_and_not_before() -> None:
    channel = drained_channel()
    mutual = OutputSpent(channel.funding.outpoint, closing_tx(channel, Sat(500)).serialize(), BLOCK)
    spent = decide(channel, mutual, ALICE).state
    for height, phase in ((698, Phase.SPENT), (699, Phase.CLOSED)):
        tip = Block(BlockHeight(height), BlockHash(bytes(32)))
        assert decide(spent, HeightReached(tip), env_of("alice", tip=tip)).state.phase is phase


def test_a_mutual_close_that_leaves_the_chain_is_wanted_there_again_and_no_commitment_is() -> None:
    channel = drained_channel()
    tx = closing_tx(channel, Sat(500)).serialize()
    agreed = evolve(channel, CloseAgreed(Agreed(tx, Signature(bytes(64)))))
    spent = decide(agreed, OutputSpent(channel.funding.outpoint, tx, BLOCK), ALICE).state
    step = decide(spent, ChainRewound(BlockHeight(599)), ALICE)
    assert step.state.phase is Phase.CLOSING
    assert told(step, ChannelUnspent) and not told(step, CommitmentPublished)


def test_a_channel_that_is_over_leaves_its_peer_and_what_it_kept_for_a_penalty() -> None:
    spent = decide(a_normal_channel(), commitment_spends(a_normal_channel()), ALICE).state
    step = decide(spent, ChannelResolved(), ALICE)
    assert forget_revoked(CHANNEL_ID) in step.actions
    assert told(step, ChannelDetached, "peer") == [ChannelDetached(CHANNEL_ID)]
