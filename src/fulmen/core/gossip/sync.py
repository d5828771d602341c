"""Asking one peer for what we do not have: filter, range of channels, the channels themselves, then live gossip.

BOLT 7, "Query Messages". One query is in flight at a time; everything a peer may send in reply is counted.
"""

from __future__ import annotations

import enum
from array import array

from fulmen.core.base.ids import ChainHash, ShortChannelId, scid_parts
from fulmen.core.base.record import Record
from fulmen.core.base.units import Timestamp
from fulmen.core.gossip.encodings import (
    WANT_ALL,
    WANT_CHECKSUMS,
    WANT_NODE_1,
    WANT_NODE_2,
    WANT_TIMESTAMPS,
    WANT_UPDATE_1,
    WANT_UPDATE_2,
    decode_scids,
    decode_timestamps,
    encode_flags,
    encode_scids,
)
from fulmen.core.gossip.faults import BadArray, BadRangeReply, UnaskedReply
from fulmen.core.gossip.graph import Graph
from fulmen.core.gossip.policy import GossipPolicy
from fulmen.core.wire.messages.gossip import (
    GossipTimestampFilter,
    QueryChannelRange,
    QueryShortChannelIds,
    ReplyChannelRange,
    ReplyShortChannelIdsEnd,
)

NOTHING = 0xFFFFFFFF
"""As `first_timestamp`: no relayed gossip, please."""


class Phase(enum.Enum):
    """How far we are with a peer."""

    PASSIVE = "its own gossip only"
    RANGE = "waiting for its list of channels"
    CHANNELS = "asking for channels"
    LIVE = "up to date"


