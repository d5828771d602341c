"""What the next block is worth, height by height (B5-9, B5-10)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.builders.endings import ANCHORS, DESTINATION, FIRST, STATIC, closed, output_of, the, took
from tests.builders.env import FEERATES, an_env
from tests.builders.onchain import Plan, Planned
from tests.builders.papers import Papers

from fulmen.core.base.env import Env
from fulmen.core.base.ids import BlockHash
from fulmen.core.base.outer import Block
from fulmen.core.base.policy import DeadlinePolicy, FeeratePolicy, Policy, SweepPolicy
from fulmen.core.base.units import BlockHeight, CltvDelta, FeeratePerKw, Sat
from fulmen.core.onchain.deadlines import (
    Stake,
    back_by,
    budget_of,
    clamped,
    fee_due,
    feerate_due,
    floor_of,
    is_pressing,
    last_block_of,
    market_per_kw,
    rising,
    share_of,
    stake_of,
)
from fulmen.core.onchain.matters import Matter, Purpose
from fulmen.core.onchain.state import Bid, SecondStage

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


def test_back_by_leaves_a_block_at_least() -> None:
    short = POLICY.but(deadlines=DeadlinePolicy(cltv_expiry_delta=CltvDelta(18), fulfilled_deadline=CltvDelta(18)))
    assert back_by(BlockHeight(1000), replace(at(900), policy=short)) == 1001


def test_what_is_at_risk_bounds_the_rise_and_the_budget_bounds_it_too() -> None:
    assert rising(a_stake(at_risk_sat=Sat(4000)), at(999)) == 4000
    assert rising(a_stake(at_risk_sat=Sat(4000)), at(994)) == 1000
    assert rising(a_stake(budget=3000, at_risk_sat=Sat(4000)), at(999)) == 3000


@pytest.mark.parametrize(
    ("since", "height", "fee"), [(998, 998, 0), (999, 998, 0), (997, 998, 2500), (1010, 998, 0), (999, 999, 10_000)]
)
def test_a_rise_that_begins_late_is_short(since: int, height: int, fee: int) -> None:
    assert rising(a_stake(since=since), at(height)) == fee


def test_who_has_no_patience_pays_for_haste_after_a_block() -> None:
    env = replace(at(500), policy=POLICY.but(sweep=SweepPolicy(patience=CltvDelta(1), rises_over=CltvDelta(10))))
    assert [market_per_kw(a_stake(None, since), env) for since in (500, 499)] == [PATIENT, HASTY]
    none = replace(env, policy=POLICY.but(sweep=SweepPolicy(patience=CltvDelta(0))))
    assert [market_per_kw(a_stake(None, since), none) for since in (500, 499)] == [PATIENT, HASTY]


def test_haste_never_costs_less_than_patience() -> None:
    env = replace(at(5000), feerates=FEERATES.but(closing_per_kw=FeeratePerKw(3000), urgent_per_kw=FeeratePerKw(1000)))
    assert market_per_kw(a_stake(None), env) == 3000


def test_every_feerate_is_within_our_floor_and_our_cap() -> None:
    policy = POLICY.but(feerates=FeeratePolicy(floor_per_kw=FeeratePerKw(300), cap_per_kw=FeeratePerKw(50_000)))
    for market, floor in ((253, 300), (400, 400), (90_000, 50_000)):
        env = replace(at(500), policy=policy, feerates=FEERATES.but(floor_per_kw=FeeratePerKw(market)))
        assert floor_of(env) == floor and clamped(FeeratePerKw(1), env) == floor
        assert clamped(FeeratePerKw(45_000), env) == max(45_000, floor) and clamped(FeeratePerKw(60_000), env) == 50_000


def test_a_share_is_in_parts_of_a_million() -> None:
    env = replace(at(500), policy=POLICY.but(sweep=SweepPolicy(budget_ppm=250_000)))
    assert [share_of(amount, env) for amount in (0, 3, 4, 1_000_003)] == [0, 0, 1, 250_000]
    assert share_of(2_000_000, replace(at(500), policy=POLICY.but(sweep=SweepPolicy(budget_ppm=999_999)))) == 1_999_998


# -- of outputs -------------------------------------------------------------------------------------------------------

OFFER, RECEIVED = Planned(0, "alice", expires_in=60), Planned(1, "bob", 40_000_000, expires_in=70)


@pytest.mark.parametrize("which", ["alice", "bob"])
def test_the_last_block_of_an_output_is_the_one_before_anybody_else_can_have_it(which: str) -> None:
    papers = Papers(Plan(ANCHORS, (OFFER, RECEIVED)))
    state, env = closed(papers, which), at(FIRST)
    offered, received = [output_of(papers, state, planned) for planned in (OFFER, RECEIVED)]
    assert last_block_of(received, env) == papers.expiry(RECEIVED)
    assert last_block_of(offered, env) == back_by(papers.expiry(OFFER), env)
    assert last_block_of(the(state, Purpose.TO_LOCAL if which == "alice" else Purpose.TO_REMOTE), env) is None
    assert last_block_of(offered.but(output=None), env) is None


@pytest.mark.parametrize(("security_delay", "htlc", "balance"), [(18, 5, 5), (6, 5, 5), (5, 4, 5), (1, 0, 5)])
def test_a_cheater_is_to_be_taken_before_his_delay_is_over_and_htlcs_earlier_where_we_want(
    security_delay: int, htlc: int, balance: int
) -> None:
    cheated = Planned(0, "alice", expires_in=60, within=("bob_last",))
    papers = Papers(Plan(STATIC, (cheated,)))
    env = replace(at(FIRST), policy=POLICY.but(deadlines=DeadlinePolicy(security_delay=CltvDelta(security_delay))))
    state = closed(papers, "bob_last")
    matter, main = output_of(papers, state, cheated), the(state, Purpose.PUNISH_TO_LOCAL)
    assert last_block_of(matter, env) == FIRST + htlc and last_block_of(main, env) == FIRST + balance
    assert main.punished is not None
    for delay in (0, 1):
        at_once = main.but(punished=main.punished.but(to_self_delay=delay))
        assert last_block_of(at_once, env) == FIRST, "there is one block at least"


def test_a_stake_is_what_all_of_a_lot_is_worth_since_the_first_bid_until_the_first_deadline() -> None:
    papers = Papers(Plan(ANCHORS, (OFFER, RECEIVED)))
    state, env = closed(papers, "bob").but(destination=DESTINATION), at(FIRST + 9)
    offered, received = [output_of(papers, state, planned) for planned in (OFFER, RECEIVED)]
    balance = the(state, Purpose.TO_REMOTE)
    first = min(papers.expiry(RECEIVED), back_by(papers.expiry(OFFER), env))
    assert stake_of(state, (offered, received), env) == Stake(Sat(45_000), BlockHeight(FIRST + 9), first)
    assert stake_of(state, (balance,), env).last_block is None
    bids = (
        Bid(offered.outpoint, BlockHeight(FIRST + 5), FeeratePerKw(900)),
        Bid(received.outpoint, BlockHeight(FIRST + 3), FeeratePerKw(700)),
    )
    stake = stake_of(state.but(bids=bids), (offered, received, balance), env)
    assert (stake.since, stake.bid_per_kw, stake.hurries, stake.last_block) == (FIRST + 3, 900, False, first)


def test_a_cheat_is_at_stake_whole_and_since_it_stands_in_a_block() -> None:
    papers = Papers(Plan(STATIC))
    state = closed(papers, "bob_last")
    main = the(state, Purpose.PUNISH_TO_LOCAL)
    bid = Bid(main.outpoint, BlockHeight(FIRST + 4), FeeratePerKw(700))
    stake = stake_of(state.but(bids=(bid,)), (main,), at(FIRST + 5))
    assert (stake.since, stake.hurries, stake.bid_per_kw) == (FIRST, True, 700)
    assert stake.budget_sat == main.amount_sat - 294
    for amount, budget in ((294, 0), (295, 1), (200, 0)):
        assert budget_of(main.but(amount_sat=Sat(amount)), DESTINATION, at(FIRST)) == budget


def test_second_stages_of_ours_have_no_deadline() -> None:
    papers = Papers(Plan(ANCHORS, (OFFER,)))
    state = closed(papers, "alice")
    htlc: Matter = output_of(papers, state, OFFER)
    state = took(state, htlc, FIRST + 1, stage=SecondStage(0, htlc.amount_sat))
    assert last_block_of(the(state, Purpose.SECOND_STAGE), at(FIRST)) is None
