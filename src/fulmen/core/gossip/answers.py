"""Answers to other nodes' queries, as streams that are read only as fast as the peer is served.

BOLT 7, "Query Messages". Nothing is collected: a stream keeps a place in the graph, not a copy of it, so a query costs
its own bytes and no more. The graph may change between two frames.
"""

from __future__ import annotations

from collections.abc import Iterator

from fulmen.core.base.ids import ChainHash, NodeId, ShortChannelId, scid_parts
from fulmen.core.gossip.encodings import (
    WANT_ALL,
    WANT_ANNOUNCEMENT,
    WANT_CHECKSUMS,
    WANT_NODE_1,
    WANT_NODE_2,
    WANT_TIMESTAMPS,
    WANT_UPDATE_1,
    WANT_UPDATE_2,
    decode_flags,
    decode_scids,
    encode_scids,
    encode_timestamps,
)
from fulmen.core.gossip.graph import DISABLE, Graph
from fulmen.core.wire import encode
from fulmen.core.wire.messages.gossip import (
    GossipTimestampFilter,
    QueryChannelRange,
    QueryShortChannelIds,
    ReplyChannelRange,
    ReplyShortChannelIdsEnd,
)

_STRIDE = 256
"""Channels looked at in one go."""
_MAX_BLOCK = 1 << 24


