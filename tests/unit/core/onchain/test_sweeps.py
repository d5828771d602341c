"""Transactions that pay for themselves: what they bid, by how much a bid is raised, and how a batch is parted."""

from __future__ import annotations

from tests.builders.endings import (
    ANCHORS,
    DESTINATION,
    FIRST,
    STATIC,
    a_claim,
    closed,
    done,
    facts_of,
    output_of,
    published,
    seen,
    the,
    told,
    took,
    unspent,
)
from tests.builders.onchain import Plan, Planned
from tests.builders.papers import Papers

from fulmen.core.base.env import Env
from fulmen.core.base.funds import AttachFee
from fulmen.core.base.machine import Tell
from fulmen.core.base.units import CltvDelta, FeeratePerKw, Sat
from fulmen.core.bitcoin.script import dust_limit
from fulmen.core.bitcoin.transaction import INCREMENTAL_PER_KW, fee_at, fee_of, parse_tx
from fulmen.core.commitments.close import KnownPreimage
from fulmen.core.onchain.facts import ClaimDecided
from fulmen.core.onchain.matters import Matter, Purpose
from fulmen.core.onchain.raising import raise_all
from fulmen.core.onchain.state import Bid, Claim, Ending, Onchain
from fulmen.core.onchain.sweeps import is_worth_taking, name_of, parted, raised, sweep, weight_of
from fulmen.core.signer.requests import SignSpend

SMALL, LARGE = Planned(0, "bob", 40_000_000, expires_in=60), Planned(1, "bob", 60_000_000, expires_in=60)
OFFER = Planned(2, "alice", 50_000_000, expires_in=60)
BOTH = (SMALL, LARGE)
DUST = dust_limit(DESTINATION)


def a_close(which: str = "bob", *htlcs: Planned, format: str = ANCHORS) -> tuple[Papers, Onchain, list[Matter]]:
    """Both preimages of what we received are known."""
    papers = Papers(Plan(format, htlcs or BOTH))
    known = [
        KnownPreimage(planned.key("alice", papers.channel_id), planned.preimage)
        for planned in papers.plan.htlcs
        if planned.by == "bob"
    ]
    state = closed(papers, which).but(preimages=tuple(known))
    return papers, state, [output_of(papers, state, planned) for planned in papers.plan.htlcs]


def at_rate(papers: Papers, rate: int, height: int = FIRST, floor: int = 253) -> Env:
    """The market, for patience and for haste."""
    papers.feerates = papers.feerates.but(
        closing_per_kw=FeeratePerKw(rate), urgent_per_kw=FeeratePerKw(rate), floor_per_kw=FeeratePerKw(floor)
    )
    return papers.env_at("alice", height)


def ending_of(state: Onchain) -> Ending:
    assert state.ending is not None
    return state.ending


def weight_in(state: Onchain, *matters: Matter) -> int:
    spends = []
    for matter in matters:
        spend = matter.spend_with(state.preimage_for(matter))
        assert spend is not None
        spends.append((matter.outpoint, spend))
    return weight_of(tuple(spends), state.destination)


def paid(claim: Claim, *matters: Matter) -> int:
    return fee_of(parse_tx(claim.tx), Sat(sum(matter.amount_sat for matter in matters)))


# -- first ------------------------------------------------------------------------------------------------------------


def test_a_sweep_pays_what_the_market_asks_and_says_so() -> None:
    papers, state, lot = a_close()
    claim = sweep(state, ending_of(state), lot, at_rate(papers, 1500))
    weight = weight_in(state, *lot)
    assert claim.fee_sat == paid(claim, *lot) == fee_at(FeeratePerKw(1500), weight)
    assert claim.feerate_per_kw == claim.fee_sat * 1000 // weight
    assert claim.outpoints == tuple(matter.outpoint for matter in lot) and claim.root == ending_of(state).txid
    assert [request.index for request in claim.sign if isinstance(request, SignSpend)] == [0, 1]
    assert claim.name == "received HTLC"
    assert name_of([*lot, the(state, Purpose.TO_REMOTE)]) == "received HTLC + to_remote"


def test_a_sweep_leaves_no_less_than_dust_whatever_was_bid() -> None:
    papers, state, lot = a_close()
    bid = state.but(bids=(Bid(lot[0].outpoint, FIRST, FeeratePerKw(240_000)),))
    env = at_rate(papers, 1000)
    [output] = parse_tx(sweep(bid, ending_of(bid), lot[:1], env).tx).outputs
    assert output.amount_sat == DUST and output.script_pubkey == DESTINATION


