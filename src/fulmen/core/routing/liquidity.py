"""What attempts taught: how much each channel direction can hold, which nodes are in doubt, and for how long.

For a direction we keep two bounds. An HTLC that got past it raises the lower one, a failure for want of liquidity
lowers the upper one, a payment that settled moves both, of both directions. Knowledge ages: the lower bound halves and
the upper one doubles again and again, until anything is possible. A direction whose node says that it is closed is
shut for a while, then forgotten. Integers throughout, and time is an argument.

Source: BOLT 4, "Failure Messages", for what each code says of whom.
"""

from __future__ import annotations

from collections import OrderedDict

from fulmen.core.base.ids import NodeId, ShortChannelId
from fulmen.core.base.record import Record
from fulmen.core.base.units import Timestamp
from fulmen.core.routing.costs import DOUBT_ONE
from fulmen.core.routing.edges import Edges
from fulmen.core.routing.requests import MAX_AMOUNT_MSAT, Outcome, RouteHop

MAX_DIRECTIONS = 20_000
MAX_NODES = 5_000
LOWER_HALVES_S = 3600
UPPER_DOUBLES_S = 1800
"""So a moment after a failure the same amount is possible again, but dear; after half an hour it is an even chance."""
NODE_HALF_LIFE_S = 600
CLOSED_S = 3600
"""For a channel that its node says is gone."""
NO_PEER_S = 600
"""For a channel whose peer is not there: some nodes say so when it is merely offline."""
DISABLED_S = 60
"""For a direction that its node says is off; the gossip that says it too is on its way."""

BADONION, PERM, NODE, UPDATE = 0x8000, 0x4000, 0x2000, 0x1000
TEMPORARY_CHANNEL_FAILURE = UPDATE | 7
UNKNOWN_NEXT_PEER = PERM | 10

_FORGET_S = 36 * UPPER_DOUBLES_S
"""By then every bound has drifted to where it knows nothing."""
_NODE_FAILED = 6 * DOUBT_ONE
_NODE_GONE = 12 * DOUBT_ONE
_SUSPECT = DOUBT_ONE // 2
_MAX_NODE_DOUBT = 16 * DOUBT_ONE


class Bounds(Record):
    """What one direction can hold, as known at a time, in msat."""

    lower: int
    upper: int
    at: Timestamp
    shut_s: int = 0
    """For so long nothing gets through, and after that nothing is known."""


class NodeDoubt(Record):
    """How much a node is in doubt, in 1/1024 halvings of the chance, as of a time."""

    doubt: int
    at: Timestamp


