"""Reconnection: who has missed what, and who has lost state (B2-60 … B2-63, B2-66)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.builders.channels import CHANNEL_ID, FEATURES, Outcome, keys_of, preimage_of
from tests.builders.normal_channels import ALICE, a_normal_channel, a_settled_world
from tests.laws.channel_family import channel_of, outcome, pay

from fulmen.core.base.ids import PaymentHash, Secret
from fulmen.core.base.machine import Address, Disconnected, Step, Tell, evolve, fold
from fulmen.core.base.outer import Notify, Send, WantPublished
from fulmen.core.base.peers import ChannelErrored, MessageReceived, PeerReady
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Msat
from fulmen.core.channel import faults
from fulmen.core.channel.dance import UNSIGNED
from fulmen.core.channel.facts import CommitmentReceived, CommitmentSent, PreimageHeld, ShutdownSent
from fulmen.core.channel.state import Channel, Link, Phase
from fulmen.core.channel.table import decide, wants
from fulmen.core.commitments.htlcs import OfferHtlc
from fulmen.core.commitments.updates import Remove, Updates
from fulmen.core.crypto.hashes import sha256
from fulmen.core.crypto.shachain import index_of, per_commitment_secret
from fulmen.core.wire.messages.opening import ChannelReady
from fulmen.core.wire.messages.setup import ErrorMessage
from fulmen.core.wire.messages.updates import ChannelReestablish, UpdateAddHtlc, UpdateFee


def a_used_channel() -> Channel:
    """Alice's end after one payment: both numbers are 2."""
    world = a_settled_world()
    alice = world.hosts["alice"]
    payment = pay(alice, 2, 5_000_000)
    world.settle()
    assert outcome(alice, payment) is Outcome.PAID
    channel = channel_of(alice)
    assert channel.local.number == channel.remote.number == 2
    return channel


def secret_of(name: str, number: int) -> Secret:
    keys = keys_of(name)
    return keys._per_commitment_secret(7, number)


def reconnected(channel: Channel) -> Step[Channel]:
    gone = decide(channel, Disconnected(), ALICE).state
    return decide(gone, PeerReady(channel.terms.node_id, FEATURES, FEATURES), ALICE)


def says(next_commitment: int, next_revocation: int, secret: bytes) -> ChannelReestablish:
    point = ALICE.per_commitment_point(7, 0)
    return ChannelReestablish(CHANNEL_ID, next_commitment, next_revocation, Secret(secret), point)


def after(channel: Channel, message: Any) -> Step[Channel]:
    return decide(reconnected(channel).state, MessageReceived(message), ALICE)


def sent(step: Step[Channel]) -> list[str]:
    return [type(action.message).__name__ for action in step.actions if isinstance(action, Send)]


def test_we_say_where_we_stand_and_show_the_last_secret() -> None:
    (send,) = reconnected(a_used_channel()).actions
    assert isinstance(send, Send)
    message = send.message
    assert isinstance(message, ChannelReestablish)
    assert (message.next_commitment_number, message.next_revocation_number) == (3, 2)
    assert message.your_last_per_commitment_secret == secret_of("bob", 1)


def test_nothing_is_sent_before_the_peer_says_where_it_stands() -> None:
    step = reconnected(a_used_channel())
    with pytest.raises(faults.UnexpectedMessage):
        decide(step.state, MessageReceived(ChannelReady(CHANNEL_ID, ALICE.per_commitment_point(7, 1))), ALICE)


def test_two_that_have_missed_nothing_just_go_on() -> None:
    step = after(a_used_channel(), says(3, 2, secret_of("alice", 1)))
    assert step.state.link is Link.READY
    assert sent(step) == []


def test_channel_ready_is_said_again_only_before_the_first_update() -> None:
    fresh = a_normal_channel("alice")
    assert sent(after(fresh, says(1, 0, bytes(32)))) == ["ChannelReady"]
    assert "ChannelReady" not in sent(after(a_used_channel(), says(3, 2, secret_of("alice", 1))))


def test_a_missed_revocation_is_said_again() -> None:
    assert sent(after(a_used_channel(), says(3, 1, secret_of("alice", 0)))) == ["RevokeAndAck"]


