"""The pathfinder in line: gossip in, routes and pages out."""

from __future__ import annotations

import msgspec
from tests.builders.gossip import CHAIN, NODES, NOW, a_channel, a_node, an_update

from fulmen.core.base.ids import ChannelId, scid
from fulmen.core.base.units import BlockHeight, Msat, Timestamp
from fulmen.core.gossip.policy import GossipPolicy
from fulmen.core.routing.pathfinder import Pathfinder
from fulmen.core.routing.requests import FirstHop, NoRouteReason, Outcome, RouteRequest
from fulmen.core.routing.words import (
    Answers,
    BlockConnected,
    Channels,
    Find,
    Found,
    FromPathfinder,
    GossipSigned,
    Heard,
    HowMuch,
    Known,
    LearnFrom,
    Leave,
    ListChannels,
    ListNodes,
    Nodes,
    OwnNodeIs,
    PassFrame,
    PeerDown,
    PeerUp,
    RemoteTerms,
    Settings,
    Terms,
    Tick,
    ToPathfinder,
    Words,
)
from fulmen.core.wire.features import GOSSIP_QUERIES, optional

US, PEER = NODES[30], NODES[0]
FEATURES = optional(GOSSIP_QUERIES).to_bytes()
SETTINGS = Settings(US, CHAIN, FEATURES, GossipPolicy(check_funding=False))
TIME = Timestamp(NOW + 100)


class InLine:
    """A pathfinder whose words and answers go through the codec, as between two processes."""

    def __init__(self) -> None:
        self.pathfinder = Pathfinder(SETTINGS)
        self.pathfinder.hear(PeerUp(PEER, FEATURES, None), TIME)
        self.pathfinder.hear(BlockConnected(BlockHeight(800_000)), TIME)

    def __call__(self, *said: ToPathfinder) -> list[FromPathfinder]:
        for word in said:
            sent = msgspec.msgpack.decode(msgspec.msgpack.encode(word), type=Words)
            assert sent == word
            self.pathfinder.hear(sent, TIME)
        while self.pathfinder.work(TIME):
            pass
        answers = self.pathfinder.take()
        assert [msgspec.msgpack.decode(msgspec.msgpack.encode(answer), type=Answers) for answer in answers] == answers
        return answers

    def hears(self, *frames: bytes) -> list[FromPathfinder]:
        return self(Heard(tuple((PEER, frame) for frame in frames)))

    def find(self, destination: int, amount: int = 100_000) -> Found:
        (found,) = self(Find(1, a_request(destination, amount)))
        assert isinstance(found, Found)
        return found


def a_request(destination: int, amount: int = 100_000) -> RouteRequest:
    first = FirstHop(ChannelId(bytes(32)), scid(1, 1, 1), PEER, Msat(10**9))
    return RouteRequest(
        source=US,
        destination=NODES[destination],
        amount_msat=Msat(amount),
        height=BlockHeight(800_000),
        first_hops=(first,),
    )


def a_line() -> InLine:
    """Peer - 1 - 2, heard of from the peer."""
    line = InLine()
    line()
    line.hears(
        a_channel(1, 0, 1),
        an_update(1),
        a_channel(2, 1, 2),
        an_update(2, signer=1),
        a_node(1),
    )
    return line


def test_what_peers_say_is_believed_once_its_signatures_hold_and_routes_lead_through_it() -> None:
    found = a_line().find(2)
    assert found.route is not None
    assert [hop.node_id for hop in found.route.hops] == [PEER, NODES[1], NODES[2]]
    assert found.answer == found.route


def test_a_signature_that_does_not_hold_leads_nowhere_and_ends_the_connection() -> None:
    line = InLine()
    line()
    frame = bytearray(a_channel(1, 0, 1))
    frame[10] ^= 1
    assert any(isinstance(answer, Leave) for answer in line.hears(bytes(frame)))
    found = line.find(1)
    assert found.route is None
    assert found.no_route is not None
    assert line(HowMuch(1)) == [Known(1, 0, 0, synced=False, compiled=False)]


