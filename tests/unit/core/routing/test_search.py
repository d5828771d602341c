"""The search against brute force, against recorded answers, and its two twins against each other."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders.graphs import SAMPLE, a_channel, a_node, a_policy, a_random_graph, a_request, recorded

from fulmen.core.base.units import Msat, Timestamp
from fulmen.core.routing.costs import forwarding_fee
from fulmen.core.routing.edges import EdgeChannel, Edges
from fulmen.core.routing.finder import Finder
from fulmen.core.routing.requests import NoRoute, Outcome, Route, Weights
from fulmen.core.routing.search import Found, Search, shortest_path

NOW = Timestamp(1_700_000_000)
WHOLE = Path(os.environ.get("FULMEN_DATA", "/nonexistent")) / "graph" / "mainnet_2026-02-03_channels.csv.xz"


def least_by_brute_force(channels: list[EdgeChannel], source: int, destination: int, amount: int) -> int | None:
    """The least that the source must send, by walking every simple path backwards."""
    ways: dict[bytes, list[tuple[bytes, object]]] = {}
    for channel in channels:
        ends = (channel.node_id_1, channel.node_id_2)
        for origin, target, policy in ((*ends, channel.policies[0]), (*reversed(ends), channel.policies[1])):
            if policy is not None and policy.enabled:
                limit = min(policy.htlc_maximum_msat, channel.capacity_msat or policy.htlc_maximum_msat)
                ways.setdefault(target, []).append((origin, (policy, limit)))

    def walk(node: bytes, arriving: int, visited: frozenset[bytes]) -> int | None:
        best: int | None = None
        for origin, (policy, limit) in ways.get(node, ()):  # type: ignore[misc]
            if origin in visited or arriving > limit:
                continue
            if origin == a_node(source):
                sent: int | None = arriving
            else:
                fee = forwarding_fee(arriving, policy.fee_base_msat, policy.fee_proportional_millionths)
                sent = walk(origin, arriving + fee, visited | {origin})
            if sent is not None and (best is None or sent < best):
                best = sent
        return best

    return walk(a_node(destination), amount, frozenset({a_node(destination)}))


@given(seed=st.integers(0, 10_000), amount=st.sampled_from([1, 1000, 250_000, 3_000_000]))
@settings(max_examples=150, deadline=None)
def test_the_least_fee_is_what_walking_every_path_finds(seed: int, amount: int) -> None:
    channels = [
        channel.but(policies=tuple(policy and policy.but(htlc_minimum_msat=0) for policy in channel.policies))
        for channel in a_random_graph(seed, nodes=6, channels=10)
    ]
    answer = Finder(channels).find(a_request(0, 5, amount, max_cltv_expiry_delta=60_000), NOW)
    sent = answer.sent_msat if isinstance(answer, Route) else None
    ends = {end for channel in channels for end in (channel.node_id_1, channel.node_id_2)}
    if a_node(0) in ends and a_node(5) in ends:
        assert sent == least_by_brute_force(channels, 0, 5, amount)
    else:
        assert sent is None


def least_fee_cases() -> list[tuple[int, int, int, int | None]]:
    file = json.loads(SAMPLE.with_name("least_fee_2026-02-03.json").read_text())
    return [tuple(case) for case in file["cases"]]


def wrong_answers(finder: Finder) -> list[tuple[tuple[int, int, int, int | None], object]]:
    wrong = []
    for case in least_fee_cases():
        source, destination, amount, least = case
        answer = finder.find(a_request(source, destination, amount, max_cltv_expiry_delta=60_000), NOW)
        if (answer.sent_msat if isinstance(answer, Route) else None) != least:
            wrong.append((case, answer))
    return wrong


def test_the_recorded_least_fees_are_found_in_a_cut_of_mainnet() -> None:
    assert len(least_fee_cases()) == 356
    assert wrong_answers(Finder(recorded())) == []


@pytest.mark.skipif(not WHOLE.exists(), reason="the whole recorded graph is not on this machine (FULMEN_DATA)")
def test_the_recorded_least_fees_are_found_in_the_whole_of_mainnet() -> None:
    compiled = pytest.importorskip("fulmen.core.routing.compiled")
    finder = Finder(recorded(WHOLE))
    finder.use(compiled.CompiledSearch(finder.edges).shortest_path)
    assert wrong_answers(finder) == []


def test_a_path_never_visits_a_node_twice_and_hands_on_what_the_next_hop_needs() -> None:
    for seed in range(40):
        channels = {channel.scid: channel for channel in a_random_graph(seed)}
        route = Finder(channels.values()).find(a_request(0, 1, 20_000, weights=Weights()), NOW)
        if isinstance(route, NoRoute):
            continue
        nodes = [a_node(0), *(hop.node_id for hop in route.hops)]
        assert len(set(nodes)) == len(nodes)
        assert nodes[-1] == a_node(1)
        for hop, after in pairwise(route.hops):
            policy = channels[after.scid].policies[after.direction]
            assert policy is not None
            owed = forwarding_fee(after.amount_msat, policy.fee_base_msat, policy.fee_proportional_millionths)
            assert hop.amount_msat - after.amount_msat == owed == hop.fee_msat
            assert hop.cltv_expiry - after.cltv_expiry == policy.cltv_expiry_delta
        for hop in route.hops:
            policy = channels[hop.scid].policies[hop.direction]
            assert policy is not None
            assert policy.enabled
            assert policy.htlc_minimum_msat <= hop.amount_msat <= policy.htlc_maximum_msat


def test_of_two_equal_paths_the_same_one_is_taken_however_the_channels_came() -> None:
    channels = [
        a_channel(1, 0, 1, a_policy()),
        a_channel(2, 0, 2, a_policy()),
        a_channel(3, 1, 3, a_policy()),
        a_channel(4, 2, 3, a_policy()),
    ]
    routes = {Finder(order).find(a_request(0, 3), NOW) for order in (tuple(channels), tuple(reversed(channels)))}
    assert len(routes) == 1


class BothTwins:
    """Searches with both and holds them to each other."""

    def __init__(self, edges: Edges) -> None:
        from fulmen.core.routing.compiled import CompiledSearch

        self.edges = edges
        self.compiled = CompiledSearch(edges)
        self.searches = 0

    def __call__(self, search: Search) -> Found:
        plain = shortest_path(self.edges, search)
        assert self.compiled.shortest_path(search) == plain
        self.searches += 1
        return plain


@given(
    seed=st.integers(0, 10_000),
    amount=st.sampled_from([1, 999, 50_000, 1_000_000, 9_000_000]),
    weights=st.sampled_from([Weights(), Weights(time_lock_ppb=1000, attempt_ppm=100_000), Weights(hop_msat=Msat(0))]),
    max_fee=st.sampled_from([None, 0, 500, 100_000]),
    max_cltv=st.sampled_from([60, 200, 2016]),
    max_hops=st.sampled_from([2, 4, 20]),
    spendable=st.sampled_from([None, 40_000, 8_000_000]),
    failures=st.integers(0, 6),
)
@settings(max_examples=200, deadline=None)
def test_the_compiled_twin_agrees_to_the_bit(
    seed: int,
    amount: int,
    weights: Weights,
    max_fee: int | None,
    max_cltv: int,
    max_hops: int,
    spendable: int | None,
    failures: int,
) -> None:
    pytest.importorskip("numba")
    finder = Finder(a_random_graph(seed))
    both = BothTwins(finder.edges)
    finder.use(both)
    first_hops = None if spendable is None else [(500, 2, spendable), (501, 3, spendable)]
    request = a_request(
        0,
        1,
        amount,
        first_hops,
        weights,
        max_fee_msat=max_fee,
        max_cltv_expiry_delta=max_cltv,
        max_hops=max_hops,
    )
    now = NOW
    for attempt in range(failures + 1):
        answer = finder.find(request, now)
        if isinstance(answer, NoRoute):
            break
        outcome = Outcome(answer, attempt % 3 == 2, attempt % len(answer.hops), (0x1007, 0x2002, 0x100C)[attempt % 3])
        finder.learn(outcome, now)
        now = Timestamp(now + 400 * attempt)


def test_the_compiled_twin_agrees_on_a_cut_of_mainnet() -> None:
    pytest.importorskip("numba")
    finder = Finder(recorded())
    both = BothTwins(finder.edges)
    finder.use(both)
    for source, destination, amount, _ in least_fee_cases()[::3]:
        finder.find(a_request(source, destination, amount, weights=Weights()), NOW)
    assert both.searches >= 100
