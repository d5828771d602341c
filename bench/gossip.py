"""Taking gossip in: channel_announcements through rules, signatures and graph; and the graph's cache (BOLT 7)."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.builders.gossip import CHAIN, NODES, real_channels

from bench.floor import Floor
from bench.measure import Figure
from fulmen.core.base.units import BlockHeight, Sat, Timestamp
from fulmen.core.gossip.cache import dump, load
from fulmen.core.gossip.graph import Graph
from fulmen.core.gossip.policy import GossipPolicy
from fulmen.core.routing.pathfinder import Pathfinder
from fulmen.core.routing.words import BlockConnected, Heard, PeerUp, Settings
from fulmen.core.wire import decode
from fulmen.core.wire.features import GOSSIP_QUERIES, optional
from fulmen.core.wire.messages.gossip import ChannelAnnouncement

NOW = Timestamp(1_600_000_000)
FEATURES = optional(GOSSIP_QUERIES).to_bytes()
ROUNDS = 60


def run(floor: Floor) -> Iterator[Figure]:
    """Real announcements of mainnet, all of them at once, the fastest of some rounds."""
    frames = [frame for frame, _ in real_channels()]
    least = 4 * (floor.verify + floor.parse_key)
    taken = min(_ingest(frames) for _ in range(ROUNDS)) / len(frames)
    yield Figure("gossip", "channel_announcement, from frame to graph", taken, floor=least, note="4 signatures")
    yield Figure("gossip", "channel_announcements per second", 1e6 / taken, "/s", floor=1e6 / least)

    graph = Graph()
    for frame, capacity in real_channels():
        message = decode(frame)
        assert isinstance(message, ChannelAnnouncement)
        if message.short_channel_id not in graph:
            graph.add_channel(message, frame, NOW, Sat(capacity))
    data = b"".join(dump(graph, CHAIN))
    each = min(_load(data) for _ in range(ROUNDS)) / len(graph)
    yield Figure("gossip", "one channel read from the cache", each, note="at start; no signatures are verified")


def _ingest(frames: list[bytes]) -> float:
    """Microseconds until all of them are in the graph."""
    pathfinder = Pathfinder(Settings(NODES[30], CHAIN, FEATURES, GossipPolicy(check_funding=False)))
    pathfinder.hear(BlockConnected(BlockHeight(700_000)), NOW)
    pathfinder.hear(PeerUp(NODES[0], FEATURES), NOW)
    start = time.thread_time()
    pathfinder.hear(Heard(tuple((NODES[0], frame) for frame in frames)), NOW)
    while pathfinder.work(NOW):
        pass
    took = 1e6 * (time.thread_time() - start)
    if len(pathfinder.gossip.graph) < 0.9 * len(frames):
        raise AssertionError("recorded announcements were not believed")
    return took


def _load(data: bytes) -> float:
    start = time.thread_time()
    load(data, CHAIN)
    return 1e6 * (time.thread_time() - start)
