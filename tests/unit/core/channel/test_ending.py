"""Everyone who asked for a close is told how the channel ended, exactly once (B2-31, B2-34, B5-2)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.builders.channels import CHANNEL_ID, env_of
from tests.builders.closing_channels import OURS, THEIRS, drained_channel, heard, signed_by
from tests.builders.normal_channels import ALICE, BOB, a_normal_channel

from fulmen.core.base.ids import BlockHash, CommandId
from fulmen.core.base.machine import Disconnected, Fact, Step, Tell, fold
from fulmen.core.base.outer import Answer, Block, ChainRewound, HeightReached, OutputSpent, WantPublished
from fulmen.core.base.peers import ChannelErrored
from fulmen.core.base.units import BlockHeight, FeeratePerKw
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.channel import faults
from fulmen.core.channel.closing import fee_limits
from fulmen.core.channel.commands import ChannelClosing, CloseChannel
from fulmen.core.channel.dance import local_view
from fulmen.core.channel.ending import MAX_CLOSERS
from fulmen.core.channel.facts import Outdated, ShutdownSent, forget
from fulmen.core.channel.state import Channel, Phase
from fulmen.core.channel.table import decide, takes_frozen, wants
from fulmen.core.commitments.building import build
from fulmen.core.commitments.close import CommitmentPublished
from fulmen.core.wire.messages.closing import ClosingSigned, FeeRange, Shutdown

FIRST, SECOND = CommandId(b"close it, please"), CommandId(b"close it, I said")
BLOCK = Block(BlockHeight(600), BlockHash(bytes(32)))


def answers(step: Step[Channel]) -> dict[CommandId, Any]:
    """What each caller is told; nobody is told twice in one step."""
    told = [action for action in step.actions if isinstance(action, Answer)]
    by_caller = {answer.command_id: answer.refused or answer.result for answer in told}
    assert len(by_caller) == len(told)
    return by_caller


def asked_for(*commands: CommandId, channel: Channel | None = None) -> Channel:
    """A channel whose close these callers wait for."""
    channel = channel or a_normal_channel("bob")
    for command in commands:
        step = decide(channel, CloseChannel(command, OURS), BOB)
        assert not answers(step)
        channel = step.state
    return channel


def agreement(channel: Channel) -> Step[Channel]:
    """The peer says `shutdown`, again if need be, and offers what we would pay."""
    both = heard(channel, Shutdown(CHANNEL_ID, THEIRS), BOB).state
    low, fee, high = fee_limits(both, BOB)
    return heard(both, ClosingSigned(CHANNEL_ID, fee, signed_by("alice", both, fee), FeeRange(low, high)), BOB)


def mutual(channel: Channel) -> ChannelClosing:
    assert channel.agreed is not None
    return ChannelClosing("mutual", parse_tx(channel.agreed.tx).txid, channel.agreed.tx)


def alone(channel: Channel) -> ChannelClosing:
    tx = build(local_view(channel, channel.local, BOB)).tx
    return ChannelClosing("unilateral", tx.txid, tx.serialize())


def test_all_who_wait_hear_of_the_agreement_and_nobody_twice() -> None:
    step = agreement(asked_for(FIRST, SECOND, FIRST))
    told = mutual(step.state)
    assert answers(step) == {FIRST: told, SECOND: told}
    assert not answers(decide(step.state, Disconnected(), BOB))


def test_all_who_wait_go_on_waiting_when_the_peer_leaves() -> None:
    step = decide(asked_for(FIRST, SECOND), Disconnected(), BOB)
    assert not answers(step)
    agreed = agreement_after(step.state)
    assert list(answers(agreed)) == [FIRST, SECOND]


def test_all_who_wait_hear_that_the_channel_failed_instead() -> None:
    channel = asked_for(FIRST, SECOND)
    step = decide(channel, ChannelErrored(b"no"), BOB)
    assert answers(step) == {FIRST: alone(channel), SECOND: alone(channel)}
    assert not answers(decide(step.state, Disconnected(), BOB))


def test_who_forces_the_close_answers_those_who_wait_for_the_peer() -> None:
    channel = asked_for(FIRST)
    step = decide(channel, CloseChannel(SECOND, force=True), BOB)
    assert answers(step) == {FIRST: alone(channel), SECOND: alone(channel)}


def test_who_waits_hears_which_transaction_of_the_peer_closed_the_channel() -> None:
    channel = asked_for(FIRST)
    theirs = build(local_view(channel, channel.local, BOB)).tx.with_witness(0, b"signed")
    step = decide(channel, OutputSpent(channel.funding.outpoint, theirs.serialize(), BLOCK), BOB)
    assert answers(step) == {FIRST: ChannelClosing("unilateral", theirs.txid, theirs.base)}


def test_who_waits_hears_that_the_funding_never_came() -> None:
    channel = asked_for(FIRST, channel=a_normal_channel("bob").but(phase=Phase.AWAITING_READY))
    late = Block(BlockHeight(channel.funding_broadcast_at + 2016), BlockHash(bytes(32)))
    step = decide(channel, HeightReached(late), env_of("bob", tip=late))
    assert step.state.phase is Phase.CLOSED
    assert isinstance(answers(step)[FIRST], faults.ChannelNotUsable)


def test_who_asks_after_the_agreement_hears_of_it() -> None:
    """As after a restart, or when the agreement came while the caller waited for the peer: no second close begins."""
    agreed = agreement(drained_channel("bob")).state
    for channel in (agreed, forget(agreed)):
        step = decide(channel, CloseChannel(FIRST), BOB)
        assert answers(step) == {FIRST: mutual(channel)} and not step.facts


def test_who_forces_a_close_that_was_agreed_on_gets_our_commitment_published_instead() -> None:
    """The key holder may sign it no more, or its fee be too low by now: then nothing else would ever close."""
    agreed = agreement(drained_channel("bob")).state
    for channel in (agreed, forget(agreed), agreed.but(frozen=True)):
        force = CloseChannel(FIRST, force=True)
        assert takes_frozen(channel, force)
        step = decide(channel, force, BOB)
        assert answers(step) == {FIRST: alone(channel)}
        assert published(step.state) == {parse_tx(alone(channel).tx).txid}
        told = [one.event for one in step.actions if isinstance(one, Tell)]
        assert [one.commitment for one in told if isinstance(one, CommitmentPublished)] == [
            local_view(channel, channel.local, BOB)
        ]
        # Whoever asks later is told the same; so is who asks when the peer publishes what was agreed on, after all.
        assert answers(decide(step.state, CloseChannel(SECOND), BOB)) == {SECOND: alone(channel)}
        spent = decide(step.state, OutputSpent(channel.funding.outpoint, mutual(channel).tx, BLOCK), BOB).state
        assert answers(decide(spent, CloseChannel(SECOND), BOB)) == {SECOND: mutual(channel)}
        # A reorg gives the word back to our commitment, and not to what we had given up.
        again = decide(spent, ChainRewound(BlockHeight(BLOCK.height - 1)), BOB).state
        assert published(again) == {parse_tx(alone(channel).tx).txid}


def test_an_agreed_close_of_a_channel_whose_state_we_lost_cannot_be_forced() -> None:
    agreed = fold(agreement(drained_channel("bob")).state, [Outdated()])
    with pytest.raises(faults.ChannelNotUsable):
        decide(agreed, CloseChannel(FIRST, force=True), BOB)


def published(channel: Channel) -> set[bytes]:
    """The txids of what the channel wants to be in the chain."""
    return {parse_tx(want.tx).txid for want in wants(channel) if isinstance(want, WantPublished)}


@pytest.mark.parametrize("force", [False, True])
def test_who_asks_after_the_channel_failed_hears_what_is_published(force: bool) -> None:
    failed = decide(a_normal_channel("bob"), ChannelErrored(b"no"), BOB).state
    step = decide(failed, CloseChannel(FIRST, force=force), BOB)
    assert answers(step) == {FIRST: alone(failed)} and not step.facts


def test_who_asks_for_a_channel_whose_state_we_lost_is_refused() -> None:
    failed = fold(decide(a_normal_channel("bob"), ChannelErrored(b"no"), BOB).state, [Outdated()])
    with pytest.raises(faults.ChannelNotUsable):
        decide(failed, CloseChannel(FIRST), BOB)


def test_who_asks_after_the_spend_hears_which_transaction_it_was() -> None:
    agreed = agreement(drained_channel("bob")).state
    told = mutual(agreed)
    spend = OutputSpent(agreed.funding.outpoint, told.tx, BLOCK)
    spent = decide(agreed, spend, BOB).state
    assert answers(decide(spent, CloseChannel(FIRST), BOB)) == {FIRST: told}


def test_a_crash_forgets_who_waited() -> None:
    """Law 2e: callers are gone with the process, and the close goes on without them."""
    assert not answers(agreement_after(forget(asked_for(FIRST))))


def agreement_after(channel: Channel) -> Step[Channel]:
    connected = channel.but(link=a_normal_channel("bob").link, shutdown_on_this_link=True)
    return agreement(connected)


def test_too_many_callers_make_the_first_go() -> None:
    many = [CommandId(number.to_bytes(16, "big")) for number in range(MAX_CLOSERS)]
    step = decide(asked_for(*many), CloseChannel(FIRST, OURS), BOB)
    assert list(answers(step)) == [many[0]]
    assert step.state.closers == (*many[1:], FIRST)


def test_a_second_wish_changes_the_feerate_and_outlives_a_crash() -> None:
    """Law 2: what is in force after `shutdown` went out is what is stored."""
    channel = asked_for(FIRST)
    assert channel.shutdown_sent == OURS
    step = decide(channel, CloseChannel(SECOND, feerate_per_kw=FeeratePerKw(5000)), BOB)
    assert [fact for fact in step.facts if not fact.passing] == [ShutdownSent(OURS, FeeratePerKw(5000))]
    third = decide(step.state, CloseChannel(CommandId(b"c" * 16)), BOB)
    assert third.state.closing_feerate_per_kw == 5000 and not durable(third)


def durable(step: Step[Channel]) -> list[Fact]:
    return [fact for fact in step.facts if not fact.passing]


def test_a_second_wish_for_another_address_is_refused_while_the_first_waits() -> None:
    waiting = asked_for(channel=a_normal_channel("bob")).but(shutdown_wanted=THEIRS, closers=(FIRST,))
    with pytest.raises(faults.ClosesElsewhere):
        decide(waiting, CloseChannel(SECOND, OURS), BOB)
    assert decide(waiting, CloseChannel(SECOND), BOB).state.shutdown_sent == THEIRS


def test_the_opener_is_answered_like_the_accepter() -> None:
    channel = decide(a_normal_channel("alice"), CloseChannel(FIRST, OURS), ALICE).state
    offered = heard(channel, Shutdown(CHANNEL_ID, THEIRS)).state
    fee = offered.negotiation.our_fee_sat
    assert fee is not None
    again = ClosingSigned(CHANNEL_ID, fee, signed_by("bob", offered, fee), FeeRange(fee, fee))
    step = heard(offered, again)
    assert answers(step) == {FIRST: mutual(step.state)}
