"""From the gossip graph to the arrays of path finding."""

from __future__ import annotations

from tests.builders.gossip import NODES, NOW, a_channel, an_update

from fulmen.core.base.ids import ChannelId, scid
from fulmen.core.base.units import BlockHeight, CltvDelta, Msat, Sat, Timestamp
from fulmen.core.gossip.graph import Graph
from fulmen.core.routing.feed import Feed
from fulmen.core.routing.finder import Finder
from fulmen.core.routing.requests import FEES_ONLY, FirstHop, Route, RouteRequest
from fulmen.core.wire import decode
from fulmen.core.wire.messages.gossip import ChannelAnnouncement, ChannelUpdate


def put(graph: Graph, *frames: bytes) -> None:
    for frame in frames:
        message = decode(frame)
        if isinstance(message, ChannelAnnouncement):
            graph.add_channel(message, frame, Timestamp(NOW), Sat(1_000_000))
        else:
            assert isinstance(message, ChannelUpdate)
            graph.set_update(message, frame)


def a_request(destination: int) -> RouteRequest:
    """From a node beside the graph, whose peer is node 0."""
    first = FirstHop(ChannelId(bytes(32)), scid(1, 1, 1), NODES[0], Msat(10**9))
    return RouteRequest(
        source=NODES[30],
        destination=NODES[destination],
        amount_msat=Msat(100_000),
        height=BlockHeight(800_000),
        final_cltv_expiry_delta=CltvDelta(18),
        first_hops=(first,),
        weights=FEES_ONLY,
    )


def fee(finder: Finder, destination: int) -> int | None:
    answer = finder.find(a_request(destination), Timestamp(NOW))
    return answer.fee_msat if isinstance(answer, Route) else None


def test_channels_and_policies_reach_the_search() -> None:
    graph, finder = Graph(), Finder()
    feed = Feed(graph, finder)
    put(graph, a_channel(1, 0, 1), an_update(1, fee_base_msat=11, fee_proportional_millionths=0))
    assert feed.stale
    assert feed.refresh()
    assert fee(finder, 1) == 11
    put(graph, an_update(1, fee_base_msat=12, fee_proportional_millionths=0))
    assert not feed.stale
    assert not feed.refresh()
    assert fee(finder, 1) == 12


def test_a_disabled_direction_carries_nothing() -> None:
    graph, finder = Graph(), Finder()
    feed = Feed(graph, finder)
    put(graph, a_channel(1, 0, 1), an_update(1))
    feed.refresh()
    put(graph, an_update(1, channel_flags=2))
    feed.refresh()
    assert fee(finder, 1) is None


def test_while_gossip_pours_in_the_arrays_may_stay_behind() -> None:
    graph, finder = Graph(), Finder()
    feed = Feed(graph, finder)
    put(graph, a_channel(1, 0, 1), an_update(1))
    feed.refresh()
    put(graph, a_channel(2, 1, 2), an_update(2, signer=1))
    assert not feed.refresh(rebuild=False)
    assert feed.stale
    assert fee(finder, 2) is None
    assert feed.refresh()
    assert fee(finder, 2) is not None


def test_a_spent_channel_is_no_way() -> None:
    graph, finder = Graph(), Finder()
    feed = Feed(graph, finder)
    put(graph, a_channel(1, 0, 1), an_update(1))
    graph.mark_spent(scid(101, 1, 0), BlockHeight(800_000))
    feed.refresh()
    assert fee(finder, 1) is None
