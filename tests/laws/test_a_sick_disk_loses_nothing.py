"""Channels over the real store, on a disk that loses its power within any operation, or takes its time.

What left a node was safe before: whatever part of the unsynced writes is gone, and however the last one was torn, both
ends agree afterwards on every msat. And a slow disk lets nothing out early, and makes nothing fail.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.builders.channels import CHANNEL, Outcome, born
from tests.laws.channel_family import FAMILY, channel_of, check_at_rest, outcome, pay
from tests.laws.real_disk import RealDisk
from tests.laws.world import World

from fulmen.adapters.store import DiskFailed
from fulmen.core.base.ids import CommandId, NodeId
from fulmen.core.base.machine import Disconnected, Lull
from fulmen.sim.disk import SimulatedDisk

OPERATIONS = 150
"""Of the disk, within which the power goes."""


def a_world(directory: Path, seed: int) -> tuple[World, RealDisk]:
    """Alice, with the real disk, opened a channel to Bob."""
    disk = RealDisk(directory, seed)
    world = World(FAMILY, ("alice", "bob"), seed, {"alice": disk, "bob": SimulatedDisk()})
    alice, bob = world.hosts.values()
    for host, other, opens in ((alice, bob, True), (bob, alice, False)):
        birth = born(host.name, other.name, NodeId(other.node_id), is_opener=opens)
        host.run([(CHANNEL, birth), (CHANNEL, Disconnected())])
    world.settle()
    return world, disk


Paid = list[tuple[str, CommandId, int]]


def payments(world: World, first: int) -> Paid:
    """Both ways, whatever happens to those who pay. Who is down when he is asked pays nothing."""
    asked: Paid = []
    for number, (name, amount_msat) in enumerate((("alice", 20_000_000), ("bob", 5_000_000), ("alice", 354_000))):
        host = world.hosts[name]
        if host.node is not None:
            asked.append((name, pay(host, 2 * (first + number), amount_msat), amount_msat))
        world.settle()
    return asked


def check(world: World, asked: Paid) -> int:
    """Both ends agree, and on what was paid. Gives how many payments that were."""
    world.settle()
    check_at_rest(world)
    expected = 600_000_000
    ends = [outcome(world.hosts[name], command_id) for name, command_id, _ in asked]
    for (name, _, amount_msat), end in zip(asked, ends, strict=True):
        assert end is not Outcome.PENDING
        if end is Outcome.PAID:
            expected += -amount_msat if name == "alice" else amount_msat
    assert channel_of(world.hosts["alice"]).local.totals.local_msat == expected
    return ends.count(Outcome.PAID)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("seed", range(8))
def test_power_that_goes_within_an_operation_of_the_disk_takes_nothing_that_was_promised(
    tmp_path: Path, seed: int
) -> None:
    world, disk = a_world(tmp_path, seed)
    chance, asked = random.Random(seed), []
    for life in range(3):
        disk.power_goes_at = chance.randrange(OPERATIONS)
        while len(world.hosts["alice"].faults) <= life:
            asked += payments(world, 2 * len(asked))
    assert all(isinstance(fault, DiskFailed) for fault in world.hosts["alice"].faults)
    asked += payments(world, 100)
    assert check(world, asked) >= 3
    world.hosts["alice"].crash()


@pytest.mark.timeout(60)
def test_a_slow_disk_lets_nothing_out_before_it_is_done_and_makes_nothing_fail(tmp_path: Path) -> None:
    world, disk = a_world(tmp_path, 0)
    alice, bob = world.hosts.values()
    asked = payments(world, 0)
    disk.quick.clear()
    asked.append(("alice", pay(alice, 10, 7_000_000), 7_000_000))
    bob_pays = pay(bob, 12, 1_000_000)
    asked.append(("bob", bob_pays, 1_000_000))
    heard = len(world.links["alice", "bob"])
    for _ in range(50):
        world.seconds += 1
        alice.run([Lull()])
        bob.run([Lull()])
        bob.disk.sync()
        world.deliver("bob", "alice")
        disk.flush()
    assert len(world.links["alice", "bob"]) == heard, "nothing leaves before the sync is done"
    assert outcome(bob, bob_pays) is Outcome.PENDING
    disk.quick.set()
    assert check(world, asked) == 5
    assert not alice.faults and not alice.frozen
    alice.crash()
