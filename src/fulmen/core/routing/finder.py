"""Path finding: a request becomes a search over the arrays, and what it finds becomes a route or a named reason.

The finder owns the arrays and the memory of liquidity; whoever drives it (the daemon's worker process, or the
simulator in line) tells it of channels and policies, and says which of the two twins searches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fulmen.core.base.ids import ShortChannelId
from fulmen.core.base.units import CltvDelta, Timestamp
from fulmen.core.routing.edges import EdgeChannel, EdgePolicy, Edges
from fulmen.core.routing.liquidity import Liquidity
from fulmen.core.routing.query import Query, prepare
from fulmen.core.routing.requests import (
    FEES_ONLY,
    MAX_AMOUNT_MSAT,
    NoRoute,
    NoRouteReason,
    Outcome,
    Route,
    RouteRequest,
)
from fulmen.core.routing.search import Found, Search, shortest_path

SearchFunction = Callable[[Search], Found]

REFRESH_S = 5
"""How often what is known of liquidity is aged in the arrays."""
_TIME_ONLY = FEES_ONLY.but(time_lock_ppb=1000)
_ANY_CLTV = CltvDelta(1 << 21)
_HOPS_ONLY = FEES_ONLY.but(hop_msat=1 << 40)


class Finder:
    """The arrays, the memory, and the search over them."""

    def __init__(self, channels: Iterable[EdgeChannel] = ()) -> None:
        self.liquidity = Liquidity()
        self.edges = Edges(channels)
        self._search: SearchFunction = self._plain
        self._aged: Timestamp | None = None

    def rebuild(self, channels: Iterable[EdgeChannel]) -> None:
        """Channels came or went: build the arrays anew. The plain search serves until another is `use`d."""
        self.edges = Edges(channels)
        self._search = self._plain
        self._aged = None

    def use(self, search: SearchFunction) -> None:
        """Search with this function (the compiled twin over the same arrays) from now on."""
        self._search = search

    def update(self, scid: ShortChannelId, direction: int, policy: EdgePolicy) -> bool:
        """A policy changed; False when the channel is not here yet."""
        return self.edges.update(scid, direction, policy)

    def learn(self, outcome: Outcome, now: Timestamp) -> None:
        """An attempt ended."""
        self.liquidity.learn(outcome, self.edges, now)
        self.liquidity.write_news(self.edges, now)

    def find(self, request: RouteRequest, now: Timestamp) -> Route | NoRoute:
        """The best way for one HTLC, or why there is none."""
        if self._aged is None or now - self._aged >= REFRESH_S:
            self._age(now)
        found = self._with(self.liquidity, request, now)
        if isinstance(found, NoRoute) and found.reason is NoRouteReason.INSUFFICIENT_LIQUIDITY:
            return self._last_resort(request, now) or found
        return found

    def _last_resort(self, request: RouteRequest, now: Timestamp) -> Route | None:
        """A way that failed before. What was learned makes ways dear, and must not make one impossible.

        A peer that was away for a moment fails the smallest payment, and the only way there would be closed for hours.
        Whatever failed for this very payment stands in its exclusions, so it comes to an end all the same.
        """
        doubted = self.liquidity.doubted(now)
        doubted.write(self.edges, now)
        try:
            found = self._with(doubted, request, now)
        finally:
            self._age(now)
        return found if isinstance(found, Route) else None

    def _with(self, liquidity: Liquidity, request: RouteRequest, now: Timestamp) -> Route | NoRoute:
        query = prepare(request, self.edges, liquidity, now)
        if isinstance(query, NoRoute):
            return query
        with query:
            return self._find(query)

    def _find(self, query: Query) -> Route | NoRoute:
        request = query.request
        found = self._search(query.search(request.weights))
        if found.rows:
            return query.route(found.rows)
        # The path of least cost is not the one of least fee or time: before a limit is the answer, ask for that alone.
        if found.over_amount:
            search = query.search(FEES_ONLY).but(max_amount_msat=MAX_AMOUNT_MSAT)
            route = self._route(query, search)
            if route is not None:
                no = NoRoute(NoRouteReason.FEE_LIMIT, request.max_fee_msat, route.fee_msat)
                return self._kept(route, request, no)
        if found.over_cltv:
            search = query.search(_TIME_ONLY).but(max_cltv_expiry_delta=_ANY_CLTV)
            route = self._route(query, search)
            if route is not None:
                need = route.cltv_expiry - request.height
                no = NoRoute(NoRouteReason.CLTV_LIMIT, request.max_cltv_expiry_delta, need)
                return self._kept(route, request, no)
        if found.over_hops:
            route = self._route(query, query.search(_HOPS_ONLY))
            return route or NoRoute(NoRouteReason.TOO_MANY_HOPS, request.max_hops)
        if found.over_liquidity:
            return NoRoute(NoRouteReason.INSUFFICIENT_LIQUIDITY, need=request.amount_msat)
        return NoRoute(NoRouteReason.NO_PATH)

    def _route(self, query: Query, search: Search) -> Route | None:
        found = self._search(search)
        return query.route(found.rows) if found.rows else None

    def _kept(self, route: Route, request: RouteRequest, no: NoRoute) -> Route | NoRoute:
        """The route, if after all it keeps every limit."""
        fee_kept = request.max_fee_msat is None or route.fee_msat <= request.max_fee_msat
        time_kept = route.cltv_expiry - request.height <= request.max_cltv_expiry_delta
        return route if fee_kept and time_kept and len(route.hops) <= request.max_hops else no

    def _age(self, now: Timestamp) -> None:
        self.liquidity.write(self.edges, now)
        self._aged = now

    def _plain(self, search: Search) -> Found:
        return shortest_path(self.edges, search)
