"""What follows when a channel cannot go on, remedy by remedy, and what is said of it to whom."""

from __future__ import annotations

from typing import Any

import pytest
from tests.builders.channels import CHANNEL_ID, env_of, preimage_of
from tests.builders.normal_channels import ALICE, BOB, a_normal_channel

from fulmen.core.base.faults import Remedy
from fulmen.core.base.ids import RECEIVED, CommandId, HtlcKey, PaymentHash
from fulmen.core.base.machine import Address, Disconnected, Faulted, Lull, Step, Tell, evolve
from fulmen.core.base.outer import Answer, HangUp, Notify, Send
from fulmen.core.base.peers import ChannelErrored
from fulmen.core.base.policy import ForwardPolicy
from fulmen.core.base.units import BlockHeight, CltvDelta, Msat
from fulmen.core.channel.commands import CloseChannel, SetChannel
from fulmen.core.channel.facts import DeadlineSet, PreimageHeld
from fulmen.core.channel.failing import disconnect, do_remedy, fail, keep_deadline, onchain, printable, tell_published
from fulmen.core.channel.faults import ChannelNotUsable, UnexpectedMessage
from fulmen.core.channel.state import Channel, Phase
from fulmen.core.channel.table import decide, initial
from fulmen.core.commitments.close import CommitmentPublished
from fulmen.core.commitments.htlcs import OfferForgotten, OfferHtlc
from fulmen.core.crypto.hashes import sha256
from fulmen.core.wire.messages.setup import ErrorMessage, WarningMessage

OWNER = Address("payer", b"p")


def kinds(step: Step[Channel]) -> list[type]:
    """What goes to the peer."""
    return [
        type(action.message) if isinstance(action, Send) else HangUp
        for action in step.actions
        if isinstance(action, Send | HangUp)
    ]


@pytest.mark.parametrize(
    ("remedy", "phase", "said"),
    [
        (Remedy.IGNORE, Phase.NORMAL, []),
        (Remedy.WARN, Phase.NORMAL, [WarningMessage]),
        (Remedy.WARN_AND_CLOSE, Phase.NORMAL, [WarningMessage, HangUp]),
        (Remedy.CLOSE_CONNECTION, Phase.NORMAL, [HangUp]),
        (Remedy.FAIL_CHANNEL, Phase.AWAITING_READY, [ErrorMessage]),
        (Remedy.FAIL_CHANNEL, Phase.NORMAL, [ErrorMessage]),
        (Remedy.FAIL_CHANNEL, Phase.SHUTDOWN, [ErrorMessage]),
        (Remedy.FAIL_CHANNEL, Phase.CLOSING, [WarningMessage, HangUp]),
        (Remedy.IGNORE, Phase.CLOSING, []),
    ],
    ids=lambda part: getattr(part, "name", ""),
)
def test_each_remedy_is_what_the_bolt_calls_it(remedy: Remedy, phase: Phase, said: list[type]) -> None:
    channel = a_normal_channel("alice").but(phase=phase)
    step = do_remedy(channel, UnexpectedMessage(remedy, what="it"), ALICE)
    assert kinds(step) == said
    assert (step.state.phase is Phase.FAILED) is (ErrorMessage in said)


@pytest.mark.parametrize("remedy", list(Remedy))
def test_where_there_is_no_channel_yet_there_is_nobody_to_say_it_to(remedy: Remedy) -> None:
    step = do_remedy(initial(CHANNEL_ID), UnexpectedMessage(remedy), ALICE)
    assert not step.facts and not step.actions


def test_a_channel_that_fails_says_why_to_its_peer_and_to_the_operator() -> None:
    channel = a_normal_channel("alice")
    step = fail(channel, ALICE, "the sky is falling", "no more")
    assert step.state.phase is Phase.FAILED
    assert (step.state.fail_reason, step.state.error_to_send) == ("the sky is falling", "no more")
    assert step.state.local_point == ALICE.per_commitment_point(7, 0)
    (send,) = [action for action in step.actions if isinstance(action, Send)]
    assert send == Send(channel.terms.node_id, ErrorMessage(CHANNEL_ID, b"no more"))
    about = {"channel_id": CHANNEL_ID.hex(), "reason": "the sky is falling", "height": 100}
    assert step.actions[-1] == Notify("channel_failed", about)


