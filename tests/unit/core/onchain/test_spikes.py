"""A feerate that rises for some blocks: what is not worth its fee then is taken when it falls."""

from __future__ import annotations

import pytest
from tests.builders.cheats import cheat, mine_exactly
from tests.builders.closes import check_money
from tests.builders.court import Court
from tests.builders.endings import (
    ANCHORS,
    FIRST,
    STATIC,
    a_claim,
    block,
    closed,
    done,
    elsewhere,
    facts_of,
    key_of,
    output_of,
    the,
    told,
)
from tests.builders.env import FEERATES
from tests.builders.onchain import Plan, Planned
from tests.builders.papers import Papers

from fulmen.core.base.env import Env, Feerates
from fulmen.core.base.funds import AttachFee
from fulmen.core.base.ids import Txid
from fulmen.core.base.machine import evolve
from fulmen.core.base.outer import Notify
from fulmen.core.base.units import FeeratePerKw, Sat
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.commitments.close import KnownPreimage
from fulmen.core.onchain.claims import claim_all
from fulmen.core.onchain.facts import ClaimDecided, OutputGivenUp, OutputTaken, OutputWanted
from fulmen.core.onchain.matters import Matter, Purpose
from fulmen.core.onchain.raising import raise_all
from fulmen.core.onchain.state import Claim, GivenUp, Onchain, Taken

SPIKE = 12_500
"""50 sat/vB."""

RECEIVED = Planned(0, "bob", 15_000_000, 60)
SMALL_RECEIVED = Planned(0, "bob", 6_000_000, 60)
OFFERED = Planned(0, "alice", 15_000_000, 20)
REVOKED = Planned(0, "bob", 7_000_000, 60, within=("bob_last",))


def spike(feerate: int = SPIKE) -> Feerates:
    """Every feerate, and what the mempool takes at least."""
    return Feerates(*[FeeratePerKw(feerate)] * 6)


def at(papers: Papers, height: int, feerates: Feerates = FEERATES) -> Env:
    papers.feerates = feerates
    return papers.env_at("alice", height)


# -- the whole way, on the chain --------------------------------------------------------------------------------------


def after_a_spike(plan: Plan, closer: str, blocks: int) -> Court:
    """A close at the beginning of a spike, which ends after so many blocks."""
    court = Court(plan)
    court.feerates = spike()
    if closer == "the cheat":
        cheat(court)
    else:
        mine_exactly(court, parse_tx(court.hosts[closer].commitment()))
    for _ in range(blocks):
        mine_exactly(court)
    assert [given.why for given in court.alice.onchain.given_up] == [
        f"{plan.htlcs[0].amount_msat // 1000} sat cost more than they bring at {SPIKE} sat/kw"
    ]
    court.feerates = FEERATES
    court.mine_until_resolved(120)
    assert not court.alice.onchain.given_up
    return court


@pytest.mark.parametrize(("closer", "htlc"), [("alice", RECEIVED), ("bob", SMALL_RECEIVED)])
def test_what_we_hold_the_preimage_of_is_claimed_after_a_spike(closer: str, htlc: Planned) -> None:
    plan = Plan(ANCHORS, (htlc,), known=(("alice", 0),), coin_sat=Sat(2_000_000))
    court = after_a_spike(plan, closer, 2)
    check_money(court, closer, {0: "alice"})
    assert court.bob.fate_of(htlc) == ["fulfilled"]


def test_what_we_offered_is_taken_back_after_a_spike_before_upstream_hears_that_it_failed() -> None:
    court = after_a_spike(Plan(ANCHORS, (OFFERED,), coin_sat=Sat(2_000_000)), "alice", 22)
    check_money(court, "alice", {0: "alice"})
    assert court.alice.fate_of(OFFERED) == ["failed"]


def test_an_htlc_of_a_cheater_is_punished_after_a_spike() -> None:
    court = after_a_spike(Plan(ANCHORS, (REVOKED,), coin_sat=Sat(2_000_000)), "the cheat", 2)
    [htlc] = [m for m in court.alice.onchain.matters.values() if m.purpose is Purpose.PUNISH_HTLC]
    assert court.taker_of(htlc.outpoint) == "alice"


# -- block by block ---------------------------------------------------------------------------------------------------


def a_judged_close(format: str = STATIC, which: str = "bob", *htlcs: Planned) -> tuple[Papers, Onchain, Matter]:
    """A close with one HTLC that we may take now, whose preimage we know if we received it."""
    htlc = (htlcs or (SMALL_RECEIVED,))[0]
    papers = Papers(Plan(format, htlcs or (htlc,)))
    state = closed(papers, which)
    if htlc.by == "bob":
        state = state.but(preimages=(KnownPreimage(key_of(papers, htlc), htlc.preimage),))
    return papers, state, output_of(papers, state, htlc)