def test_an_output_is_worth_taking_if_dust_is_left_of_it() -> None:
    papers, state, _ = a_close()
    matter = the(state, Purpose.TO_REMOTE)
    env = at_rate(papers, 1000, floor=700)
    least = DUST + fee_at(FeeratePerKw(700), weight_in(state, matter))
    assert is_worth_taking(state, matter.but(amount_sat=Sat(least)), env)
    assert not is_worth_taking(state, matter.but(amount_sat=Sat(least - 1)), env)


def test_a_penalty_is_signed_with_the_secret_that_was_revealed_and_nothing_else_is() -> None:
    papers = Papers(Plan(STATIC))
    state = closed(papers, "bob_last")
    matters = [the(state, Purpose.PUNISH_TO_LOCAL), the(state, Purpose.TO_REMOTE)]
    claim = sweep(state, ending_of(state), matters, papers.env_at("alice", FIRST))
    punished = matters[0].punished
    assert punished is not None
    assert [request.per_commitment_secret for request in claim.sign if isinstance(request, SignSpend)] == [
        punished.per_commitment_secret,
        None,
    ]


# -- more -------------------------------------------------------------------------------------------------------------


def test_a_transaction_is_replaced_when_what_is_due_pays_for_the_relay_of_both() -> None:
    papers, state, lot = a_close()
    weight = weight_in(state, *lot)
    due = fee_at(FeeratePerKw(2000), weight)
    relay = fee_at(INCREMENTAL_PER_KW, weight)
    env = at_rate(papers, 2000)
    enough = a_claim(state, *lot, fee=due - relay)
    claim = raised(state, ending_of(state), enough, lot, env)
    assert claim is not None and claim.fee_sat == paid(claim, *lot) == due
    assert raised(state, ending_of(state), a_claim(state, *lot, fee=due - relay + 1), lot, env) is None


def test_a_replacement_leaves_no_less_than_dust() -> None:
    papers, state, lot = a_close()
    bid = state.but(bids=(Bid(lot[0].outpoint, FIRST, FeeratePerKw(240_000)),))
    claim = raised(bid, ending_of(bid), a_claim(bid, lot[0]), lot[:1], at_rate(papers, 1000))
    assert claim is not None and parse_tx(claim.tx).outputs[0].amount_sat == DUST


def test_the_largest_of_a_batch_is_parted_from_it_if_it_can_pay_for_what_it_replaces() -> None:
    papers, state, (small, large) = a_close()
    env = at_rate(papers, 1000)
    relay = fee_at(INCREMENTAL_PER_KW, weight_in(state, large))
    most = large.amount_sat // 2 - relay
    claim = parted(state, ending_of(state), a_claim(state, small, large, fee=most), [small, large], env)
    assert claim is not None and claim.outpoints == (large.outpoint,)
    assert claim.fee_sat == paid(claim, large) == most + relay
    assert parted(state, ending_of(state), a_claim(state, small, large, fee=most + 1), [small, large], env) is None


def test_what_is_parted_pays_what_is_due_where_that_is_more() -> None:
    papers, state, (small, large) = a_close()
    claim = parted(state, ending_of(state), a_claim(state, small, large, fee=10), [small, large], at_rate(papers, 9000))
    assert claim is not None and claim.fee_sat == fee_at(FeeratePerKw(9000), weight_in(state, large))


def test_what_is_parted_leaves_no_less_than_dust_where_the_floor_of_the_mempool_has_jumped() -> None:
    papers, state, (small, large) = a_close()
    papers.policy = papers.policy.but(feerates=papers.policy.feerates.but(cap_per_kw=FeeratePerKw(250_000)))
    env = at_rate(papers, 250_000, floor=250_000)
    assert fee_at(FeeratePerKw(250_000), weight_in(state, large)) > large.amount_sat
    claim = parted(state, ending_of(state), a_claim(state, small, large, fee=300), [small, large], env)
    assert claim is not None and parse_tx(claim.tx).outputs[0].amount_sat == DUST


# -- with every block -------------------------------------------------------------------------------------------------


def raises(state: Onchain, env: Env) -> list[Claim]:
    return [fact.claim for fact in facts_of(raise_all(state, env), ClaimDecided)]


