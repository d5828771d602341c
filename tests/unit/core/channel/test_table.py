"""Every state meets every message and event: each pair is handled, or refused by name."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders.channels import CHANNEL_ID
from tests.builders.closing_channels import drained_channel
from tests.builders.messages import messages
from tests.builders.normal_channels import ALICE, BOB, a_normal_channel, an_unconfirmed_channel

from fulmen.core.base.faults import PeerFault, Refused
from fulmen.core.base.ids import (
    RECEIVED,
    BlockHash,
    CommandId,
    HtlcKey,
    PaymentHash,
    Preimage,
    Secret,
    Signature,
    Txid,
    scid,
)
from fulmen.core.base.machine import Address, CallerGone, Disconnected, Event, Faulted, Lull, Step, evolve
from fulmen.core.base.mount import CheckFailed
from fulmen.core.base.outer import Block, ChainRewound, HeightReached, OutputSpent, TxConfirmed, WantHeight
from fulmen.core.base.peers import ChannelErrored, MessageReceived, PeerAlive, PeerReady
from fulmen.core.base.policy import ForwardPolicy
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Msat, Sat, Timestamp
from fulmen.core.channel.closing import closing_tx
from fulmen.core.channel.commands import CloseChannel, SetChannel
from fulmen.core.channel.facts import (
    ChannelFailed,
    CloseAgreed,
    Closed,
    FundingSpent,
    RemoteProposed,
    ShutdownReceived,
    ShutdownSent,
)
from fulmen.core.channel.faults import (
    BadCommitmentSignature,
    BadRevocationSecret,
    ChannelNotUsable,
    ForwardTooHasty,
    UnexpectedMessage,
)
from fulmen.core.channel.remembering import remembered
from fulmen.core.channel.state import Agreed, Channel, Deferred, Link, Phase
from fulmen.core.channel.table import checks, decide, initial, takes_frozen, view, wants
from fulmen.core.channel.updates import FeeratesChanged
from fulmen.core.commitments.announcing import AnnouncementHalf, HalfHeard
from fulmen.core.commitments.close import ChannelResolved
from fulmen.core.commitments.commitment import LOCAL, REMOTE, Commitment, Totals
from fulmen.core.commitments.htlcs import FailHtlc, FulfillHtlc, OfferHtlc, SeekOffer
from fulmen.core.commitments.updates import Add
from fulmen.core.wire.messages.closing import ClosingSigned, Shutdown
from fulmen.core.wire.messages.opening import FundingSigned
from fulmen.core.wire.messages.updates import CommitmentSigned, RevokeAndAck, UpdateAddHtlc, UpdateFee

SCRIPT = b"\x00\x14" + bytes(20)
BLOCK = Block(BlockHeight(99), BlockHash(bytes(32)))


@lru_cache
def a_channel_in(phase: Phase) -> Channel:
    """Alice's end in a phase, with the connection up where that makes sense."""
    normal = a_normal_channel("alice")
    match phase:
        case Phase.NONE:
            return initial(CHANNEL_ID)
        case Phase.CREATED:
            return an_unconfirmed_channel().but(phase=Phase.CREATED, link=Link.READY)
        case Phase.AWAITING_READY:
            return an_unconfirmed_channel().but(link=Link.READY)
        case Phase.NORMAL:
            return normal
        case Phase.SHUTDOWN:
            return evolve(evolve(normal, ShutdownSent(SCRIPT)), ShutdownReceived(SCRIPT))
        case Phase.CLOSING:
            down = a_channel_in(Phase.SHUTDOWN)
            return evolve(down, CloseAgreed(Agreed(closing_tx(down, Sat(500)).serialize(), Signature(bytes(64)))))
        case Phase.FAILED:
            point = ALICE.per_commitment_point(normal.terms.key_index, normal.local.number)
            return evolve(normal, ChannelFailed("tired", "tired", point))
        case Phase.SPENT:
            down = a_channel_in(Phase.SHUTDOWN)
            return evolve(down, FundingSpent(closing_tx(down, Sat(500)).serialize(), BLOCK))
        case Phase.CLOSED:
            return evolve(normal, Closed("over"))


