"""What a second sample of mutants showed to be untested: from the middle of a life to its end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.builders.channels import CHANNEL_ID, env_of, keys_of, preimage_of
from tests.builders.closing_channels import drained_channel, heard, signed_by
from tests.builders.dancing import both_signed
from tests.builders.normal_channels import ALICE, BOB, a_normal_channel, an_unconfirmed_channel

from fulmen.core.base.env import Env
from fulmen.core.base.ids import (
    RECEIVED,
    BlockHash,
    CommandId,
    HtlcKey,
    PaymentHash,
    Signature,
)
from fulmen.core.base.machine import Address, Disconnected, Lull, Tell, evolve
from fulmen.core.base.outer import Block, HeightReached, Notify, OutputSpent, Send
from fulmen.core.base.peers import MessageReceived
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Msat, Sat
from fulmen.core.bitcoin.script import p2wpkh
from fulmen.core.channel.closing import drained, fee_limits
from fulmen.core.channel.commands import CloseChannel
from fulmen.core.channel.dance import local_view, owes_commitment
from fulmen.core.channel.facts import (
    Closed,
    FundingUnconfirmed,
    LinkChanged,
    LocalProposed,
    RemoteProposed,
)
from fulmen.core.channel.failing import printable
from fulmen.core.channel.faults import ChannelNotUsable, ClosingFeeOutOfRange, FeerateOutOfRange
from fulmen.core.channel.funding import depth_needed, on_depth
from fulmen.core.channel.remembering import remembered
from fulmen.core.channel.scripts import dust_limit_of
from fulmen.core.channel.state import Channel, Link, Phase
from fulmen.core.channel.table import checks, decide, view
from fulmen.core.channel.updates import FeeratesChanged, follow_feerate
from fulmen.core.commitments.building import build
from fulmen.core.commitments.close import ChannelResolved
from fulmen.core.commitments.commitment import Commitment
from fulmen.core.commitments.htlcs import FulfillHtlc, HtlcOffered, OfferForgotten, OfferHtlc
from fulmen.core.commitments.updates import Add
from fulmen.core.crypto.hashes import sha256
from fulmen.core.wire.messages.closing import ClosingSigned, FeeRange
from fulmen.core.wire.messages.updates import CommitmentSigned, RevokeAndAck, UpdateFee

LEGACY = "static_remotekey"
HASH = PaymentHash(sha256(preimage_of(0)))
ONE, OTHER = Address("payer", b"1"), Address("payer", b"2")


def an_offer(owner: Address = ONE, ref: int = 0) -> OfferHtlc:
    return OfferHtlc(owner, ref, Msat(1_000_000), HASH, BlockHeight(500), bytes(1366))


def offered(channel: Channel, offer: OfferHtlc) -> Channel:
    return decide(channel, offer, ALICE).state


def at_height(name: str, height: int) -> Env:
    return env_of(name, tip=Block(BlockHeight(height), BlockHash(bytes(32))))


def messages(step: Any) -> list[Any]:
    return [action.message for action in step.actions if isinstance(action, Send)]


# -- updates ----------------------------------------------------------------------------------------------------------


def test_two_owners_may_call_their_offers_by_one_number() -> None:
    channel = offered(a_normal_channel("alice"), an_offer(ONE))
    step = decide(channel, an_offer(OTHER), ALICE)
    (told,) = [action for action in step.actions if isinstance(action, Tell)]
    assert isinstance(told.event, HtlcOffered) and (told.to, told.event.key.id) == (OTHER, 1)
    assert [type(fact) for fact in step.facts] == [LocalProposed]


def test_an_offer_that_was_never_signed_is_forgotten_with_the_connection_and_its_owner_hears_of_it() -> None:
    step = decide(offered(a_normal_channel("alice"), an_offer(ONE, 5)), Disconnected(), ALICE)
    assert Tell(ONE, OfferForgotten(5, CHANNEL_ID)) in step.actions


def test_a_preimage_that_is_told_twice_is_said_once() -> None:
    channel = evolve(
        a_normal_channel("bob"), RemoteProposed(Add(0, 0, Msat(1_000_000), HASH, BlockHeight(500), bytes(1366)))
    )
    upto = channel.remote_log.next_index
    channel = channel.but(
        remote=channel.remote.but(remote_upto=upto),
        remote_pending=channel.remote_pending.but(remote_upto=upto),
        local=channel.local_pending,
    )
    claim = FulfillHtlc(HtlcKey(CHANNEL_ID, RECEIVED, 0), preimage_of(0))
    step = decide(channel, claim, BOB)
    assert len(messages(step)) == 1
    again = decide(step.state, claim, BOB)
    assert not again.facts and not again.actions


def test_only_the_opener_follows_the_feerate() -> None:
    dear = FeeratePerKw(5000)
    for name, env, follows in (("alice", ALICE, True), ("bob", BOB, False)):
        changed = replace(env, feerates=env.feerates.but(commitment_per_kw=dear))
        assert bool(follow_feerate(a_normal_channel(name, LEGACY), changed).facts) is follows


def test_half_of_the_floor_is_still_a_feerate() -> None:
    env = replace(BOB, feerates=BOB.feerates.but(floor_per_kw=FeeratePerKw(1000)))
    channel = a_normal_channel("bob", LEGACY)
    assert decide(channel, MessageReceived(UpdateFee(CHANNEL_ID, FeeratePerKw(500))), env).facts
    with pytest.raises(FeerateOutOfRange):
        decide(channel, MessageReceived(UpdateFee(CHANNEL_ID, FeeratePerKw(499))), env)


# -- commitments ------------------------------------------------------------------------------------------------------


def with_a_signed_offer() -> Channel:
    """The peer owes its revocation."""
    return decide(offered(a_normal_channel("alice"), an_offer()), Lull(), ALICE).state


def test_nothing_is_signed_before_the_last_commitment_is_acknowledged_nor_when_the_channel_is_over() -> None:
    proposed = offered(a_normal_channel("alice"), an_offer())
    assert owes_commitment(proposed)
    for phase in (Phase.AWAITING_READY, Phase.CLOSING, Phase.FAILED):
        assert not owes_commitment(proposed.but(phase=phase))
    waiting = offered(with_a_signed_offer(), an_offer(ONE, 1))
    assert not owes_commitment(waiting)
    assert not decide(waiting, Lull(), ALICE).facts


def test_no_signature_is_looked_at_in_a_channel_that_is_not_ready_or_over() -> None:
    signed = MessageReceived(CommitmentSigned(CHANNEL_ID, Signature(bytes(64)), ()))
    assert checks(a_normal_channel("alice"), signed, ALICE)
    assert not checks(an_unconfirmed_channel().but(link=Link.READY), signed, ALICE)
    assert not checks(a_normal_channel("alice").but(phase=Phase.FAILED), signed, ALICE)


def test_a_revocation_is_only_looked_at_where_one_is_owed() -> None:
    channel = with_a_signed_offer()
    keys = keys_of("bob")
    secret, point = keys._per_commitment_secret(7, 0), keys.per_commitment_point(7, 2)
    revocation = MessageReceived(RevokeAndAck(CHANNEL_ID, secret, point))
    assert checks(channel, revocation, ALICE)
    for other in (
        channel.but(phase=Phase.FAILED),
        channel.but(link=Link.REESTABLISHING),
        a_normal_channel("alice"),
    ):
        assert not checks(other, revocation, ALICE)


def test_a_feerate_that_all_commitments_have_taken_in_waits_no_longer() -> None:
    alice, bob = a_normal_channel("alice", LEGACY), a_normal_channel("bob", LEGACY)
    for feerate in (2000, 3000):
        env = replace(ALICE, feerates=ALICE.feerates.but(commitment_per_kw=FeeratePerKw(feerate)))
        proposed = decide(alice, FeeratesChanged(), env)
        (update,) = messages(proposed)
        alice, bob = both_signed(proposed.state, decide(bob, MessageReceived(update), BOB).state)
    assert alice.local.feerate_per_kw == bob.remote.feerate_per_kw == 3000
    assert [fee.feerate_per_kw for fee in alice.local_log.fees] == [3000]
    assert bob.remote_log.fees == ()


def test_what_the_key_holder_has_to_know_is_one_behind_the_commitments() -> None:
    channel = a_normal_channel("alice")

    def at(commitment: Commitment, number: int, offered_count: int) -> Commitment:
        return commitment.but(number=number, totals=commitment.totals.but(offered_count=offered_count))

    known = remembered(channel.but(local=at(channel.local, 4, 0), remote=at(channel.remote, 6, 1)))
    assert known is not None and known.local is not None and known.remote is not None
    assert (known.revealed, known.revoked) == (3, 5)
    assert (known.local.number, known.remote.number) == (4, 6)
    assert (known.local.pending, known.remote.pending) == (False, True)


def test_who_was_met_once_stays_known_over_two_disconnections() -> None:
    channel = a_normal_channel("alice")
    for _ in range(2):
        channel = evolve(channel, LinkChanged(Link.OFFLINE))
        assert channel.met


# -- funding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("agreed", "needed"), [(0, 1), (1, 1), (2, 2)])
def test_one_block_is_enough_where_no_more_were_agreed_on(agreed: int, needed: int) -> None:
    channel = an_unconfirmed_channel()
    assert depth_needed(channel.but(params=channel.terms.but(minimum_depth=agreed))) == needed


def confirmed(channel: Channel, height: int) -> Channel:
    block = Block(BlockHeight(height), BlockHash(bytes(32)))
    return channel.but(fundings=(channel.funding.but(confirmed=block, index_in_block=1),))


def test_the_operator_hears_once_that_a_channel_is_confirmed() -> None:
    channel = confirmed(an_unconfirmed_channel(), 200)
    assert not on_depth(channel, at_height("alice", 201)).actions
    deep = on_depth(channel, at_height("alice", 202))
    about = {"channel_id": CHANNEL_ID.hex(), "height": 202}
    assert [action for action in deep.actions if isinstance(action, Notify)] == [Notify("channel_confirmed", about)]
    later = on_depth(deep.state, at_height("alice", 203))
    assert not [action for action in later.actions if isinstance(action, Notify)]


def test_a_funding_that_leaves_the_chain_is_still_the_one_funding() -> None:
    channel = evolve(confirmed(an_unconfirmed_channel(), 200), FundingUnconfirmed())
    assert len(channel.fundings) == 1 and channel.funding.confirmed is None


@pytest.mark.parametrize("moved", ["local", "remote", "neither"])
def test_a_channel_that_was_used_before_its_funding_confirmed_is_not_forgotten(moved: str) -> None:
    channel = an_unconfirmed_channel("bob")
    if moved != "neither":
        channel = channel.but(**{moved: getattr(channel, moved).but(number=1)})
    env = at_height("bob", channel.funding_broadcast_at + 2016)
    closed = [fact for fact in decide(channel, HeightReached(env.tip), env).facts if isinstance(fact, Closed)]
    assert bool(closed) is (moved == "neither")


# -- closing ----------------------------------------------------------------------------------------------------------


def test_fees_without_a_range_meet_exactly_in_the_middle() -> None:
    first = decide(drained_channel("alice"), Lull(), ALICE).state
    _, fee, high = fee_limits(first, ALICE)
    theirs = high + 1000
    step = heard(first, ClosingSigned(CHANNEL_ID, Sat(theirs), signed_by("bob", first, theirs)), ALICE)
    (counter,) = messages(step)
    assert counter.fee_satoshis == (fee + theirs) // 2 < high


def test_the_most_of_both_ranges_is_agreed_to() -> None:
    channel = drained_channel("bob")
    low, _, _ = fee_limits(channel, BOB)
    for fee in (low, low + 10):
        message = ClosingSigned(CHANNEL_ID, Sat(fee), signed_by("alice", channel, fee), FeeRange(low, Sat(low + 10)))
        step = heard(channel, message, BOB)
        assert step.state.agreed is not None and step.state.agreed.fee_sat == fee
    alice = drained_channel("alice")
    low, _, high = fee_limits(alice, ALICE)
    beyond = ClosingSigned(CHANNEL_ID, Sat(high + 1), signed_by("bob", alice, high + 1), FeeRange(low, Sat(high + 1)))
    with pytest.raises(ClosingFeeOutOfRange):
        heard(alice, beyond, ALICE)


def test_a_channel_is_not_drained_while_anything_at_all_is_left() -> None:
    channel = drained_channel()
    assert drained(channel)
    upto = channel.remote_pending.local_upto + 1
    for undrained in (
        channel.but(link=Link.REESTABLISHING),
        channel.but(remote_next=channel.remote.but(number=1)),
        channel.but(remote_pending=channel.remote_pending.but(local_upto=upto)),
        channel.but(shutdown_received=None, their_shutdown_on_this_link=False),
    ):
        assert not drained(undrained)
    for side in ("local", "remote", "local_pending", "remote_pending"):
        commitment: Commitment = getattr(channel, side)
        for count in ("offered_count", "received_count"):
            totals = commitment.totals.but(**{count: 1})
            assert not drained(channel.but(**{side: commitment.but(totals=totals)})), (side, count)


def test_a_channel_that_closes_carries_nothing() -> None:
    channel = a_normal_channel("alice")
    normal, closing = view(channel), view(channel.but(phase=Phase.SHUTDOWN))
    assert normal is not None and closing is not None
    assert normal.usable and normal.spendable_msat
    assert not closing.usable and not closing.spendable_msat and not closing.away_msat


def test_a_close_to_a_script_that_no_shutdown_may_name_is_refused() -> None:
    legacy = b"\x76\xa9\x14" + bytes(20) + b"\x88\xac"
    with pytest.raises(ChannelNotUsable, match="segwit"):
        decide(a_normal_channel("alice"), CloseChannel(CommandId(b"c" * 16), legacy), ALICE)


def test_a_script_of_the_length_of_p2wpkh_is_not_yet_one() -> None:
    assert dust_limit_of(p2wpkh(bytes(20))) == 294
    assert dust_limit_of(b"\x51\x14" + bytes(20)) == dust_limit_of(b"\x51\x20" + bytes(32)) == 354


def test_what_cannot_be_printed_is_shown_as_hex() -> None:
    assert printable(b" ~") == " ~"
    assert (printable(b"\x1f"), printable(b"\x7f")) == ("1f", "7f")


def spent_alone() -> Channel:
    channel = a_normal_channel("alice")
    tx = build(local_view(channel, channel.local, ALICE)).tx.serialize()
    block = Block(BlockHeight(600), BlockHash(bytes(32)))
    return decide(channel, OutputSpent(channel.funding.outpoint, tx, block), ALICE).state


def test_no_number_of_blocks_ends_a_close_that_onchain_has_not_resolved() -> None:
    env = at_height("alice", 10_000)
    step = decide(spent_alone(), HeightReached(env.tip), env)
    assert not step.facts and not step.actions


@pytest.mark.parametrize(("reason", "why"), [("", "closed unilaterally"), ("the peer lied", "the peer lied")])
def test_what_is_resolved_says_why_it_was_closed(reason: str, why: str) -> None:
    step = decide(spent_alone().but(fail_reason=reason), ChannelResolved(), ALICE)
    assert Closed(why) in step.facts