def updates_of_both(channel: Channel) -> tuple[Updates, Updates]:
    """One HTLC from each end, as each would commit to it."""
    hash_ = PaymentHash(sha256(preimage_of(0)))
    offer = OfferHtlc(Address("payer", b"p"), 0, Msat(1_000_000), hash_, BlockHeight(500), bytes(1366))
    ours = decide(channel, offer, ALICE).state.local_log
    add = UpdateAddHtlc(CHANNEL_ID, channel.remote_log.next_id, Msat(1_000_000), hash_, BlockHeight(500), bytes(1366))
    theirs = decide(channel, MessageReceived(add), ALICE).state.remote_log
    return (
        ours.between(channel.remote.local_upto, ours.next_index),
        theirs.between(channel.local.remote_upto, theirs.next_index),
    )


@pytest.mark.parametrize("revoked_last", [True, False])
def test_what_was_missed_is_said_again_in_the_order_in_which_it_was_said(revoked_last: bool) -> None:
    """ "in the same relative order as initially transmitted": else the peer would compute another commitment."""
    channel = a_used_channel()
    ours, theirs = updates_of_both(channel)
    signed, revoked = CommitmentSent(3, ours), CommitmentReceived(3, theirs, UNSIGNED, ())
    facts = (signed, revoked) if revoked_last else (revoked, signed)
    step = after(fold(channel, facts), says(3, 2, secret_of("alice", 1)))
    signature, revocation = ["UpdateAddHtlc", "CommitmentSigned"], ["RevokeAndAck"]
    assert sent(step)[:3] == (signature + revocation if revoked_last else revocation + signature)


def test_the_opener_follows_a_feerate_that_moved_while_the_peer_was_away() -> None:
    risen = replace(ALICE, feerates=ALICE.feerates.but(commitment_per_kw=FeeratePerKw(2400)))
    step = decide(reconnected(a_used_channel()).state, MessageReceived(says(3, 2, secret_of("alice", 1))), risen)
    (update,) = [action.message for action in step.actions if isinstance(action, Send)]
    assert update == UpdateFee(CHANNEL_ID, FeeratePerKw(2400))
    # Also where our update_fee was under way when the connection was lost: nobody else proposes it again.
    again = decide(reconnected(step.state).state, MessageReceived(says(3, 2, secret_of("alice", 1))), risen)
    assert sent(again) == ["UpdateFee"]


@pytest.mark.parametrize(("next_commitment", "next_revocation"), [(5, 2), (2, 2), (3, 0)])
def test_numbers_that_nothing_explains_fail_the_channel(next_commitment: int, next_revocation: int) -> None:
    secret = secret_of("alice", next_revocation - 1) if next_revocation else bytes(32)
    with pytest.raises(faults.CommitmentNumberMismatch):
        after(a_used_channel(), says(next_commitment, next_revocation, secret))


def test_a_wrong_secret_fails_the_channel() -> None:
    with pytest.raises(faults.BadReestablishSecret):
        after(a_used_channel(), says(3, 2, secret_of("alice", 0)))


def test_a_peer_that_wants_number_zero_asks_us_to_publish() -> None:
    with pytest.raises(faults.PeerForgotEverything):
        after(a_used_channel(), says(0, 2, secret_of("alice", 1)))


def test_a_secret_that_we_have_not_revealed_proves_that_we_are_behind_by_one() -> None:
    assert after(a_used_channel(), says(3, 3, secret_of("alice", 2))).state.outdated
    assert not after(a_used_channel(), says(3, 2, secret_of("alice", 1))).state.outdated


def test_a_channel_that_is_proven_behind_never_publishes_and_asks_the_peer_to_close() -> None:
    ahead = says(6, 5, secret_of("alice", 4))
    step = after(a_used_channel(), ahead)
    assert step.state.outdated and step.state.phase is Phase.FAILED
    (error,) = [action.message for action in step.actions if isinstance(action, Send)]
    assert isinstance(error, ErrorMessage)
    assert not [want for want in wants(step.state) if isinstance(want, WantPublished)]