KEY = HtlcKey(CHANNEL_ID, RECEIVED, 3)
EVENTS: tuple[Event, ...] = (
    Lull(),
    FeeratesChanged(),
    Disconnected(),
    CallerGone(),
    PeerReady(ALICE.node_id, b"", b""),
    PeerAlive(),
    ChannelErrored(b"\xff\x00no"),
    HeightReached(BLOCK),
    ChainRewound(BlockHeight(3)),
    TxConfirmed(Txid(bytes(32)), b"", BLOCK, 1),
    ChannelResolved(),
    CloseChannel(CommandId(b"c" * 16)),
    CloseChannel(CommandId(b"c" * 16), force=True),
    SetChannel(CommandId(b"c" * 16), ForwardPolicy()),
    FulfillHtlc(KEY, Preimage(bytes(32))),
    FailHtlc(KEY, b""),
    HalfHeard(AnnouncementHalf(scid(100, 1, 0), Signature(bytes(64)), Signature(bytes(64)))),
    OfferHtlc(Address("payer", b""), 0, Msat(1000), PaymentHash(bytes(32)), BlockHeight(500), bytes(1366)),
    SeekOffer(Address("payer", b""), 0),
)


def answered(channel: Channel, event: Event) -> Step[Channel]:
    """Decide, and where that is refused decide what to do about the refusal: as the node does."""
    try:
        return decide(channel, event, ALICE)
    except (PeerFault, Refused) as fault:
        return decide(channel, Faulted(event, fault), ALICE)


# An opener that waits for funding_signed (CREATED) is tested with its whole opening; these are told to it anyway.
ALWAYS = (Lull, CallerGone, HeightReached, ChainRewound, OfferHtlc, SeekOffer, HalfHeard, FeeratesChanged)
PAIRS = [
    (phase, event) for phase in Phase for event in EVENTS if phase is not Phase.CREATED or isinstance(event, ALWAYS)
]


@pytest.mark.parametrize(("phase", "event"), PAIRS, ids=lambda part: getattr(part, "name", type(part).__name__))
def test_every_event_has_an_answer_in_every_state(phase: Phase, event: Event) -> None:
    channel = a_channel_in(phase)
    step = answered(channel, event)
    wants(step.state)


@pytest.mark.parametrize("phase", [Phase.NONE, Phase.CREATED])
@pytest.mark.parametrize("event", [Lull(), FeeratesChanged(), ChainRewound(BlockHeight(3))], ids=repr)
def test_what_all_channels_are_told_ends_no_opening(phase: Phase, event: Event) -> None:
    channel = a_channel_in(phase)
    assert decide(channel, event, ALICE).state == channel


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([phase for phase in Phase if phase is not Phase.CREATED]), st.booleans(), messages())
def test_any_message_in_any_state_is_handled_or_refused_by_name(phase: Phase, connected: bool, message: Any) -> None:
    channel = a_channel_in(phase)
    if not connected:
        channel = channel.but(link=Link.OFFLINE)
    event = MessageReceived(message)
    try:
        found = checks(channel, event, ALICE)
    except PeerFault as fault:
        answered(channel, Faulted(event, fault))
        return
    if any(not check.holds() for check in found):  # type: ignore[attr-defined]
        event_or_failure: Event = CheckFailed(event, found[0])
    else:
        event_or_failure = event
    step = answered(channel, event_or_failure)
    wants(step.state)


def test_a_message_that_has_no_place_is_refused_by_name() -> None:
    with pytest.raises(UnexpectedMessage):
        decide(a_normal_channel("alice"), MessageReceived(FundingSigned(CHANNEL_ID, Signature(bytes(64)))), ALICE)


def test_a_failed_channel_is_deaf() -> None:
    channel = a_channel_in(Phase.FAILED)
    step = decide(channel, MessageReceived(FundingSigned(CHANNEL_ID, Signature(bytes(64)))), ALICE)
    assert not step.facts and not step.actions


def test_a_failed_channel_wants_its_commitment_published_and_an_outdated_one_never() -> None:
    failed = a_channel_in(Phase.FAILED)
    names = [getattr(want, "name", "") for want in wants(failed)]
    assert "our commitment" in names
    assert "our commitment" not in [getattr(want, "name", "") for want in wants(failed.but(outdated=True))]


