"""What a second sample of mutants showed to be untested: from the middle of a life to its end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.builders.channels import CHANNEL_ID, FEATURES, env_of, keys_of, preimage_of
from tests.builders.closing_channels import OURS, THEIRS, drained_channel, heard, signed_by
from tests.builders.dancing import both_signed, signed_for
from tests.builders.normal_channels import ALICE, BOB, a_normal_channel, an_unconfirmed_channel

from fulmen.core.base.env import Env
from fulmen.core.base.ids import (
    RECEIVED,
    BlockHash,
    CommandId,
    HtlcKey,
    OutPoint,
    PaymentHash,
    Secret,
    Signature,
    Txid,
    scid,
)
from fulmen.core.base.machine import Address, Disconnected, Event, Keep, Lull, Tell, evolve
from fulmen.core.base.outer import Block, HeightReached, Notify, OutputSpent, Send, WantHeight
from fulmen.core.base.peers import MessageReceived, PeerReady
from fulmen.core.base.policy import CommitmentPolicy
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Msat, Sat, Timestamp
from fulmen.core.bitcoin.script import p2wpkh
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut
from fulmen.core.channel.closing import closing_tx, drained, fee_limits, sign_closing
from fulmen.core.channel.commands import CloseChannel
from fulmen.core.channel.dance import local_view, owes_commitment
from fulmen.core.channel.facts import (
    Closed,
    FundingConfirmed,
    FundingUnconfirmed,
    LinkChanged,
    LocalProposed,
    ReadyReceived,
    ReadySent,
    RemoteProposed,
)
from fulmen.core.channel.failing import fail, printable
from fulmen.core.channel.faults import BadReestablishSecret, ChannelNotUsable, ClosingFeeOutOfRange, FeerateOutOfRange
from fulmen.core.channel.funding import depth_needed, on_depth, pays_as_agreed
from fulmen.core.channel.limits import most_htlcs, receivable_msat
from fulmen.core.channel.reestablish import check_numbers, is_behind
from fulmen.core.channel.remembering import remembered
from fulmen.core.channel.scripts import dust_limit_of
from fulmen.core.channel.shutdown import perhaps_shutdown
from fulmen.core.channel.state import Channel, Link, Phase
from fulmen.core.channel.table import checks, decide, view, wants
from fulmen.core.channel.updates import FeeratesChanged, follow_feerate
from fulmen.core.commitments.building import build
from fulmen.core.commitments.close import ChannelResolved
from fulmen.core.commitments.commitment import Commitment
from fulmen.core.commitments.htlcs import FulfillHtlc, HtlcOffered, OfferForgotten, OfferHtlc
from fulmen.core.commitments.revoked import RevokedHtlc
from fulmen.core.commitments.updates import Add
from fulmen.core.crypto.hashes import sha256
from fulmen.core.wire.messages.closing import ClosingSigned, FeeRange
from fulmen.core.wire.messages.opening import ChannelReady
from fulmen.core.wire.messages.setup import ErrorMessage
from fulmen.core.wire.messages.updates import ChannelReestablish, CommitmentSigned, RevokeAndAck, UpdateFee

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
        alice, bob = both_signed(("alice", proposed.state), ("bob", decide(bob, MessageReceived(update), BOB).state))
    assert alice.local.feerate_per_kw == bob.remote.feerate_per_kw == 3000
    assert [fee.feerate_per_kw for fee in alice.local_log.fees] == [3000]
    assert bob.remote_log.fees == ()


def test_of_an_htlc_that_leaves_the_commitments_a_penalty_keeps_what_it_needs() -> None:
    offer = decide(a_normal_channel("alice"), an_offer().but(amount_msat=Msat(5_000_000)), ALICE)
    bob = decide(a_normal_channel("bob"), MessageReceived(messages(offer)[0]), BOB).state
    alice, bob = both_signed(("alice", offer.state), ("bob", bob))
    claim = decide(bob, FulfillHtlc(HtlcKey(CHANNEL_ID, RECEIVED, 0), preimage_of(0)), BOB)
    learned = decide(alice, MessageReceived(messages(claim)[0]), ALICE).state
    assert [known.preimage for known in learned.learned_preimages] == [preimage_of(0)]
    step, alice = signed_for(("bob", claim.state), ("alice", learned))
    revoked, bob = signed_for(("alice", alice), ("bob", step.state))
    for end in (step, revoked):
        (kept,) = [action for action in end.actions if isinstance(action, Keep)]
        assert isinstance(kept.row, RevokedHtlc) and kept.row.amount_msat == 5_000_000
    assert revoked.state.learned_preimages == () == bob.held_preimages


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
    for link in (Link.OFFLINE, Link.OFFLINE, Link.REESTABLISHING):
        channel = evolve(channel, LinkChanged(link))
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
    block = Block(BlockHeight(200), BlockHash(bytes(32)))
    channel = evolve(an_unconfirmed_channel(), FundingConfirmed(block, 5))
    assert len(channel.fundings) == 1 and (channel.funding.confirmed, channel.funding.index_in_block) == (block, 5)
    channel = evolve(channel, FundingUnconfirmed())
    assert len(channel.fundings) == 1 and (channel.funding.confirmed, channel.funding.index_in_block) == (None, 0)


def test_a_transaction_without_the_output_of_the_channel_pays_nothing() -> None:
    channel = an_unconfirmed_channel()
    short = Tx(2, (TxIn(OutPoint(Txid(bytes(32)), 0), b"", 0, ()),), (TxOut(Sat(1), p2wpkh(bytes(20))),), 0)
    assert channel.funding.outpoint.vout == 1
    assert pays_as_agreed(channel, short.serialize()) is False


def test_a_channel_is_usable_once_both_have_said_that_they_are_ready() -> None:
    waiting = an_unconfirmed_channel()
    sent = evolve(waiting, ReadySent(scid(16_000_000, 0, 1)))
    assert sent.phase is Phase.AWAITING_READY
    first = ChannelReady(CHANNEL_ID, keys_of("bob").per_commitment_point(7, 1))
    step = decide(waiting.but(link=Link.READY), MessageReceived(first), ALICE)
    assert [type(fact) for fact in step.facts] == [ReadyReceived], "also without an alias"
    assert step.state.phase is Phase.AWAITING_READY
    assert evolve(sent, *step.facts).phase is Phase.NORMAL


@pytest.mark.parametrize("moved", ["local", "remote", "funding", "neither"])
def test_a_channel_that_was_used_or_funded_is_not_forgotten(moved: str) -> None:
    channel = an_unconfirmed_channel("bob")
    if moved == "funding":
        channel = confirmed(channel, 2000)
    elif moved != "neither":
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
    for fee in (low, high):
        within = ClosingSigned(CHANNEL_ID, fee, signed_by("bob", alice, fee), FeeRange(low, Sat(high + 1)))
        step = heard(alice, within, ALICE)
        assert step.state.agreed is not None and step.state.agreed.fee_sat == fee
    beyond = ClosingSigned(CHANNEL_ID, Sat(high + 1), signed_by("bob", alice, high + 1), FeeRange(low, Sat(high + 1)))
    with pytest.raises(ClosingFeeOutOfRange):
        heard(alice, beyond, ALICE)


def test_who_pays_no_closing_fee_allows_none() -> None:
    channel = drained_channel("bob")
    tx = closing_tx(channel, Sat(500))
    assert sign_closing(channel, tx) == sign_closing(channel, tx, Sat(0))


def test_an_overlap_of_one_fee_is_enough() -> None:
    channel = drained_channel("bob")
    low, _, _ = fee_limits(channel, BOB)
    message = ClosingSigned(CHANNEL_ID, low, signed_by("alice", channel, low), FeeRange(Sat(1), low))
    agreed = heard(channel, message, BOB).state.agreed
    assert agreed is not None and agreed.fee_sat == low


def test_an_accepter_that_has_named_no_fee_begins_at_its_own() -> None:
    channel = drained_channel("bob")
    low, fee, high = fee_limits(channel, BOB)
    assert low < (fee + low - 1) // 2 < high
    step = heard(channel, ClosingSigned(CHANNEL_ID, Sat(low - 1), signed_by("alice", channel, low - 1)), BOB)
    (counter,) = messages(step)
    assert counter.fee_satoshis == (fee + low - 1) // 2


def test_our_shutdown_goes_where_we_wanted_and_only_when_somebody_wants_it() -> None:
    channel = a_normal_channel("alice")
    assert not perhaps_shutdown(channel, ALICE).facts
    for theirs in (None, THEIRS):
        step = perhaps_shutdown(channel.but(shutdown_wanted=OURS, shutdown_received=theirs), ALICE)
        assert step.state.shutdown_sent == OURS


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
    assert normal.receivable_msat == receivable_msat(channel) > 0
    assert normal.unfunded is False
    assert not closing.receivable_msat
    assert not closing.usable and not closing.spendable_msat and not closing.away_msat


def test_a_close_to_a_script_that_no_shutdown_may_name_is_refused() -> None:
    legacy = b"\x76\xa9\x14" + bytes(20) + b"\x88\xac"
    with pytest.raises(ChannelNotUsable, match="segwit"):
        decide(a_normal_channel("alice"), CloseChannel(CommandId(b"c" * 16), legacy), ALICE)


def test_a_script_of_the_length_of_p2wpkh_is_not_yet_one() -> None:
    assert dust_limit_of(p2wpkh(bytes(20))) == 294
    assert dust_limit_of(b"\x51\x14" + bytes(20)) == dust_limit_of(b"\x51\x20" + bytes(32)) == 354


def test_what_is_under_way_takes_room_from_what_we_can_receive() -> None:
    channel = a_normal_channel("alice")
    narrow = channel.terms.local.but(max_htlc_value_in_flight_msat=Msat(100_000_000))
    channel = channel.but(params=channel.terms.but(local=narrow))
    totals = channel.local_pending.totals.but(received_msat=Msat(30_000_000))
    assert receivable_msat(channel) == 100_000_000
    assert receivable_msat(channel.but(local_pending=channel.local_pending.but(totals=totals))) == 70_000_000


def test_a_channel_takes_one_htlc_however_small_it_is() -> None:
    assert most_htlcs(Sat(1), CommitmentPolicy(max_commitment_fee_ppm=0, commitment_fee_allowance_sat=Sat(0))) == 1


def test_a_feerate_may_fall_where_it_is_too_high_in_any_case() -> None:
    limits = CommitmentPolicy(max_commitment_fee_ppm=0, commitment_fee_allowance_sat=Sat(0))
    env = replace(ALICE, policy=ALICE.policy.but(commitment=limits))
    step = follow_feerate(a_normal_channel("alice", LEGACY), env)
    assert step.state.remote_pending.feerate_per_kw < 1000
    assert [message.feerate_per_kw for message in messages(step)] == [step.state.remote_pending.feerate_per_kw]


def test_who_is_away_or_closed_the_channel_itself_is_sent_no_error() -> None:
    channel = a_normal_channel("alice")
    for link, error, errors in (
        (Link.READY, "no", 1),
        (Link.READY, "", 0),
        (Link.OFFLINE, "no", 0),
        (Link.OFFLINE, "", 0),
    ):
        sent = messages(fail(channel.but(link=link), ALICE, "because", error))
        assert [type(message) for message in sent] == [ErrorMessage] * errors


@pytest.mark.parametrize(("error", "said"), [("", b"the channel was closed unilaterally"), ("you lied", b"you lied")])
def test_a_failed_channel_says_its_error_again_or_that_it_is_closed(error: str, said: bytes) -> None:
    channel = a_normal_channel("alice").but(phase=Phase.FAILED, link=Link.OFFLINE, error_to_send=error)
    step = decide(channel, PeerReady(channel.terms.node_id, FEATURES, FEATURES), ALICE)
    assert [message.data for message in messages(step)] == [said]


def test_what_a_state_has_no_use_for_is_refused_to_our_own_side() -> None:
    class Strange(Event):
        """Nobody has ever heard of it."""

    with pytest.raises(ChannelNotUsable):
        decide(a_normal_channel("alice"), Strange(), ALICE)


def test_only_a_channel_that_lives_is_woken_for_its_close() -> None:
    channel = confirmed(a_normal_channel("alice"), 90).but(scid=scid(90, 1, 1), close_alone_at=Timestamp(5))
    every_block = WantHeight(channel.funding_broadcast_at)
    assert every_block in wants(channel)
    failed = fail(channel, ALICE, "because", "").state.but(close_alone_at=Timestamp(5))
    assert every_block not in wants(failed)


def test_no_number_and_no_secret_that_cannot_be_is_proof() -> None:
    channel = a_normal_channel("alice")
    secret = keys_of("alice")._per_commitment_secret(7, 5)

    def says(next_revocation_number: int, secret: bytes) -> ChannelReestablish:
        point = ALICE.per_commitment_point(7, 0)
        return ChannelReestablish(CHANNEL_ID, 1, next_revocation_number, Secret(secret), point)

    assert is_behind(channel, says(6, secret), ALICE) is True
    for number, shown in ((7, secret), ((1 << 48) + 1, secret), (6, bytes(32)), (0, secret)):
        assert is_behind(channel, says(number, shown), ALICE) is False
    used = channel.but(local=channel.local.but(number=2), remote=channel.remote.but(number=2))
    message = says(2, bytes(32)).but(next_commitment_number=3)
    with pytest.raises(BadReestablishSecret):
        check_numbers(used, message, ALICE)


def test_what_cannot_be_printed_is_shown_as_hex() -> None:
    assert printable(b"a" * 1000) == "a" * 512
    assert printable(b" ~") == " ~"
    assert (printable(b"\x1f"), printable(b"\x7f")) == ("1f", "7f")


def spent_alone() -> Channel:
    channel = a_normal_channel("alice")
    tx = build(local_view(channel, channel.local, ALICE)).tx.serialize()
    block = Block(BlockHeight(600), BlockHash(bytes(32)))
    return decide(channel, OutputSpent(channel.funding.outpoint, tx, block), ALICE).state


def test_a_spend_that_is_told_again_changes_nothing() -> None:
    spent = spent_alone()
    assert spent.spent_in is not None
    again = decide(spent, OutputSpent(spent.funding.outpoint, spent.spent_by, spent.spent_in), ALICE)
    assert not again.facts and not again.actions


def test_no_number_of_blocks_ends_a_close_that_onchain_has_not_resolved() -> None:
    env = at_height("alice", 10_000)
    step = decide(spent_alone(), HeightReached(env.tip), env)
    assert not step.facts and not step.actions


@pytest.mark.parametrize(("reason", "why"), [("", "closed unilaterally"), ("the peer lied", "the peer lied")])
def test_what_is_resolved_says_why_it_was_closed(reason: str, why: str) -> None:
    step = decide(spent_alone().but(fail_reason=reason), ChannelResolved(), ALICE)
    assert Closed(why) in step.facts
