"""The shortest path, backwards from the destination: plain Python, the oracle of the compiled twin and its stand-in.

Backwards, because a hop's fee depends on what it passes on: at each node the search knows what must arrive there.
Nodes are settled in the order of (cost, node), a label is replaced only by a strictly cheaper one, rows are tried in
their order: so ties fall the same way everywhere, and `compiled` answers to the bit as this does.
"""

from __future__ import annotations

from heapq import heappop, heappush

from fulmen.core.base.record import Record
from fulmen.core.routing.costs import CHANCE_BITS, DOUBT, DOUBT_ONE
from fulmen.core.routing.edges import Edges
from fulmen.core.routing.requests import Weights

_NODE_BITS = 24
_NODE_MASK = (1 << _NODE_BITS) - 1


class Search(Record):
    """One search in terms of rows."""

    source: int
    destination: int
    amount_msat: int
    final_cltv_expiry_delta: int
    max_amount_msat: int
    """What may leave the source at most: amount and fee limit."""
    max_cltv_expiry_delta: int
    max_hops: int
    weights: Weights
    own: tuple[tuple[int, tuple[int, ...]], ...] = ()
    """Target node -> this search's own rows that lead to it."""
    avoided: tuple[int, ...] = ()
    """Nodes that no path may pass."""


class Found(Record):
    """What a search says: the rows from source to destination (none: no path), and which limits cut branches off."""

    rows: tuple[int, ...]
    cost: int = 0
    over_amount: bool = False
    over_cltv: bool = False
    over_hops: bool = False
    over_liquidity: bool = False
    """A channel's limits would have let the amount pass, but attempts have shown that it is not there."""


def shortest_path(edges: Edges, search: Search) -> Found:
    """The path of least cost that keeps all limits; labels over a limit are dropped, so this is exact per cost."""
    first, source_of, fee_base, fee_ppm = edges.first, edges.source, edges.fee_base, edges.fee_ppm
    cltv, minimum, maximum = edges.cltv, edges.minimum, edges.maximum
    lower, upper, node_doubt, leaf = edges.lower, edges.upper, edges.doubt, edges.leaf
    own, graph_rows = dict(search.own), edges.rows
    source, weights = search.source, search.weights
    max_amount, max_cltv, max_hops = search.max_amount_msat, search.max_cltv_expiry_delta, search.max_hops
    time_lock_ppb, hop_msat = weights.time_lock_ppb, weights.hop_msat

    # node -> (cost, amount that must arrive, blocks, hops, row towards the destination)
    labels: dict[int, tuple[int, int, int, int, int]] = {
        search.destination: (0, search.amount_msat, search.final_cltv_expiry_delta, 0, -1)
    }
    settled = set(search.avoided)
    over_amount = over_cltv = over_hops = over_liquidity = False
    heap = [search.destination]
    while heap:
        node = heappop(heap) & _NODE_MASK
        if node == source:
            rows = _rows(edges, labels, search, own)
            return Found(rows, labels[node][0], over_amount, over_cltv, over_hops, over_liquidity)
        if node in settled:
            continue
        settled.add(node)
        cost, amount, blocks, hops, _ = labels[node]
        if hops >= max_hops:
            over_hops = True
            continue
        halving = weights.attempt_msat + amount * weights.attempt_ppm // 1_000_000
        locked = amount // 1000 * time_lock_ppb
        least = cost + hop_msat
        begin, end = first[node], first[node + 1]
        rows_here = range(begin, end) if node not in own else (*range(begin, end), *own[node])
        for row in rows_here:
            origin = source_of[row]
            if not minimum[row] <= amount <= maximum[row] or origin in settled:
                continue
            if leaf[origin] and row < graph_rows and origin != source and origin not in own:
                continue
            known = labels.get(origin)
            if known is not None and known[0] <= least:
                continue
            new_cost = least
            new_amount, new_blocks = amount, blocks
            doubt = 0
            if origin != source:
                new_amount += fee_base[row] + amount * fee_ppm[row] // 1_000_000
                if new_amount > max_amount:
                    over_amount = True
                    continue
                delta = cltv[row]
                new_blocks += delta
                if new_blocks > max_cltv:
                    over_cltv = True
                    continue
                new_cost += new_amount - amount + locked * delta // 1_000_000
                if known is not None and known[0] <= new_cost:
                    continue
                doubt = node_doubt[origin]
            if amount > lower[row]:
                if amount > upper[row]:
                    over_liquidity = True
                    continue
                doubt += DOUBT[((upper[row] - amount + 1) << CHANCE_BITS) // (upper[row] - lower[row] + 1)]
            new_cost += halving * doubt // DOUBT_ONE
            if known is None or new_cost < known[0]:
                labels[origin] = (new_cost, new_amount, new_blocks, hops + 1, row)
                heappush(heap, new_cost << _NODE_BITS | origin)
    return Found((), 0, over_amount, over_cltv, over_hops, over_liquidity)


def _rows(
    edges: Edges, labels: dict[int, tuple[int, int, int, int, int]], search: Search, own: dict[int, tuple[int, ...]]
) -> tuple[int, ...]:
    owner = {row: target for target, rows in own.items() for row in rows}
    node, rows = search.source, []
    while node != search.destination:
        row = labels[node][4]
        rows.append(row)
        node = owner[row] if row in owner else edges.target(row)
    return tuple(rows)
