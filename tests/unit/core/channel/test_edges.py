"""Where one state ends and another begins: what samples of mutants showed to be untested."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.builders.channels import CHANNEL_ID, FEATURES, keys_of, preimage_of
from tests.builders.closing_channels import drained_channel, signed_by
from tests.builders.normal_channels import ALICE, BOB, a_normal_channel, an_unconfirmed_channel
from tests.builders.openings import an_answer_to

from fulmen.core.base.funds import Funded, FundTransaction, ReleaseFunding
from fulmen.core.base.ids import (
    RECEIVED,
    ChannelId,
    CommandId,
    HtlcKey,
    NodeId,
    PaymentHash,
    Signature,
    Txid,
    scid_parts,
)
from fulmen.core.base.machine import Address, Disconnected, Lull, Step, Tell, evolve
from fulmen.core.base.mount import CheckFailed
from fulmen.core.base.outer import HangUp, Send
from fulmen.core.base.peers import MessageReceived, OpeningEnded, PeerReady, PeerView
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Msat, Sat, to_msat
from fulmen.core.channel import opening
from fulmen.core.channel.commands import OpenTo
from fulmen.core.channel.facts import CommitmentReceived, PreimageHeld, ReadyReceived, RemoteProposed, ShutdownSent
from fulmen.core.channel.failing import do_remedy
from fulmen.core.channel.faults import BadFundingSignature, ExpiryNotAHeight, OpeningNotPossible, OpeningRefused
from fulmen.core.channel.funding import depth_needed, new_alias
from fulmen.core.channel.limits import opener_cost_msat
from fulmen.core.channel.opening.state import Opening, Stage
from fulmen.core.channel.state import Channel, Link, Phase
from fulmen.core.channel.table import checks, decide
from fulmen.core.channel.updates import follow_feerate
from fulmen.core.commitments.htlcs import FailHtlc, OfferHtlc, OfferRefused
from fulmen.core.commitments.updates import Add, Updates
from fulmen.core.crypto.hashes import sha256
from fulmen.core.wire.features import OPTION_ANCHORS, OPTION_STATIC_REMOTEKEY, OPTION_SUPPORT_LARGE_CHANNEL, optional
from fulmen.core.wire.messages.closing import ClosingSigned
from fulmen.core.wire.messages.opening import ChannelReady, FundingCreated, FundingSigned, OpenChannel
from fulmen.core.wire.messages.updates import ChannelReestablish, CommitmentSigned, UpdateFee

HASH = PaymentHash(sha256(preimage_of(0)))
SCRIPT = b"\x00\x14" + bytes(20)


def sent(step: Step[Any]) -> list[str]:
    return [type(action.message).__name__ for action in step.actions if isinstance(action, Send)]


def with_a_locked_in_htlc() -> Channel:
    """Bob's end, with an HTLC of alice that both have irrevocably committed to."""
    channel = a_normal_channel("bob")
    channel = evolve(channel, RemoteProposed(Add(0, 0, Msat(1_000_000), HASH, BlockHeight(500), bytes(1366))))
    upto = channel.remote_log.next_index
    return channel.but(
        remote=channel.remote.but(remote_upto=upto),
        remote_pending=channel.remote_pending.but(remote_upto=upto),
        local=channel.local_pending.but(number=channel.local.number),
    )


# -- settling ---------------------------------------------------------------------------------------------------------


def test_nothing_is_settled_while_the_peer_is_away() -> None:
    channel, event = with_a_locked_in_htlc(), FailHtlc(HtlcKey(CHANNEL_ID, RECEIVED, 0), b"reason")
    assert sent(decide(channel, event, BOB)) == ["UpdateFailHtlc"]
    for link in (Link.OFFLINE, Link.REESTABLISHING):
        away = decide(channel.but(link=link), event, BOB)
        assert not away.facts and not away.actions


@pytest.mark.parametrize("known", [True, False])
def test_after_a_reconnection_what_we_can_claim_is_claimed_again_and_of_the_rest_we_remind(known: bool) -> None:
    channel = with_a_locked_in_htlc()
    if known:
        channel = evolve(channel, PreimageHeld(0, preimage_of(0)))
    channel = decide(channel, Disconnected(), BOB).state
    channel = decide(channel, PeerReady(channel.terms.node_id, FEATURES, FEATURES), BOB).state
    point = BOB.per_commitment_point(7, 0)
    message = ChannelReestablish(CHANNEL_ID, channel.last_signed.number + 1, channel.local.number, bytes(32), point)
    step = decide(channel, MessageReceived(message), BOB)
    told = [action for action in step.actions if isinstance(action, Tell) and action.to.kind == "circuit"]
    assert ("UpdateFulfillHtlc" in sent(step)) is known
    assert bool(told) is not known


