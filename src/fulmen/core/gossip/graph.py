"""The public network as we know it: channels, their policies in both directions, nodes; compact, and not journaled.

An honest exception: no Records inside. One row per channel and one per node, columns as arrays, the signed messages
kept raw so that they can be passed on as they came. Rows of what was forgotten are used again.

`Graph` believes what it is given: signatures, rules and the chain were looked at before (`intake`).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from collections.abc import Iterator

from fulmen.core.base.ids import NodeId, OutPoint, ShortChannelId
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, CltvDelta, Msat, Sat, Timestamp
from fulmen.core.gossip.addresses import NodeAddress, parse_addresses
from fulmen.core.gossip.aliases import display_alias
from fulmen.core.gossip.crc32c import crc32c
from fulmen.core.wire.features import Features
from fulmen.core.wire.messages.gossip import ChannelAnnouncement, ChannelUpdate, NodeAnnouncement
from fulmen.core.wire.registry import decode

UNKNOWN_CAPACITY = -1
NOT_SPENT = 0
DISABLE = 2
"""Bit of `channel_flags`."""


class DirectionPolicy(Record):
    """What one side of a channel asks for forwarding (BOLT 7, `channel_update`)."""

    fee_base_msat: Msat
    fee_proportional_millionths: int
    cltv_expiry_delta: CltvDelta
    htlc_minimum_msat: Msat
    htlc_maximum_msat: Msat
    enabled: bool
    """False where its node disabled it, or where it must not be routed through (limits or features that we refuse)."""
    timestamp: Timestamp


class GraphChannel(Record):
    """One channel. `policies[0]` is of the direction from node_id_1 to node_id_2."""

    scid: ShortChannelId
    node_id_1: NodeId
    node_id_2: NodeId
    capacity_sat: Sat | None
    """None when nobody looked at the funding output."""
    policies: tuple[DirectionPolicy | None, DirectionPolicy | None]
    spent_height: BlockHeight | None = None


class NodeInfo(Record):
    """What a node says of itself. Everything here is its own claim."""

    node_id: NodeId
    alias: str
    """Made safe to look at."""
    rgb_color: bytes
    features: bytes
    """As they came: as a number they may have more bits than a pipe carries."""
    addresses: tuple[NodeAddress, ...]
    timestamp: Timestamp
    channels: int


class Changes:
    """What changed since somebody last looked; never larger than the graph."""

    def __init__(self) -> None:
        self.channels = True
        """Channels or nodes came or went: whatever was built from the graph is built anew."""
        self._policies: dict[tuple[ShortChannelId, int], None] = {}

    def take(self) -> tuple[bool, list[tuple[ShortChannelId, int]]]:
        """(channels came or went, the directions whose policy changed), and forget them."""
        taken = self.channels, list(self._policies)
        self.channels = False
        self._policies.clear()
        return taken

    def policy_changed(self, scid: ShortChannelId, direction: int) -> None:
        """A direction has another policy; nothing is kept while all is to be built anew."""
        if not self.channels:
            self._policies[scid, direction] = None

    def channels_changed(self) -> None:
        """Channels came or went."""
        self.channels = True
        self._policies.clear()


class Graph:
    """All public channels and nodes we believe in."""

    def __init__(self) -> None:
        self._row: dict[int, int] = {}
        self._order: list[int] = []
        self._free_rows: list[int] = []
        self._scid = array("Q")
        self._node_1 = array("i")
        self._node_2 = array("i")
        self._capacity = array("q")
        self._spent = array("i")
        self._seen = array("I")
        self._usable = array("b")
        self._announcement: list[bytes] = []
        self._outpoint: list[OutPoint | None] = []
        self._by_outpoint: dict[OutPoint, int] = {}
        # Two halves per channel row: 2 * row + direction.
        self._update: list[bytes] = []
        self._stamp = array("I")
        self._checksum = array("I")
        self._fee_base = array("I")
        self._fee_ppm = array("I")
        self._delta = array("H")
        self._minimum = array("Q")
        self._maximum = array("Q")
        self._disabled = array("b")

        self._node_row: dict[NodeId, int] = {}
        self._free_nodes: list[int] = []
        self._node_id: list[NodeId] = []
        self._node_channels: list[list[int]] = []
        self._node_announcement: list[bytes] = []
        self._node_stamp = array("I")
        self._node_usable = array("b")

        self._watchers: list[Changes] = []

    # What path finding reads

    def watch(self) -> Changes:
        """Changes from now on, for one reader; the first look says that everything is new."""
        changes = Changes()
        self._watchers.append(changes)
        return changes

    def __len__(self) -> int:
        return len(self._row)

    def __contains__(self, scid: object) -> bool:
        return scid in self._row

    def channels(self) -> Iterator[GraphChannel]:
        """Every channel, by rising scid. Do not change the graph meanwhile."""
        for scid in self._order:
            yield self._channel(self._row[scid])

    def channel(self, scid: ShortChannelId) -> GraphChannel | None:
        """One channel."""
        row = self._row.get(scid)
        return None if row is None else self._channel(row)

    def policy(self, scid: ShortChannelId, direction: int) -> DirectionPolicy | None:
        """What one direction asks for; None when it never said."""
        row = self._row.get(scid)
        return None if row is None else self._policy(row, direction)

    def node_count(self) -> int:
        """How many nodes have a channel."""
        return len(self._node_row)

    def node_ids(self) -> list[NodeId]:
        """Every node that has a channel, in byte order."""
        return sorted(self._node_row)

    def channels_of(self, node_id: NodeId) -> list[ShortChannelId]:
        """The channels of a node, in the order they came."""
        row = self._node_row.get(node_id)
        return [] if row is None else [ShortChannelId(scid) for scid in self._node_channels[row]]

    def node(self, node_id: NodeId) -> NodeInfo | None:
        """What a node says of itself; None when it said nothing."""
        row = self._node_row.get(node_id)
        if row is None or not self._node_announcement[row]:
            return None
        message = decode(self._node_announcement[row])
        assert isinstance(message, NodeAnnouncement)
        return NodeInfo(
            node_id,
            display_alias(message.alias),
            message.rgb_color,
            message.features,
            parse_addresses(message.addresses),
            message.timestamp,
            len(self._node_channels[row]),
        )

    # What gossip reads

    def ends(self, scid: ShortChannelId) -> tuple[NodeId, NodeId] | None:
        """node_id_1 and node_id_2 of a channel."""
        row = self._row.get(scid)
        return None if row is None else (self._node_id[self._node_1[row]], self._node_id[self._node_2[row]])

    def capacity(self, scid: ShortChannelId) -> Sat | None:
        """The amount of the funding output, if somebody looked."""
        row = self._row.get(scid)
        return None if row is None or self._capacity[row] < 0 else Sat(self._capacity[row])

    def scids_between(self, first: int, beyond: int, limit: int) -> list[ShortChannelId]:
        """At most `limit` scids s with first <= s < beyond, rising."""
        start = bisect_left(self._order, first)
        stop = min(bisect_left(self._order, beyond), start + limit)
        return [ShortChannelId(scid) for scid in self._order[start:stop]]

    def announcement(self, scid: ShortChannelId) -> bytes:
        """The channel_announcement as it came; empty when there is none."""
        row = self._row.get(scid)
        return b"" if row is None else self._announcement[row]

    def update(self, scid: ShortChannelId, direction: int) -> bytes:
        """The latest channel_update of a direction as it came; empty when there is none."""
        row = self._row.get(scid)
        return b"" if row is None else self._update[2 * row + direction]

    def node_announcement(self, node_id: NodeId) -> bytes:
        """The latest node_announcement as it came; empty when there is none."""
        row = self._node_row.get(node_id)
        return b"" if row is None else self._node_announcement[row]

    def timestamp(self, scid: ShortChannelId, direction: int) -> Timestamp:
        """When the latest channel_update was made; 0 when there is none."""
        row = self._row.get(scid)
        return Timestamp(0 if row is None else self._stamp[2 * row + direction])

    def newest(self, apart_from: NodeId) -> Timestamp:
        """When the latest channel_update of all was made, channels of one node left out; 0 when there is none."""
        left_out = {self._row[scid] for scid in self.channels_of(apart_from)}
        return Timestamp(max((at for half, at in enumerate(self._stamp) if half >> 1 not in left_out), default=0))

    def checksum(self, scid: ShortChannelId, direction: int) -> int:
        """The checksum of the latest channel_update, its signature and timestamp left out; 0 when there is none."""
        row = self._row.get(scid)
        return 0 if row is None else self._checksum[2 * row + direction]

    def node_timestamp(self, node_id: NodeId) -> Timestamp:
        """When the latest node_announcement was made; 0 when there is none."""
        row = self._node_row.get(node_id)
        return Timestamp(0 if row is None else self._node_stamp[row])

    def knows_node(self, node_id: NodeId) -> bool:
        """True if it has a channel."""
        return node_id in self._node_row

    def spent_height(self, scid: ShortChannelId) -> BlockHeight | None:
        """The height at which the funding output was spent; None while it was not."""
        row = self._row.get(scid)
        return None if row is None or self._spent[row] == NOT_SPENT else BlockHeight(self._spent[row])

    def funded_by(self, outpoint: OutPoint) -> ShortChannelId | None:
        """The channel whose funding output this is."""
        scid = self._by_outpoint.get(outpoint)
        return None if scid is None else ShortChannelId(scid)

    def outpoint(self, scid: ShortChannelId) -> OutPoint | None:
        """The funding output of a channel, if somebody looked."""
        row = self._row.get(scid)
        return None if row is None else self._outpoint[row]

    def seen(self, scid: ShortChannelId) -> Timestamp:
        """When the channel came to us."""
        row = self._row.get(scid)
        return Timestamp(0 if row is None else self._seen[row])

    # What intake writes

    def add_channel(
        self,
        message: ChannelAnnouncement,
        frame: bytes,
        now: Timestamp,
        capacity_sat: Sat | None = None,
        outpoint: OutPoint | None = None,
    ) -> None:
        """A channel that we did not know, or one whose funding was looked at again."""
        self.remove_channel(message.short_channel_id)
        row = self._free_rows.pop() if self._free_rows else self._grow()
        scid = message.short_channel_id
        self._row[scid] = row
        insort(self._order, scid)
        self._scid[row] = scid
        self._node_1[row] = self._join(message.node_id_1, scid)
        self._node_2[row] = self._join(message.node_id_2, scid)
        self._capacity[row] = UNKNOWN_CAPACITY if capacity_sat is None else capacity_sat
        self._spent[row] = NOT_SPENT
        self._seen[row] = now
        # BOLT 7: "if there is an unknown even bit in the `features` field: MUST NOT attempt to route ... the channel"
        self._usable[row] = not Features.from_bytes(message.features).unknown_even()
        self._announcement[row] = frame
        self._outpoint[row] = outpoint
        if outpoint is not None:
            self._by_outpoint[outpoint] = scid
        for watcher in self._watchers:
            watcher.channels_changed()

    def set_update(self, message: ChannelUpdate, frame: bytes) -> None:
        """The latest word of one direction of a known channel."""
        scid, direction = message.short_channel_id, message.channel_flags & 1
        half = 2 * self._row[scid] + direction
        self._update[half] = frame
        self._stamp[half] = message.timestamp
        self._checksum[half] = update_checksum(frame)
        self._fee_base[half] = message.fee_base_msat
        self._fee_ppm[half] = message.fee_proportional_millionths
        self._delta[half] = message.cltv_expiry_delta
        self._minimum[half] = message.htlc_minimum_msat
        self._maximum[half] = message.htlc_maximum_msat
        self._disabled[half] = message.channel_flags & DISABLE != 0
        for watcher in self._watchers:
            watcher.policy_changed(scid, direction)

    def set_node(self, message: NodeAnnouncement, frame: bytes) -> None:
        """The latest word of a node that has a channel."""
        row = self._node_row[message.node_id]
        self._node_announcement[row] = frame
        self._node_stamp[row] = message.timestamp
        usable = not Features.from_bytes(message.features).unknown_even()
        if usable != bool(self._node_usable[row]):
            self._node_usable[row] = usable
            for scid in self._node_channels[row]:
                direction = 0 if self._node_1[self._row[scid]] == row else 1
                for watcher in self._watchers:
                    watcher.policy_changed(ShortChannelId(scid), direction)

    def clear_update(self, scid: ShortChannelId, direction: int) -> None:
        """Forget what a direction said: it is too long ago."""
        half = 2 * self._row[scid] + direction
        self._update[half] = b""
        self._stamp[half] = self._checksum[half] = 0
        for watcher in self._watchers:
            watcher.policy_changed(scid, direction)

    def mark_spent(self, scid: ShortChannelId, height: BlockHeight | None) -> None:
        """The funding output was spent at this height; None: no longer (a reorganisation)."""
        self._spent[self._row[scid]] = NOT_SPENT if height is None else height
        for watcher in self._watchers:
            watcher.channels_changed()

    def remove_channel(self, scid: ShortChannelId) -> None:
        """Forget a channel, and its nodes if that was their last one. One that is not here is no fault."""
        row = self._row.pop(scid, None)
        if row is None:
            return
        del self._order[bisect_left(self._order, scid)]
        for node in (self._node_1[row], self._node_2[row]):
            self._part(node, scid)
        outpoint = self._outpoint[row]
        if outpoint is not None and self._by_outpoint.get(outpoint) == scid:
            del self._by_outpoint[outpoint]
        self._announcement[row] = b""
        self._outpoint[row] = None
        for half in (2 * row, 2 * row + 1):
            self._update[half] = b""
            self._stamp[half] = self._checksum[half] = 0
        self._free_rows.append(row)
        for watcher in self._watchers:
            watcher.channels_changed()

    # Rows

    def _channel(self, row: int) -> GraphChannel:
        capacity, spent = self._capacity[row], self._spent[row]
        return GraphChannel(
            ShortChannelId(self._scid[row]),
            self._node_id[self._node_1[row]],
            self._node_id[self._node_2[row]],
            None if capacity < 0 else Sat(capacity),
            (self._policy(row, 0), self._policy(row, 1)),
            None if spent == NOT_SPENT else BlockHeight(spent),
        )

    def _policy(self, row: int, direction: int) -> DirectionPolicy | None:
        half = 2 * row + direction
        if not self._update[half]:
            return None
        minimum, maximum, capacity = self._minimum[half], self._maximum[half], self._capacity[row]
        origin = self._node_2[row] if direction else self._node_1[row]
        # BOLT 7: "if `htlc_maximum_msat` < `htlc_minimum_msat`: SHOULD ignore this channel during route
        # considerations"; the same where it "is greater than channel capacity". A node with unknown even features:
        # "MUST NOT route a payment _through_ the node".
        sane = minimum <= maximum and (capacity < 0 or maximum <= 1000 * capacity)
        enabled = sane and not self._disabled[half] and bool(self._usable[row]) and bool(self._node_usable[origin])
        return DirectionPolicy(
            Msat(self._fee_base[half]),
            self._fee_ppm[half],
            CltvDelta(self._delta[half]),
            Msat(minimum),
            Msat(maximum),
            enabled,
            Timestamp(self._stamp[half]),
        )

    def _grow(self) -> int:
        for column in (self._scid, self._node_1, self._node_2, self._capacity, self._spent, self._seen, self._usable):
            column.append(0)
        self._announcement.append(b"")
        self._outpoint.append(None)
        for column in (self._stamp, self._checksum, self._fee_base, self._fee_ppm, self._delta, self._disabled):
            column.extend((0, 0))
        for column in (self._minimum, self._maximum):
            column.extend((0, 0))
        self._update.extend((b"", b""))
        return len(self._scid) - 1

    def _join(self, node_id: NodeId, scid: int) -> int:
        row = self._node_row.get(node_id)
        if row is None:
            if self._free_nodes:
                row = self._free_nodes.pop()
                self._node_id[row] = node_id
            else:
                row = len(self._node_id)
                self._node_id.append(node_id)
                self._node_channels.append([])
                self._node_announcement.append(b"")
                self._node_stamp.append(0)
                self._node_usable.append(1)
            self._node_row[node_id] = row
        self._node_channels[row].append(scid)
        return row

    def _part(self, row: int, scid: int) -> None:
        self._node_channels[row].remove(scid)
        # BOLT 7: "if there are no channels associated with the corresponding origin node: MAY purge the origin node"
        if not self._node_channels[row]:
            del self._node_row[self._node_id[row]]
            self._node_announcement[row] = b""
            self._node_stamp[row] = 0
            self._node_usable[row] = 1
            self._free_nodes.append(row)


def update_checksum(frame: bytes) -> int:
    """CRC-32C of a channel_update without its signature and timestamp (BOLT 7, "reply_channel_range")."""
    # type 2, signature 64, chain_hash 32, short_channel_id 8, timestamp 4.
    return crc32c(frame[66:106] + frame[110:])
