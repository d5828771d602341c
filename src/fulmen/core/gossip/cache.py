"""The graph as bytes, so that a restart need not ask the network for it all again.

A cache and nothing more: a file that is cut short or damaged gives the records before the damage, one of another chain
or version gives none, and what it gives was verified when it came in.

    header: 16 bytes of magic, chain_hash 32
    record: u32 CRC-32 of what follows, u32 length, u8 kind, body
    channel (kind 1): u32 seen, u32 spent height, s64 capacity, u8 whether an outpoint follows, [txid 32, u32 vout],
                      then three messages (announcement, update of node 1, of node 2), each after a u16 length
    node (kind 2): its node_announcement
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from zlib import crc32

from fulmen.core.base.faults import Malformed
from fulmen.core.base.ids import ChainHash, OutPoint, Txid
from fulmen.core.base.units import BlockHeight, Sat, Timestamp
from fulmen.core.gossip.graph import Graph
from fulmen.core.wire import decode
from fulmen.core.wire.codecs import SIZED
from fulmen.core.wire.messages.gossip import ChannelAnnouncement, ChannelUpdate, NodeAnnouncement

MAGIC = b"fulmen gossip 1\n"
_HEAD = struct.Struct(">IIB")
_CHANNEL = struct.Struct(">IiqB")
_OUTPOINT = struct.Struct(">32sI")
_CHANNEL_KIND, _NODE_KIND = 1, 2
_NO_CAPACITY = -1


def dump(graph: Graph, chain_hash: ChainHash) -> Iterator[bytes]:
    """The header, then one piece per channel and per announced node. The graph must not change meanwhile."""
    yield MAGIC + chain_hash
    for channel in graph.channels():
        scid = channel.scid
        outpoint = graph.outpoint(scid)
        capacity = _NO_CAPACITY if channel.capacity_sat is None else channel.capacity_sat
        parts = [_CHANNEL.pack(graph.seen(scid), channel.spent_height or 0, capacity, outpoint is not None)]
        if outpoint is not None:
            parts.append(_OUTPOINT.pack(outpoint.txid, outpoint.vout))
        parts += [
            SIZED.write(frame) for frame in (graph.announcement(scid), graph.update(scid, 0), graph.update(scid, 1))
        ]
        yield _record(_CHANNEL_KIND, b"".join(parts))
    for node_id in graph.node_ids():
        if frame := graph.node_announcement(node_id):
            yield _record(_NODE_KIND, frame)


def load(data: bytes, chain_hash: ChainHash) -> Graph:
    """The graph of a dump, as far as it is whole."""
    graph = Graph()
    if data[: len(MAGIC) + 32] != MAGIC + chain_hash:
        return graph
    at = len(MAGIC) + 32
    while at + _HEAD.size <= len(data):
        checksum, length, kind = _HEAD.unpack_from(data, at)
        body = data[at + _HEAD.size : at + _HEAD.size + length]
        if len(body) < length or crc32(bytes([kind]) + body) != checksum:
            break
        at += _HEAD.size + length
        try:
            _take(graph, kind, body)
        except (Malformed, struct.error, KeyError):
            break
    return graph


def _record(kind: int, body: bytes) -> bytes:
    return _HEAD.pack(crc32(bytes([kind]) + body), len(body), kind) + body


def _take(graph: Graph, kind: int, body: bytes) -> None:
    if kind == _NODE_KIND:
        node = decode(body)
        if isinstance(node, NodeAnnouncement):
            graph.set_node(node, body)
        return
    seen, spent, capacity, has_outpoint = _CHANNEL.unpack_from(body)
    at = _CHANNEL.size
    outpoint = None
    if has_outpoint:
        txid, vout = _OUTPOINT.unpack_from(body, at)
        outpoint = OutPoint(Txid(txid), vout)
        at += _OUTPOINT.size
    frame, at = SIZED.read(body, at, len(body))
    channel = decode(frame)
    if not isinstance(channel, ChannelAnnouncement):
        return
    known = None if capacity == _NO_CAPACITY else Sat(capacity)
    graph.add_channel(channel, frame, Timestamp(seen), known, outpoint)
    if spent > 0:
        graph.mark_spent(channel.short_channel_id, BlockHeight(spent))
    for _ in range(2):
        frame, at = SIZED.read(body, at, len(body))
        update = decode(frame) if frame else None
        if isinstance(update, ChannelUpdate):
            graph.set_update(update, frame)
