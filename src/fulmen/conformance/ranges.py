"""The answers to a `query_channel_range`, held to the numbers that they say. BOLT 7, "Query Messages"."""

from __future__ import annotations

from itertools import pairwise

from fulmen.conformance.peer import FakePeer
from fulmen.conformance.script import ALICE, BOB
from fulmen.core.base.ids import ShortChannelId, scid_parts
from fulmen.core.gossip.encodings import decode_scids, decode_timestamps
from fulmen.core.gossip.faults import GossipFault
from fulmen.core.gossip.graph import update_checksum
from fulmen.core.wire import encode
from fulmen.core.wire.messages.gossip import QueryChannelRange, ReplyChannelRange


class RangeReplies:
    """What a node has said so far in answer to a fake peer's last query."""

    def __init__(self, peer: FakePeer, *, extended: bool) -> None:
        self._peer = peer
        self._query: QueryChannelRange = peer.said["query_channel_range"]
        self._extended = extended
        self._last: ReplyChannelRange | None = None
        self.scids: list[ShortChannelId] = []
        """All that was listed."""

    @property
    def complete(self) -> bool:
        """Whether the last one called itself so."""
        return self._last is not None and bool(self._last.sync_complete)

    def add(self, reply: ReplyChannelRange) -> str:
        """The next one: what is wrong with it, in words; empty when nothing is."""
        try:
            scids = decode_scids(reply.encoded_short_ids)
            wrong = self._wrong(reply) or _wrong_ids(reply, scids) or self._wrong_extras(reply, scids)
        except GossipFault as fault:
            return f"an array in its reply_channel_range cannot be read: {fault}"
        self._last = reply
        self.scids.extend(scids)
        return wrong

    def _wrong(self, reply: ReplyChannelRange) -> str:
        query, last = self._query, self._last
        first, beyond = reply.first_blocknum, reply.first_blocknum + reply.number_of_blocks
        end = query.first_blocknum + query.number_of_blocks
        says = f"its reply speaks of the blocks from {first} to before {beyond}"
        if reply.chain_hash != query.chain_hash:
            return "its reply speaks of another chain"
        # "the first `reply_channel_range` message: MUST set `first_blocknum` less than or equal to the `first_blocknum`
        # in `query_channel_range`; MUST set `first_blocknum` plus `number_of_blocks` greater than `first_blocknum`"
        if last is None and not first <= query.first_blocknum < beyond:
            return f"{says}, where the first one has to hold block {query.first_blocknum}"
        # "successive `reply_channel_range` message: MUST have `first_blocknum` equal or greater than the previous
        # `first_blocknum`"
        if last is not None and first < last.first_blocknum:
            return f"{says}, after one that began with {last.first_blocknum}"
        # Not said of the blocks in between, and yet nobody who asked knows of what was passed over.
        if last is not None and first > last.first_blocknum + last.number_of_blocks:
            return f"{says}, after one that ended before {last.first_blocknum + last.number_of_blocks}"
        # "the final `reply_channel_range` message: MUST have `first_blocknum` plus `number_of_blocks` equal or greater
        # than the `query_channel_range` `first_blocknum` plus `number_of_blocks`"
        if reply.sync_complete and beyond < end:
            return f"{says}, and calls itself the last, where {end - 1} was asked for, too"
        return ""

    def _wrong_extras(self, reply: ReplyChannelRange, scids: tuple[ShortChannelId, ...]) -> str:
        """Timestamps and checksums, where they are asked for."""
        if not self._extended:
            return ""
        if reply.timestamps is None or reply.checksums is None:
            return "its reply has no timestamps, or no checksums"
        stamps = decode_timestamps(reply.timestamps, len(scids))
        if len(reply.checksums) != 2 * len(scids):
            return f"its reply has {len(reply.checksums)} checksums for {len(scids)} channels"
        announced = self._peer.cast.announced
        if announced is None or announced.scid not in scids:
            return ""
        place = 2 * scids.index(announced.scid)
        told = tuple(zip(stamps[place : place + 2], reply.checksums[place : place + 2], strict=True))
        known = self._updates()
        return "" if told == known else f"timestamps and checksums of the channel are {told}, expected {known}"

    def _updates(self) -> tuple[tuple[int, int], ...]:
        """Of both ends, the lesser node id first: timestamp and checksum of the last `channel_update`, or zeros."""
        ends = sorted((self._peer.cast.peers[name] for name in (ALICE, BOB)), key=lambda end: end.node_id)
        updates = [end.said.get("channel_update") for end in ends]
        return tuple((0, 0) if each is None else (each.timestamp, update_checksum(encode(each))) for each in updates)


def _wrong_ids(reply: ReplyChannelRange, scids: tuple[ShortChannelId, ...]) -> str:
    # "`0`: uncompressed array of `short_channel_id` types, in ascending order."
    if any(first >= second for first, second in pairwise(scids)):
        return "the ids in its reply are not in ascending order"
    beyond = reply.first_blocknum + reply.number_of_blocks
    # "MUST limit `number_of_blocks` to the maximum number of blocks whose results could fit in `encoded_short_ids`"
    if any(not reply.first_blocknum <= scid_parts(scid)[0] < beyond for scid in scids):
        return "its reply lists a channel of a block that it does not speak of"
    return ""
