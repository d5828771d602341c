"""Whether a message of gossip deserves a look at its signatures: BOLT 7's rules, cheapest first.

Each judgement gives None for "look closer", or why the message is ignored. They are asked again once the signatures are
known to hold, because the graph may have moved on meanwhile.
"""

from __future__ import annotations

from fulmen.core.base.ids import ChainHash, NodeId, scid_parts
from fulmen.core.base.units import BlockHeight, Timestamp
from fulmen.core.gossip.faults import Ignored
from fulmen.core.gossip.graph import DISABLE, Graph, update_checksum
from fulmen.core.gossip.policy import GossipPolicy
from fulmen.core.wire.messages.gossip import ChannelAnnouncement, ChannelUpdate, NodeAnnouncement

DONT_FORWARD = 2
"""Bit of `message_flags`."""


class Judge:
    """The rules, with what they need to know of the world. `height` is None until the chain is known."""

    def __init__(self, graph: Graph, policy: GossipPolicy, chain_hash: ChainHash) -> None:
        self.graph = graph
        self.policy = policy
        self.chain_hash = chain_hash
        self.height: BlockHeight | None = None
        self.blacklist: dict[NodeId, None] = {}
        self._said: dict[object, int] = {}
        """Accepted messages of this window, per channel direction or node: never more keys than the graph has."""

    def channel(self, message: ChannelAnnouncement, frame: bytes) -> Ignored | None:
        """Judge a channel_announcement."""
        # BOLT 7: "if the specified `chain_hash` is unknown to the receiver: MUST ignore the message"
        if message.chain_hash != self.chain_hash:
            return Ignored.UNKNOWN_CHAIN
        if len(frame) > self.policy.max_message_bytes:
            return Ignored.TOO_LONG
        # BOLT 7: "`node_id_1` is the lexicographically-lesser of the two compressed keys"
        if message.node_id_1 >= message.node_id_2:
            return Ignored.NOT_SORTED
        # BOLT 7: "if `node_id_1` OR `node_id_2` are blacklisted: SHOULD ignore the message"
        if message.node_id_1 in self.blacklist or message.node_id_2 in self.blacklist:
            return Ignored.BLACKLISTED
        block = scid_parts(message.short_channel_id)[0]
        # BOLT 7: "if the `short_channel_id`'s output does NOT have at least 6 confirmations: MAY accept the message if
        # the output is close to 6 confirmations ... otherwise: SHOULD ignore the message"
        if self.height is not None and block + self.policy.min_depth - 1 > self.height:
            return Ignored.TOO_YOUNG
        ends = self.graph.ends(message.short_channel_id)
        if ends is None:
            return Ignored.FULL if len(self.graph) >= self.policy.max_channels else None
        # Another pair of nodes for the same output is worth a look only where the chain tells who is right.
        conflict = ends != (message.node_id_1, message.node_id_2) and self.policy.check_funding
        return None if conflict else Ignored.DUPLICATE

    def update(self, message: ChannelUpdate, frame: bytes, now: Timestamp) -> Ignored | None:
        """Judge a channel_update of the public network."""
        if message.chain_hash != self.chain_hash:
            return Ignored.UNKNOWN_CHAIN
        if message.message_flags & DONT_FORWARD:
            return Ignored.PRIVATE
        ignored = self._time(message.timestamp, len(frame), now)
        if ignored is not None:
            return ignored
        if message.timestamp + self.policy.stale_s < now:
            return Ignored.STALE
        scid, direction = message.short_channel_id, message.channel_flags & 1
        # BOLT 7: "MUST ignore `channel_update`s that do NOT correspond to one of its own channels"
        if scid not in self.graph:
            return Ignored.UNKNOWN_CHANNEL
        # BOLT 7: "if the channel output has been spent: MUST ignore `channel_update`s, unless they have the `disable`
        # bit"
        if self.graph.spent_height(scid) is not None and not message.channel_flags & DISABLE:
            return Ignored.SPENT
        known = self.graph.timestamp(scid, direction)
        if message.timestamp < known:
            return Ignored.OLDER
        if message.timestamp == known:
            # BOLT 7: "if the fields below `timestamp` differ: MAY blacklist this `node_id`": we keep the first.
            same = update_checksum(frame) == self.graph.checksum(scid, direction)
            return Ignored.DUPLICATE if same else Ignored.SAME_TIME
        return self._often((scid, direction))

    def node(self, message: NodeAnnouncement, frame: bytes, now: Timestamp) -> Ignored | None:
        """Judge a node_announcement."""
        ignored = self._time(message.timestamp, len(frame), now)
        if ignored is not None:
            return ignored
        # BOLT 7: "if `node_id` is NOT previously known from a `channel_announcement` message ... SHOULD ignore the
        # message"
        if not self.graph.knows_node(message.node_id):
            return Ignored.UNKNOWN_NODE
        known = self.graph.node_timestamp(message.node_id)
        if message.timestamp <= known:
            return Ignored.DUPLICATE if frame == self.graph.node_announcement(message.node_id) else Ignored.OLDER
        return self._often(message.node_id)

    def accepted(self, key: object) -> None:
        """Count a message of a channel direction or node against its window."""
        self._said[key] = self._said.get(key, 0) + 1

    def new_window(self) -> None:
        """Let everybody speak again."""
        self._said.clear()

    def put_on_blacklist(self, node_id: NodeId) -> None:
        """A node that contradicted itself. The list is bounded: the oldest is forgiven."""
        self.blacklist[node_id] = None
        if len(self.blacklist) > self.policy.max_blacklisted:
            del self.blacklist[next(iter(self.blacklist))]

    def _time(self, timestamp: Timestamp, length: int, now: Timestamp) -> Ignored | None:
        if length > self.policy.max_message_bytes:
            return Ignored.TOO_LONG
        # BOLT 7: "MUST set `timestamp` to greater than 0"
        if timestamp == 0:
            return Ignored.NO_TIME
        # BOLT 7: "if the `timestamp` is unreasonably far in the future: MAY discard the `channel_update`"
        if timestamp > now + self.policy.max_future_s:
            return Ignored.FROM_THE_FUTURE
        return None

    def _often(self, key: object) -> Ignored | None:
        return Ignored.RATE_LIMITED if self._said.get(key, 0) >= self.policy.messages_per_window else None