@pytest.mark.parametrize(
    ("phase", "why"), [(Phase.AWAITING_READY, "ChannelNotReady"), (Phase.SHUTDOWN, "ChannelClosing")]
)
def test_an_offer_hears_whether_it_comes_too_early_or_too_late(phase: Phase, why: str) -> None:
    normal = a_normal_channel("alice")
    channel = normal.but(phase=phase) if phase is Phase.AWAITING_READY else evolve(normal, ShutdownSent(SCRIPT))
    offer = OfferHtlc(Address("payer", b"p"), 0, Msat(1_000_000), HASH, BlockHeight(500), bytes(1366))
    (action,) = decide(channel.but(phase=phase), offer, ALICE).actions
    assert isinstance(action, Tell) and isinstance(action.event, OfferRefused)
    assert action.event.why == why


# -- commitments ------------------------------------------------------------------------------------------------------


def test_a_commitment_received_leaves_one_funding() -> None:
    channel = a_normal_channel("alice")
    received = evolve(channel, CommitmentReceived(1, Updates(), Signature(b"s" * 64), ()))
    assert len(received.fundings) == len(channel.fundings) == 1
    assert received.funding.peer_signature == b"s" * 64


def test_a_channel_ready_that_comes_late_opens_nothing_again() -> None:
    point = ALICE.per_commitment_point(7, 1)
    for phase in (Phase.SHUTDOWN, Phase.CLOSING, Phase.FAILED):
        channel = a_normal_channel("alice").but(phase=phase)
        assert evolve(channel, ReadyReceived(point, None)).phase is phase


def test_channel_ready_is_not_said_again_once_our_commitment_has_moved() -> None:
    channel = evolve(a_normal_channel("alice"), CommitmentReceived(1, Updates(), Signature(bytes(64)), ()))
    channel = decide(channel, Disconnected(), ALICE).state
    channel = decide(channel, PeerReady(channel.terms.node_id, FEATURES, FEATURES), ALICE).state
    secret = keys_of("alice")._per_commitment_secret(7, 0)
    message = ChannelReestablish(CHANNEL_ID, 1, 1, secret, ALICE.per_commitment_point(7, 0))
    assert "ChannelReady" not in sent(decide(channel, MessageReceived(message), ALICE))


def test_signatures_are_only_looked_at_where_they_can_count() -> None:
    signed = MessageReceived(CommitmentSigned(CHANNEL_ID, Signature(bytes(64)), ()))
    assert checks(a_normal_channel("alice"), signed, ALICE)
    assert not checks(a_normal_channel("alice").but(link=Link.REESTABLISHING), signed, ALICE)
    created = an_unconfirmed_channel().but(phase=Phase.CREATED, link=Link.READY)
    ready = MessageReceived(ChannelReady(CHANNEL_ID, ALICE.per_commitment_point(7, 1)))
    assert not checks(created, ready, ALICE)


# -- fees -------------------------------------------------------------------------------------------------------------


def test_an_opener_follows_the_feerate_as_far_as_it_can_pay() -> None:
    channel = a_normal_channel("alice", "static_remotekey")
    wanted = FeeratePerKw(5000)
    env = replace(ALICE, feerates=ALICE.feerates.but(commitment_per_kw=wanted))
    cost = opener_cost_msat(channel, channel.remote_pending, 0, wanted)
    least = to_msat(channel.terms.remote.channel_reserve_sat) + cost
    for ours, follows in ((least, True), (least - 1, False)):
        totals = channel.remote_pending.totals.but(local_msat=Msat(ours))
        step = follow_feerate(channel.but(remote_pending=channel.remote_pending.but(totals=totals)), env)
        assert [type(action.message) for action in step.actions if isinstance(action, Send)] == [UpdateFee] * follows


def test_a_closing_fee_beyond_the_openers_balance_is_not_even_checked() -> None:
    channel = drained_channel("bob")
    all_of_it = channel.local.totals.remote_msat // 1000
    fee = Sat(all_of_it)
    assert checks(channel, MessageReceived(ClosingSigned(CHANNEL_ID, fee, signed_by("alice", channel, fee))), BOB)
    beyond = MessageReceived(ClosingSigned(CHANNEL_ID, Sat(all_of_it + 1), Signature(bytes(64))))
    assert not checks(channel, beyond, BOB)


