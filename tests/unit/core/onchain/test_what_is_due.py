"""What the next block is worth, height by height (B5-9, B5-10)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.builders.env import FEERATES, an_env

from fulmen.core.base.env import Env
from fulmen.core.base.ids import BlockHash
from fulmen.core.base.outer import Block
from fulmen.core.base.policy import DeadlinePolicy, FeeratePolicy, Policy, SweepPolicy
from fulmen.core.base.units import BlockHeight, CltvDelta, FeeratePerKw, Sat
from fulmen.core.onchain.deadlines import Stake, back_by, fee_due, feerate_due, is_pressing, market_per_kw, rising

PATIENT, HASTY = FeeratePerKw(1000), FeeratePerKw(9000)
POLICY = Policy(
    sweep=SweepPolicy(patience=CltvDelta(100), rises_over=CltvDelta(10)),
    deadlines=DeadlinePolicy(security_delay=CltvDelta(18)),
    feerates=FeeratePolicy(cap_per_kw=FeeratePerKw(50_000)),
)


def at(height: int) -> Env:
    """The tip at this height, and a market in which haste costs nine times what patience does."""
    tip = Block(BlockHeight(height), BlockHash(bytes(32)))
    rates = FEERATES.but(closing_per_kw=PATIENT, urgent_per_kw=HASTY, floor_per_kw=FeeratePerKw(253))
    return replace(an_env(b"due"), tip=tip, policy=POLICY, feerates=rates)


def a_stake(last_block: int | None = 1000, since: int = 500, budget: int = 10_000, **changes: object) -> Stake:
    last = None if last_block is None else BlockHeight(last_block)
    return Stake(Sat(budget), BlockHeight(since), last).but(**changes)


@pytest.mark.parametrize(
    ("height", "rate"), [(800, 1000), (882, 1000), (883, 1080), (932, 5000), (981, 8920), (982, 9000), (1200, 9000)]
)
def test_the_market_is_paid_for_patience_far_from_the_deadline_and_for_haste_within_the_security_delay(
    height: int, rate: int
) -> None:
    assert market_per_kw(a_stake(), at(height)) == rate


@pytest.mark.parametrize(("height", "rate"), [(499, 1000), (500, 1000), (550, 5000), (600, 9000), (900, 9000)])
def test_what_has_no_deadline_pays_for_haste_once_it_has_waited_long(height: int, rate: int) -> None:
    assert market_per_kw(a_stake(None), at(height)) == rate


def test_who_hurries_pays_for_haste_at_once() -> None:
    assert market_per_kw(a_stake(hurries=True), at(500)) == HASTY


@pytest.mark.parametrize(
    ("height", "fee"), [(900, 0), (989, 0), (990, 100), (994, 2500), (998, 8100), (999, 10_000), (1100, 10_000)]
)
def test_the_budget_is_set_free_with_the_square_of_the_last_blocks(height: int, fee: int) -> None:
    assert rising(a_stake(), at(height)) == fee


def test_a_rise_begins_with_the_claim_where_that_is_late_and_with_a_cheat_where_it_hurries() -> None:
    late = a_stake(since=995)
    assert [rising(late, at(height)) for height in (995, 997, 999)] == [0, 2500, 10_000]
    cheat = a_stake(since=899, hurries=True)
    assert [rising(cheat, at(height)) for height in (899, 949, 999)] == [0, 2500, 10_000]


def test_nothing_rises_without_a_deadline() -> None:
    assert rising(a_stake(None), at(5000)) == 0


def test_a_fee_keeps_to_its_bounds() -> None:
    weight = 1000
    assert fee_due(a_stake(budget=600), weight, at(800)) == 600, "no more than the budget"
    assert fee_due(a_stake(budget=100), weight, at(800)) == 253, "no less than the floor"
    assert fee_due(a_stake(budget=90_000), weight, at(1000)) == 50_000, "no more than the cap"
    bid = a_stake(budget=600, bid_per_kw=FeeratePerKw(700))
    assert fee_due(bid, weight, at(800)) == 700, "no less than what was bid before"
    assert feerate_due(a_stake(budget=3000), 2000, at(1000)) == 1500


@pytest.mark.parametrize(("height", "pressing"), [(981, False), (982, True)])
def test_a_deadline_presses_within_the_security_delay(height: int, pressing: bool) -> None:
    assert is_pressing(BlockHeight(1000), at(height)) is pressing
    assert not is_pressing(None, at(height))


def test_an_offered_htlc_leaves_the_upstream_one_its_last_blocks() -> None:
    deadlines = POLICY.deadlines
    assert back_by(BlockHeight(1000), at(900)) == 1000 + deadlines.cltv_expiry_delta - deadlines.fulfilled_deadline