def test_a_spike_is_said_once_and_its_end_once() -> None:
    papers, state, htlc = a_judged_close()
    first = claim_all(state, at(papers, FIRST, spike()))
    assert [fact.outpoint for fact in facts_of(first, OutputGivenUp)] == [htlc.outpoint]
    second = claim_all(first.state, at(papers, FIRST + 1, spike(2 * SPIKE)))
    assert not second.facts and not second.actions, "one row for a spike, however long"
    after = claim_all(second.state, at(papers, FIRST + 2))
    assert [fact.outpoint for fact in facts_of(after, OutputWanted)] == [htlc.outpoint]
    assert [fact.claim.outpoints for fact in facts_of(after, ClaimDecided)] == [(htlc.outpoint,)]
    [notice] = done(after, Notify)
    assert notice.about["wanted_again"] == "it pays at 253 sat/kw" and notice.about["what"] == "received HTLC"
    assert after.state.given_up == ()
    again = claim_all(after.state, at(papers, FIRST + 3))
    assert not again.facts and not again.actions


def test_what_the_wallet_pays_for_is_wanted_again_before_it_has_paid() -> None:
    papers, state, htlc = a_judged_close(ANCHORS, "alice", RECEIVED)
    given_up = claim_all(state, at(papers, FIRST, spike())).state
    assert given_up.is_given_up == {htlc.outpoint}
    step = claim_all(given_up, at(papers, FIRST + 1))
    [request] = told(step, AttachFee)
    assert [spent.outpoint for spent in request.inputs] == [htlc.outpoint]
    assert not step.state.is_given_up, "who has no coins has not given it up"


def test_a_spike_leaves_no_bid_behind_and_the_deadline_is_kept() -> None:
    papers, state, htlc = a_judged_close()
    given_up = claim_all(state, at(papers, FIRST, spike())).state
    assert htlc.outpoint not in given_up.bid_on
    last = papers.expiry(SMALL_RECEIVED)
    late = claim_all(given_up, at(papers, last - 5)).state
    [claim] = [claim for claim in late.claims if htlc.outpoint in claim.outpoints]
    fees = [claim.fee_sat]
    for height in range(last - 4, last):
        late = raise_all(late, at(papers, height)).state
        fees.append(late.claim_on[htlc.outpoint].fee_sat)
    assert fees == sorted(fees) and fees[-1] == htlc.amount_sat // 2, "all of its budget for the last block"


def test_what_is_taken_or_claimed_after_all_is_not_given_up_any_more() -> None:
    papers, state, htlc = a_judged_close()
    balance = the(state, Purpose.TO_REMOTE)
    state = state.but(given_up=tuple([GivenUp(o, "dear") for o in (htlc.outpoint, balance.outpoint, elsewhere())]))
    taken = evolve(state, OutputTaken(Taken(htlc.outpoint, Txid(b"t" * 32), block(FIRST + 1))))
    assert taken.is_given_up == {balance.outpoint, elsewhere()}
    claimed = evolve(state, ClaimDecided(a_claim(state, htlc, balance), papers.env_at("alice", FIRST).height))
    assert claimed.is_given_up == {elsewhere()}


# -- what was claimed before the spike --------------------------------------------------------------------------------


@pytest.mark.parametrize(("which", "htlc"), [("alice", RECEIVED), ("bob", SMALL_RECEIVED)])
def test_a_claim_pays_no_more_than_its_output_brings_and_goes_on_after_the_spike(which: str, htlc: Planned) -> None:
    court = Court(Plan(ANCHORS, (htlc,), known=(("alice", 0),), coin_sat=Sat(2_000_000)))
    mine_exactly(court, parse_tx(court.hosts[which].commitment()))

    def ours() -> tuple[Claim, bool]:
        state = court.alice.onchain
        [outpoint] = [m.outpoint for m in state.matters.values() if m.key is not None]
        return state.claim_on[outpoint], outpoint in state.is_given_up

    before, shown = ours()
    assert not shown and before.feerate_per_kw < SPIKE
    court.feerates = spike(4 * SPIKE)
    mine_exactly(court)
    assert ours() == (before, True)
    mine_exactly(court)
    assert ours() == (before, True)
    court.feerates = FEERATES
    mine_exactly(court)
    assert ours() == (before, False)
    court.mine_until_resolved(120)
    check_money(court, which, {0: "alice"})
    assert ours()[0].fee_sat < htlc.amount_msat // 2000


def test_a_claim_that_the_mempool_still_takes_is_not_given_up() -> None:
    papers, state, htlc = a_judged_close()
    claim = a_claim(state, htlc, feerate=SPIKE)
    state = state.but(claims=(claim,))
    for feerate, given_up in ((SPIKE, False), (SPIKE + 1, True)):
        step = raise_all(state, at(papers, FIRST, spike(feerate)))
        assert bool(facts_of(step, OutputGivenUp)) is given_up


def test_a_penalty_is_raised_no_further_in_a_spike_than_it_brings() -> None:
    papers = Papers(Plan(ANCHORS, (REVOKED,)))
    state = claim_all(closed(papers, "bob_last"), at(papers, FIRST)).state
    htlc = the(state, Purpose.PUNISH_HTLC)
    before = state.claim_on[htlc.outpoint]
    step = raise_all(state, at(papers, FIRST + 1, spike(2 * SPIKE)))
    assert step.state.claim_on[htlc.outpoint] == before and step.state.is_given_up == {htlc.outpoint}
    after = raise_all(step.state, at(papers, FIRST + 2)).state
    assert not after.is_given_up and after.claim_on[htlc.outpoint].fee_sat < htlc.amount_sat // 2