def test_a_spend_of_another_output_is_not_ours() -> None:
    channel = a_normal_channel("alice")
    other = channel.funding.outpoint.but(vout=7)
    assert not decide(channel, OutputSpent(other, b"", BLOCK), ALICE).facts


def test_a_changed_policy_shows_the_old_one_for_ten_minutes() -> None:
    channel, command = a_normal_channel("alice"), CommandId(b"c" * 16)
    dear, dearer = ForwardPolicy(fee_base_msat=2000), ForwardPolicy(fee_base_msat=3000)
    first = decide(channel, SetChannel(command, dear), ALICE).state
    shown = view(first)
    assert shown is not None
    assert (shown.forward, shown.previous_forward) == (dear, ALICE.policy.forward)
    assert shown.previous_forward_until == ALICE.wall + 600
    second = view(decide(first, SetChannel(command, dearer), ALICE).state)
    assert second is not None and (second.forward, second.previous_forward) == (dearer, dear)


def test_no_policy_is_set_that_the_deadlines_on_the_chain_would_miss() -> None:
    hasty = SetChannel(CommandId(b"c" * 16), ForwardPolicy(cltv_expiry_delta=79))
    with pytest.raises(ForwardTooHasty):
        decide(a_normal_channel("alice"), hasty, ALICE)


def test_a_channel_whose_peer_is_away_shows_what_it_could_send_and_carries_nothing() -> None:
    channel = a_normal_channel("alice")
    here, gone = view(channel), view(decide(channel, Disconnected(), ALICE).state)
    assert here is not None and gone is not None
    assert (here.usable, here.away_msat) == (True, 0)
    assert (gone.usable, gone.spendable_msat, gone.away_msat) == (False, 0, here.spendable_msat)
    closing = view(decide(channel, Disconnected(), ALICE).state.but(shutdown_wanted=b"script"))
    assert closing is not None and closing.away_msat == 0


@pytest.mark.parametrize(
    "room", [{"max_accepted_htlcs": 1}, {"max_htlc_value_in_flight_msat": Msat(1_000_000)}], ids=["number", "value"]
)
def test_a_channel_whose_room_is_used_up_shows_what_it_could_send_when_htlcs_have_ended(room: dict[str, Any]) -> None:
    normal = a_normal_channel("alice")
    channel = normal.but(params=normal.terms.but(remote=normal.terms.remote.but(**room)))
    offer = OfferHtlc(Address("payer", b"p"), 1, Msat(1_000_000), PaymentHash(b"h" * 32), BlockHeight(900), bytes(1366))
    idle, full = view(channel), view(decide(channel, offer, ALICE).state)
    assert idle is not None and full is not None
    assert (idle.spendable_msat > 0, idle.away_msat) == (True, 0)
    assert (full.usable, full.spendable_msat) == (True, 0)
    assert 0 < full.away_msat <= idle.spendable_msat


def test_a_channel_shows_what_its_peer_has_under_way() -> None:
    channel = a_normal_channel("bob")
    for id, amount in enumerate((1_000_000, 2_000_000, 353_999)):
        add = Add(id, id, Msat(amount), PaymentHash(b"h" * 32), BlockHeight(500), bytes(1366))
        channel = evolve(channel, RemoteProposed(add))
    shown = view(channel)
    assert shown is not None
    assert (shown.received_count, shown.received_msat, shown.received_outputs) == (3, 3_353_999, 2)


def test_a_closing_signed_while_htlcs_are_left_is_refused_by_name() -> None:
    channel = a_channel_in(Phase.SHUTDOWN)
    add = Add(0, 0, Msat(1_000_000), PaymentHash(b"h" * 32), BlockHeight(500), bytes(1366))
    busy = evolve(channel, RemoteProposed(add))
    with pytest.raises(UnexpectedMessage):
        decide(busy, MessageReceived(ClosingSigned(CHANNEL_ID, Sat(500), Signature(bytes(64)))), ALICE)


# -- when it is woken -------------------------------------------------------------------------------------------------


def woken_at(channel: Channel) -> list[BlockHeight]:
    return [want.height for want in wants(channel) if isinstance(want, WantHeight)]


