"""One request in terms of rows: what it adds to the arrays, what it hides, and how a path of rows becomes a route.

First hops, route hints and corrections are this search's own: they stand in the spare rows, or in place of the
graph's values, while the query is entered, and are gone when it is left.
"""

from __future__ import annotations

from types import TracebackType

from fulmen.core.base.ids import ChannelId, NodeId, ShortChannelId
from fulmen.core.base.units import BlockHeight, Msat, Timestamp
from fulmen.core.routing.costs import CHANCE_BITS, chance, forwarding_fee
from fulmen.core.routing.edges import CLOSED, SPARE_NODES, SPARE_ROWS, EdgePolicy, Edges
from fulmen.core.routing.liquidity import Liquidity
from fulmen.core.routing.requests import (
    MAX_AMOUNT_MSAT,
    MAX_HOPS,
    Correction,
    FirstHop,
    HintHop,
    NoRoute,
    NoRouteReason,
    Route,
    RouteHop,
    RouteRequest,
    Weights,
)
from fulmen.core.routing.search import Search

MAX_HINTS = 20
MAX_HINT_HOPS = 20


def prepare(request: RouteRequest, edges: Edges, liquidity: Liquidity, now: Timestamp) -> Query | NoRoute:
    """A query to enter and search with, or the reason that can be told without searching."""
    if request.source == request.destination:
        return NoRoute(NoRouteReason.SELF_PAYMENT)
    if not 0 < request.amount_msat <= MAX_AMOUNT_MSAT:
        return NoRoute(NoRouteReason.BAD_AMOUNT, MAX_AMOUNT_MSAT, request.amount_msat)
    if request.first_hops is not None:
        no = _outbound(request, request.first_hops)
        if no is not None:
            return no
    elif request.source not in edges.index:
        return NoRoute(NoRouteReason.NO_CHANNEL)
    peers = {first.node_id for first in request.first_hops or ()}
    known = request.destination in edges.index or request.destination in peers or any(request.hints)
    if not known:
        return NoRoute(NoRouteReason.UNKNOWN_DESTINATION)
    return Query(request, edges, liquidity, now)


def _outbound(request: RouteRequest, first_hops: tuple[FirstHop, ...]) -> NoRoute | None:
    """Why none of our own channels could carry the amount alone, if so."""
    if not first_hops:
        return NoRoute(NoRouteReason.NO_CHANNEL)
    most = max(first.spendable_msat for first in first_hops)
    if most < request.amount_msat:
        return NoRoute(NoRouteReason.INSUFFICIENT_OUTBOUND, most, request.amount_msat)
    least = min(first.htlc_minimum_msat for first in first_hops if first.spendable_msat >= request.amount_msat)
    if least > request.amount_msat and len({first.node_id for first in first_hops}) == 1:
        return NoRoute(NoRouteReason.BELOW_MINIMUM, request.amount_msat, least)
    return None


