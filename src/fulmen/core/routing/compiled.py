"""The shortest path again, compiled by numba: the same answers as `search`, to the bit, some twenty times faster.

Only the worker process that owns path finding imports this room (numba is an extra and takes its time to load), and
only after a first `warm_up`. Machine integers suffice because amounts stay below 2^46 (`MAX_AMOUNT_MSAT`).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from fulmen.core.routing.costs import CHANCE_BITS, DOUBT, DOUBT_ONE
from fulmen.core.routing.edges import SPARE_NODES, SPARE_ROWS, Edges
from fulmen.core.routing.requests import FEES_ONLY, MAX_HOPS
from fulmen.core.routing.search import Found, Search

_DOUBT = np.frombuffer(DOUBT, dtype=np.int64)
_F = TypeVar("_F", bound=Callable[..., Any])
_OVER_AMOUNT, _OVER_CLTV, _OVER_HOPS, _OVER_LIQUIDITY = 1, 2, 4, 8


class CompiledSearch:
    """The compiled search over one `Edges`, with the scratch memory that its searches share."""

    def __init__(self, edges: Edges) -> None:
        nodes, rows = edges.nodes + SPARE_NODES, edges.rows + SPARE_ROWS
        self._edges = edges
        self._graph = (
            _view(edges.first, np.int32),
            _view(edges.source, np.int32),
            _view(edges.fee_base, np.int64),
            _view(edges.fee_ppm, np.int64),
            _view(edges.cltv, np.int32),
            _view(edges.minimum, np.int64),
            _view(edges.maximum, np.int64),
            _view(edges.lower, np.int64),
            _view(edges.upper, np.int64),
            _view(edges.doubt, np.int64),
            _view(edges.leaf, np.uint8),
        )
        self._own_first = np.full(nodes, -1, np.int32)
        self._own_next = np.full(rows, -1, np.int32)
        self._own_target = np.full(rows, -1, np.int32)
        self._state = np.zeros(nodes, np.int64)
        """2 * round: labelled in this round; one more: settled."""
        self._labels = (
            np.zeros(nodes, np.int64),
            np.zeros(nodes, np.int64),
            np.zeros(nodes, np.int32),
            np.zeros(nodes, np.int32),
            np.zeros(nodes, np.int32),
        )
        self._heap = (np.zeros(rows + 2, np.int64), np.zeros(rows + 2, np.int32))
        self._path = np.zeros(MAX_HOPS + 1, np.int32)
        self._round = 0

    def shortest_path(self, search: Search) -> Found:
        """What `search.shortest_path` answers."""
        self._round += 2
        for node in search.avoided:
            self._state[node] = self._round + 1
        for target, rows in search.own:
            for row in reversed(rows):
                self._own_next[row] = self._own_first[target]
                self._own_first[target] = row
                self._own_target[row] = target
        try:
            hops, cost, over = _shortest_path(
                *self._graph,
                self._own_first,
                self._own_next,
                self._own_target,
                self._state,
                *self._labels,
                *self._heap,
                self._path,
                _DOUBT,
                self._round,
                self._edges.rows,
                search.source,
                search.destination,
                search.amount_msat,
                search.final_cltv_expiry_delta,
                search.max_amount_msat,
                search.max_cltv_expiry_delta,
                search.max_hops,
                search.weights.time_lock_ppb,
                search.weights.attempt_msat,
                search.weights.attempt_ppm,
                search.weights.hop_msat,
            )
        finally:
            for target, _ in search.own:
                self._own_first[target] = -1
        rows = tuple(int(row) for row in self._path[:hops])
        return Found(
            rows,
            int(cost) if rows else 0,
            bool(over & _OVER_AMOUNT),
            bool(over & _OVER_CLTV),
            bool(over & _OVER_HOPS),
            bool(over & _OVER_LIQUIDITY),
        )


def warm_up() -> None:
    """Compile (about a second, or a third of one from numba's cache); later searches are quick."""
    CompiledSearch(Edges(())).shortest_path(Search(0, 0, 1, 1, 1, 1, 1, FEES_ONLY))


def _compile(function: _F) -> _F:
    """Let numba compile a function at its first call, and keep what it made on disk."""
    return cast(_F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def _view(values: array[int] | bytearray, dtype: Any) -> NDArray[Any]:
    return np.frombuffer(values, dtype=dtype)


@_compile
def _push(keys: Any, nodes: Any, size: int, key: int, node: int) -> int:
    place = size
    while place > 0:
        parent = (place - 1) >> 1
        if keys[parent] < key or (keys[parent] == key and nodes[parent] <= node):
            break
        keys[place] = keys[parent]
        nodes[place] = nodes[parent]
        place = parent
    keys[place] = key
    nodes[place] = node
    return size + 1


@_compile
def _pop(keys: Any, nodes: Any, size: int) -> int:
    """Take the first of the heap away; whoever calls has read it."""
    size -= 1
    key, node = keys[size], nodes[size]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        other = child + 1
        if other < size and (keys[other] < keys[child] or (keys[other] == keys[child] and nodes[other] < nodes[child])):
            child = other
        if key < keys[child] or (key == keys[child] and node <= nodes[child]):
            break
        keys[place] = keys[child]
        nodes[place] = nodes[child]
        place = child
    keys[place] = key
    nodes[place] = node
    return size


@_compile
def _target(first: Any, row: int) -> int:
    """The last node whose first row is not behind this one."""
    low, high = 0, len(first)
    while low < high:
        middle = (low + high) >> 1
        if first[middle] <= row:
            low = middle + 1
        else:
            high = middle
    return low - 1


@_compile
def _shortest_path(
    first: Any,
    source_of: Any,
    fee_base: Any,
    fee_ppm: Any,
    cltv: Any,
    minimum: Any,
    maximum: Any,
    lower: Any,
    upper: Any,
    node_doubt: Any,
    leaf: Any,
    own_first: Any,
    own_next: Any,
    own_target: Any,
    state: Any,
    cost_of: Any,
    amount_of: Any,
    blocks_of: Any,
    hops_of: Any,
    row_of: Any,
    heap_cost: Any,
    heap_node: Any,
    path: Any,
    doubts: Any,
    labelled: int,
    graph_rows: int,
    source: int,
    destination: int,
    amount_msat: int,
    final_cltv_expiry_delta: int,
    max_amount: int,
    max_cltv: int,
    max_hops: int,
    time_lock_ppb: int,
    attempt_msat: int,
    attempt_ppm: int,
    hop_msat: int,
) -> tuple[int, int, int]:
    """(hops, cost, limits met); the rows are left in `path`. Line for line the plain search."""
    settled = labelled + 1
    over = 0
    cost_of[destination] = 0
    amount_of[destination] = amount_msat
    blocks_of[destination] = final_cltv_expiry_delta
    hops_of[destination] = 0
    if state[destination] != settled:
        state[destination] = labelled
    size = _push(heap_cost, heap_node, 0, 0, destination)
    while size > 0:
        node = heap_node[0]
        size = _pop(heap_cost, heap_node, size)
        if node == source:
            count = 0
            while node != destination:
                row = row_of[node]
                path[count] = row
                count += 1
                node = own_target[row] if row >= graph_rows else _target(first, row)
            return count, cost_of[source], over
        if state[node] == settled:
            continue
        state[node] = settled
        amount = amount_of[node]
        hops = hops_of[node]
        if hops >= max_hops:
            over |= _OVER_HOPS
            continue
        cost = cost_of[node]
        blocks = blocks_of[node]
        halving = attempt_msat + amount * attempt_ppm // 1_000_000
        locked = amount // 1000 * time_lock_ppb
        millions, rest = amount // 1_000_000, amount % 1_000_000
        least = cost + hop_msat
        row = first[node]
        end = first[node + 1]
        if row == end:
            row = own_first[node]
        while row >= 0:
            here = row
            row = own_next[here] if here >= graph_rows else here + 1 if here + 1 < end else own_first[node]
            origin = source_of[here]
            if amount < minimum[here] or amount > maximum[here] or state[origin] == settled:
                continue
            if leaf[origin] and here < graph_rows and origin != source and own_first[origin] < 0:
                continue
            known = state[origin] == labelled
            if known and cost_of[origin] <= least:
                continue
            new_cost = least
            new_amount = amount
            new_blocks = blocks
            doubt = 0
            if origin != source:
                # floor(amount * ppm / 10^6) without a product beyond 64 bits
                new_amount += fee_base[here] + millions * fee_ppm[here] + rest * fee_ppm[here] // 1_000_000
                if new_amount > max_amount:
                    over |= _OVER_AMOUNT
                    continue
                delta = cltv[here]
                new_blocks += delta
                if new_blocks > max_cltv:
                    over |= _OVER_CLTV
                    continue
                new_cost += new_amount - amount + locked * delta // 1_000_000
                if known and cost_of[origin] <= new_cost:
                    continue
                doubt = node_doubt[origin]
            if amount > lower[here]:
                if amount > upper[here]:
                    over |= _OVER_LIQUIDITY
                    continue
                doubt += doubts[((upper[here] - amount + 1) << CHANCE_BITS) // (upper[here] - lower[here] + 1)]
            new_cost += halving * doubt // DOUBT_ONE
            if not known or new_cost < cost_of[origin]:
                state[origin] = labelled
                cost_of[origin] = new_cost
                amount_of[origin] = new_amount
                blocks_of[origin] = new_blocks
                hops_of[origin] = hops + 1
                row_of[origin] = here
                size = _push(heap_cost, heap_node, size, new_cost, origin)
    return 0, 0, over
