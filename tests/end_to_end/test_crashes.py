"""kill -9 under load, at a moment that a seed chooses: whoever dies, all agree afterwards on every msat."""

from __future__ import annotations

import random

import pytest
from demo.stage import Stage
from tests.builders.line import Line, Load

from fulmen.lab.nodes import NETWORK
from fulmen.lab.waiting import until

LANES = 6


def kill_under_load(line: Line, victim: str, seed: int) -> None:
    """Pay Alice to Dave from several lanes, kill somebody in the middle, and bring it back."""
    chance = random.Random(seed)
    before, after = chance.randint(3, 25), chance.randint(3, 10)
    with Load(line, "alice", "dave", LANES) as load:
        load.until_ended(before)
        line[victim].kill()
        line[victim].start()
        line.await_usable()
        load.until_ended(load.ended + after)
    arrived = load.settle()
    assert arrived, f"seed {seed}: no payment arrived"
    line.all_agree()


@pytest.mark.parametrize("victim", ["alice", "bob", "carol", "dave"])
def test_whoever_is_killed_under_load_all_agree(line: Line, victim: str) -> None:
    kill_under_load(line, victim, seed=len(victim))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_whoever_is_killed_at_whatever_moment_all_agree(line: Line, seed: int) -> None:
    kill_under_load(line, ("alice", "bob", "carol", "dave")[seed % 4], seed)


def test_a_node_killed_once_its_peer_has_signed_the_announcement_needs_nobody_to_announce_the_channel(
    stage: Stage,
) -> None:
    """Bob dies, and his graph with him; Alice, who like LDK would not say her half again, is away."""
    stage.open({"alice": {}, "bob": {}})
    stage.give({"alice": 1_000_000})
    channel_id = stage.fund("alice", "bob", 500_000)["channel_id"]
    stage.lock_in([(channel_id, "alice", "bob")])
    bob = stage["bob"]
    until(lambda: bob.call("listchannels")["channels"], "Bob has announced the channel")
    bob.invoice(1000, "what came before this answer is on disk")
    stage["alice"].kill()
    bob.kill()
    (bob.home / NETWORK / "graph").unlink(missing_ok=True)
    bob.start()
    until(lambda: bob.call("listchannels")["channels"], "Bob has announced the channel alone")