def test_what_waits_is_raised_to_what_is_due_and_what_does_not_is_left_alone() -> None:
    papers, state, (small, large) = a_close()
    env = at_rate(papers, 3000)
    one, two = a_claim(state, small), a_claim(state, large)
    both = state.but(claims=(one, two))
    assert [claim.outpoints for claim in raises(both, env)] == [one.outpoints, two.outpoints]
    assert all(fact.at == FIRST for fact in facts_of(raise_all(both, env), ClaimDecided))
    assert [claim.outpoints for claim in raises(took(both, small, FIRST, by=one.txid), env)] == [two.outpoints]
    half = both.but(claims=(a_claim(state, small, large, the(state, Purpose.TO_REMOTE)),))
    assert raises(took(half, small, FIRST, by=half.claims[0].txid), env) == [], "it lost one of its outputs"
    strange = one.but(outpoints=(*one.outpoints, one.outpoints[0].but(vout=99)))
    assert raises(state.but(claims=(strange,)), env) == [], "one of its outputs does not matter any more"
    assert raises(both.but(destination=b""), env) == [] and raises(unspent(papers), env) == []
    assert raises(both, at_rate(papers, 300)) == []


def test_nothing_new_is_claimed_where_nothing_was_parted() -> None:
    """What is due was claimed a moment before, and the wallet asked; it would be asked twice."""
    papers, state, (small, _) = a_close("alice")
    step = raise_all(state.but(claims=()), papers.env_at("alice", papers.expiry(SMALL)))
    assert not step.facts and not step.actions and small.htlc_tx is not None


def test_a_batch_that_presses_is_parted_and_the_rest_is_claimed_at_once() -> None:
    papers, state, (small, large) = a_close()
    presses = papers.expiry(SMALL) - papers.policy.deadlines.security_delay
    balance = the(state, Purpose.TO_REMOTE)
    env = at_rate(papers, 500, presses)
    state = state.but(claims=(sweep(state, ending_of(state), [small, large], env), a_claim(state, balance, fee=0)))
    claims = raises(state, env)
    assert [claim.outpoints for claim in claims] == [(large.outpoint,), (balance.outpoint,), (small.outpoint,)]
    state = state.but(claims=state.claims[:1])
    early = at_rate(papers, 500, presses - 1)
    assert raises(state, early) == []
    alone = state.but(claims=(sweep(state, ending_of(state), [large], early),))
    assert raises(alone, early) == []


def test_a_batch_that_presses_is_raised_whole_where_none_of_it_can_pay_for_all() -> None:
    papers, state, (small, large) = a_close()
    env = at_rate(papers, 240_000, papers.expiry(SMALL) - 1)
    dear = a_claim(state, small, large, fee=30_000)
    [claim] = raises(state.but(claims=(dear,)), env)
    assert claim.outpoints == dear.outpoints and claim.fee_sat > 31_000


def test_the_wallet_is_asked_for_more_where_it_pays_and_nobody_where_the_peer_has_signed_the_fee() -> None:
    for format, asks in ((ANCHORS, 1), (STATIC, 0)):
        papers, state, (small, _) = a_close("alice", format=format)
        state = state.but(claims=(a_claim(state, small, ref=b"ref"),))
        step = raise_all(state, at_rate(papers, 3000))
        assert len(told(step, AttachFee)) == asks == len(done(step, Tell)) and not step.facts
        assert not raise_all(state, at_rate(papers, 600)).actions


def test_of_what_no_block_has_only_penalties_are_raised() -> None:
    cheated = Planned(0, "alice", 50_000_000, expires_in=60, within=("alice", "bob", "bob_last"))
    papers = Papers(Plan(STATIC, (cheated,)))
    env = at_rate(papers, 4000, FIRST - 1)
    for which, expected in (("bob", []), ("bob_last", [Purpose.PUNISH_HTLC.value])):
        state = seen(papers, which)
        htlc, balance = output_of(papers, state, cheated), the(state, Purpose.TO_REMOTE)
        state = state.but(claims=(a_claim(state, htlc), a_claim(state, balance)))
        assert [claim.name for claim in raises(state, env)] == expected
        mixed = state.but(claims=(a_claim(state, htlc, balance),))
        assert raises(mixed, env) == []
    assert raises(published(papers), env) == []


def test_a_deadline_that_is_short_for_a_channel_of_long_delays_is_the_policys() -> None:
    cheated = Planned(0, "alice", 50_000_000, expires_in=60, within=("bob_last",))
    papers = Papers(Plan(STATIC, (cheated,)))
    papers.policy = papers.policy.but(deadlines=papers.policy.deadlines.but(security_delay=CltvDelta(3)))
    state = closed(papers, "bob_last")
    htlc = output_of(papers, state, cheated)
    fees = [
        raised(state, ending_of(state), a_claim(state, htlc, fee=0), [htlc], papers.env_at("alice", FIRST + n))
        for n in range(4)
    ]
    most = htlc.amount_sat - DUST
    # All of it under the tip on which the last block is made.
    assert [claim.fee_sat == most for claim in fees if claim is not None] == [False, True, True, True]