class Sync:
    """What we want from one peer."""

    def __init__(self, policy: GossipPolicy, chain_hash: ChainHash, extended: bool) -> None:
        self._policy = policy
        self._chain_hash = chain_hash
        self._extended = extended
        """Both sides have gossip_queries_ex: timestamps, checksums and flags make sense."""
        self.phase = Phase.PASSIVE
        self.asked_at: Timestamp | None = None
        """When the query in flight was sent; None when there is none."""
        self._query: QueryChannelRange | None = None
        self._next_first = 0
        self._next_scid = 0
        self._replies = 0
        self._claimed = 0
        self._scids = array("Q")
        self._flags = array("B")
        self._at = 0
        """How many of the wanted channels were asked for."""

    def passive(self) -> GossipTimestampFilter:
        """Take no relayed gossip from this peer."""
        self._end(Phase.PASSIVE)
        return GossipTimestampFilter(self._chain_hash, NOTHING, 0)

    def start(self, now: Timestamp, since: int) -> tuple[Record, ...]:
        """Take live gossip from `since` on, and ask for the whole range of channels, unless a query is in flight."""
        wanted = GossipTimestampFilter(self._chain_hash, since, NOTHING - since)
        if self.asked_at is not None:
            return (wanted,)
        option = WANT_TIMESTAMPS | WANT_CHECKSUMS if self._extended else None
        self._query = QueryChannelRange(self._chain_hash, 0, 0xFFFFFFFF, option)
        self._next_first = self._next_scid = self._replies = self._claimed = 0
        del self._scids[:], self._flags[:]
        self._at = 0
        self.phase, self.asked_at = Phase.RANGE, now
        return (wanted, self._query)

    def on_reply_channel_range(self, reply: ReplyChannelRange, graph: Graph, now: Timestamp, stale_before: int) -> None:
        """A part of the list: note which channels are news.

        Raises:
            UnaskedReply, BadRangeReply, UnknownEncoding, BadArray: the peer broke BOLT 7.
        """
        query = self._query
        if query is None or reply.chain_hash != self._chain_hash:
            raise UnaskedReply(about="reply_channel_range")
        scids = decode_scids(reply.encoded_short_ids)
        end = query.first_blocknum + query.number_of_blocks
        beyond = reply.first_blocknum + reply.number_of_blocks
        self._replies += 1
        self._claimed += len(scids)
        # BOLT 7: "MUST have `first_blocknum` equal or greater than the previous `first_blocknum`"; each reply must be
        # relevant (overlapping the requested range). The counts are ours: a list has an end.
        if reply.first_blocknum < self._next_first or reply.first_blocknum >= end:
            raise BadRangeReply(first_blocknum=reply.first_blocknum, expected=self._next_first)
        if self._replies > self._policy.max_range_replies or self._claimed > self._policy.max_range_scids:
            raise BadRangeReply(replies=self._replies, scids=self._claimed)
        for scid in scids:
            if scid < self._next_scid or not reply.first_blocknum <= scid_parts(scid)[0] < beyond:
                raise BadRangeReply(scid=scid, first_blocknum=reply.first_blocknum, beyond=beyond)
            self._next_scid = scid + 1
        self._next_first = reply.first_blocknum
        self._note(reply, scids, graph, stale_before)
        self.asked_at = now
        if reply.sync_complete and beyond >= end:
            self._query, self.asked_at = None, None
            self.phase = Phase.CHANNELS

    def on_reply_short_channel_ids_end(self, reply: ReplyShortChannelIdsEnd) -> None:
        """That was all about the channels we asked for.

        Raises:
            UnaskedReply.
        """
        if self.asked_at is None or self._query is not None or reply.chain_hash != self._chain_hash:
            raise UnaskedReply(about="reply_short_channel_ids_end")
        self.asked_at = None

    def want(self, scid: ShortChannelId) -> bool:
        """Ask for a channel that gossip spoke of; False where this peer is not the one to ask."""
        if self.phase is Phase.PASSIVE or len(self._scids) - self._at >= self._policy.max_range_scids:
            return False
        self._scids.append(scid)
        self._flags.append(WANT_ALL)
        if self.phase is Phase.LIVE:
            self.phase = Phase.CHANNELS
        return True

    def next_query(self, now: Timestamp, graph: Graph) -> QueryShortChannelIds | None:
        """The next channels to ask for; None while a query is in flight or when nothing is wanted."""
        if self.phase is not Phase.CHANNELS or self.asked_at is not None:
            return None
        wanted: list[tuple[int, int]] = []
        while not wanted:
            upto = min(self._at + self._policy.scids_per_query, len(self._scids))
            if upto == self._at:
                self._end(Phase.LIVE)
                return None
            asked = dict(zip(self._scids[self._at : upto], self._flags[self._at : upto], strict=True))
            # What was new when the list came may be here meanwhile, by the same peer's live gossip.
            wanted = sorted((scid, flags) for scid, flags in asked.items() if flags != WANT_ALL or scid not in graph)
            self._at = upto
        self.asked_at = now
        flags = encode_flags([flag for _, flag in wanted]) if self._extended else None
        return QueryShortChannelIds(self._chain_hash, encode_scids([scid for scid, _ in wanted]), flags)

    def timed_out(self, now: Timestamp) -> bool:
        """True if the query in flight has waited too long. What was noted of the list is asked for all the same."""
        if self.asked_at is None or now - self.asked_at < self._policy.query_timeout_s:
            return False
        self._query, self.asked_at = None, None
        if self.phase is Phase.RANGE:
            self.phase = Phase.CHANNELS
        return True

    def _note(
        self, reply: ReplyChannelRange, scids: tuple[ShortChannelId, ...], graph: Graph, stale_before: int
    ) -> None:
        stamps: tuple[int, ...] | None = None
        if reply.timestamps is not None:
            stamps = decode_timestamps(reply.timestamps, len(scids))
        sums = reply.checksums
        if sums is not None and len(sums) != 2 * len(scids):
            raise BadArray(checksums=len(sums), count=len(scids))
        for place, scid in enumerate(scids):
            theirs = (0, 0) if stamps is None else (stamps[2 * place], stamps[2 * place + 1])
            if scid not in graph:
                # A channel that would be pruned as soon as it came is not worth the question.
                flag = WANT_ALL if stamps is None or max(theirs) >= stale_before else 0
            else:
                flag = 0
                for direction, wants in ((0, WANT_UPDATE_1 | WANT_NODE_1), (1, WANT_UPDATE_2 | WANT_NODE_2)):
                    newer = theirs[direction] > graph.timestamp(scid, direction)
                    # The same terms under a later date are worth a question only when ours are about to be stale.
                    same = sums is not None and sums[2 * place + direction] == graph.checksum(scid, direction)
                    if newer and not (same and graph.timestamp(scid, direction) > stale_before + 86_400 * 7):
                        flag |= wants
            if flag:
                self._scids.append(scid)
                self._flags.append(flag)

    def _end(self, phase: Phase) -> None:
        self.phase = phase
        self._query, self.asked_at = None, None
        del self._scids[:], self._flags[:]
        self._at = 0
