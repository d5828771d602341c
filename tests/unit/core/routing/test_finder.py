"""Requests, limits, first hops, hints and exclusions, and the named reasons for having no route."""

from __future__ import annotations

import json
from pathlib import Path

from tests.builders.graphs import BTC, a_channel, a_first_hop, a_node, a_policy, a_request

from fulmen.core.base.ids import scid
from fulmen.core.base.units import BlockHeight, CltvDelta, Msat, Timestamp
from fulmen.core.routing.finder import Finder
from fulmen.core.routing.requests import (
    MAX_AMOUNT_MSAT,
    Correction,
    ExcludedChannel,
    HintHop,
    NoRoute,
    NoRouteReason,
    Outcome,
    Route,
    Weights,
)

NOW = Timestamp(1_700_000_000)
US, BOB, CAROL, DAVE = 0, 1, 2, 3
VECTOR = Path(__file__).parents[3] / "vectors" / "bolt07" / "routing-example.json"


def a_line(**policy: int) -> Finder:
    """us - Bob - Carol - Dave, channels 1, 2 and 3."""
    both = a_policy(**policy)
    ends = ((1, US, BOB), (2, BOB, CAROL), (3, CAROL, DAVE))
    return Finder(a_channel(number, one, two, both, both) for number, one, two in ends)


def route(answer: Route | NoRoute) -> Route:
    assert isinstance(answer, Route), str(answer)
    return answer


def reason(answer: Route | NoRoute) -> NoRouteReason:
    assert isinstance(answer, NoRoute), str(answer)
    return answer.reason


def numbers(answer: Route | NoRoute) -> list[int]:
    """The channel numbers of a route."""
    return [hop.scid >> 16 & 0xFFFFFF for hop in route(answer).hops]


def test_the_routing_example_of_bolt_7_comes_out_as_published() -> None:
    example = json.loads(VECTOR.read_text())
    letters = {letter: number for number, letter in enumerate("ABCD")}
    policies = {
        (update["from"], update["to"]): a_policy(
            update["fee_base_msat"], update["fee_proportional_millionths"], update["cltv_expiry_delta"]
        )
        for update in example["channel_updates"]
    }
    pairs = sorted({tuple(sorted(pair)) for pair in policies})
    channels = [
        a_channel(number, letters[one], letters[two], policies.get((one, two)), policies.get((two, one)))
        for number, (one, two) in enumerate(pairs)
    ]
    assert len(example["cases"]) == 3
    for case in example["cases"]:
        through = [letters[letter] for letter in case["route"]]
        elsewhere = [a_node(number) for number in range(4) if number not in through]
        final = case["min_final_cltv_expiry_delta"] + case["shadow_cltv_delta"]
        request = a_request(
            through[0],
            through[-1],
            case["amount_msat"],
            final_cltv_expiry_delta=final,
            excluded_nodes=tuple(elsewhere),
            last_hop=a_node(through[-2]),
        )
        hops = route(Finder(channels).find(request, NOW)).hops
        adds = case["expected"]["update_add_htlc"]
        assert [hop.amount_msat for hop in hops] == [add["amount_msat"] for add in adds]
        assert [hop.cltv_expiry - 800_000 for hop in hops] == [add["cltv_delta_from_height"] for add in adds]


def test_a_route_starts_with_our_own_channel_and_says_which() -> None:
    found = route(a_line(base=1000).find(a_request(US, DAVE, 50_000, [(1, BOB, BTC)]), NOW))
    assert found.channel_id == a_first_hop(1, BOB, 0).channel_id
    assert [hop.node_id for hop in found.hops] == [a_node(BOB), a_node(CAROL), a_node(DAVE)]
    assert (found.sent_msat, found.amount_msat, found.fee_msat) == (52_000, 50_000, 2000)
    assert found.cltv_expiry == 800_000 + 18 + 2 * 40


def test_a_payment_to_a_peer_needs_no_graph_at_all() -> None:
    found = Finder().find(a_request(US, BOB, 5, [(1, BOB, 10)]), NOW)
    assert numbers(found) == [1]


