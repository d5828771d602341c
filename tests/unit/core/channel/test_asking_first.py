"""A restarted node may be an old copy: it asks before it closes by itself, and not for ever (laws 9 and 11)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.channels import CHANNEL_ID, FEATURES, env_of, keys_of, preimage_of
from tests.builders.closing_channels import OURS
from tests.builders.normal_channels import ALICE, a_normal_channel, a_settled_world
from tests.laws.channel_family import channel_of, pay

from fulmen.core.base.env import Env
from fulmen.core.base.ids import RECEIVED, BlockHash, CommandId, HtlcKey, PaymentHash, Secret
from fulmen.core.base.machine import Address, Disconnected, Event, Lull, Step, fold
from fulmen.core.base.outer import Block, HeightReached, Notify, Send, TimeReached, WantHeight, WantPublished
from fulmen.core.base.peers import ChannelErrored, MessageReceived, PeerReady
from fulmen.core.base.policy import DeadlinePolicy, Policy
from fulmen.core.base.units import BlockHeight, CltvDelta, Msat
from fulmen.core.channel.commands import CloseChannel
from fulmen.core.channel.deadlines import asks_until, has_to_ask
from fulmen.core.channel.facts import CloseDeferred, forget
from fulmen.core.channel.state import Channel, Link, Phase
from fulmen.core.channel.table import decide, wants
from fulmen.core.commitments.htlcs import FulfillHtlc, OfferHtlc
from fulmen.core.crypto.hashes import sha256
from fulmen.core.wire.messages.setup import ErrorMessage
from fulmen.core.wire.messages.updates import ChannelReestablish, UpdateAddHtlc

EXPIRY = 500
HASH = PaymentHash(sha256(preimage_of(2)))
COMMAND = CommandId(b"close it, please")


# -- builders ---------------------------------------------------------------------------------------------------------


def with_an_offered_htlc() -> Channel:
    """Offered and signed; expires at 500, so that the channel fails at 502."""
    offer = OfferHtlc(Address("payer", b"p"), 0, Msat(1_000_000), HASH, BlockHeight(EXPIRY), bytes(1366))
    return decide(decide(a_normal_channel("alice"), offer, ALICE).state, Lull(), ALICE).state


def with_a_claimed_htlc() -> Channel:
    """Received, and we hold its preimage; expires at 500, so that the channel fails at 482."""
    add = UpdateAddHtlc(CHANNEL_ID, 0, Msat(1_000_000), HASH, BlockHeight(EXPIRY), bytes(1366))
    channel = decide(a_normal_channel("alice"), MessageReceived(add), ALICE).state
    both = channel.local_pending
    channel = channel.but(local=both, remote=both.but(side=channel.remote.side))
    return decide(channel, FulfillHtlc(HtlcKey(CHANNEL_ID, RECEIVED, 0), preimage_of(2)), ALICE).state


def started(channel: Channel) -> Channel:
    """What another process makes of what is on disk."""
    return decide(forget(channel), Disconnected(), ALICE).state


def seen(height: int, read_at: int | None, **changes: Any) -> Env:
    tip = Block(BlockHeight(height), BlockHash(bytes(32)))
    return env_of("alice", tip=tip, read_at=None if read_at is None else BlockHeight(read_at), **changes)


def run(channel: Channel, event: Event, env: Env) -> Step[Channel]:
    step = decide(channel, event, env)
    durable = [fact for fact in step.facts if not fact.passing]
    assert forget(step.state) == fold(forget(channel), durable)
    return step


def block(channel: Channel, height: int, read_at: int | None, **changes: Any) -> Channel:
    env = seen(height, read_at, **changes)
    return run(channel, HeightReached(env.tip), env).state


def fails_at(channel: Channel, read_at: int) -> int:
    """The block at which it closes by itself when nobody comes."""
    for height in range(read_at, read_at + 110):
        channel = block(channel, height, read_at)
        if channel.phase is Phase.FAILED:
            return height
    raise AssertionError("it never closes")


def publishes(channel: Channel) -> bool:
    return any(isinstance(want, WantPublished) for want in wants(channel))


def reconnected(channel: Channel, env: Env) -> Channel:
    return run(channel, PeerReady(channel.terms.node_id, FEATURES, FEATURES), env).state


def sent(step: Step[Channel]) -> list[str]:
    return [type(action.message).__name__ for action in step.actions if isinstance(action, Send)]


def says(next_commitment: int, next_revocation: int) -> MessageReceived:
    secret = keys_of("alice")._per_commitment_secret(7, next_revocation - 1) if next_revocation else Secret(bytes(32))
    point = ALICE.per_commitment_point(7, 0)
    return MessageReceived(ChannelReestablish(CHANNEL_ID, next_commitment, next_revocation, Secret(secret), point))


def an_old_copy() -> tuple[Channel, int]:
    """Alice's end with a payment under way, copied; and the number of her commitment when the copy is started."""
    world = a_settled_world()
    alice, bob = world.hosts["alice"], world.hosts["bob"]
    pay(alice, 2, 30_000_000)
    for _ in range(3):
        for host, other in ((alice, bob), (bob, alice)):
            host.run([Lull()])
            host.disk.sync()
            world.deliver(host.name, other.name)
    copy = forget(channel_of(alice))
    assert copy.local_log.adds
    world.settle()
    now = channel_of(alice).local.number
    assert now > copy.local.number
    return started(copy), now


