"""A close whose peer is away: a wish that waits for it, over restarts, as long as its owner is patient."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.builders.closing_channels import OURS, THEIRS
from tests.builders.normal_channels import BOB, a_normal_channel

from fulmen.core.base.env import Env
from fulmen.core.base.ids import CommandId
from fulmen.core.base.machine import Disconnected, Event, Lull, Step, fold
from fulmen.core.base.outer import Answer, Notify, Send, TimeReached, WantTime
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Timestamp
from fulmen.core.channel.commands import ChannelClosing, CloseChannel
from fulmen.core.channel.facts import ChannelFailed, PatienceSet, ShutdownSent, ShutdownWanted, forget
from fulmen.core.channel.faults import ChannelNotUsable, ClosesElsewhere
from fulmen.core.channel.remembering import remembered
from fulmen.core.channel.state import Channel, Link, Phase
from fulmen.core.channel.table import decide, takes_frozen, view, wants
from fulmen.core.commitments.htlcs import LinkView
from fulmen.core.wire.features import Features
from fulmen.core.wire.messages.closing import Shutdown

COMMAND, AGAIN = CommandId(b"close it, please"), CommandId(b"close it, I said")
TAPROOT = b"\x51\x20" + bytes(32)
ANYSEGWIT = Features.of(27).to_bytes()


def away(**asked: object) -> Channel:
    """Bob's channel, which somebody wants closed while Alice is not there."""
    gone = decide(a_normal_channel("bob"), Disconnected(), BOB).state
    return run(gone, CloseChannel(COMMAND, **({"script": OURS} | asked))).state  # type: ignore[arg-type]


def run(channel: Channel, event: Event, env: Env = BOB) -> Step[Channel]:
    step = decide(channel, event, env)
    durable = [fact for fact in step.facts if not fact.passing]
    assert forget(step.state) == fold(forget(channel), durable)
    return step


def back(channel: Channel, features: bytes = b"") -> Channel:
    """Alice is here again, and all is said about commitments."""
    return channel.but(link=Link.READY, local_features=features, remote_features=features)


def at(seconds: int) -> Env:
    return replace(BOB, wall=Timestamp(BOB.wall + seconds))


def said(step: Step[Channel]) -> list[Shutdown]:
    sent = [action.message for action in step.actions if isinstance(action, Send)]
    return [message for message in sent if isinstance(message, Shutdown)]


def answers(step: Step[Channel]) -> list[Answer]:
    return [action for action in step.actions if isinstance(action, Answer)]


def test_a_close_while_the_peer_is_away_is_a_wish_that_a_crash_leaves() -> None:
    step = run(decide(a_normal_channel("bob"), Disconnected(), BOB).state, CloseChannel(COMMAND, OURS))
    assert not step.actions
    assert [fact for fact in step.facts if not fact.passing] == [ShutdownWanted(OURS)]
    reborn = forget(step.state)
    assert reborn.shutdown_wanted == OURS and not reborn.closers


@pytest.mark.parametrize("crash", [False, True])
def test_when_the_peer_is_back_it_hears_of_it(crash: bool) -> None:
    channel = away(feerate_per_kw=FeeratePerKw(700))
    step = run(back(forget(channel) if crash else channel), Lull())
    (shutdown,) = said(step)
    assert shutdown.scriptpubkey == OURS
    assert ShutdownSent(OURS, FeeratePerKw(700)) in step.facts
    assert step.state.phase is Phase.SHUTDOWN and step.state.shutdown_wanted is None


def test_until_then_nothing_new_goes_over_the_channel_and_nobody_hopes_for_it() -> None:
    shown = view(away())
    assert isinstance(shown, LinkView)
    assert (shown.usable, shown.away_msat) == (False, 0)
    shown = view(back(away()))
    assert isinstance(shown, LinkView) and not shown.usable


def test_whoever_comes_later_waits_with_the_first_and_cannot_send_the_money_elsewhere() -> None:
    channel = away()
    step = run(channel, CloseChannel(AGAIN))
    assert not [fact for fact in step.facts if not fact.passing]
    assert step.state.closers == (COMMAND, AGAIN)
    with pytest.raises(ClosesElsewhere):
        run(channel, CloseChannel(AGAIN, THEIRS))


def test_the_owners_patience_ends_also_after_a_restart() -> None:
    channel = away(alone_after_s=60)
    assert WantTime(Timestamp(BOB.wall + 60)) in wants(forget(channel))
    assert not run(channel, TimeReached(Timestamp(BOB.wall + 59)), at(59)).facts
    step = run(channel, TimeReached(Timestamp(BOB.wall + 60)), at(60))
    assert step.state.phase is Phase.FAILED
    assert any(isinstance(fact, ChannelFailed) for fact in step.facts)
    (answer,) = answers(step)
    assert isinstance(answer.result, ChannelClosing) and answer.result.kind == "unilateral"
    assert not any(isinstance(want, WantTime) for want in wants(step.state))
    # Another process asks the peer first: `test_asking_first`.
    live = replace(at(60), read_at=BlockHeight(BOB.height - 3))
    assert run(forget(channel), TimeReached(live.wall), live).state.phase is Phase.FAILED
    assert takes_frozen(channel, TimeReached(Timestamp(0)))


def test_it_ends_as_well_when_the_peer_is_there_and_agrees_to_nothing() -> None:
    asked = run(a_normal_channel("bob"), CloseChannel(COMMAND, OURS, alone_after_s=5)).state
    assert asked.phase is Phase.SHUTDOWN
    assert run(asked, TimeReached(Timestamp(BOB.wall + 5)), at(5)).state.phase is Phase.FAILED


@pytest.mark.parametrize(("after_s", "alone_at"), [(10, BOB.wall + 10), (None, None)])
def test_the_last_word_about_patience_counts(after_s: int | None, alone_at: int | None) -> None:
    step = run(away(alone_after_s=60), CloseChannel(AGAIN, alone_after_s=after_s))
    assert PatienceSet(None if alone_at is None else Timestamp(alone_at)) in step.facts
    assert step.state.close_alone_at == alone_at


def test_a_time_that_nobody_set_closes_nothing() -> None:
    for channel in (a_normal_channel("bob"), away()):
        assert not run(channel, TimeReached(Timestamp(1 << 40)), at(1 << 40)).facts


def test_a_script_that_the_peer_turns_out_not_to_take_is_given_up_and_said() -> None:
    channel = away(script=TAPROOT, alone_after_s=60)
    step = run(back(channel), Lull())
    assert not said(step)
    (answer,) = answers(step)
    assert isinstance(answer.refused, ChannelNotUsable)
    assert [action.topic for action in step.actions if isinstance(action, Notify)] == ["channel_close_dropped"]
    assert (step.state.shutdown_wanted, step.state.close_alone_at) == (None, None)
    assert said(run(back(channel, ANYSEGWIT), Lull())), "one that takes it is told"


def test_after_a_restart_the_key_holder_knows_where_the_operator_wanted_it_paid() -> None:
    known = remembered(forget(away()))
    assert known is not None and known.payout == OURS
