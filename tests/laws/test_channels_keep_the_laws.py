"""Two channels under any order of messages, cuts and crashes: no msat is lost and both ends agree in the end."""

from __future__ import annotations

import pytest
from tests.builders.channels import CHANNEL, CHANNEL_ID, Outcome, preimage_of
from tests.laws.channel_family import a_world, channel_of, check_at_rest, check_commitments, outcome, pay
from tests.laws.world import World, crash_at_every_commit_point

from fulmen.core.base.machine import Lull
from fulmen.core.base.peers import MessageReceived
from fulmen.core.channel.state import Link, Phase
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC, STATIC_REMOTEKEY
from fulmen.core.wire.messages.updates import UpdateFulfillHtlc

FORMATS = (ANCHORS_ZERO_FEE_HTLC.name, STATIC_REMOTEKEY.name)


@pytest.mark.parametrize("format", FORMATS)
def test_a_payment_each_way_arrives(format: str) -> None:
    world = a_world(format=format)
    world.settle()
    alice, bob = world.hosts.values()
    assert channel_of(alice).phase is Phase.NORMAL
    there = pay(alice, 2, 10_000_000)
    back = pay(bob, 4, 3_000_001)
    world.settle()
    check_at_rest(world)
    assert outcome(alice, there) is outcome(bob, back) is Outcome.PAID
    assert channel_of(alice).local.totals.local_msat == 600_000_000 - 10_000_000 + 3_000_001


def test_a_failed_payment_gives_the_money_back() -> None:
    world = a_world()
    world.settle()
    alice, _ = world.hosts.values()
    payment = pay(alice, 3, 10_000_000)
    world.settle()
    check_at_rest(world)
    assert outcome(alice, payment) is Outcome.FAILED
    assert channel_of(alice).local.totals.local_msat == 600_000_000


def test_a_payment_whose_preimage_was_shown_never_fails() -> None:
    """Law 5, when a peer shows the preimage, leaves before it signs, and comes back to give the HTLC back."""
    world = a_world()
    world.settle()
    alice, bob = world.hosts.values()
    payment = pay(alice, 3, 10_000_000)
    while not channel_of(alice).local.totals.offered_count:
        for one in (alice, bob):
            one.run([Lull()])
            one.disk.sync()
        world.deliver("alice", "bob")
        world.deliver("bob", "alice")
    alice.run([(CHANNEL, MessageReceived(UpdateFulfillHtlc(CHANNEL_ID, 0, preimage_of(3))))])
    alice.disk.sync()
    world.cut(alice, bob)
    world.settle()
    check_at_rest(world)
    assert outcome(alice, payment) is Outcome.PAID
    assert channel_of(alice).local.totals.local_msat == 600_000_000


def _scenario(world: World) -> None:
    world.settle()
    alice, bob = world.hosts.values()
    for number, (host, amount) in enumerate([(alice, 10_000_000), (bob, 2_000_000), (alice, 999), (bob, 7_654_321)]):
        if host.node is not None:
            pay(host, number, amount)
        for _ in range(3):
            for one in (alice, bob):
                one.run([Lull()])
                one.disk.sync()
            world.deliver("alice", "bob")
            world.deliver("bob", "alice")


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_a_crash_at_any_commit_point_loses_nothing(name: str) -> None:
    points = crash_at_every_commit_point(_scenario, a_world, name, check_at_rest)
    assert points > 10


def _bring_up(world: World) -> None:
    alice, bob = world.hosts.values()
    for host in (alice, bob):
        if host.node is None:
            host.start()
    world.connect(alice, bob)
    for _ in range(4):
        alice.disk.sync()
        bob.disk.sync()
        world.deliver("alice", "bob")
        world.deliver("bob", "alice")


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("seed", range(12))
def test_a_random_walk_with_cuts_and_crashes_comes_right(seed: int, format: str) -> None:
    world = a_world(seed, format)
    alice, bob = world.hosts.values()
    payments = []
    for number in range(60):
        for _ in range(world.random.randrange(40)):
            world.step()
        for host in (alice, bob):
            if host.node is not None:
                check_commitments(channel_of(host))
        if world.random.random() < 0.5:
            _bring_up(world)
        host = world.random.choice((alice, bob))
        if host.node is not None and channel_of(host).link is Link.READY:
            amount = world.random.choice((1, 353_999, 354_000, 1_000_000, 20_000_000, 90_000_000))
            payments.append((host, pay(host, number, amount), number, amount))
    world.settle()
    check_at_rest(world)
    expected = 600_000_000
    for host, command_id, number, amount in payments:
        ended = outcome(host, command_id)
        assert ended in (Outcome.PAID, Outcome.FAILED, Outcome.NEW), f"seed {seed}: {ended} {number}"
        if ended is Outcome.PAID:
            expected += -amount if host is alice else amount
    paid = [payment for payment in payments if outcome(payment[0], payment[1]) is Outcome.PAID]
    assert paid, f"seed {seed}: nothing was ever paid"
    assert channel_of(alice).local.totals.local_msat == expected, f"seed {seed}"
    assert CHANNEL.key == channel_of(bob).terms.channel_id