# -- an old copy ------------------------------------------------------------------------------------------------------


def test_an_old_copy_with_an_htlc_that_is_long_over_publishes_nothing_before_its_peer_has_said_that_it_is_behind() -> (
    None
):
    copy, number = an_old_copy()
    [expiry] = {add.cltv_expiry for add in copy.local_log.adds}
    env = seen(expiry + 100, None, behind=True)
    for height in range(expiry, expiry + 101):
        copy = block(copy, height, None, behind=True)
    copy = block(copy, expiry + 101, expiry + 100)
    assert copy.phase is Phase.NORMAL and not publishes(copy)
    told = run(reconnected(copy, env), says(number + 1, number), seen(expiry + 101, expiry + 100)).state
    assert told.outdated
    for height in range(expiry + 102, expiry + 120):
        told = block(told, height, expiry + 100)
        assert not publishes(told)


def test_nor_when_its_process_dies_while_it_waits() -> None:
    copy, number = an_old_copy()
    height = copy.local_log.adds[0].cltv_expiry + 100
    waiting = started(block(copy, height + 1, height))
    assert not publishes(waiting)
    told = run(reconnected(waiting, seen(height, height)), says(number + 1, number), seen(height, height)).state
    assert told.outdated and not publishes(told)


def test_nor_at_an_error_that_the_peer_says_in_place_of_where_it_stands() -> None:
    copy, number = an_old_copy()
    env = seen(200, 200)
    errored = run(reconnected(copy, env), ChannelErrored(b"sync error"), env).state
    assert errored.phase is Phase.NORMAL and not publishes(errored)
    again = reconnected(run(errored, Disconnected(), env).state, env)
    told = run(again, says(number + 1, number), env).state
    assert told.outdated and not publishes(told)


def test_nor_when_the_patience_of_its_owner_ends() -> None:
    copy, _ = an_old_copy()
    env = seen(200, None, behind=True)
    wanted = run(copy, CloseChannel(COMMAND, OURS, alone_after_s=60), env).state
    late = {"wall": ALICE.wall + 61}
    reading = seen(200, None, behind=True, **late)
    waiting = run(started(wanted), TimeReached(reading.wall), reading).state
    assert not publishes(waiting) and waiting.deferred is None
    # Nothing tells it the time again: it is woken by each block.
    assert min(want.height for want in wants(waiting) if isinstance(want, WantHeight)) <= 200
    waiting = block(waiting, 201, 200, **late)
    assert not publishes(waiting) and waiting.deferred is not None
    assert publishes(block(waiting, 203, 200, **late))


def test_what_its_owner_forces_is_done_at_once() -> None:
    copy, _ = an_old_copy()
    assert publishes(run(copy, CloseChannel(COMMAND, force=True), seen(200, 200)).state)


# -- nobody comes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "read_at", "height"),
    [
        (with_an_offered_htlc, 400, 502),
        (with_an_offered_htlc, 499, 502),
        (with_an_offered_htlc, 501, 504),
        (with_an_offered_htlc, 560, 562),
        (with_an_offered_htlc, 561, 562),
        (with_an_offered_htlc, 562, 565),
        (with_a_claimed_htlc, 400, 482),
        (with_a_claimed_htlc, 479, 482),
        (with_a_claimed_htlc, 481, 484),
        (with_a_claimed_htlc, 489, 491),
        (with_a_claimed_htlc, 495, 496),
        (with_a_claimed_htlc, 500, 503),
    ],
)
def test_a_node_whose_peer_stays_away_closes_three_blocks_after_its_start_or_as_long_as_it_matters(
    channel: Any, read_at: int, height: int
) -> None:
    """Of a received HTLC half of the 18 blocks are kept; of an offered one what the HTLC upstream leaves."""
    assert fails_at(started(channel()), read_at) == height


@pytest.mark.parametrize(("channel", "height"), [(with_an_offered_htlc, 502), (with_a_claimed_htlc, 482)])
def test_who_has_met_its_peer_closes_at_the_deadline_also_when_the_peer_has_gone(channel: Any, height: int) -> None:
    away = run(channel(), Disconnected(), ALICE).state
    assert away.link is Link.OFFLINE and away.met
    assert block(away, height - 1, height - 1).phase is Phase.NORMAL
    assert block(away, height, height - 1).phase is Phase.FAILED
    assert block(away, height, None, behind=True).phase is Phase.FAILED


