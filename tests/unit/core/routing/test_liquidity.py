"""What attempts teach, and how it fades."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.graphs import a_channel, a_node, a_policy

from fulmen.core.base.ids import ChannelId, scid
from fulmen.core.base.units import BlockHeight, Msat, Timestamp
from fulmen.core.routing import liquidity as memory
from fulmen.core.routing.costs import CHANCE_ONE, DOUBT, MAX_DOUBT, chance
from fulmen.core.routing.edges import Edges
from fulmen.core.routing.liquidity import Liquidity, faded, grown
from fulmen.core.routing.requests import Outcome, Route, RouteHop

NOW = Timestamp(1_700_000_000)
CAPACITY = 1_000_000
EDGES = Edges(
    a_channel(number, number, number + 1, a_policy(), a_policy(), capacity=CAPACITY) for number in range(1, 4)
)
"""1 - 2 - 3 - 4, each channel named by its lesser end."""


def a_route(amount: int = 400_000, channel_id: ChannelId | None = None) -> Route:
    hops = (RouteHop(scid(100, n, 0), a_node(n + 1), Msat(amount), BlockHeight(9), Msat(0)) for n in range(1, 4))
    return Route(tuple(hops), channel_id)


def bounds(learned: Liquidity, number: int, direction: int = 0, after: int = 0) -> tuple[int, int]:
    return learned.bounds(scid(100, number, 0), direction, CAPACITY, Timestamp(NOW + after))


def learned(**outcome: object) -> Liquidity:
    made = Liquidity()
    route = outcome.pop("route", a_route())
    made.learn(Outcome(route, outcome.pop("settled", False), **outcome), EDGES, NOW)  # type: ignore[arg-type]
    return made


def test_nothing_is_known_at_first() -> None:
    assert bounds(Liquidity(), 1) == (0, CAPACITY)


def test_a_temporary_channel_failure_bounds_the_channel_after_the_node_that_said_so() -> None:
    after = learned(failed_at=1, failure_code=0x1007)
    assert bounds(after, 3) == (0, 399_999)
    assert bounds(after, 2) == (400_000, CAPACITY)
    assert bounds(after, 1) == (400_000, CAPACITY)


def test_of_our_own_channel_nothing_is_learned() -> None:
    after = learned(route=a_route(channel_id=ChannelId(bytes(32))), failed_at=1, failure_code=0x1007)
    assert bounds(after, 1) == (0, CAPACITY)
    assert bounds(after, 2) == (400_000, CAPACITY)


def test_what_the_destination_says_means_that_the_way_was_good() -> None:
    after = learned(failed_at=2, failure_code=0x400F)
    assert [bounds(after, number)[0] for number in (1, 2, 3)] == [400_000] * 3
    assert after.doubt(a_node(4), NOW) == 0


def test_a_settled_payment_moved_the_liquidity() -> None:
    after = learned(settled=True)
    assert bounds(after, 2) == (0, CAPACITY - 400_000)
    assert bounds(after, 2, direction=1) == (400_000, CAPACITY)


def test_a_node_failure_puts_the_node_in_doubt_and_no_channel() -> None:
    after = learned(failed_at=1, failure_code=0x2002)
    assert after.doubt(a_node(3), NOW) > 0
    assert bounds(after, 3) == (0, CAPACITY)
    assert 0 < after.doubt(a_node(3), Timestamp(NOW + 900)) < after.doubt(a_node(3), NOW)


@pytest.mark.parametrize(
    ("code", "seconds"), [(0x4008, memory.CLOSED_S), (0x400A, memory.NO_PEER_S), (0x1014, 60), (0xC005, 600)]
)
def test_a_closed_direction_is_shut_for_a_while_and_then_forgotten(code: int, seconds: int) -> None:
    after = learned(failed_at=0, failure_code=code)
    assert bounds(after, 2, after=seconds - 1) == (0, 0)
    assert bounds(after, 2, after=seconds) == (0, CAPACITY)
    assert bounds(after, 2, direction=1) == (0, CAPACITY)


def test_a_failure_that_brings_the_newer_policy_shuts_nothing() -> None:
    after = learned(failed_at=0, failure_code=0x100C, channel_update=b"an update")
    assert bounds(after, 2) == (0, CAPACITY)


def test_a_failure_that_nobody_can_read_makes_all_forwarding_nodes_a_little_suspect() -> None:
    after = learned()
    assert [after.doubt(a_node(n), NOW) > 0 for n in (2, 3, 4)] == [True, True, False]


@given(index=st.integers(-5, 50), code=st.integers(0, 0xFFFF))
def test_no_index_and_no_code_breaks_the_memory(index: int, code: int) -> None:
    after = learned(failed_at=index, failure_code=code)
    for number in (1, 2, 3):
        lower, upper = bounds(after, number)
        assert 0 <= lower <= upper <= CAPACITY


def test_a_moment_after_a_failure_the_same_amount_is_possible_again_but_unlikely() -> None:
    after = learned(failed_at=1, failure_code=0x1007)
    assert chance(400_000, *bounds(after, 3)) == 0
    soon, later, late = (chance(400_000, *bounds(after, 3, after=seconds)) for seconds in (30, 900, 7200))
    assert 0 < soon < later < late


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_DIRECTIONS", 2)
    monkeypatch.setattr(memory, "MAX_NODES", 1)
    after = learned(failed_at=1, failure_code=0x1007)
    assert [bounds(after, number) != (0, CAPACITY) for number in (1, 2, 3)] == [False, True, True]


def test_what_is_known_is_put_where_searches_read_it() -> None:
    after = learned(failed_at=1, failure_code=0x1007)
    after.write(EDGES, NOW)
    row = EDGES.row(scid(100, 3, 0), 0)
    assert row is not None
    assert (EDGES.lower[row], EDGES.upper[row]) == (0, 399_999)
    after.write(EDGES, Timestamp(NOW + 10_000_000))
    assert (EDGES.lower[row], EDGES.upper[row]) == (0, CAPACITY)


def test_what_was_just_learnt_is_put_there_without_looking_at_all_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    after = learned(failed_at=1, failure_code=0x1007)
    after.write(EDGES, NOW)
    looked_at: list[int] = []
    looked = after.bounds
    monkeypatch.setattr(after, "bounds", lambda scid, *rest: looked_at.append(scid) or looked(scid, *rest))
    last = a_route(250_000)
    after.learn(Outcome(last.but(hops=last.hops[:2]), False, 0, 0x1007), EDGES, NOW)
    looked_at.clear()
    after.write_news(EDGES, NOW)
    assert set(looked_at) == {scid(100, 1, 0), scid(100, 2, 0)}
    after.write_news(EDGES, NOW)
    assert len(looked_at) == 2
    written = list(EDGES.lower), list(EDGES.upper)
    after.write(EDGES, NOW)
    assert written == (list(EDGES.lower), list(EDGES.upper))


@given(value=st.integers(0, 1 << 46), elapsed=st.integers(0, 10**7), more=st.integers(0, 10**6))
def test_knowledge_only_fades(value: int, elapsed: int, more: int) -> None:
    assert 0 <= faded(value, elapsed + more, 3600) <= faded(value, elapsed, 3600) <= value
    most = 1 << 46
    assert value <= grown(value, elapsed, 1800, most) <= grown(value, elapsed + more, 1800, most) <= most


@given(
    amount=st.integers(1, 1 << 46), lower=st.integers(0, 1 << 46), width=st.integers(0, 1 << 46), more=st.integers(0)
)
def test_a_larger_amount_is_never_likelier(amount: int, lower: int, width: int, more: int) -> None:
    odds = chance(amount, lower, lower + width)
    assert 0 <= chance(amount + more, lower, lower + width) <= odds <= CHANCE_ONE


def test_doubt_is_the_logarithm_of_a_chance() -> None:
    assert DOUBT[CHANCE_ONE] == 0
    assert DOUBT[CHANCE_ONE // 2] == 1024
    assert DOUBT[CHANCE_ONE // 64] == 6 * 1024
    assert DOUBT[0] == MAX_DOUBT
    assert all(DOUBT[odds] >= DOUBT[odds + 1] for odds in range(CHANCE_ONE))
