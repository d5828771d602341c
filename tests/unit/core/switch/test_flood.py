"""What may be under way from one peer, and from all of them (flood and loot)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.builders.switch import (
    ALICE,
    CAROL,
    FROM_ALICE,
    HEIGHT,
    INCOMING,
    a_link,
    bob,
    locked_in,
    onion_for_bob,
    onion_through_bob,
    told,
)

from fulmen.core.base.env import Env
from fulmen.core.base.ids import ChannelId, NodeId
from fulmen.core.base.outer import Notify
from fulmen.core.base.policy import FloodPolicy, Policy
from fulmen.core.base.units import FeeratePerKw, Msat, Sat
from fulmen.core.commitments.htlcs import FailHtlc, LinkView, OfferHtlc, circuit_address
from fulmen.core.onion.errors import unwrap
from fulmen.core.onion.failures import TemporaryChannelFailure, TemporaryNodeFailure, decode_failure
from fulmen.core.onion.payload import Payload, PaymentData
from fulmen.core.switch.circuit import initial
from fulmen.core.switch.circuits import decide
from fulmen.core.switch.flood import claims_cost_sat, too_much_under_way

ALSO_FROM_ALICE = ChannelId(b"b" * 32)
FROM_DAVE, DAVE = ChannelId(b"v" * 32), NodeId(b"\x03" + b"d" * 32)
BOUNDS = FloodPolicy(max_received_per_peer=100, max_received_msat_per_peer=Msat(5_000_000), max_received=150)


def received(channel_id: ChannelId, node_id: NodeId, count: int, msat: int = 0, outputs: int = 0) -> LinkView:
    return a_link(
        channel_id, node_id, scid=None, received_count=count, received_msat=Msat(msat), received_outputs=outputs
    )


def beyond(*links: LinkView, bounds: FloodPolicy = BOUNDS, **changes: Any) -> str:
    env = bob(policy=Policy(flood=bounds))
    feerates = env.feerates.but(**{name: FeeratePerKw(rate) for name, rate in changes.items()})
    return too_much_under_way(FROM_ALICE, links, replace(env, feerates=feerates))


def test_htlcs_of_all_channels_of_a_peer_count_together() -> None:
    first, second = received(FROM_ALICE, ALICE, 60), received(ALSO_FROM_ALICE, ALICE, 40)
    assert beyond(first, second) == ""
    assert beyond(first, second.but(received_count=41)) == "received from one peer"
    assert beyond(first, received(FROM_DAVE, DAVE, 41)) == "", "another peer's are not theirs"


def test_so_does_their_value() -> None:
    first, second = received(FROM_ALICE, ALICE, 1, 3_000_000), received(ALSO_FROM_ALICE, ALICE, 1, 2_000_000)
    assert beyond(first, second) == ""
    assert beyond(first, second.but(received_msat=Msat(2_000_001))) == "value received from one peer"
    assert beyond(first, received(FROM_DAVE, DAVE, 1, 2_000_001)) == ""


def test_all_peers_together_have_a_bound_too() -> None:
    """Whoever floods has as many node ids as he likes."""
    mine, others = received(FROM_ALICE, ALICE, 60), received(FROM_DAVE, DAVE, 90)
    assert beyond(mine, others) == ""
    assert beyond(mine, others.but(received_count=91)) == "received from all peers"


def test_claiming_all_of_a_peers_htlcs_costs_a_share_of_them_or_an_allowance() -> None:
    bounds = FloodPolicy(claims_allowance_sat=Sat(10_000))
    link = received(FROM_ALICE, ALICE, 10, 40_000_000, outputs=10)
    # 10 * 706 weight units; half of 40,000 sat may go into fees.
    assert beyond(link, bounds=bounds, urgent_per_kw=2833) == ""
    assert beyond(link, bounds=bounds, urgent_per_kw=2834) == "price of claiming what is received from one peer"
    assert beyond(link.but(received_outputs=9), bounds=bounds, urgent_per_kw=2834) == ""
    poor = link.but(received_msat=Msat(0))
    assert beyond(poor, bounds=bounds, urgent_per_kw=1416) == ""
    assert beyond(poor, bounds=bounds, urgent_per_kw=1417) == "price of claiming what is received from one peer"


def test_an_htlc_to_claim_is_as_heavy_as_its_transaction() -> None:
    assert claims_cost_sat(10, bob()) == 2000 * 7060 // 1000


def failure(env: Env, onion: Any) -> tuple[Any, list[Notify]]:
    step = decide(initial(circuit_address(INCOMING).key), locked_in(onion), env)
    (event,) = told(step)
    assert isinstance(event, FailHtlc)
    returned = unwrap(onion.shared_secrets, event.reason)
    assert returned is not None
    return decode_failure(returned.message), [one for one in step.actions if isinstance(one, Notify)]


def test_what_is_over_the_bound_is_not_forwarded_and_the_operator_hears_why() -> None:
    env = bob(a_link(), received(FROM_ALICE, ALICE, 101), policy=Policy(flood=BOUNDS))
    answer, news = failure(env, onion_through_bob())
    assert answer == TemporaryChannelFailure()
    assert news[0] == Notify("too much under way", {"incoming": str(INCOMING), "bound": "received from one peer"})


def test_nor_is_it_received_for_an_invoice_of_ours() -> None:
    env = bob(received(FROM_ALICE, ALICE, 101), policy=Policy(flood=BOUNDS))
    final = Payload(Msat(101_100), HEIGHT + 30, payment_data=PaymentData(b"s" * 32, 101_100))
    assert failure(env, onion_for_bob(final))[0] == TemporaryNodeFailure()


@pytest.mark.parametrize("count", [0, 100])
def test_what_is_within_the_bounds_goes_on(count: int) -> None:
    env = bob(a_link(), received(FROM_ALICE, ALICE, count), policy=Policy(flood=BOUNDS))
    step = decide(initial(circuit_address(INCOMING).key), locked_in(onion_through_bob()), env)
    assert [type(event) for event in told(step)] == [OfferHtlc]


def test_what_we_offer_floods_nobody_but_ourselves_and_is_not_counted() -> None:
    assert beyond(received(FROM_ALICE, ALICE, 1), a_link(node_id=CAROL)) == ""