def placed(channel: Channel, height: int) -> Channel:
    """Its funding is in the block of this height, and not yet deep enough for a name."""
    block = Block(BlockHeight(height), BlockHash(bytes(32)))
    return channel.but(fundings=(channel.funding.but(confirmed=block, index_in_block=1),), scid=None)


def test_a_funding_that_does_not_confirm_wakes_us_after_a_day_and_one_that_has_with_each_block() -> None:
    waiting = an_unconfirmed_channel()
    assert woken_at(waiting) == [waiting.funding_broadcast_at + 144]
    assert woken_at(placed(waiting, 107)) == [108]
    named = placed(waiting, 107).but(scid=scid(107, 1, 1))
    assert woken_at(named) == []


@pytest.mark.parametrize(
    "reason",
    [
        {"close_alone_at": Timestamp(5)},
        {"deferred": Deferred(BlockHeight(100), "because", "no")},
        {"close_alone_at": Timestamp(5), "deferred": Deferred(BlockHeight(100), "because", "no")},
    ],
    ids="and".join,
)
def test_a_close_that_waits_is_woken_with_each_block_while_the_channel_lives(reason: dict[str, Any]) -> None:
    channel = placed(a_normal_channel("alice"), 90).but(scid=scid(90, 1, 1))
    assert woken_at(channel) == []
    assert woken_at(channel.but(**reason)) == [channel.funding_broadcast_at]
    assert woken_at(channel.but(phase=Phase.CLOSING, agreed=a_channel_in(Phase.CLOSING).agreed, **reason)) == []


def test_a_spent_channel_is_woken_by_the_block_after_its_spend() -> None:
    assert woken_at(a_channel_in(Phase.SPENT)) == [BLOCK.height + 1]


# -- what has no place ------------------------------------------------------------------------------------------------


class Strange(Event):
    """Nobody has ever heard of it."""


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.SPENT, Phase.CLOSED])
def test_a_channel_that_is_over_is_deaf_to_its_peer_alone(phase: Phase) -> None:
    channel = a_channel_in(phase)
    with pytest.raises(ChannelNotUsable):
        decide(channel, Strange(), ALICE)
    step = decide(channel, MessageReceived(FundingSigned(CHANNEL_ID, Signature(bytes(64)))), ALICE)
    assert not step.facts and not step.actions


ADD = UpdateAddHtlc(CHANNEL_ID, 0, Msat(1_000_000), PaymentHash(b"h" * 32), BlockHeight(500), bytes(1366))


@pytest.mark.parametrize("missing", [{"ready_sent": False}, {"ready_received": False}], ids=str)
def test_no_payment_comes_over_a_channel_before_both_are_ready(missing: dict[str, bool]) -> None:
    channel = a_normal_channel("bob")
    assert decide(channel, MessageReceived(ADD), ALICE).facts
    for message in (ADD, UpdateFee(CHANNEL_ID, FeeratePerKw(1000)), CommitmentSigned(CHANNEL_ID, SIGNATURE, ())):
        with pytest.raises(UnexpectedMessage):
            decide(channel.but(**missing), MessageReceived(message), ALICE)
    assert not checks(channel.but(**missing), MessageReceived(CommitmentSigned(CHANNEL_ID, SIGNATURE, ())), ALICE)


SIGNATURE = Signature(bytes(64))


def test_a_bad_signature_fails_the_channel_by_its_own_name() -> None:
    channel = decide(a_normal_channel("bob"), MessageReceived(ADD), BOB).state
    signed = MessageReceived(CommitmentSigned(CHANNEL_ID, SIGNATURE, (SIGNATURE,)))
    (check,) = checks(channel, signed, BOB)
    assert not check.holds()
    with pytest.raises(BadCommitmentSignature):
        decide(channel, CheckFailed(signed, check), BOB)
    revoked = MessageReceived(RevokeAndAck(CHANNEL_ID, Secret(bytes(32)), BOB.per_commitment_point(7, 1)))
    with pytest.raises(BadRevocationSecret):
        decide(channel, CheckFailed(revoked, check), BOB)


