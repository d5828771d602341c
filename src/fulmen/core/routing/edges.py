"""The graph as path finding wants it: one array per property, one row per channel direction, grouped by target.

Searches go backwards from the destination, so a row is found by where its direction leads. Building it takes a walk
over all channels and is needed only when channels come or go; a policy changes in place. The arrays are plain
`array.array`: the compiled twin looks at the same memory.

Rows from `rows` on are spare: a search puts its own edges there (first hops, route hints, corrections).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from fulmen.core.base.ids import NodeId, ShortChannelId
from fulmen.core.base.record import Record
from fulmen.core.routing.requests import MAX_AMOUNT_MSAT

SPARE_ROWS = 8192
SPARE_NODES = 512
CLOSED = -1
"""The maximum of a row that carries nothing: disabled, or without a policy."""


class EdgePolicy(Record):
    """How one direction of a channel forwards (BOLT 7, `channel_update`)."""

    fee_base_msat: int
    fee_proportional_millionths: int
    cltv_expiry_delta: int
    htlc_minimum_msat: int
    htlc_maximum_msat: int
    enabled: bool = True


class EdgeChannel(Record):
    """One channel of the graph; `policies[0]` is of the direction from node_id_1 to node_id_2."""

    scid: ShortChannelId
    node_id_1: NodeId
    node_id_2: NodeId
    capacity_msat: int | None
    """None when nobody looked at the funding output; the policy's maximum stands in."""
    policies: tuple[EdgePolicy | None, EdgePolicy | None]


class Edges:
    """All channel directions that can be part of a path."""

    def __init__(self, channels: Iterable[EdgeChannel]) -> None:
        ordered = sorted(channels, key=lambda channel: channel.scid)
        ids = {channel.node_id_1 for channel in ordered}
        ids.update(channel.node_id_2 for channel in ordered)
        self.node_ids: list[NodeId] = sorted(ids)
        """Row of a node -> its id."""
        self.index: dict[NodeId, int] = {node_id: row for row, node_id in enumerate(self.node_ids)}
        self.nodes = len(self.node_ids)
        self.rows = 2 * len(ordered)
        self.scids = array("Q", (channel.scid for channel in ordered))
        self.capacity = array("q", (_capacity(channel) for channel in ordered))
        self._guessed = bytearray(channel.capacity_msat is None for channel in ordered)

        size = self.rows + SPARE_ROWS
        self.first = array("i", bytes(4 * (self.nodes + SPARE_NODES + 1)))
        """Target node -> its first row; the next node's first row ends them."""
        self.source = array("i", bytes(4 * size))
        self.fee_base = array("q", bytes(8 * size))
        self.fee_ppm = array("q", bytes(8 * size))
        self.cltv = array("i", bytes(4 * size))
        self.minimum = array("q", bytes(8 * size))
        self.maximum = array("q", [CLOSED]) * size
        self.lower = array("q", bytes(8 * size))
        """Liquidity that is surely there, and …"""
        self.upper = array("q", bytes(8 * size))
        """… the most there can be."""
        self.doubt = array("q", bytes(8 * (self.nodes + SPARE_NODES)))
        """How much less likely a path through this node is, as -log2(chance) in 1/1024."""
        self.leaf = bytearray(self.nodes + SPARE_NODES)
        """1 for a node with a single channel: no path leads through it."""
        self._row_of = array("i", bytes(4 * self.rows))
        self._half_of = array("i", bytes(4 * self.rows))
        self._place(ordered)

    def _place(self, ordered: Sequence[EdgeChannel]) -> None:
        index, first = self.index, self.first
        ends = [(index[channel.node_id_1], index[channel.node_id_2]) for channel in ordered]
        degree = [0] * self.nodes
        for one, two in ends:
            degree[one] += 1
            degree[two] += 1
        total = 0
        for node, count in enumerate(degree):
            self.leaf[node] = count == 1
            first[node] = total
            degree[node] = total
            total += count
        for node in range(self.nodes, self.nodes + SPARE_NODES + 1):
            first[node] = total
        for number, (one, two) in enumerate(ends):
            for half, origin, target in ((2 * number, one, two), (2 * number + 1, two, one)):
                row = degree[target]
                degree[target] = row + 1
                self.source[row] = origin
                self._row_of[half] = row
                self._half_of[row] = half
                self.upper[row] = self.capacity[number]
        for number, channel in enumerate(ordered):
            for direction, policy in enumerate(channel.policies):
                if policy is not None:
                    self.set_policy(self._row_of[2 * number + direction], policy, self.capacity[number])

    def set_policy(self, row: int, policy: EdgePolicy, capacity_msat: int) -> None:
        """Let a row forward by this policy, in place."""
        self.fee_base[row] = min(policy.fee_base_msat, MAX_AMOUNT_MSAT)
        self.fee_ppm[row] = min(policy.fee_proportional_millionths, 0xFFFFFFFF)
        self.cltv[row] = policy.cltv_expiry_delta
        self.minimum[row] = min(policy.htlc_minimum_msat, MAX_AMOUNT_MSAT + 1)
        self.maximum[row] = min(policy.htlc_maximum_msat, capacity_msat) if policy.enabled else CLOSED

    def update(self, scid: ShortChannelId, direction: int, policy: EdgePolicy) -> bool:
        """Change the policy of one direction in place; False when the channel is not here (build anew)."""
        number = self._number(scid)
        if number is None:
            return False
        if self._guessed[number] and policy.htlc_maximum_msat > self.capacity[number]:
            self._grow(number, min(policy.htlc_maximum_msat, MAX_AMOUNT_MSAT))
        self.set_policy(self._row_of[2 * number + direction], policy, self.capacity[number])
        return True

    def row(self, scid: ShortChannelId, direction: int) -> int | None:
        """The row of one direction of a channel."""
        number = self._number(scid)
        return None if number is None else self._row_of[2 * number + direction]

    def capacity_of(self, scid: ShortChannelId) -> int | None:
        """What a channel can hold, in msat."""
        number = self._number(scid)
        return None if number is None else self.capacity[number]

    def channel(self, row: int) -> tuple[ShortChannelId, int]:
        """The channel of a row, and which of its directions."""
        half = self._half_of[row]
        return ShortChannelId(self.scids[half >> 1]), half & 1

    def target(self, row: int) -> int:
        """The node that a row leads to."""
        return bisect_right(self.first, row, 0, self.nodes) - 1

    def _grow(self, number: int, capacity_msat: int) -> None:
        for row in self._row_of[2 * number : 2 * number + 2]:
            if self.upper[row] == self.capacity[number]:
                self.upper[row] = capacity_msat
        self.capacity[number] = capacity_msat

    def _number(self, scid: int) -> int | None:
        number = bisect_left(self.scids, scid)
        return number if number < len(self.scids) and self.scids[number] == scid else None


def _capacity(channel: EdgeChannel) -> int:
    if channel.capacity_msat is not None:
        return min(channel.capacity_msat, MAX_AMOUNT_MSAT)
    maxima = [policy.htlc_maximum_msat for policy in channel.policies if policy is not None]
    return min(max(maxima, default=0), MAX_AMOUNT_MSAT)