class Liquidity:
    """The memory of all attempts, bounded: the oldest knowledge goes first."""

    def __init__(self) -> None:
        self._directions: OrderedDict[tuple[int, int], Bounds] = OrderedDict()
        self._nodes: OrderedDict[NodeId, NodeDoubt] = OrderedDict()
        self._new_directions: dict[tuple[int, int], None] = {}
        self._new_nodes: dict[NodeId, None] = {}

    def bounds(self, scid: ShortChannelId, direction: int, capacity_msat: int, now: Timestamp) -> tuple[int, int]:
        """The least and the most that a direction can hold now."""
        known = self._directions.get((scid, direction))
        if known is None:
            return 0, capacity_msat
        elapsed = max(0, now - known.at)
        if known.shut_s:
            return (0, 0) if elapsed < known.shut_s else (0, capacity_msat)
        lower = faded(min(known.lower, capacity_msat), elapsed, LOWER_HALVES_S)
        upper = grown(known.upper, elapsed, UPPER_DOUBLES_S, capacity_msat)
        return lower, max(lower, upper)

    def doubt(self, node_id: NodeId, now: Timestamp) -> int:
        """How much a node is in doubt now."""
        known = self._nodes.get(node_id)
        return 0 if known is None else faded(known.doubt, max(0, now - known.at), NODE_HALF_LIFE_S)

    def learn(self, outcome: Outcome, edges: Edges, now: Timestamp) -> None:
        """Remember how an attempt ended."""
        hops = outcome.route.hops
        # Our own channel is the first: its balance is known, there is nothing to learn about it.
        first = 1 if outcome.route.channel_id is not None else 0
        if outcome.settled:
            for hop in hops[first:]:
                self._moved(hop, edges, now)
            return
        failed_at = outcome.failed_at
        if failed_at is None:
            for hop in hops[:-1]:
                self._suspect(hop.node_id, _SUSPECT, now)
            return
        if not 0 <= failed_at < len(hops):
            return
        for hop in hops[first : failed_at + 1]:
            self._passed(hop, edges, now)
        if failed_at == len(hops) - 1:
            return  # the destination's own answer: the way was good
        self._blame(outcome, hops[failed_at].node_id, hops[failed_at + 1], edges, now)

    def doubted(self, now: Timestamp) -> Liquidity:
        """The same memory with every bound forgotten: only what a node said to be gone for good stays shut."""
        doubted = Liquidity()
        doubted._nodes = self._nodes.copy()
        for key, known in self._directions.items():
            gone = known.shut_s == CLOSED_S
            doubted._directions[key] = known if gone else Bounds(0, MAX_AMOUNT_MSAT, now)
        return doubted

    def write(self, edges: Edges, now: Timestamp) -> None:
        """Put all that is known into the arrays that searches read; what has faded away is forgotten."""
        for (scid, direction), known in list(self._directions.items()):
            self._write_direction(scid, direction, edges, now)
            if now - known.at > _FORGET_S:
                del self._directions[scid, direction]
        for node_id, doubted in list(self._nodes.items()):
            self._write_node(node_id, edges, now)
            if now - doubted.at > _FORGET_S:
                del self._nodes[node_id]
        self._new_directions.clear()
        self._new_nodes.clear()

    def write_news(self, edges: Edges, now: Timestamp) -> None:
        """Put what was learnt since the last time into the arrays, and leave the rest as old as it is there."""
        for scid, direction in self._new_directions:
            self._write_direction(scid, direction, edges, now)
        for node_id in self._new_nodes:
            self._write_node(node_id, edges, now)
        self._new_directions.clear()
        self._new_nodes.clear()

    def _write_direction(self, scid: int, direction: int, edges: Edges, now: Timestamp) -> None:
        row = edges.row(ShortChannelId(scid), direction)
        capacity = edges.capacity_of(ShortChannelId(scid))
        if row is not None and capacity is not None:
            edges.lower[row], edges.upper[row] = self.bounds(ShortChannelId(scid), direction, capacity, now)

    def _write_node(self, node_id: NodeId, edges: Edges, now: Timestamp) -> None:
        number = edges.index.get(node_id)
        if number is not None:
            edges.doubt[number] = self.doubt(node_id, now)

    def _blame(self, outcome: Outcome, node_id: NodeId, out: RouteHop, edges: Edges, now: Timestamp) -> None:
        """A forwarding node said no: what its code says about itself or about the channel after it."""
        code = outcome.failure_code
        if code & BADONION:
            # It is the next node that could not read the onion; the channel between them is as good as shut.
            self._shut(out, now, NO_PEER_S)
        elif code & NODE:
            self._suspect(node_id, _NODE_GONE if code & PERM else _NODE_FAILED, now)
        elif code == TEMPORARY_CHANNEL_FAILURE:
            lower, _ = self._now(out, edges, now)
            upper = max(0, out.amount_msat - 1)
            self._put(out, Bounds(min(lower, upper), upper, now))
        elif code & PERM:
            self._shut(out, now, NO_PEER_S if code == UNKNOWN_NEXT_PEER else CLOSED_S)
        elif code & UPDATE:
            # With a `channel_update` the payment corrects its next search itself; without, nothing better is known.
            if not outcome.channel_update:
                self._shut(out, now, DISABLED_S)
        else:
            # A code that only a final node may send, or none that we know.
            self._suspect(node_id, _NODE_FAILED, now)

    def _passed(self, hop: RouteHop, edges: Edges, now: Timestamp) -> None:
        lower, upper = self._now(hop, edges, now)
        lower = max(lower, hop.amount_msat)
        self._put(hop, Bounds(lower, max(lower, upper), now))

    def _moved(self, hop: RouteHop, edges: Edges, now: Timestamp) -> None:
        amount = hop.amount_msat
        lower, upper = self._now(hop, edges, now)
        self._put(hop, Bounds(max(0, lower - amount), max(0, upper - amount), now))
        back = hop.but(direction=1 - hop.direction)
        lower, upper = self._now(back, edges, now)
        capacity = _capacity(hop, edges)
        lower = min(capacity, lower + amount)
        self._put(back, Bounds(lower, max(lower, min(capacity, upper + amount)), now))

    def _shut(self, hop: RouteHop, now: Timestamp, seconds: int) -> None:
        self._put(hop, Bounds(0, 0, now, seconds))

    def _now(self, hop: RouteHop, edges: Edges, now: Timestamp) -> tuple[int, int]:
        return self.bounds(hop.scid, hop.direction, _capacity(hop, edges), now)

    def _put(self, hop: RouteHop, bounds: Bounds) -> None:
        key = (hop.scid, hop.direction)
        self._directions[key] = bounds
        self._directions.move_to_end(key)
        self._new_directions[key] = None
        if len(self._directions) > MAX_DIRECTIONS:
            self._directions.popitem(last=False)

    def _suspect(self, node_id: NodeId, doubt: int, now: Timestamp) -> None:
        doubt = min(_MAX_NODE_DOUBT, self.doubt(node_id, now) + doubt)
        self._nodes[node_id] = NodeDoubt(doubt, now)
        self._nodes.move_to_end(node_id)
        self._new_nodes[node_id] = None
        if len(self._nodes) > MAX_NODES:
            self._nodes.popitem(last=False)


def faded(value: int, elapsed_s: int, half_life_s: int) -> int:
    """A value after its half-lives, falling in a straight line within each."""
    halvings, rest = divmod(elapsed_s, half_life_s)
    if halvings >= 64:
        return 0
    value >>= halvings
    return value - value * rest // (2 * half_life_s)


def grown(value: int, elapsed_s: int, doubles_s: int, most: int) -> int:
    """A value after its doublings, rising in a straight line within each, up to `most`; from nothing it starts at 1."""
    doublings, rest = divmod(elapsed_s, doubles_s)
    if doublings >= 64:
        return most
    if elapsed_s:
        value = max(value, 1)
    value <<= doublings
    return min(most, value + value * rest // doubles_s)


def _capacity(hop: RouteHop, edges: Edges) -> int:
    capacity = edges.capacity_of(hop.scid)
    return MAX_AMOUNT_MSAT if capacity is None else capacity