@pytest.mark.parametrize(
    ("event", "takes"),
    [
        (Lull(), False),
        (FeeratesChanged(), False),
        (FailHtlc(KEY, b""), False),
        (SetChannel(CommandId(b"c" * 16), ForwardPolicy()), False),
        (CloseChannel(CommandId(b"c" * 16)), False),
        (CloseChannel(CommandId(b"c" * 16), force=True), True),
        (Disconnected(), True),
        (HeightReached(BLOCK), True),
        (FulfillHtlc(KEY, Preimage(bytes(32))), True),
    ],
    ids=lambda part: type(part).__name__,
)
def test_a_frozen_channel_watches_and_closes_and_does_nothing_else(event: Event, takes: bool) -> None:
    assert takes_frozen(a_normal_channel("alice"), event) is takes


# -- what it shows ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "why",
    [{"frozen": True}, {"phase": Phase.AWAITING_READY}, {"shutdown_wanted": SCRIPT}, {"phase": Phase.SHUTDOWN}],
    ids=str,
)
def test_a_channel_that_carries_nothing_shows_nothing_to_spend_nor_to_hope_for(why: dict[str, Any]) -> None:
    for link in (Link.READY, Link.OFFLINE):
        shown = view(a_normal_channel("alice").but(link=link, **why))
        assert shown is not None
        assert (shown.usable, shown.spendable_msat, shown.receivable_msat, shown.away_msat) == (False, 0, 0, 0)


def test_a_channel_shows_the_newest_of_its_names() -> None:
    channel = a_normal_channel("alice")
    names = tuple(scid(16_000_000, 0, number) for number in (1, 2, 3))
    shown, unnamed = view(channel.but(local_aliases=names)), view(channel.but(local_aliases=()))
    assert shown is not None and shown.local_alias == names[-1]
    assert unnamed is not None and unnamed.local_alias is None


@pytest.mark.parametrize("depth", [1, 3])
def test_a_funding_that_has_to_confirm_at_all_is_the_openers_debt_until_then(depth: int) -> None:
    channel = an_unconfirmed_channel("bob")
    channel = channel.but(params=channel.terms.but(minimum_depth=depth))
    before, after = view(channel), view(channel.but(scid=scid(101, 1, 1)))
    assert before is not None and after is not None
    assert (before.unfunded, after.unfunded) == (True, False)


def test_what_is_not_yet_or_no_more_shows_nothing() -> None:
    for phase in (Phase.NONE, Phase.CREATED, Phase.CLOSED):
        assert view(a_channel_in(phase)) is None
        assert remembered(a_channel_in(phase)) is None


def test_a_channel_that_is_not_yet_is_nothing_at_all() -> None:
    channel = initial(CHANNEL_ID)
    nothing = Totals(Msat(0), Msat(0))
    assert channel.local == channel.local_pending == Commitment(LOCAL, 0, 0, 0, FeeratePerKw(0), nothing)
    assert channel.remote == channel.remote_pending == Commitment(REMOTE, 0, 0, 0, FeeratePerKw(0), nothing)
    assert channel.channel_id == CHANNEL_ID and not channel.closes


def test_a_channel_closes_from_the_wish_on() -> None:
    channel = a_normal_channel("alice")
    assert not channel.closes and not channel.but(phase=Phase.AWAITING_READY).closes
    assert channel.but(shutdown_wanted=SCRIPT).closes and channel.but(phase=Phase.SHUTDOWN).closes


def test_only_what_bears_a_signature_that_counts_is_looked_at() -> None:
    funding = MessageReceived(FundingSigned(CHANNEL_ID, SIGNATURE))
    for channel in (a_normal_channel("alice"), drained_channel("bob")):
        assert checks(channel, funding, ALICE) == ()
        assert checks(channel, MessageReceived(Shutdown(CHANNEL_ID, SCRIPT)), ALICE) == ()
        assert checks(channel, Lull(), ALICE) == ()
    (check,) = checks(drained_channel("bob"), MessageReceived(ClosingSigned(CHANNEL_ID, Sat(500), SIGNATURE)), BOB)
    assert not check.holds()
    opened = MessageReceived(ClosingSigned(CHANNEL_ID, Sat(500), SIGNATURE))
    assert checks(a_normal_channel("alice"), opened, ALICE) == ()
