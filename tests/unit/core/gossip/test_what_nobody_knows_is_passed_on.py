"""Flags, features and fields that have no meaning yet are told to others as they came: a signature covers them.

Eclair cleared unknown bits of `channel_update` until 0.14.1 (its issue 3341), and everybody behind it saw a forgery.
"""

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders.gossip import CHAIN, FEATURES, NODES, World, a_channel, a_node, an_update

from fulmen.core.gossip.cache import dump, load
from fulmen.core.gossip.desk import Gossip
from fulmen.core.gossip.encodings import encode_scids
from fulmen.core.gossip.rules import DONT_FORWARD
from fulmen.core.wire import decode, encode
from fulmen.core.wire.messages.gossip import GossipTimestampFilter, QueryShortChannelIds

EVERYTHING = encode(GossipTimestampFilter(CHAIN, 0, 0xFFFFFFFF))
NODE, SOURCE, EARLY, LATE, ASKS = 20, 31, 32, 33, 34
extras = st.binary(max_size=100)


@st.composite
def told(draw: st.DrawFn) -> list[bytes]:
    """A channel, an update of each end, and both nodes, with whatever may stand where nothing has a meaning."""
    strange = {"features": draw(st.binary(max_size=20)), "extra": draw(extras)}
    updates = [
        an_update(
            3,
            place,
            message_flags=draw(st.integers(0, 255)) & ~DONT_FORWARD,
            channel_flags=draw(st.integers(0, 127)) << 1 | direction,
            extra=draw(extras),
        )
        for direction, place in enumerate((1, 2))
    ]
    nodes = [a_node(place, features=draw(st.binary(max_size=20)), extra=draw(extras)) for place in (1, 2)]
    return [a_channel(3, 1, 2, **strange), *updates, *nodes]


@settings(max_examples=25)
@given(told())
def test_gossip_is_told_byte_for_byte_by_every_way(frames: list[bytes]) -> None:
    world = World(flush_interval_s=10)
    desk = world.desk(NODE)
    for place in (SOURCE, EARLY):
        world.connect(NODE, place)
    desk.receive(NODES[EARLY], EVERYTHING, world.now)
    world.fund(frames[0])
    for frame in frames:
        desk.receive(NODES[SOURCE], frame, world.now)
    world.settle()
    world.run(30)
    assert gossip(world, EARLY) == sorted(frames)
    answered(world, desk, frames)
    # And after a restart, too.
    again = Gossip(world.policy, CHAIN, NODES[NODE], FEATURES, load(b"".join(dump(desk.graph, CHAIN)), CHAIN))
    world.desks[NODES[NODE]] = again
    world.sent.clear()
    answered(world, again, frames)


def answered(world: World, desk: Gossip, frames: list[bytes]) -> None:
    """Who comes later is told the same, whether it asks with a filter or with a query."""
    scid = decode(frames[0]).short_channel_id
    query = encode(QueryShortChannelIds(CHAIN, encode_scids([scid])))
    for place, question in ((LATE, EVERYTHING), (ASKS, query)):
        world.connect(NODE, place)
        desk.receive(NODES[place], question, world.now)
    world.run(3)
    assert gossip(world, LATE) == gossip(world, ASKS) == sorted(frames)


def gossip(world: World, place: int) -> list[bytes]:
    """What a peer was told of others, in byte order."""
    frames = [frame for one, two, frame in world.sent if (one, two) == (NODES[NODE], NODES[place])]
    return sorted(frame for frame in frames if frame[:2] in (b"\1\0", b"\1\1", b"\1\2"))