def test_blocks_that_come_several_at_once_count_once_the_chain_was_read() -> None:
    """Where they always do, nothing would ever be due."""
    waiting = block(started(with_an_offered_htlc()), 502, 501, behind=True)
    waiting = block(waiting, 503, 501, behind=True)
    assert waiting.phase is Phase.NORMAL
    assert block(waiting, 504, 501, behind=True).phase is Phase.FAILED


def test_a_channel_that_this_process_opened_has_met_its_peer() -> None:
    channel = with_an_offered_htlc().but(met=False)
    assert channel.link is Link.READY
    away = run(channel, Disconnected(), ALICE).state
    assert away.met and block(away, 502, None, behind=True).phase is Phase.FAILED


@given(lives=st.lists(st.integers(1, 3), min_size=3, max_size=12))
def test_a_process_that_dies_again_and_again_does_not_wait_for_ever(lives: list[int]) -> None:
    channel, height, first = with_an_offered_htlc(), 510, 0
    for blocks in lives:
        channel, read_at = started(channel), height
        for _ in range(blocks):
            height += 1
            channel = block(channel, height, read_at)
            first = first or height
            if channel.phase is Phase.FAILED:
                assert height == 513
                return
        assert height < 513
    raise AssertionError("it never closes")


def test_where_nobody_says_when_the_chain_was_read_the_wait_begins_with_its_reason() -> None:
    waiting = block(started(with_an_offered_htlc()), 600, None)
    assert waiting.phase is Phase.NORMAL
    assert block(waiting, 602, None).phase is Phase.NORMAL
    assert block(waiting, 603, None).phase is Phase.FAILED


def test_the_operator_decides_and_is_told_once() -> None:
    env = seen(600, 600)
    step = run(started(with_an_offered_htlc()), HeightReached(env.tip), env)
    assert [action.topic for action in step.actions if isinstance(action, Notify)] == ["channel_close_deferred"]
    again = run(step.state, HeightReached(seen(601, 600).tip), seen(601, 600))
    assert not again.actions and not again.facts
    hasty = Policy(deadlines=DeadlinePolicy(restart_grace=CltvDelta(0)))
    assert block(started(with_an_offered_htlc()), 600, 600, policy=hasty).phase is Phase.FAILED


@given(read_at=st.integers(400, 700), claimed=st.booleans(), grace=st.integers(0, 30))
def test_the_wait_is_never_longer_than_the_grace_and_spends_no_last_moment(
    read_at: int, claimed: bool, grace: int
) -> None:
    channel = started(with_a_claimed_htlc() if claimed else with_an_offered_htlc())
    policy = DeadlinePolicy(restart_grace=CltvDelta(grace))
    until = asks_until(channel, policy, BlockHeight(read_at))
    assert read_at <= until <= read_at + grace
    last = 491 if claimed else 562
    assert read_at >= last - 1 or until <= last
    assert not has_to_ask(channel.but(met=True), seen(read_at, read_at))


# -- somebody comes ---------------------------------------------------------------------------------------------------


def test_when_the_peer_comes_back_and_we_are_not_behind_the_channel_fails_at_once() -> None:
    env = seen(600, 600)
    waiting = block(started(with_an_offered_htlc()), 600, 600)
    step = run(reconnected(waiting, env), says(1, 0), env)
    assert step.state.phase is Phase.FAILED and publishes(step.state)
    assert sent(step) == ["ErrorMessage"]
    assert step.state.deferred is None
    [error] = [action.message for action in step.actions if isinstance(action, Send)]
    assert isinstance(error, ErrorMessage) and error.data == b"an HTLC is at its deadline"


def test_a_peer_that_comes_before_the_deadline_changes_nothing_of_it() -> None:
    env = seen(450, 450)
    back = run(reconnected(started(with_an_offered_htlc()), env), says(1, 0), env).state
    assert back.met and back.deferred is None
    assert block(back, 501, 501).phase is Phase.NORMAL
    assert block(back, 502, 502).phase is Phase.FAILED


def test_an_error_of_a_peer_that_has_said_where_it_stands_fails_the_channel_at_once() -> None:
    env = seen(450, 450)
    back = run(reconnected(started(with_an_offered_htlc()), env), says(1, 0), env).state
    assert run(back, ChannelErrored(b"no"), env).state.phase is Phase.FAILED


def test_what_waits_ends_in_a_close_whatever_happens_so_that_a_copy_made_meanwhile_is_no_danger() -> None:
    """Its commitment is the last one: no other event takes the wait back."""
    waiting = block(started(with_an_offered_htlc()), 600, 600)
    assert waiting.deferred is not None
    claim = FulfillHtlc(HtlcKey(CHANNEL_ID, RECEIVED, 0), preimage_of(2))
    env = seen(601, 600)
    for event in (Disconnected(), Lull(), ChannelErrored(b"no"), claim, TimeReached(env.wall)):
        assert run(waiting, event, env).state.deferred == waiting.deferred
    [fact] = [
        fact for fact in run(started(with_an_offered_htlc()), HeightReached(env.tip), env).facts if not fact.passing
    ]
    assert isinstance(fact, CloseDeferred)