def test_what_we_publish_is_told_with_what_we_can_claim_and_nothing_is_where_we_are_behind() -> None:
    channel = evolve(
        evolve(a_normal_channel("alice"), PreimageHeld(3, preimage_of(3))), PreimageHeld(5, preimage_of(5))
    )
    (tell,) = tell_published(channel, ALICE)
    assert tell.to == onchain(channel) == Address("onchain", CHANNEL_ID)
    assert isinstance(tell.event, CommitmentPublished)
    assert tell.event.claimable == (HtlcKey(CHANNEL_ID, RECEIVED, 3), HtlcKey(CHANNEL_ID, RECEIVED, 5))
    assert tell_published(channel.but(outdated=True), ALICE) == ()


@pytest.mark.parametrize("phase", [Phase.CLOSING, Phase.FAILED, Phase.SPENT, Phase.CLOSED])
def test_an_error_of_the_peer_ends_nothing_that_is_already_over(phase: Phase) -> None:
    step = decide(a_normal_channel("alice").but(phase=phase), ChannelErrored(b"no"), ALICE)
    assert not step.facts and not step.actions


def test_the_words_of_a_peer_are_kept_with_the_reason_and_not_said_back() -> None:
    step = decide(a_normal_channel("alice"), ChannelErrored(b"no, thank you"), ALICE)
    assert step.state.fail_reason == "the peer sent an error: no, thank you"
    assert step.state.error_to_send == "" and not kinds(step)
    assert printable(b"\x00" * 100) == "00" * 64


def offered(channel: Channel, ref: int, owner: Address = OWNER) -> Channel:
    hash_ = PaymentHash(sha256(preimage_of(ref)))
    return decide(channel, OfferHtlc(owner, ref, Msat(1_000_000), hash_, BlockHeight(500), bytes(1366)), ALICE).state


def test_only_owners_of_offers_that_nobody_signed_hear_that_they_are_forgotten() -> None:
    signed = decide(offered(a_normal_channel("alice"), 0), Lull(), ALICE).state
    channel = offered(offered(signed, 1), 2)
    first, second, third = channel.local_log.adds
    channel = channel.but(local_log=channel.local_log.but(adds=(first, second.but(owner=None), third)))
    assert disconnect(channel).actions == [Tell(OWNER, OfferForgotten(2, CHANNEL_ID))]
    assert not disconnect(initial(CHANNEL_ID)).facts


def test_a_refused_caller_is_answered_and_an_event_without_a_caller_is_not() -> None:
    channel, refused = a_normal_channel("alice"), ChannelNotUsable("no")
    command = CommandId(b"c" * 16)
    for asked in (CloseChannel(command), SetChannel(command, ForwardPolicy())):
        assert decide(channel, Faulted(asked, refused), ALICE).actions == [Answer(command, refused=refused)]
    step = decide(channel, Faulted(Lull(), refused), ALICE)
    assert not step.facts and not step.actions


def test_before_there_is_a_channel_and_after_its_end_there_is_nothing_to_close() -> None:
    for channel in (initial(CHANNEL_ID), a_normal_channel("alice").but(phase=Phase.CLOSED)):
        (answer,) = decide(channel, CloseChannel(CommandId(b"c" * 16)), ALICE).actions
        assert isinstance(answer, Answer) and isinstance(answer.refused, ChannelNotUsable)
        assert answer.refused.details["phase"] == channel.phase.name.lower()


def test_a_deadline_that_the_operator_changed_is_written_once() -> None:
    channel = a_normal_channel("bob")
    assert not keep_deadline(channel, BOB).facts
    deadlines = BOB.policy.deadlines.but(fulfilled_deadline=CltvDelta(40))
    env = env_of("bob", policy=BOB.policy.but(deadlines=deadlines))
    step: Any = decide(channel, Disconnected(), env)
    assert DeadlineSet(CltvDelta(40)) in step.facts
    assert not keep_deadline(step.state, env).facts
