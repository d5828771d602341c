"""The way over one channel of ours: the same that path finding would find, without asking it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.graphs import a_channel, a_first_hop, a_node, a_policy, a_random_graph, a_request

from fulmen.core.base.ids import scid
from fulmen.core.base.units import Msat, Timestamp
from fulmen.core.routing.direct import direct_route
from fulmen.core.routing.finder import Finder
from fulmen.core.routing.requests import ExcludedChannel, Outcome, Weights

NOW = Timestamp(1_700_000_000)
US, BOB, CAROL = 0, 1, 2
HOPS = ((1, BOB, 900_000), (2, BOB, 2_000_000), (3, CAROL, 5_000_000))


def test_a_peer_is_paid_over_the_channel_with_the_most_to_spend() -> None:
    route = direct_route(a_request(US, BOB, 800_000, first_hops=HOPS))
    assert route is not None
    assert [(hop.scid, hop.node_id, hop.amount_msat, hop.fee_msat) for hop in route.hops] == [
        (scid(100, 2, 0), a_node(BOB), 800_000, 0)
    ]
    assert route.channel_id == a_first_hop(2, BOB, 0).channel_id
    assert not Outcome(route, settled=True).teaches


@pytest.mark.parametrize(
    "changed",
    [
        {"destination": a_node(9)},
        {"amount_msat": Msat(2_000_001)},
        {"excluded_channels": (ExcludedChannel(scid(100, 2, 0)), ExcludedChannel(scid(100, 1, 0)))},
        {"excluded_nodes": (a_node(BOB),)},
        {"last_hop": a_node(CAROL)},
        {"max_cltv_expiry_delta": 17},
        {"first_hops": tuple(a_first_hop(*hop).but(htlc_minimum_msat=Msat(1_000_001)) for hop in HOPS)},
        {"first_hops": None},
    ],
)
def test_what_no_channel_to_the_peer_may_carry_is_for_path_finding(changed: dict[str, object]) -> None:
    request = a_request(US, BOB, 1_000_000, first_hops=HOPS)
    assert direct_route(request) is not None
    assert direct_route(request.but(**changed)) is None


@given(st.integers(0, 200), st.integers(1, 3_000_000), st.sets(st.integers(0, 4)), st.booleans())
def test_path_finding_finds_the_same(seed: int, amount: int, refused: set[int], weighed: bool) -> None:
    dice = [
        (1000 + number, 1 + (seed + number) % 4, 1 + (seed * 7919 + number * 104_729) % 2_500_000)
        for number in range(5)
    ]
    both = a_policy()
    known = [a_channel(number, US, peer, both, both) for number, peer, _ in dice]
    request = a_request(
        US,
        BOB,
        amount,
        first_hops=dice,
        excluded_channels=tuple(ExcludedChannel(scid(100, 1000 + number, 0)) for number in sorted(refused)),
        **({"weights": Weights()} if weighed else {}),
    )
    direct = direct_route(request)
    found = Finder([*a_random_graph(seed, 8, 20), *known]).find(request, NOW)
    if direct is not None:
        assert found == direct