def range_replies(
    graph: Graph, query: QueryChannelRange, chain_hash: ChainHash, scids_per_reply: int
) -> Iterator[bytes]:
    """The reply_channel_range frames that answer a query, the last with `sync_complete`.

    A reply ends at a block's end where it can, for the sake of peers that do not expect a block in two parts.
    """
    end = query.first_blocknum + query.number_of_blocks
    options = query.query_option or 0
    each = 1 + (options & WANT_TIMESTAMPS) + (options & WANT_CHECKSUMS) // WANT_CHECKSUMS
    limit = max(1, scids_per_reply // each)
    known_chain = query.chain_hash == chain_hash
    first = query.first_blocknum
    at = min(first, _MAX_BLOCK) << 40
    stop = min(end, _MAX_BLOCK) << 40
    while True:
        scids = graph.scids_between(at, stop, limit + 1) if known_chain else []
        last = len(scids) <= limit
        if last:
            beyond = end
        else:
            scids = _whole_blocks(scids[:limit], scid_parts(scids[limit])[0])
            at = scids[-1] + 1
            beyond = scid_parts(scids[-1])[0] + 1
        # BOLT 7: "MUST set `sync_complete` to `false` if this is not the final `reply_channel_range`"
        yield encode(_range_reply(graph, query.chain_hash, first, beyond - first, last, scids, options))
        if last:
            return
        # BOLT 7: successive replies "MUST have `first_blocknum` equal or greater than the previous `first_blocknum`"
        following = graph.scids_between(at, stop, 1)
        first = beyond - 1 if following and scid_parts(following[0])[0] == beyond - 1 else beyond


def scid_replies(graph: Graph, query: QueryShortChannelIds, chain_hash: ChainHash) -> Iterator[bytes]:
    """Everything asked for about some channels, then reply_short_channel_ids_end.

    Raises:
        UnknownEncoding, BadArray: before the first frame.
    """
    scids = decode_scids(query.encoded_short_ids)
    flags = [WANT_ALL] * len(scids)
    if query.query_flags is not None:
        flags = list(decode_flags(query.query_flags, len(scids)))
    return _scid_frames(graph, scids, flags, query.chain_hash, query.chain_hash == chain_hash)


def filtered(graph: Graph, wanted: GossipTimestampFilter) -> Iterator[bytes]:
    """What we have within a peer's filter, channels before their nodes.

    An empty frame now and then stands for the work of looking, so that a filter which lets nothing through is not free.
    """
    at = 0
    while scids := graph.scids_between(at, 1 << 64, _STRIDE):
        at = scids[-1] + 1
        for scid in scids:
            yield from channel_frames(graph, scid, wanted)
        yield b""
    node_ids = graph.node_ids()
    for start in range(0, len(node_ids), _STRIDE):
        for node_id in node_ids[start : start + _STRIDE]:
            if passes(wanted, graph.node_timestamp(node_id)) and (frame := graph.node_announcement(node_id)):
                yield frame
        yield b""


def channel_frames(graph: Graph, scid: ShortChannelId, wanted: GossipTimestampFilter) -> Iterator[bytes]:
    """One channel's announcement and updates, as far as a filter lets them through."""
    spent = graph.spent_height(scid) is not None
    updates = [
        frame
        for direction in (0, 1)
        if (frame := graph.update(scid, direction)) and passes(wanted, graph.timestamp(scid, direction))
    ]
    # BOLT 7: "If the funding output of the `channel_announcement` has been spent: SHOULD NOT send"
    if spent:
        updates = [frame for frame in updates if is_disabling(frame)]
    # BOLT 7: "If a `channel_announcement` has no corresponding `channel_update`s: MUST NOT send the
    # `channel_announcement`"
    elif updates:
        yield graph.announcement(scid)
    yield from updates


def passes(wanted: GossipTimestampFilter, timestamp: int) -> bool:
    """BOLT 7: "greater or equal to `first_timestamp`, and less than `first_timestamp` plus `timestamp_range`"."""
    return wanted.first_timestamp <= timestamp < wanted.first_timestamp + wanted.timestamp_range


def is_disabling(update: bytes) -> bool:
    """True if a channel_update has its `disable` bit set."""
    # type 2, signature 64, chain_hash 32, short_channel_id 8, timestamp 4, message_flags 1.
    return update[111] & DISABLE != 0


def _whole_blocks(scids: list[ShortChannelId], next_block: int) -> list[ShortChannelId]:
    """As many of these as end with their block; all of them if one block has more than fit."""
    if scid_parts(scids[-1])[0] != next_block:
        return scids
    whole = [scid for scid in scids if scid_parts(scid)[0] != next_block]
    return whole or scids


def _range_reply(
    graph: Graph, chain_hash: ChainHash, first: int, blocks: int, last: bool, scids: list[ShortChannelId], options: int
) -> ReplyChannelRange:
    halves = [(scid, direction) for scid in scids for direction in (0, 1)] if options else []
    return ReplyChannelRange(
        chain_hash,
        first,
        blocks,
        int(last),
        encode_scids(scids),
        encode_timestamps([graph.timestamp(*half) for half in halves]) if options & WANT_TIMESTAMPS else None,
        tuple(graph.checksum(*half) for half in halves) if options & WANT_CHECKSUMS else None,
    )


def _scid_frames(
    graph: Graph, scids: tuple[ShortChannelId, ...], flags: list[int], chain_hash: ChainHash, full: bool
) -> Iterator[bytes]:
    said: dict[NodeId, None] = {}
    for scid, flag in zip(scids, flags, strict=True) if full else ():
        ends = graph.ends(scid)
        if ends is None:
            continue
        if flag & WANT_ANNOUNCEMENT:
            yield graph.announcement(scid)
        for direction, wants in ((0, WANT_UPDATE_1), (1, WANT_UPDATE_2)):
            if flag & wants and (frame := graph.update(scid, direction)):
                yield frame
        # BOLT 7: "SHOULD avoid sending duplicate `node_announcements` in response to a single
        # `query_short_channel_ids`"
        for node_id, wants in zip(ends, (WANT_NODE_1, WANT_NODE_2), strict=True):
            if flag & wants and node_id not in said and (frame := graph.node_announcement(node_id)):
                said[node_id] = None
                yield frame
    # BOLT 7: "if does not maintain up-to-date channel information for `chain_hash`: MUST set `full_information` to 0"
    yield encode(ReplyShortChannelIdsEnd(chain_hash, int(full)))
