"""Asking for the graph and answering: any chunking gives the same list, and a list has an end."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.gossip import CHAIN, NODES, NOW, a_channel, a_node, an_update

from fulmen.core.base.ids import scid, scid_parts
from fulmen.core.gossip.answers import filtered, range_replies, scid_replies
from fulmen.core.gossip.encodings import decode_flags, decode_scids, decode_timestamps, encode_flags, encode_scids
from fulmen.core.gossip.faults import BadArray, BadRangeReply, GossipFault, UnaskedReply, UnknownEncoding
from fulmen.core.gossip.graph import Graph
from fulmen.core.gossip.policy import GossipPolicy
from fulmen.core.gossip.sync import Phase, Sync
from fulmen.core.wire import decode
from fulmen.core.wire.messages.gossip import (
    ChannelAnnouncement,
    ChannelUpdate,
    GossipTimestampFilter,
    NodeAnnouncement,
    QueryChannelRange,
    QueryShortChannelIds,
    ReplyChannelRange,
    ReplyShortChannelIdsEnd,
)

TEMPLATE = decode(a_channel(1))
OLD = NOW - 14 * 86_400


def a_graph(scids: list[int]) -> Graph:
    graph = Graph()
    for number in scids:
        graph.add_channel(TEMPLATE.but(short_channel_id=number), b"announcement", NOW)
    return graph


def put(graph: Graph, *frames: bytes) -> Graph:
    for frame in frames:
        message = decode(frame)
        if isinstance(message, ChannelAnnouncement):
            graph.add_channel(message, frame, NOW)
        elif isinstance(message, ChannelUpdate):
            graph.set_update(message, frame)
        else:
            graph.set_node(message, frame)
    return graph


def replies(graph: Graph, query: QueryChannelRange, limit: int) -> list[ReplyChannelRange]:
    return [decode(frame) for frame in range_replies(graph, query, CHAIN, limit)]


PLACES = st.lists(st.builds(scid, st.integers(90, 110), st.integers(0, 3), st.integers(0, 2)), max_size=40, unique=True)


@given(PLACES, st.integers(85, 112), st.integers(1, 30), st.integers(1, 9), st.sampled_from([None, 1, 2, 3]))
def test_range_replies_keep_every_rule_and_give_exactly_what_was_asked(
    places: list[int], first: int, blocks: int, limit: int, option: int | None
) -> None:
    answer = replies(a_graph(places), QueryChannelRange(CHAIN, first, blocks, option), limit)
    asked = sorted(place for place in places if first <= scid_parts(place)[0] < first + blocks)
    assert [place for reply in answer for place in decode_scids(reply.encoded_short_ids)] == asked
    assert [reply.sync_complete for reply in answer] == [0] * (len(answer) - 1) + [1]
    assert answer[0].first_blocknum <= first < answer[0].first_blocknum + answer[0].number_of_blocks
    assert answer[-1].first_blocknum + answer[-1].number_of_blocks >= first + blocks
    for before, after in pairwise(answer):
        assert after.first_blocknum >= before.first_blocknum
        assert after.first_blocknum <= before.first_blocknum + before.number_of_blocks
    for reply in answer:
        count = len(decode_scids(reply.encoded_short_ids))
        assert count <= limit
        if option and option & 1:
            assert len(decode_timestamps(reply.timestamps, count)) == 2 * count
        assert (reply.checksums is not None) == bool(option and option & 2)


@given(PLACES, st.integers(1, 9), st.booleans())
def test_a_list_is_put_together_from_any_chunking(places: list[int], limit: int, extended: bool) -> None:
    theirs, ours = a_graph(places), Graph()
    sync = Sync(GossipPolicy(scids_per_query=1000), CHAIN, extended)
    _, query = sync.start(NOW, NOW)
    answer = replies(theirs, query, limit)
    for reply in answer:
        assert sync.phase is Phase.RANGE
        sync.on_reply_channel_range(reply, ours, NOW, 0)
    assert sync.phase is Phase.CHANNELS
    asked = sync.next_query(NOW, Graph())
    assert (decode_scids(asked.encoded_short_ids) if asked else ()) == tuple(sorted(places))


def test_a_block_with_more_channels_than_a_reply_holds_is_split() -> None:
    places = [scid(100, tx, 0) for tx in range(5)]
    answer = replies(a_graph(places), QueryChannelRange(CHAIN, 99, 3), 2)
    assert [len(decode_scids(reply.encoded_short_ids)) for reply in answer] == [2, 2, 1]
    assert [reply.first_blocknum for reply in answer] == [99, 100, 100]


def test_of_another_chain_we_have_nothing() -> None:
    graph = put(Graph(), a_channel(1), an_update(1))
    (reply,) = replies(graph, QueryChannelRange(bytes(32), 0, 1000), 10)
    assert decode_scids(reply.encoded_short_ids) == () and reply.chain_hash == bytes(32)
    query = QueryShortChannelIds(bytes(32), encode_scids([scid(101, 1, 0)]))
    assert [decode(frame) for frame in scid_replies(graph, query, CHAIN)] == [ReplyShortChannelIdsEnd(bytes(32), 0)]


def test_channels_are_told_with_their_updates_and_each_node_once() -> None:
    told = [a_channel(1, 0, 1), a_channel(2, 1, 2), an_update(1), a_node(1), a_node(2)]
    graph = put(Graph(), *told)
    query = QueryShortChannelIds(CHAIN, encode_scids([scid(101, 1, 0), scid(102, 1, 0), scid(103, 1, 0)]))
    answer = list(scid_replies(graph, query, CHAIN))
    assert answer[:-1] == [told[0], told[2], told[3], told[1], told[4]]
    assert decode(answer[-1]) == ReplyShortChannelIdsEnd(CHAIN, 1)


@pytest.mark.parametrize(
    ("flag", "kinds"),
    [(1, [256]), (2, [258]), (4, [258]), (8, [257]), (16, []), (31, [256, 258, 258, 257]), (0, [])],
)
def test_flags_say_what_is_wanted(flag: int, kinds: list[int]) -> None:
    graph = put(Graph(), a_channel(1), an_update(1), an_update(1, 1, 1), a_node(0))
    query = QueryShortChannelIds(CHAIN, encode_scids([scid(101, 1, 0)]), encode_flags([flag]))
    answer = list(scid_replies(graph, query, CHAIN))
    assert [int.from_bytes(frame[:2], "big") for frame in answer] == [*kinds, 262]


def test_a_query_that_cannot_be_read_is_refused_before_the_first_frame() -> None:
    with pytest.raises(UnknownEncoding):
        scid_replies(Graph(), QueryShortChannelIds(CHAIN, b"\1abc"), CHAIN)
    with pytest.raises(BadArray):
        scid_replies(Graph(), QueryShortChannelIds(CHAIN, encode_scids([1]), encode_flags([1, 2])), CHAIN)


def test_a_filter_lets_its_times_through_channels_before_updates_before_nodes() -> None:
    graph = put(
        Graph(),
        a_channel(1),
        a_channel(2, 1, 2),
        a_channel(3, 2, 3),
        an_update(1, timestamp=NOW),
        an_update(1, 1, 1, timestamp=NOW + 10),
        an_update(2, 1, 0, timestamp=NOW - 1),
        a_node(0, timestamp=NOW + 9),
        a_node(1, timestamp=NOW + 10),
    )
    frames = [frame for frame in filtered(graph, GossipTimestampFilter(CHAIN, NOW, 10)) if frame]
    assert frames == [graph.announcement(scid(101, 1, 0)), an_update(1, timestamp=NOW), a_node(0, timestamp=NOW + 9)]


def test_of_a_spent_channel_only_that_it_is_disabled_is_told() -> None:
    off = an_update(1, 1, 1, channel_flags=3)
    graph = put(Graph(), a_channel(1), an_update(1), off)
    graph.mark_spent(scid(101, 1, 0), 500)
    everything = GossipTimestampFilter(CHAIN, 0, 0xFFFFFFFF)
    assert [frame for frame in filtered(graph, everything) if frame] == [off]


# Asking


def a_sync(extended: bool = True, **policy: object) -> Sync:
    sync = Sync(GossipPolicy(**policy), CHAIN, extended)
    sync.start(NOW, NOW)
    return sync


def a_reply(first: int, blocks: int, scids: list[int], complete: int = 0, **changes: object) -> ReplyChannelRange:
    return ReplyChannelRange(CHAIN, first, blocks, complete, encode_scids(scids)).but(**changes)


LAST = 0xFFFFFFFF


def test_only_news_is_asked_for() -> None:
    ours = put(
        Graph(),
        a_channel(1),
        an_update(1, timestamp=NOW - 100),
        a_channel(2),
        an_update(2, timestamp=NOW),
        a_channel(3),
        an_update(3, timestamp=NOW - 100),
    )
    theirs = put(
        Graph(),
        a_channel(1),
        an_update(1, timestamp=NOW, fee_base_msat=5),  # newer, other terms
        a_channel(2),
        an_update(2, timestamp=NOW - 100),  # older
        a_channel(3),
        an_update(3, timestamp=NOW),  # newer, same terms
        a_channel(4),
        an_update(4),  # unknown
        a_channel(5),
        an_update(5, timestamp=OLD - 1),  # unknown, and stale
    )
    sync = Sync(GossipPolicy(), CHAIN, True)
    _, query = sync.start(NOW, NOW)
    for reply in replies(theirs, query, 100):
        sync.on_reply_channel_range(reply, ours, NOW, OLD)
    asked = sync.next_query(NOW, Graph())
    assert decode_scids(asked.encoded_short_ids) == (scid(101, 1, 0), scid(104, 1, 0))
    assert decode_flags(asked.query_flags, 2) == (2 | 8, 31)


def test_one_query_is_in_flight_at_a_time_and_the_last_answer_ends_it() -> None:
    sync = a_sync(scids_per_query=2)
    sync.on_reply_channel_range(a_reply(0, LAST, [1, 2, 3], 1), Graph(), NOW, 0)
    assert len(decode_scids(sync.next_query(NOW, Graph()).encoded_short_ids)) == 2
    assert sync.next_query(NOW, Graph()) is None
    sync.on_reply_short_channel_ids_end(ReplyShortChannelIdsEnd(CHAIN, 1))
    assert decode_scids(sync.next_query(NOW, Graph()).encoded_short_ids) == (3,)
    assert sync.phase is Phase.CHANNELS
    sync.on_reply_short_channel_ids_end(ReplyShortChannelIdsEnd(CHAIN, 1))
    assert sync.next_query(NOW, Graph()) is None
    assert sync.phase is Phase.LIVE


def test_what_came_by_itself_meanwhile_is_not_asked_for() -> None:
    sync = a_sync(scids_per_query=2)
    scids = [scid(101, 1, 0), scid(102, 1, 0), scid(103, 1, 0)]
    sync.on_reply_channel_range(a_reply(0, LAST, scids, 1), Graph(), NOW, 0)
    graph = put(Graph(), a_channel(1), a_channel(2))
    assert decode_scids(sync.next_query(NOW, graph).encoded_short_ids) == (scid(103, 1, 0),)


def test_a_channel_heard_of_later_is_asked_for() -> None:
    sync = a_sync()
    sync.on_reply_channel_range(a_reply(0, LAST, [], 1), Graph(), NOW, 0)
    sync.next_query(NOW, Graph())
    assert sync.phase is Phase.LIVE
    assert sync.want(77)
    assert decode_scids(sync.next_query(NOW, Graph()).encoded_short_ids) == (77,)


def test_a_peer_that_does_not_answer_is_given_up_with_what_it_said() -> None:
    sync = a_sync()
    sync.on_reply_channel_range(a_reply(0, 10, [7]), Graph(), NOW, 0)
    assert not sync.timed_out(NOW + 119)
    assert sync.timed_out(NOW + 120)
    assert decode_scids(sync.next_query(NOW, Graph()).encoded_short_ids) == (7,)


@pytest.mark.parametrize(
    "second",
    [
        a_reply(99, 10, []),
        a_reply(100, 10, [scid(110, 0, 0)]),
        a_reply(100, 10, [scid(99, 0, 0)]),
        a_reply(100, 10, [scid(100, 5, 0)]),
        a_reply(LAST, 10, []),
        a_reply(100, 10, [], checksums=(1, 2)),
        a_reply(100, 10, [], timestamps=b"\1"),
        a_reply(100, 10, [], encoded_short_ids=b"\1\0"),
    ],
    ids=[
        "it goes backwards",
        "a channel above its blocks",
        "a channel below its blocks",
        "a channel twice",
        "blocks nobody asked for",
        "checksums of no channel",
        "timestamps in another encoding",
        "channels in another encoding",
    ],
)
def test_a_list_that_breaks_the_rules_is_refused(second: ReplyChannelRange) -> None:
    sync = a_sync()
    sync.on_reply_channel_range(a_reply(100, 10, [scid(100, 5, 0)]), Graph(), NOW, 0)
    with pytest.raises(GossipFault):
        sync.on_reply_channel_range(second, Graph(), NOW, 0)


def test_a_list_without_end_is_refused() -> None:
    sync = a_sync(max_range_replies=50, max_range_scids=1000)
    with pytest.raises(BadRangeReply):
        for _ in range(1000):
            sync.on_reply_channel_range(a_reply(5, 1, []), Graph(), NOW, 0)
    sync = a_sync(max_range_replies=500, max_range_scids=1000)
    with pytest.raises(BadRangeReply):
        for block in range(1000):
            scids = [scid(block, tx, 0) for tx in range(100)]
            sync.on_reply_channel_range(a_reply(block, 1, scids), Graph(), NOW, 0)
    assert len(sync._scids) <= 1000


def test_replies_nobody_asked_for_are_named() -> None:
    sync = Sync(GossipPolicy(), CHAIN, True)
    with pytest.raises(UnaskedReply):
        sync.on_reply_channel_range(a_reply(0, LAST, [], 1), Graph(), NOW, 0)
    with pytest.raises(UnaskedReply):
        sync.on_reply_short_channel_ids_end(ReplyShortChannelIdsEnd(CHAIN, 1))


def test_nodes_in_the_backlog_are_only_those_with_an_announcement() -> None:
    graph = put(Graph(), a_channel(1), a_node(1, timestamp=5))
    frames = [frame for frame in filtered(graph, GossipTimestampFilter(CHAIN, 0, 10)) if frame]
    assert [decode(frame).node_id for frame in frames] == [NODES[1]]
    assert isinstance(decode(frames[0]), NodeAnnouncement)