def test_a_peer_that_only_claims_to_be_ahead_proves_nothing() -> None:
    with pytest.raises(faults.CommitmentNumberMismatch):
        after(a_used_channel(), says(6, 5, b"\x11" * 32))


@pytest.mark.parametrize("secret", [bytes(32), b"\xff" * 32])
def test_a_peer_that_shows_what_is_no_secret_at_all_proves_nothing_either(secret: bytes) -> None:
    """Else a peer could silence us with a number and some zeros: whoever is behind never publishes."""
    with pytest.raises(faults.CommitmentNumberMismatch):
        after(a_used_channel(), says(6, 5, secret))


def test_the_operator_hears_that_state_was_lost() -> None:
    step = after(a_used_channel(), says(6, 5, secret_of("alice", 4)))
    assert "channel_outdated" in [action.topic for action in step.actions if isinstance(action, Notify)]


def test_a_failed_channel_repeats_its_error_at_each_connection() -> None:
    ahead = after(a_used_channel(), says(6, 5, secret_of("alice", 4)))
    step = decide(ahead.state, PeerReady(ahead.state.terms.node_id, FEATURES, FEATURES), ALICE)
    assert sent(step) == ["ErrorMessage"]


def test_secrets_come_from_the_chain_of_secrets() -> None:
    seed = keys_of("alice")._of(7).per_commitment_seed
    assert secret_of("alice", 4) == per_commitment_secret(seed, index_of(4))


def test_a_failed_channel_that_learns_it_is_behind_publishes_no_more() -> None:
    used = a_used_channel()
    failed = decide(used, ChannelErrored(b"no"), ALICE).state
    assert [want for want in wants(failed) if isinstance(want, WantPublished)]
    told = decide(failed, MessageReceived(says(6, 5, secret_of("alice", 4))), ALICE).state
    assert told.outdated
    assert not [want for want in wants(told) if isinstance(want, WantPublished)]
    liar = decide(failed, MessageReceived(says(6, 5, b"\x11" * 32)), ALICE).state
    assert not liar.outdated


# -- who says what, to the letter -------------------------------------------------------------------------------------


def test_where_nothing_was_revoked_no_secret_is_shown_and_none_may_be() -> None:
    fresh = a_normal_channel("alice")
    (send,) = reconnected(fresh).actions
    assert isinstance(send, Send) and isinstance(send.message, ChannelReestablish)
    assert (send.message.next_commitment_number, send.message.next_revocation_number) == (1, 0)
    assert send.message.your_last_per_commitment_secret == bytes(32)
    assert after(fresh, says(1, 0, bytes(32))).state.link is Link.READY
    with pytest.raises(faults.BadReestablishSecret):
        after(fresh, says(1, 0, b"\x11" * 32))


def test_a_connection_begins_once_and_keeps_what_both_offer() -> None:
    step = reconnected(a_used_channel())
    assert (step.state.local_features, step.state.remote_features) == (FEATURES, FEATURES)
    node_id = step.state.terms.node_id
    again = decide(step.state, PeerReady(node_id, b"", b""), ALICE)
    assert not again.facts and not again.actions
    ready = decide(step.state, MessageReceived(says(3, 2, secret_of("alice", 1))), ALICE).state
    assert (ready.link, ready.local_features, ready.remote_features) == (Link.READY, FEATURES, FEATURES)
    assert not decide(ready, PeerReady(node_id, b"", b""), ALICE).actions
    assert not decide(ready, MessageReceived(says(3, 2, secret_of("alice", 1))), ALICE).facts, "it was said already"


@pytest.mark.parametrize("phase", [Phase.SPENT, Phase.FAILED])
def test_only_a_channel_that_waits_for_its_commitment_to_confirm_says_its_error_again(phase: Phase) -> None:
    channel = a_normal_channel("alice").but(phase=phase, error_to_send="no")
    step = decide(channel, PeerReady(channel.terms.node_id, FEATURES, FEATURES), ALICE)
    assert sent(step) == (["ErrorMessage"] if phase is Phase.FAILED else [])


