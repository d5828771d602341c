"""Laws 1 to 4 on two and three counters that pay each other: any order of things, a crash at any point."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import toy
from tests.laws.toy_family import TOY, balance, order, total
from tests.laws.world import LawBroken, Transport, World, crash_at_every_commit_point, deliver_everything_twice

from fulmen.adapters.store import Codec
from fulmen.core.base.machine import Lull
from fulmen.core.base.outer import Send
from fulmen.core.node import Batch

AMOUNTS = (5, 7, 11, 60, 3)


def a_walk(seed: int, steps: int = 300, names: tuple[str, ...] = ("anna", "bert"), family=TOY) -> World:
    """Orders, messages, syncs, disconnects and crashes as the seed says; then all comes to rest."""
    world = World(family, names, seed)
    asked = []
    hosts = list(world.hosts.values())
    for number in range(steps):
        if number % 20 == 0:
            payer, payee = world.random.sample(hosts, 2)
            amount = world.random.choice(AMOUNTS)
            asked.append((payer, payee, number, amount))
            order(*asked[-1])
        world.step()
    world.settle()
    for again in asked:  # a caller whose node crashed asks again, with the same command id
        order(*again)
    world.settle()
    for payer, _, number, _ in asked:
        command_id = payer.name.encode().ljust(8, b"-") + number.to_bytes(8, "big")
        assert world.answers[command_id], f"seed {seed}: {payer.name}'s order {number} has no answer"
    assert total(world) == toy.START_BALANCE * len(names) * (len(names) - 1), f"seed {seed}"
    for payer in hosts:
        for payee in hosts:
            if payer is not payee:
                spent = sum(amount for *who, _, amount in asked if who == [payer, payee])
                earned = sum(amount for *who, _, amount in asked if who == [payee, payer])
                assert balance(payer, payee) == toy.START_BALANCE - spent + earned, f"seed {seed}"
        assert not payer.frozen
    return world


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_whatever_happens_everything_comes_right(seed):
    a_walk(seed)


def test_three_nodes_come_right_as_well():
    for seed in range(10):
        a_walk(seed, names=("anna", "bert", "cleo"))


def test_what_comes_back_from_disk_through_the_codec_is_as_good_as_memory():
    codec = Codec()
    family = replace(TOY, rewrite=lambda value: codec.unpack(codec.pack(value)))
    for seed in range(10):
        a_walk(seed, family=family)


def test_being_told_everything_twice_changes_nothing():
    family = replace(TOY, mounts=tuple(deliver_everything_twice(mount) for mount in TOY.mounts))
    for seed in range(10):
        a_walk(seed, family=family)


def test_a_crash_at_every_commit_point_comes_right():
    def scenario(world: World) -> None:
        anna, bert = world.hosts["anna"], world.hosts["bert"]
        world.connect(anna, bert)
        for number, amount in enumerate(AMOUNTS):
            order(anna, bert, number, amount)
            order(bert, anna, number, amount + 1)
            for host in (anna, bert):
                host.run([Lull()])
                host.disk.sync()
            world.deliver("anna", "bert")
            world.deliver("bert", "anna")
        world.settle()
        for number, amount in enumerate(AMOUNTS):
            order(anna, bert, number, amount)

    def right(world: World) -> None:
        anna, bert = world.hosts["anna"], world.hosts["bert"]
        # Both asked for all; what was never on disk was never promised, and anna asked again for hers.
        assert total(world) == 2 * toy.START_BALANCE
        paid = sum(AMOUNTS)
        earned = toy.START_BALANCE - paid + sum(amount + 1 for amount in AMOUNTS)
        assert balance(anna, bert) == earned
        assert balance(bert, anna) == 2 * toy.START_BALANCE - earned

    points = crash_at_every_commit_point(scenario, lambda: World(TOY, ("anna", "bert")), "anna", right)
    assert points >= 10


def test_equal_seeds_give_equal_worlds_under_any_hash_seed():
    script = (
        "from tests.laws.test_the_toy_keeps_the_laws import a_walk\n"
        "world = a_walk(7, names=('anna', 'bert', 'cleo'))\n"
        "print([host.digest.hexdigest() for host in world.hosts.values()])\n"
    )
    said = set()
    for hash_seed in ("0", "1", "4242"):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(["src", "."])}
        ran = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=100
        )
        said.add(ran.stdout)
    assert len(said) == 1


def test_the_transport_catches_what_leaves_too_early():
    world = World(TOY, ("anna", "bert"))
    anna = world.hosts["anna"]
    world.connect(anna, world.hosts["bert"])
    world.settle()
    command = order(anna, world.hosts["bert"], 1, 5)
    transport = Transport(anna.disk)
    batch = Batch(anna.disk.position + 2, facts=((None, None),), actions=(Send(anna.node_id, toy.Paid(1)),))
    transport.made(batch)
    with pytest.raises(LawBroken, match="before its facts"):
        transport.leaves(batch.actions[0])
    with pytest.raises(LawBroken, match="nobody made"):
        transport.leaves(batch.actions[0])
    assert not world.answers[command], "nothing is answered before it is on disk"
