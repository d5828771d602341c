"""The shortest way of all: over one channel of ours, to the peer that is the destination.

No path finding can do better: nobody on it takes a fee, nothing on it locks the money for longer than the payee asks,
and what the channel can carry is known for certain. So nobody needs to be asked for it.
"""

from __future__ import annotations

from fulmen.core.base.units import BlockHeight, Msat
from fulmen.core.routing.requests import MAX_AMOUNT_MSAT, FirstHop, Route, RouteHop, RouteRequest


def direct_route(request: RouteRequest) -> Route | None:
    """The way over the channel to the destination that has the most to spend; None where none may carry the amount."""
    if (
        request.destination in request.excluded_nodes
        or request.last_hop not in (None, request.source)
        or request.final_cltv_expiry_delta > request.max_cltv_expiry_delta
        or request.amount_msat > MAX_AMOUNT_MSAT
    ):
        return None
    able = [first for first in request.first_hops or () if _carries(first, request)]
    if not able:
        return None
    first = max(able, key=lambda first: first.spendable_msat)
    expiry = BlockHeight(request.height + request.final_cltv_expiry_delta)
    direction = int(request.source > request.destination)
    hop = RouteHop(first.scid, first.node_id, request.amount_msat, expiry, Msat(0), direction)
    return Route((hop,), first.channel_id)


def _carries(first: FirstHop, request: RouteRequest) -> bool:
    return (
        first.node_id == request.destination
        and max(1, first.htlc_minimum_msat) <= request.amount_msat <= first.spendable_msat
        and all(gone.scid != first.scid for gone in request.excluded_channels)
    )