def test_a_channel_that_is_spent_or_knows_it_already_hears_no_proof() -> None:
    failed = decide(a_used_channel(), ChannelErrored(b"no"), ALICE).state
    proof = MessageReceived(says(6, 5, secret_of("alice", 4)))
    step = decide(failed, proof, ALICE)
    assert step.state.outdated
    assert step.actions == [Notify("channel_outdated", {"channel_id": CHANNEL_ID.hex()})]
    for deaf in (step.state, failed.but(phase=Phase.SPENT)):
        told = decide(deaf, proof, ALICE)
        assert not told.facts and not told.actions


@pytest.mark.parametrize(
    ("changes", "next_commitment", "said"),
    [
        ({}, 1, True),
        ({"ready_sent": False}, 1, False),
        ({}, 2, False),
    ],
)
def test_channel_ready_is_said_again_where_the_peer_may_have_missed_it_and_we_said_it(
    changes: dict[str, Any], next_commitment: int, said: bool
) -> None:
    channel = a_normal_channel("alice").but(**changes)
    if next_commitment == 2:
        channel = fold(channel, (CommitmentSent(1, updates_of_both(channel)[0]),))
    step = after(channel, says(next_commitment, 0, bytes(32)))
    assert ("ChannelReady" in sent(step)) is said


def test_what_the_peer_has_got_is_not_said_again() -> None:
    channel = a_used_channel()
    signed = fold(channel, (CommitmentSent(3, updates_of_both(channel)[0]),))
    secret = secret_of("alice", 1)
    assert sent(after(signed, says(3, 2, secret))) == ["UpdateAddHtlc", "CommitmentSigned"]
    assert sent(after(signed, says(4, 2, secret))) == []
    for number in (2, 5):
        with pytest.raises(faults.CommitmentNumberMismatch):
            after(signed, says(number, 2, secret))


def reminded(channel: Channel) -> tuple[int, list[str]]:
    """How many circuits are reminded when both have said where they stand, and what is said to the peer."""
    step = after(channel, says(3, 2, secret_of("alice", 1)))
    told = [action for action in step.actions if isinstance(action, Tell) and action.to.kind == "circuit"]
    return len(told), sent(step)


def with_a_received_htlc(*, irrevocable: bool) -> Channel:
    """Alice's end; the peer's commitment holds the HTLC, or ours alone does."""
    channel = a_used_channel()
    channel = fold(channel, (CommitmentReceived(3, updates_of_both(channel)[1], UNSIGNED, ()),))
    upto = channel.remote_log.next_index if irrevocable else channel.remote_log.next_index - 1
    remote = channel.remote.but(remote_upto=upto)
    local = channel.local.but(number=2)
    return channel.but(remote=remote, local=local, local_pending=local.but(number=3), revoked_last=False)


def test_circuits_are_reminded_of_what_is_irrevocable_and_not_given_back_already() -> None:
    assert reminded(with_a_received_htlc(irrevocable=True)) == (1, [])
    assert reminded(with_a_received_htlc(irrevocable=False)) == (0, [])

    channel = with_a_received_htlc(irrevocable=True)
    (add,) = channel.remote_log.adds
    log = channel.local_log.with_update(Remove(channel.local_log.next_index, add.id, reason=b"no"))
    given_back = channel.but(
        local_log=log, remote_next=channel.remote.but(number=3, local_upto=log.next_index), remote_next_point=POINT
    )
    assert reminded(given_back) == (0, ["UpdateFailHtlc", "CommitmentSigned"])
    assert reminded(evolve(given_back, PreimageHeld(add.id, preimage_of(0))))[1].count("UpdateFulfillHtlc") == 0


POINT = keys_of("bob").per_commitment_point(7, 3)


def test_a_shutdown_that_was_said_is_said_again() -> None:
    channel = fold(a_used_channel(), (ShutdownSent(b"\x00\x14" + bytes(20)),))
    step = after(channel, says(3, 2, secret_of("alice", 1)))
    assert sent(step) == ["Shutdown"]
    assert step.state.shutdown_on_this_link and not step.state.their_shutdown_on_this_link