def test_the_graph_is_not_asked_about_our_own_channels() -> None:
    channels = [a_channel(1, US, BOB, a_policy()), a_channel(2, US, CAROL, a_policy()), a_channel(3, BOB, CAROL)]
    answer = Finder(channels).find(a_request(US, CAROL, 1000, [(1, BOB, BTC)]), NOW)
    assert reason(answer) is NoRouteReason.NO_PATH


def test_no_path_leads_through_ourselves() -> None:
    both = a_policy()
    channels = [a_channel(1, US, BOB, both, both), a_channel(2, US, CAROL, both, both)]
    answer = Finder(channels).find(a_request(US, CAROL, 1000, [(1, BOB, BTC)]), NOW)
    assert reason(answer) is NoRouteReason.NO_PATH


def test_of_two_channels_with_a_peer_the_one_that_can_carry_the_amount_is_taken() -> None:
    finder = a_line(base=10)
    first_hops = [(1, BOB, 40_000), (9, BOB, 100_000), (8, BOB, 60_000)]
    assert numbers(finder.find(a_request(US, CAROL, 50_000, first_hops), NOW)) == [9, 2]


def test_each_way_of_having_no_route_has_its_name() -> None:
    finder = a_line(base=1000, maximum=1_000_000)
    hop = [(1, BOB, 500_000)]
    asked = {
        NoRouteReason.SELF_PAYMENT: a_request(US, US, 5, hop),
        NoRouteReason.BAD_AMOUNT: a_request(US, DAVE, MAX_AMOUNT_MSAT + 1, hop),
        NoRouteReason.NO_CHANNEL: a_request(US, DAVE, 5, []),
        NoRouteReason.INSUFFICIENT_OUTBOUND: a_request(US, DAVE, 500_001, hop),
        NoRouteReason.UNKNOWN_DESTINATION: a_request(US, 77, 5, hop),
        NoRouteReason.FEE_LIMIT: a_request(US, DAVE, 5, hop, max_fee_msat=Msat(1999)),
        NoRouteReason.CLTV_LIMIT: a_request(US, DAVE, 5, hop, max_cltv_expiry_delta=CltvDelta(97)),
        NoRouteReason.TOO_MANY_HOPS: a_request(US, DAVE, 5, hop, max_hops=2),
        NoRouteReason.NO_PATH: a_request(US, DAVE, 5, hop, excluded_nodes=(a_node(CAROL),)),
    }
    assert {name: reason(finder.find(request, NOW)) for name, request in asked.items()} == {
        name: name for name in asked
    }


def test_what_was_there_and_what_was_needed_is_said() -> None:
    finder = a_line(base=1000)
    assert finder.find(a_request(US, DAVE, 5000, [(1, BOB, 4000)]), NOW) == NoRoute(
        NoRouteReason.INSUFFICIENT_OUTBOUND, 4000, 5000
    )
    assert finder.find(a_request(US, DAVE, 5, [(1, BOB, BTC)], max_fee_msat=Msat(7)), NOW) == NoRoute(
        NoRouteReason.FEE_LIMIT, 7, 2000
    )
    assert finder.find(a_request(US, DAVE, 5, [(1, BOB, BTC)], max_cltv_expiry_delta=CltvDelta(90)), NOW) == NoRoute(
        NoRouteReason.CLTV_LIMIT, 90, 98
    )


def test_a_peer_that_asks_for_larger_htlcs_is_named_as_the_reason() -> None:
    first = a_first_hop(1, BOB, BTC).but(htlc_minimum_msat=Msat(1000))
    request = a_request(US, BOB, 999).but(first_hops=(first,))
    assert a_line().find(request, NOW) == NoRoute(NoRouteReason.BELOW_MINIMUM, 999, 1000)