def test_who_breaks_a_rule_when_all_is_agreed_on_is_only_warned_and_left() -> None:
    channel = a_normal_channel("alice").but(phase=Phase.CLOSING)
    step = do_remedy(channel, ExpiryNotAHeight(id=0), ALICE)
    assert not step.facts
    assert sent(step) == ["WarningMessage"] and any(isinstance(action, HangUp) for action in step.actions)


# -- opening ----------------------------------------------------------------------------------------------------------

PLAIN = optional(OPTION_STATIC_REMOTEKEY, OPTION_ANCHORS)
LARGE = PLAIN | optional(OPTION_SUPPORT_LARGE_CHANNEL)
BOBS_ID = NodeId(b"\x02" * 33)


def begun(theirs: Any = PLAIN, **changes: Any) -> OpenChannel:
    """What we send to a peer with these features."""
    message = offered(theirs, **changes).opened_with
    assert message is not None
    return message


def offered(theirs: Any = PLAIN, **changes: Any) -> Opening:
    """An opening whose `open_channel` is on its way to a peer with these features."""
    peer = PeerView(BOBS_ID, True, LARGE.to_bytes(), theirs.to_bytes())
    env = replace(ALICE, views={f"peer:{BOBS_ID.hex()}": peer})
    wish = OpenTo(CommandId(b"c" * 16), BOBS_ID, **({"funding_sat": Sat(1_000_000)} | changes))
    step = opening.MOUNT.decide(opening.MOUNT.initial(BOBS_ID + b"t" * 32), wish, env)
    assert sent(step) == ["OpenChannel"]
    state: Opening = step.state
    return state


def test_a_channel_of_2_to_the_24_needs_a_peer_that_takes_it() -> None:
    assert begun(funding_sat=Sat((1 << 24) - 1)).funding_satoshis == (1 << 24) - 1
    assert begun(LARGE, funding_sat=Sat(1 << 24)).funding_satoshis == 1 << 24
    with pytest.raises(OpeningNotPossible, match="takes no channel"):
        begun(funding_sat=Sat(1 << 24))


def test_no_more_is_pushed_than_there_is() -> None:
    with pytest.raises(OpeningNotPossible, match="push_msat"):
        begun(push_msat=Msat(1_000_000_001))
    assert begun(push_msat=Msat(900_000_000)).push_msat == 900_000_000


@pytest.mark.parametrize("announce", [True, False])
def test_the_one_defined_flag_says_whether_it_is_for_everybody(announce: bool) -> None:
    assert begun(announce=announce).channel_flags == announce


@pytest.mark.parametrize("stage", list(Stage))
def test_an_opening_that_ends_gives_coins_back_while_the_wallet_looks_for_them_and_never_else(stage: Stage) -> None:
    state = Opening(BOBS_ID, ChannelId(b"t" * 32), stage)
    step = opening.MOUNT.decide(state, Disconnected(), ALICE)
    released = [action.event for action in step.actions if isinstance(action, Tell) and action.to == Address("wallet")]
    assert released == ([ReleaseFunding(ChannelId(b"t" * 32))] if stage is Stage.ACCEPTED else [])


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.OVER])
def test_an_opening_that_ends_says_so_to_its_peer(stage: Stage) -> None:
    step = opening.MOUNT.decide(Opening(BOBS_ID, ChannelId(b"t" * 32), stage), Disconnected(), ALICE)
    assert Tell(Address("peer", BOBS_ID), OpeningEnded(ChannelId(b"t" * 32))) in step.actions


def test_nothing_of_an_opening_outlives_its_connection() -> None:
    state = Opening(BOBS_ID, ChannelId(b"t" * 32), Stage.OFFERED, 5, local_features=b"a", remote_features=b"b")
    assert opening.MOUNT.forget is not None
    assert opening.MOUNT.forget(state) == Opening(BOBS_ID, ChannelId(b"t" * 32))


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.ACCEPTED])
def test_coins_that_come_for_an_opening_that_waits_for_none_go_back(stage: Stage) -> None:
    state = Opening(BOBS_ID, ChannelId(b"t" * 32), stage)
    step = opening.MOUNT.decide(state, Funded(b"t" * 32, b"", Sat(0)), ALICE)
    assert not step.facts and step.actions == [Tell(Address("wallet"), ReleaseFunding(ChannelId(b"t" * 32)))]


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.AWAITING_FUNDING])
def test_a_funding_that_nobody_waits_for_is_refused(stage: Stage) -> None:
    state = Opening(BOBS_ID, ChannelId(b"t" * 32), stage)
    message = FundingCreated(ChannelId(b"t" * 32), Txid(bytes(32)), 0, Signature(bytes(64)))
    with pytest.raises(OpeningRefused, match="without open_channel"):
        opening.MOUNT.decide(state, MessageReceived(message), ALICE)