def test_what_cannot_be_read_is_answered_with_a_warning() -> None:
    line = InLine()
    line()
    assert {type(answer) for answer in line.hears(b"\x01\x00short")} == {PassFrame, Leave}


def test_why_there_is_no_route_is_said() -> None:
    found = a_line().find(20)
    assert found.no_route is not None
    assert found.no_route.reason is NoRouteReason.UNKNOWN_DESTINATION
    assert found.answer == found.no_route


def test_an_attempt_teaches() -> None:
    line = a_line()
    found = line.find(2)
    assert found.route is not None
    line(LearnFrom(Outcome(found.route, settled=False, failed_at=1, failure_code=0x4008)))
    again = line.find(2)
    assert again.no_route is not None
    assert again.no_route.reason is NoRouteReason.INSUFFICIENT_LIQUIDITY


def test_a_peer_that_comes_is_asked_for_what_it_knows() -> None:
    answers = InLine()()
    types = {int.from_bytes(answer.frame[:2], "big") for answer in answers if isinstance(answer, PassFrame)}
    assert {263, 265} <= types


def test_a_peer_that_left_is_not_listened_to() -> None:
    line = InLine()
    line(PeerDown(PEER))
    line.hears(a_channel(1, 0, 1))
    assert line(HowMuch(2)) == [Known(2, 0, 0, synced=False, compiled=False)]


def test_the_graph_is_shown_in_pages() -> None:
    line = a_line()
    (page,) = line(ListChannels(1, limit=1))
    assert isinstance(page, Channels)
    assert [channel.scid for channel in page.channels] == [scid(101, 1, 0)]
    (page,) = line(ListChannels(2, first=scid(101, 1, 1)))
    assert isinstance(page, Channels)
    assert [channel.scid for channel in page.channels] == [scid(102, 1, 0)]
    (page,) = line(ListChannels(3, node_id=NODES[0]))
    assert isinstance(page, Channels)
    assert [channel.scid for channel in page.channels] == [scid(101, 1, 0)]
    (nodes,) = line(ListNodes(4))
    assert isinstance(nodes, Nodes)
    assert [(node.node_id, node.alias, node.channels) for node in nodes.nodes] == [
        (NODES[0], "", 1),
        (NODES[1], "node 1", 2),
        (NODES[2], "", 1),
    ]
    (nodes,) = line(ListNodes(5, after=NODES[1]))
    assert isinstance(nodes, Nodes)
    assert [node.node_id for node in nodes.nodes] == [NODES[2]]


def test_the_terms_of_a_channel_that_is_not_ours_are_not_known() -> None:
    assert InLine()(RemoteTerms(7, ChannelId(bytes(32))))[-1] == Terms(7, None)


def test_ticks_and_signatures_for_nothing_change_nothing() -> None:
    line = a_line()
    line(Tick(), GossipSigned(b"node"))
    assert line(HowMuch(1)) == [Known(1, 2, 3, synced=False, compiled=False)]


def test_a_faster_search_is_used_from_then_on_also_after_the_graph_has_changed() -> None:
    line = a_line()
    searched = []

    def compile(edges: object) -> object:
        from fulmen.core.routing.search import shortest_path

        def search(asked: object) -> object:
            searched.append(asked)
            return shortest_path(edges, asked)

        return search

    line.pathfinder.speed_up(compile)
    assert line.find(2).route is not None
    line.hears(a_channel(3, 2, 3), an_update(3, signer=2))
    assert line.find(3).route is not None
    assert len(searched) == 2
    assert line(HowMuch(1)) == [Known(1, 3, 4, synced=False, compiled=True)]


def test_a_node_without_public_channels_does_not_announce_itself() -> None:
    line = a_line()
    from fulmen.core.gossip.own import OwnNode

    assert line(OwnNodeIs(OwnNode(alias="me"))) == []
