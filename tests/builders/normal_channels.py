"""Channel states as they are in the middle of life, made once and shared: states are values."""

from __future__ import annotations

from functools import lru_cache

from tests.builders.channels import CHANNEL, born, env_of
from tests.laws.channel_family import a_world, channel_of
from tests.laws.world import World

from fulmen.core.base.ids import NodeId
from fulmen.core.channel.state import Channel
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC

ALICE, BOB = env_of("alice"), env_of("bob")


def a_settled_world(format: str = ANCHORS_ZERO_FEE_HTLC.name) -> World:
    """Alice opened to Bob; both said channel_ready."""
    world = a_world(format=format)
    world.settle()
    return world


@lru_cache(maxsize=8)
def a_normal_channel(name: str = "alice", format: str = ANCHORS_ZERO_FEE_HTLC.name) -> Channel:
    """One end of a usable channel with nothing under way. Alice opened it."""
    return channel_of(a_settled_world(format).hosts[name])


@lru_cache(maxsize=2)
def an_unconfirmed_channel(name: str = "alice") -> Channel:
    """One end of a channel whose funding waits for three blocks."""
    world = a_world(minimum_depth=3)
    return channel_of(world.hosts[name])


def birth(name: str = "bob", other: str = "alice") -> object:
    """How the accepting end begins."""
    return born(name, other, NodeId(other.encode().rjust(33, b"\x02")), is_opener=False)


__all__ = ["ALICE", "BOB", "CHANNEL", "a_normal_channel", "a_settled_world", "an_unconfirmed_channel", "birth"]