def test_a_bad_signature_on_the_first_commitment_ends_what_is_not_yet_a_channel() -> None:
    created = an_unconfirmed_channel().but(phase=Phase.CREATED)
    signed = MessageReceived(CommitmentSigned(CHANNEL_ID, Signature(bytes(64)), ()))
    (check,) = checks(a_normal_channel("alice"), signed, ALICE)
    message = MessageReceived(FundingSigned(CHANNEL_ID, Signature(bytes(64))))
    with pytest.raises(BadFundingSignature):
        decide(created, CheckFailed(message, check), ALICE)


@pytest.mark.parametrize("wanted", [None, FeeratePerKw(7777)])
def test_a_funding_pays_the_feerate_that_was_named_or_the_one_of_openings(wanted: FeeratePerKw | None) -> None:
    state = offered(funding_feerate_per_kw=wanted)
    (told,) = opening.MOUNT.decide(state, MessageReceived(an_answer_to(state)), ALICE).actions
    assert isinstance(told, Tell) and isinstance(told.event, FundTransaction)
    assert told.event.feerate_per_kw == (wanted or ALICE.feerates.opening_per_kw)


def test_an_offer_is_accepted_once_and_within_our_limits() -> None:
    state = offered()
    accept = an_answer_to(state)
    with pytest.raises(OpeningRefused, match="max_accepted_htlcs"):
        opening.MOUNT.decide(state, MessageReceived(accept.but(max_accepted_htlcs=484)), ALICE)
    accepted = opening.MOUNT.decide(state, MessageReceived(accept), ALICE).state
    with pytest.raises(OpeningRefused, match="without open_channel"):
        opening.MOUNT.decide(accepted, MessageReceived(accept), ALICE)


def test_what_a_peer_wants_to_open_is_looked_at_before_it_is_accepted() -> None:
    alices_id = NodeId(b"\x03" * 33)
    view = PeerView(alices_id, True, PLAIN.to_bytes(), PLAIN.to_bytes())
    env = replace(BOB, views={f"peer:{alices_id.hex()}": view}, entropy=lambda _purpose, size: bytes(size))
    state = opening.MOUNT.initial(alices_id + b"t" * 32)
    message = begun()
    assert sent(opening.MOUNT.decide(state, MessageReceived(message), env)) == ["AcceptChannel"]
    for wrong, why in (
        (message.but(push_msat=Msat(1_000_000_001)), "push_msat"),
        (message.but(payment_basepoint=BOB.basepoints(0).payment_basepoint), "one of ours"),
    ):
        with pytest.raises(OpeningRefused, match=why):
            opening.MOUNT.decide(state, MessageReceived(wrong), env)


def test_an_opening_looks_at_no_signature_but_that_of_a_funding_it_waits_for() -> None:
    state = offered()
    message = FundingCreated(ChannelId(b"t" * 32), Txid(bytes(32)), 0, Signature(bytes(64)))
    for event in (MessageReceived(message), MessageReceived(an_answer_to(state)), Disconnected()):
        assert opening.MOUNT.checks is not None
        assert opening.MOUNT.checks(state, event, ALICE) == ()


def test_what_has_no_place_in_an_opening_is_refused() -> None:
    with pytest.raises(OpeningRefused, match="Lull has no place"):
        opening.MOUNT.decide(offered(), Lull(), ALICE)


def test_an_alias_is_a_place_that_can_be_written_whatever_chance_says() -> None:
    for byte in (0, 0xFF):
        env = replace(ALICE, entropy=lambda _purpose, size, byte=byte: bytes([byte]) * size)
        block, index, output = scid_parts(new_alias(env))
        assert block >= 16_000_000 and index < 1 << 20 and output < 1 << 16


def test_only_a_coinbase_that_is_confirmed_asks_for_its_depth() -> None:
    assert depth_needed(an_unconfirmed_channel()) == 3