def test_a_dear_route_within_the_limit_is_found_though_a_quick_one_beyond_it_costs_less() -> None:
    slow = [a_channel(1, US, BOB, a_policy()), a_channel(2, BOB, DAVE, a_policy(base=10, cltv=1000))]
    quick = [a_channel(3, US, CAROL, a_policy()), a_channel(4, CAROL, DAVE, a_policy(base=200, cltv=1))]
    weights = Weights(time_lock_ppb=1000, attempt_msat=Msat(0), attempt_ppm=0, hop_msat=Msat(0))
    request = a_request(US, DAVE, 1_000_000, weights=weights)
    finder = Finder([*slow, *quick])
    assert numbers(finder.find(request, NOW)) == [3, 4]
    assert numbers(finder.find(request.but(max_fee_msat=Msat(100)), NOW)) == [1, 2]


def test_a_hint_leads_to_a_node_that_the_graph_does_not_know() -> None:
    hint = HintHop(a_node(DAVE), scid(7, 7, 7), Msat(300), 0, CltvDelta(10))
    request = a_request(US, 99, 5000, [(1, BOB, BTC)], hints=((hint,),))
    found = route(a_line(base=1000).find(request, NOW))
    assert found.hops[-1].scid == scid(7, 7, 7)
    assert found.hops[-1].node_id == a_node(99)
    assert (found.fee_msat, found.cltv_expiry) == (2300, 800_000 + 18 + 40 + 40 + 10)


def test_a_hint_of_two_hops_may_begin_at_our_own_peer() -> None:
    hint = (
        HintHop(a_node(50), scid(7, 7, 7), Msat(300), 0, CltvDelta(10)),
        HintHop(a_node(51), scid(8, 8, 8), Msat(30), 0, CltvDelta(10)),
    )
    request = a_request(US, 99, 5000, [(1, 50, BTC)], hints=(hint,))
    found = route(Finder().find(request, NOW))
    assert [hop.node_id for hop in found.hops] == [a_node(50), a_node(51), a_node(99)]
    assert found.fee_msat == 330


def test_a_hint_that_begins_with_ourselves_is_no_way_around_our_balance() -> None:
    hint = HintHop(a_node(US), scid(7, 7, 7), Msat(0), 0, CltvDelta(10))
    answer = Finder().find(a_request(US, 99, 5000, [(1, BOB, BTC)], hints=((hint,),)), NOW)
    assert reason(answer) is NoRouteReason.NO_PATH


def test_more_hints_than_anybody_needs_cost_nothing_more() -> None:
    hints = tuple(
        tuple(HintHop(a_node(1000 + 40 * n + m), scid(9, n, m), Msat(0), 0, CltvDelta(1)) for m in range(40))
        for n in range(100)
    )
    answer = a_line().find(a_request(US, 99, 5, [(1, BOB, BTC)], hints=hints), NOW)
    assert reason(answer) is NoRouteReason.NO_PATH


def test_excluded_channels_are_gone_for_this_search_only() -> None:
    finder = a_line()
    request = a_request(US, DAVE, 5, [(1, BOB, BTC)])
    for direction in (0, None):
        answer = finder.find(request.but(excluded_channels=(ExcludedChannel(scid(100, 2, 0), direction),)), NOW)
        assert reason(answer) is NoRouteReason.NO_PATH
    other = finder.find(request.but(excluded_channels=(ExcludedChannel(scid(100, 2, 0), 1),)), NOW)
    assert numbers(other) == numbers(finder.find(request, NOW)) == [1, 2, 3]


def test_a_last_hop_is_kept() -> None:
    both = a_policy(base=500)
    channels = [a_channel(1, BOB, DAVE, both), a_channel(2, BOB, CAROL, both), a_channel(3, CAROL, DAVE, both)]
    request = a_request(US, DAVE, 5, [(9, BOB, BTC)])
    finder = Finder(channels)
    assert numbers(finder.find(request, NOW)) == [9, 1]
    assert numbers(finder.find(request.but(last_hop=a_node(CAROL)), NOW)) == [9, 2, 3]
    assert numbers(finder.find(request, NOW)) == [9, 1]