class Query:
    """A request at the arrays. Enter it, search, make routes of what was found, leave it."""

    def __init__(self, request: RouteRequest, edges: Edges, liquidity: Liquidity, now: Timestamp) -> None:
        self.request = request
        self._edges = edges
        self._liquidity = liquidity
        self._now = now
        self._nodes: dict[NodeId, int] = {}
        self._names: list[NodeId] = []
        self._own: dict[int, list[int]] = {}
        self._about: dict[int, tuple[ShortChannelId, int, int, ChannelId | None]] = {}
        """Own row -> scid, direction, target node, our channel."""
        self._hidden: list[tuple[int, int]] = []
        self._corrected: list[tuple[int, tuple[int, int, int, int, int]]] = []
        self._avoided: list[int] = []
        self._source = 0
        self._destination = 0

    def __enter__(self) -> Query:
        request = self.request
        self._correct(request.corrections)
        self._exclude()
        self._destination = self._node(request.destination)
        if request.first_hops is None:
            self._source = self._node(request.source)
        else:
            # Our own channels are known better than the graph knows them: we start from a node beside ours.
            ours = self._edges.index.get(request.source)
            if ours is not None:
                self._avoided.append(ours)
            self._source = self._spare_node(request.source)
        for hint in request.hints[:MAX_HINTS]:
            if len(hint) <= MAX_HINT_HOPS:
                self._add_hint(hint)
        if request.first_hops is not None:
            self._add_first_hops(request.first_hops)
        if request.last_hop is not None:
            self._only_from(request.last_hop)
        self._avoided.extend(
            self._nodes.get(node_id, self._edges.index.get(node_id, self._source))
            for node_id in request.excluded_nodes
            if node_id in self._nodes or node_id in self._edges.index
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        edges = self._edges
        for row, maximum in reversed(self._hidden):
            edges.maximum[row] = maximum
        for row, values in reversed(self._corrected):
            (
                edges.fee_base[row],
                edges.fee_ppm[row],
                edges.cltv[row],
                edges.minimum[row],
                edges.maximum[row],
            ) = values

    def search(self, weights: Weights) -> Search:
        """What to look for."""
        request = self.request
        most = MAX_AMOUNT_MSAT
        if request.max_fee_msat is not None:
            most = min(most, Msat(request.amount_msat + max(0, request.max_fee_msat)))
        return Search(
            source=self._source,
            destination=self._destination,
            amount_msat=request.amount_msat,
            final_cltv_expiry_delta=request.final_cltv_expiry_delta,
            max_amount_msat=most,
            max_cltv_expiry_delta=request.max_cltv_expiry_delta,
            max_hops=min(request.max_hops, MAX_HOPS),
            weights=_bounded(weights),
            own=tuple((target, tuple(rows)) for target, rows in sorted(self._own.items())),
            avoided=tuple(self._avoided),
        )

    def route(self, rows: tuple[int, ...]) -> Route:
        """The route along these rows: amounts and expiries counted from the destination backwards (BOLT 4)."""
        edges, request = self._edges, self.request
        amount = request.amount_msat
        cltv_expiry = BlockHeight(request.height + request.final_cltv_expiry_delta)
        fee = Msat(0)
        hops: list[RouteHop] = []
        odds = 1_000_000
        for place in range(len(rows) - 1, -1, -1):
            row = rows[place]
            scid, direction, target = self._channel(row)
            hops.append(RouteHop(scid, self._name(target), amount, cltv_expiry, fee, direction))
            odds = odds * chance(amount, edges.lower[row], edges.upper[row]) >> CHANCE_BITS
            if place:
                fee = forwarding_fee(amount, edges.fee_base[row], edges.fee_ppm[row])
                amount = Msat(amount + fee)
                cltv_expiry = BlockHeight(cltv_expiry + edges.cltv[row])
        own = self._about.get(rows[0])
        return Route(tuple(reversed(hops)), own[3] if own is not None else None, odds)

    def _channel(self, row: int) -> tuple[ShortChannelId, int, int]:
        own = self._about.get(row)
        if own is not None:
            return own[:3]
        scid, direction = self._edges.channel(row)
        return scid, direction, self._edges.target(row)

    def _name(self, node: int) -> NodeId:
        graph = self._edges.nodes
        return self._edges.node_ids[node] if node < graph else self._names[node - graph]

    def _node(self, node_id: NodeId) -> int:
        known = self._edges.index.get(node_id, self._nodes.get(node_id))
        return self._spare_node(node_id) if known is None else known

    def _spare_node(self, node_id: NodeId) -> int:
        node = self._edges.nodes + len(self._names)
        self._names.append(node_id)
        self._nodes[node_id] = node
        return node

    def _room(self) -> bool:
        return len(self._names) < SPARE_NODES and len(self._about) < SPARE_ROWS

    def _add_row(
        self,
        origin: int,
        target: int,
        scid: ShortChannelId,
        direction: int,
        policy: EdgePolicy,
        bounds: tuple[int, int],
        channel_id: ChannelId | None = None,
    ) -> None:
        row = self._edges.rows + len(self._about)
        self._edges.source[row] = origin
        self._edges.set_policy(row, policy, MAX_AMOUNT_MSAT)
        self._edges.lower[row], self._edges.upper[row] = bounds
        self._about[row] = (scid, direction, target, channel_id)
        self._own.setdefault(target, []).append(row)

    def _add_first_hops(self, first_hops: tuple[FirstHop, ...]) -> None:
        """One row for each peer that a path could go through: its channel with the most to spend."""
        best: dict[NodeId, FirstHop] = {}
        excluded = {gone.scid for gone in self.request.excluded_channels}
        for first in first_hops:
            fits = first.htlc_minimum_msat <= MAX_AMOUNT_MSAT and first.spendable_msat >= self.request.amount_msat
            reachable = first.node_id in self._edges.index or first.node_id in self._nodes
            if not fits or not reachable or first.scid in excluded:
                continue
            other = best.get(first.node_id)
            if other is None or first.spendable_msat > other.spendable_msat:
                best[first.node_id] = first
        for node_id, first in best.items():
            if not self._room():
                break
            policy = EdgePolicy(0, 0, 0, first.htlc_minimum_msat, first.spendable_msat)
            direction = int(self.request.source > node_id)
            certain = (MAX_AMOUNT_MSAT, MAX_AMOUNT_MSAT)
            target = self._node(node_id)
            self._add_row(self._source, target, first.scid, direction, policy, certain, first.channel_id)

    def _add_hint(self, hint: tuple[HintHop, ...]) -> None:
        ends = [*(hop.node_id for hop in hint[1:]), self.request.destination]
        for hop, end in zip(hint, ends, strict=True):
            if hop.node_id == self.request.source or hop.node_id == end or not self._room():
                continue  # a hint that begins with us says what our first hops say better
            direction = int(hop.node_id > end)
            if self._is_excluded(hop.scid, direction):
                continue
            policy = self._hint_policy(hop, direction)
            maximum = min(policy.htlc_maximum_msat, MAX_AMOUNT_MSAT)
            lower, upper = self._liquidity.bounds(hop.scid, direction, maximum, self._now)
            if (lower, upper) == (0, maximum):
                lower = maximum  # the payee says that it can receive here
            self._add_row(self._node(hop.node_id), self._node(end), hop.scid, direction, policy, (lower, upper))

    def _hint_policy(self, hop: HintHop, direction: int) -> EdgePolicy:
        for newer in self.request.corrections:
            if newer.scid == hop.scid and newer.direction == direction:
                return _policy(newer)
        return EdgePolicy(
            hop.fee_base_msat,
            hop.fee_proportional_millionths,
            hop.cltv_expiry_delta,
            hop.htlc_minimum_msat,
            hop.htlc_maximum_msat,
        )

    def _is_excluded(self, scid: ShortChannelId, direction: int) -> bool:
        excluded = self.request.excluded_channels
        return any(gone.scid == scid and gone.direction in (None, direction) for gone in excluded)

    def _correct(self, corrections: tuple[Correction, ...]) -> None:
        edges = self._edges
        for newer in corrections:
            row = edges.row(newer.scid, newer.direction)
            capacity = edges.capacity_of(newer.scid)
            if row is None or capacity is None:
                continue
            old = (edges.fee_base[row], edges.fee_ppm[row], edges.cltv[row], edges.minimum[row], edges.maximum[row])
            self._corrected.append((row, old))
            edges.set_policy(row, _policy(newer), capacity)

    def _exclude(self) -> None:
        for gone in self.request.excluded_channels:
            for direction in (0, 1) if gone.direction is None else (gone.direction,):
                row = self._edges.row(gone.scid, direction)
                if row is not None:
                    self._hide(row)

    def _only_from(self, last_hop: NodeId) -> None:
        """Close all ways into the destination but those from one node."""
        edges, destination = self._edges, self._destination
        last = self._node(last_hop)
        if destination < edges.nodes:
            for row in range(edges.first[destination], edges.first[destination + 1]):
                if edges.source[row] != last:
                    self._hide(row)
        for row in self._own.get(destination, ()):
            if edges.source[row] != last:
                self._hide(row)

    def _hide(self, row: int) -> None:
        self._hidden.append((row, self._edges.maximum[row]))
        self._edges.maximum[row] = CLOSED


def _policy(newer: Correction) -> EdgePolicy:
    return EdgePolicy(
        newer.fee_base_msat,
        newer.fee_proportional_millionths,
        newer.cltv_expiry_delta,
        newer.htlc_minimum_msat,
        newer.htlc_maximum_msat,
    )


def _bounded(weights: Weights) -> Weights:
    """Within what keeps all products below 2^63."""
    return Weights(
        time_lock_ppb=max(0, min(weights.time_lock_ppb, 1000)),
        attempt_msat=Msat(max(0, min(weights.attempt_msat, MAX_AMOUNT_MSAT))),
        attempt_ppm=max(0, min(weights.attempt_ppm, 100_000)),
        hop_msat=Msat(max(0, min(weights.hop_msat, 1 << 45))),
    )
