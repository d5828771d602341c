"""Taking gossip in: reading a channel_announcement, its digest and its four signatures (BOLT 7)."""

from __future__ import annotations

from collections.abc import Iterator

from tests.builders.gossip import real_channels

from bench.floor import Floor
from bench.measure import Figure, fastest_us
from fulmen.core.gossip.graph import Graph
from fulmen.core.gossip.signatures import all_hold, announcement_checks
from fulmen.core.wire import decode


def run(floor: Floor) -> Iterator[Figure]:
    """Real announcements of mainnet, one after the other."""
    frames = [frame for frame, _ in real_channels()]
    place = iter(range(1 << 60))

    def take() -> None:
        frame = frames[next(place) % len(frames)]
        message = decode(frame)
        if not all_hold(announcement_checks(message, frame)):
            raise AssertionError("a recorded announcement does not verify")

    least = 4 * (floor.verify + floor.parse_key)
    taken = fastest_us(take)
    yield Figure("gossip", "channel_announcement: read, hash, verify", taken, floor=least, note="4 signatures")
    yield Figure("gossip", "channel_announcements per second", 1e6 / taken, "/s", floor=1e6 / least)

    def keep() -> None:
        frame = frames[next(place) % len(frames)]
        Graph().add_channel(decode(frame), frame, 0)

    yield Figure("gossip", "the same without signatures, kept in the graph", fastest_us(keep))
