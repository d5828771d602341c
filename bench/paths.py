"""Path finding on a recorded mainnet graph, plain and compiled.

With FULMEN_DATA set to a folder that holds graph/mainnet_2026-02-03_channels.csv.xz it is the whole graph (17,324
nodes, 50,808 channels), else the cut under tests/vectors.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from tests.builders.graphs import SAMPLE, a_request, recorded

from bench.floor import Floor
from bench.measure import Figure, latencies_us, percentile
from fulmen.core.base.units import Timestamp
from fulmen.core.routing.finder import Finder
from fulmen.core.routing.requests import RouteRequest, Weights

WHOLE = Path(os.environ.get("FULMEN_DATA", "/nonexistent")) / "graph" / "mainnet_2026-02-03_channels.csv.xz"
NOW = Timestamp(1_770_000_000)


def run(_floor: Floor) -> Iterator[Figure]:
    """Building the arrays, and queries of the recorded cases with the default weights."""
    channels = list(recorded(WHOLE if WHOLE.exists() else SAMPLE))
    start = time.thread_time()
    finder = Finder(channels)
    built = time.thread_time() - start
    size = f"{finder.edges.nodes:,} nodes, {len(channels):,} channels"
    yield Figure("paths", "arrays from channels", 1000 * built, "ms", note=size)

    cases = json.loads(SAMPLE.with_name("least_fee_2026-02-03.json").read_text())["cases"]
    requests = [a_request(source, target, amount, weights=Weights()) for source, target, amount, _ in cases]
    plain = [finder.find(request, NOW) for request in requests]
    yield from _figures("plain", finder, requests)
    try:
        start = time.perf_counter()
        from fulmen.core.routing.compiled import CompiledSearch, warm_up

        warm_up()
    except ImportError:
        return
    yield Figure("paths", "loading and compiling", 1000 * (time.perf_counter() - start), "ms", note="once a process")
    finder.use(CompiledSearch(finder.edges).shortest_path)
    if [finder.find(request, NOW) for request in requests] != plain:
        raise AssertionError("the twins disagree")
    yield from _figures("compiled", finder, requests)


def _figures(name: str, finder: Finder, requests: Sequence[RouteRequest]) -> Iterator[Figure]:
    best: list[float] | None = None
    for _ in range(3):
        # Each query's fastest of three, so that a busy machine does not count as a slow search.
        taken = [latencies_us([partial(finder.find, request, NOW)], time.thread_time)[0] for request in requests]
        best = taken if best is None else [min(pair) for pair in zip(best, taken, strict=True)]
    ordered = sorted(best or [])
    for part in (0.5, 0.95, 0.99):
        yield Figure("paths", f"{name}, p{100 * part:.0f}", percentile(ordered, part) / 1000, "ms")