def test_a_correction_replaces_a_policy_for_this_search_only() -> None:
    finder = a_line(base=1000)
    request = a_request(US, DAVE, 5000, [(1, BOB, BTC)])
    newer = Correction(scid(100, 3, 0), 0, Msat(4000), 0, CltvDelta(144), Msat(1), Msat(BTC))
    corrected = route(finder.find(request.but(corrections=(newer,)), NOW))
    assert (corrected.fee_msat, corrected.cltv_expiry) == (5000, 800_000 + 18 + 40 + 144)
    assert route(finder.find(request, NOW)).fee_msat == 2000


def test_a_policy_changes_in_place() -> None:
    finder = a_line(base=1000)
    assert finder.update(scid(100, 2, 0), 0, a_policy(base=1, enabled=False))
    request = a_request(US, DAVE, 5000, [(1, BOB, BTC)])
    assert reason(finder.find(request, NOW)) is NoRouteReason.NO_PATH
    assert finder.update(scid(100, 2, 0), 0, a_policy(base=1))
    assert route(finder.find(request, NOW)).fee_msat == 1001
    assert not finder.update(scid(100, 77, 0), 0, a_policy())


def test_a_channel_of_unknown_capacity_grows_with_its_policy() -> None:
    finder = Finder([a_channel(2, BOB, CAROL, a_policy(maximum=1000), None, capacity=None)])
    request = a_request(US, CAROL, 5000, [(1, BOB, BTC)])
    assert reason(finder.find(request, NOW)) is NoRouteReason.NO_PATH
    finder.update(scid(100, 2, 0), 0, a_policy(maximum=9000))
    assert numbers(finder.find(request, NOW)) == [1, 2]


def test_a_failure_turns_the_next_search_another_way() -> None:
    cheap = [a_channel(1, BOB, DAVE, a_policy(base=1)), a_channel(2, BOB, CAROL, a_policy(base=500))]
    finder = Finder([*cheap, a_channel(3, CAROL, DAVE, a_policy(base=500))])
    request = a_request(US, DAVE, 50_000, [(9, BOB, BTC)], Weights())
    first = route(finder.find(request, NOW))
    assert numbers(first) == [9, 1]
    finder.learn(Outcome(first, settled=False, failed_at=0, failure_code=0x1007), NOW)
    assert numbers(finder.find(request, NOW)) == [9, 2, 3]
    assert numbers(finder.find(request.but(amount_msat=Msat(49_000)), NOW)) == [9, 2, 3]


def test_the_only_way_is_tried_again_by_another_payment_though_it_failed_for_less() -> None:
    finder = a_line()
    drop = a_request(US, DAVE, 1, [(1, BOB, BTC)])
    failed = route(finder.find(drop, NOW))
    finder.learn(Outcome(failed, settled=False, failed_at=1, failure_code=0x1007), NOW)
    request = a_request(US, DAVE, 50_000, [(1, BOB, BTC)])
    assert numbers(finder.find(request, NOW)) == [1, 2, 3]
    # It is no secret that it failed, and what failed for a payment is not tried by it again.
    lower, upper = finder.liquidity.bounds(failed.hops[2].scid, failed.hops[2].direction, BTC, NOW)
    assert (lower, upper) == (0, 0)
    again = request.but(excluded_channels=(ExcludedChannel(failed.hops[2].scid, failed.hops[2].direction),))
    assert reason(finder.find(again, NOW)) is NoRouteReason.NO_PATH


def test_a_channel_that_its_node_calls_gone_is_the_named_reason() -> None:
    finder = a_line()
    request = a_request(US, DAVE, 50_000, [(1, BOB, BTC)])
    finder.learn(Outcome(route(finder.find(request, NOW)), settled=False, failed_at=1, failure_code=0x4008), NOW)
    no = finder.find(request, NOW)
    assert no == NoRoute(NoRouteReason.INSUFFICIENT_LIQUIDITY, need=50_000)
    assert str(no) == "no path has the liquidity, as far as attempts have shown (need 50,000 msat)"
    assert isinstance(finder.find(request, Timestamp(NOW + 3600)), Route)


def test_the_height_is_where_expiries_count_from() -> None:
    request = a_request(US, BOB, 5, [(1, BOB, 10)], height=BlockHeight(7))
    assert route(Finder().find(request, NOW)).cltv_expiry == 25
