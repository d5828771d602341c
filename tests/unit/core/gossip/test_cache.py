"""The graph on disk: what is written is read back, and damage costs no more than what follows it."""

import struct
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st
from tests.builders.gossip import CHAIN, NODES, NOW, a_channel, a_node, an_outpoint, an_update

from fulmen.core.gossip.cache import MAGIC, dump, load
from fulmen.core.gossip.desk import Gossip
from fulmen.core.gossip.graph import Graph
from fulmen.core.gossip.policy import GossipPolicy
from fulmen.core.wire import decode
from fulmen.core.wire.codecs import SIZED
from fulmen.core.wire.features import Features


def a_graph() -> Graph:
    graph = Graph()
    for number in range(1, 6):
        frame = a_channel(number, number, number + 1)
        graph.add_channel(decode(frame), frame, NOW, 1000 * number, an_outpoint(number) if number > 2 else None)
        update = an_update(number, number, 0)
        graph.set_update(decode(update), update)
    node = a_node(2)
    graph.set_node(decode(node), node)
    graph.mark_spent(decode(a_channel(4)).short_channel_id, 700)
    return graph


WHOLE = b"".join(dump(a_graph(), CHAIN))


def test_a_graph_is_read_back_whole() -> None:
    before, after = a_graph(), load(WHOLE, CHAIN)
    assert list(after.channels()) == list(before.channels())
    assert [after.node(n) for n in after.node_ids()] == [before.node(n) for n in before.node_ids()]
    assert after.funded_by(an_outpoint(3)) == before.funded_by(an_outpoint(3)) is not None
    assert b"".join(dump(after, CHAIN)) == WHOLE


def test_another_chain_has_another_graph() -> None:
    assert len(load(WHOLE, bytes(32))) == 0


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_damage_costs_what_follows_it_and_no_more(place: int, change: int) -> None:
    damaged = bytearray(WHOLE)
    damaged[place] ^= change
    for data in (bytes(damaged), WHOLE[:place]):
        graph = load(data, CHAIN)
        whole = list(a_graph().channels())
        assert list(graph.channels()) == whole[: len(graph)]


def test_a_height_that_no_chain_reaches_is_none() -> None:
    """Found by fuzzing the file: whoever can write it may give it right checksums."""
    for spent in (1 << 31, (1 << 32) - 1):
        frame = a_channel(1)
        body = struct.pack(">IIqB", 1, spent, 1000, 0) + SIZED.write(frame) + bytes(4)
        record = struct.pack(">IIB", crc32(b"\x01" + body), len(body), 1) + body
        graph = load(MAGIC + CHAIN + record, CHAIN)
        assert [channel.spent_height for channel in graph.channels()] == [None]


def test_what_was_spent_before_a_restart_is_forgotten_in_its_time() -> None:
    desk = Gossip(GossipPolicy(), CHAIN, NODES[0], Features(), load(WHOLE, CHAIN))
    desk.block(771)
    assert len(desk.graph) == 5
    desk.block(772)
    assert len(desk.graph) == 4
