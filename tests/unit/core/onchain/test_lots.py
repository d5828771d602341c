"""Which outputs are due, and which of them share a transaction."""

from __future__ import annotations

import pytest
from tests.builders.endings import (
    ANCHORS,
    DESTINATION,
    FIRST,
    STATIC,
    a_claim,
    closed,
    done,
    elsewhere,
    facts_of,
    output_of,
    seen,
    the,
    told,
    took,
)
from tests.builders.onchain import Plan, Planned
from tests.builders.papers import Papers

from fulmen.core.base.env import Env
from fulmen.core.base.funds import AskScript, AttachFee
from fulmen.core.base.ids import OutPoint, Txid
from fulmen.core.base.machine import evolve
from fulmen.core.base.outer import Notify
from fulmen.core.base.policy import SweepPolicy
from fulmen.core.base.units import BlockHeight, CltvDelta, FeeratePerKw, Sat
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.commitments.close import KnownPreimage
from fulmen.core.onchain.claims import claim_all, detach, lots_of, voided
from fulmen.core.onchain.facts import BlocksUndone, ClaimDecided, CloseUndone, OutputGivenUp
from fulmen.core.onchain.matters import Matter, Purpose
from fulmen.core.onchain.state import Onchain, SecondStage

SMALL, MIDDLE, LARGE, LATER = (
    Planned(0, "bob", 40_000_000, expires_in=40),
    Planned(1, "bob", 50_000_000, expires_in=40),
    Planned(2, "bob", 60_000_000, expires_in=40),
    Planned(3, "bob", 70_000_000, expires_in=50),
)
KNOWN = tuple(("alice", n) for n in range(4))
OFFERS = (
    Planned(0, "alice", 40_000_000, expires_in=1),
    Planned(1, "alice", 50_000_000, expires_in=1),
    Planned(2, "alice", 60_000_000, expires_in=2),
)


def lots(state: Onchain, env: Env, *matters: Matter) -> list[list[Matter]]:
    assert state.spend is not None
    return [list(lot) for lot in lots_of(state, state.spend, list(matters), env)]


def at_most(papers: Papers, inputs: int) -> Papers:
    papers.policy = papers.policy.but(sweep=SweepPolicy(most_inputs=inputs))
    return papers


def pressing_within(papers: Papers, blocks: int) -> Papers:
    papers.policy = papers.policy.but(deadlines=papers.policy.deadlines.but(security_delay=CltvDelta(blocks)))
    return papers


@pytest.mark.parametrize(("most", "sizes"), [(0, [1, 1, 1]), (1, [1, 1, 1]), (2, [2, 1]), (3, [3]), (4, [3])])
def test_a_lot_has_no_more_inputs_than_we_want_and_the_largest_amounts_first(most: int, sizes: list[int]) -> None:
    papers = at_most(Papers(Plan(htlcs=(SMALL, MIDDLE, LARGE), known=KNOWN)), most)
    state = closed(papers, "bob")
    found = lots(state, papers.env_at("alice", FIRST), *[output_of(papers, state, p) for p in (SMALL, LARGE, MIDDLE)])
    assert [len(lot) for lot in found] == sizes
    assert [matter.amount_sat for lot in found for matter in lot] == [60_000, 50_000, 40_000]


def test_lots_come_in_the_order_of_their_deadlines_and_what_has_none_comes_last() -> None:
    papers = Papers(Plan(htlcs=(SMALL, LATER)))
    state = closed(papers, "bob")
    balance, first, second = the(state, Purpose.TO_REMOTE), *[output_of(papers, state, p) for p in (SMALL, LATER)]
    assert balance.amount_sat > second.amount_sat > first.amount_sat
    found = lots(state, papers.env_at("alice", FIRST), balance, second, first)
    assert found == [[first], [second], [balance]]


def test_outputs_that_somebody_else_was_seen_to_spend_are_taken_each_alone() -> None:
    papers = Papers(Plan(htlcs=(SMALL, MIDDLE, LARGE)))
    state = closed(papers, "bob")
    small, middle, large = [output_of(papers, state, planned) for planned in (SMALL, MIDDLE, LARGE)]
    env = papers.env_at("alice", FIRST)
    assert lots(state, env, small, middle, large) == [[large, middle, small]]
    contested = state.but(contested=(small.outpoint, large.outpoint))
    assert sorted(map(len, lots(contested, env, small, middle, large))) == [1, 1, 1]


@pytest.mark.parametrize(("format", "which", "far"), [(ANCHORS, "bob", 1), (ANCHORS, "alice", 1), (STATIC, "alice", 2)])
def test_htlcs_are_taken_alone_where_the_deadline_presses_or_the_peer_has_signed_each_whole(
    format: str, which: str, far: int
) -> None:
    papers = Papers(Plan(format, (SMALL, MIDDLE)))
    state = closed(papers, which)
    both = [output_of(papers, state, planned) for planned in (SMALL, MIDDLE)]
    presses = papers.expiry(SMALL) - papers.policy.deadlines.security_delay
    assert len(lots(state, papers.env_at("alice", presses - 1), *both)) == far
    assert len(lots(state, papers.env_at("alice", presses), *both)) == 2


@pytest.mark.parametrize("which", ["alice", "bob"])
def test_htlcs_of_another_expiry_or_another_direction_stand_apart(which: str) -> None:
    offer = Planned(9, "alice", 45_000_000, expires_in=40)
    papers = Papers(Plan(htlcs=(SMALL, LATER, offer)))
    state = closed(papers, which)
    three = [output_of(papers, state, planned) for planned in (SMALL, LATER, offer)]
    assert len(lots(state, papers.env_at("alice", FIRST), *three)) == 3


def test_our_balance_and_our_second_stages_share_a_transaction() -> None:
    papers = Papers(Plan(htlcs=OFFERS[:2]))
    state = closed(papers, "alice")
    for number, planned in enumerate(OFFERS[:2]):
        htlc = output_of(papers, state, planned)
        state = took(state, htlc, FIRST + 1, bytes([number]) * 32, SecondStage(0, htlc.amount_sat))
    stages = [matter for matter in state.matters.values() if matter.purpose is Purpose.SECOND_STAGE]
    assert len(lots(state, papers.env_at("alice", FIRST + 9), the(state, Purpose.TO_LOCAL), *stages)) == 1


def test_every_htlc_of_a_cheater_is_taken_alone_and_what_he_has_to_wait_for_together_while_there_is_time() -> None:
    cheated = (
        Planned(0, "alice", 40_000_000, expires_in=200, within=("bob_last",)),
        Planned(1, "bob", 41_000_000, expires_in=200, within=("bob_last",)),
    )
    papers = Papers(Plan(STATIC, cheated))
    state = closed(papers, "bob_last")
    first, second = [output_of(papers, state, planned) for planned in cheated]
    balance = the(state, Purpose.PUNISH_TO_LOCAL)
    state = took(state, second, FIRST, b"s" * 32, SecondStage(0, Sat(41_000)))
    stage = the(state, Purpose.PUNISH_SECOND_STAGE)
    # He waits for 6 blocks, for both.
    late, early = papers.env_at("alice", FIRST), pressing_within(papers, 2).env_at("alice", FIRST)
    assert sorted(map(len, lots(state, late, balance, stage))) == [1, 1]
    assert lots(state, early, balance, stage) == [[balance, stage]]
    third = first.but(outpoint=elsewhere())
    assert sorted(map(len, lots(state, early, first, third))) == [1, 1]
    far = pressing_within(papers, 1).env_at("alice", FIRST - 100)
    assert sorted(map(len, lots(state, far, first, third))) == [1, 1]


# -- what is due ------------------------------------------------------------------------------------------------------


def claimed(state: Onchain, env: Env) -> list[str]:
    """Names of what is decided at once."""
    return sorted(fact.claim.name for fact in facts_of(claim_all(state, env), ClaimDecided))


@pytest.mark.parametrize("format", [ANCHORS, STATIC])
def test_our_balance_is_claimed_when_the_next_block_may_hold_it_and_not_before(format: str) -> None:
    papers = Papers(Plan(format))
    state = closed(papers, "alice")
    ripe = FIRST + 6 - 1
    assert claimed(state, papers.env_at("alice", ripe - 1)) == []
    assert claimed(state, papers.env_at("alice", ripe)) == ["to_local"]
    [decided] = facts_of(claim_all(state, papers.env_at("alice", ripe)), ClaimDecided)
    assert decided.at == ripe and parse_tx(decided.claim.tx).outputs[0].script_pubkey == DESTINATION


def test_what_is_taken_or_claimed_is_not_claimed_again() -> None:
    papers = Papers(Plan())
    state, env = closed(papers, "bob"), papers.env_at("alice", FIRST)
    balance = the(state, Purpose.TO_REMOTE)
    assert claimed(state, env) == ["to_remote"]
    assert claimed(took(state, balance, FIRST + 1), env) == []
    assert claimed(state.but(claims=(a_claim(state, balance),)), env) == []


def test_what_shared_a_transaction_with_a_second_stage_that_is_no_more_is_claimed_again() -> None:
    papers = Papers(Plan(STATIC, OFFERS[:2]))
    state, env = closed(papers, "alice"), papers.env_at("alice", FIRST + 8)
    first, second = [output_of(papers, state, planned) for planned in OFFERS[:2]]
    stage = SecondStage(0, Sat(30_000))
    state = took(took(state, first, FIRST + 1, b"1" * 32, stage), second, FIRST + 1, b"2" * 32, stage)
    stages = [matter for matter in state.matters.values() if matter.purpose is Purpose.SECOND_STAGE]
    claim = a_claim(state, the(state, Purpose.TO_LOCAL), *stages, feerate=5000)
    state = evolve(state, ClaimDecided(claim, BlockHeight(FIRST + 5)))
    assert claimed(state, env) == []
    undone = evolve(state, BlocksUndone(BlockHeight(FIRST)))
    assert undone.claim_on == {}
    other = took(took(undone, first, FIRST + 2, b"3" * 32, stage), second, FIRST + 2, b"2" * 32, stage)
    [decided] = facts_of(claim_all(other, env), ClaimDecided)
    stages = [OutPoint(Txid(by * 32), 0) for by in (b"3", b"2")]
    assert decided.claim.outpoints == (the(state, Purpose.TO_LOCAL).outpoint, *stages)
    assert decided.claim.feerate_per_kw >= 5000, "a bid does not fall"
    assert evolve(other, decided).claims == (decided.claim,)
    again = took(took(undone, first, FIRST + 2, b"1" * 32, stage), second, FIRST + 2, b"2" * 32, stage)
    assert claimed(again, env) == [] and again.claim_on == state.claim_on


def test_what_is_claimed_of_a_close_that_is_undone_stays_claimed_but_for_what_needs_a_second_stage() -> None:
    offers = tuple(Planned(planned.id, "alice", planned.amount_msat, 1, ("bob_last",)) for planned in OFFERS)
    papers = Papers(Plan(STATIC, offers))
    state, env = closed(papers, "bob_last"), papers.env_at("alice", FIRST)
    first, second, _ = [output_of(papers, state, planned) for planned in offers]
    state = took(state, first, FIRST, b"1" * 32, SecondStage(0, Sat(30_000)))
    balance = the(state, Purpose.PUNISH_TO_LOCAL)
    both = a_claim(state, the(state, Purpose.PUNISH_SECOND_STAGE), balance)
    state = state.but(claims=(both, a_claim(state, second)))
    assert set(state.claim_on) == {*both.outpoints, second.outpoint}
    undone = evolve(state, CloseUndone())
    assert set(undone.claim_on) == {second.outpoint}
    assert Purpose.PUNISH_TO_LOCAL.value in claimed(undone, env)


def test_a_received_htlc_is_claimed_when_its_preimage_is_known() -> None:
    papers = Papers(Plan(htlcs=(SMALL,)))
    state, env = closed(papers, "bob"), papers.env_at("alice", FIRST)
    assert claimed(state, env) == ["to_remote"]
    known = KnownPreimage(SMALL.key("alice", papers.channel_id), SMALL.preimage)
    assert claimed(state.but(preimages=(known,)), env) == ["received HTLC", "to_remote"]


@pytest.mark.parametrize("which", ["bob", "bob_last"])
def test_nothing_but_penalties_follows_what_no_block_holds(which: str) -> None:
    offer = Planned(0, "alice", 40_000_000, expires_in=1, within=("bob", "bob_last", "alice"))
    papers = Papers(Plan(STATIC, (offer,)))
    env = papers.env_at("alice", FIRST - 1)
    expected = [Purpose.PUNISH_HTLC.value, Purpose.PUNISH_TO_LOCAL.value] if which == "bob_last" else []
    assert claimed(seen(papers, which), env) == expected
    in_a_block = claimed(closed(papers, which), papers.env_at("alice", FIRST))
    assert "to_remote" in in_a_block and set(expected) < set(in_a_block)


def test_the_wallet_is_asked_for_a_script_only_when_there_is_something_to_take() -> None:
    papers = Papers(Plan())
    state = closed(papers, "alice").but(destination=b"")
    early, late = (claim_all(state, papers.env_at("alice", height)) for height in (FIRST, FIRST + 6))
    assert not early.actions and not early.facts
    [asked] = told(late, AskScript)
    assert asked.ref == b"onchain" + papers.channel_id and asked.reply_to == papers.address
    assert len(late.actions) == 1 and not late.facts


def test_nothing_is_claimed_of_a_channel_that_lives() -> None:
    papers = Papers(Plan())
    step = claim_all(closed(papers, "bob").but(ending=None), papers.env_at("alice", FIRST))
    assert not step.facts and not step.actions


def test_what_costs_more_than_it_brings_is_given_up_aloud_and_the_rest_is_taken() -> None:
    dust = Planned(0, "alice", 1_000_000, expires_in=1)
    papers = Papers(Plan(htlcs=(dust,)))
    papers.feerates = papers.feerates.but(floor_per_kw=FeeratePerKw(5000), urgent_per_kw=FeeratePerKw(5000))
    state, env = closed(papers, "bob"), papers.env_at("alice", FIRST)
    step = claim_all(state, env)
    [given_up] = facts_of(step, OutputGivenUp)
    assert given_up.outpoint == output_of(papers, state, dust).outpoint
    assert given_up.why == "1000 sat cost more than they bring at 5000 sat/kw"
    [notice] = done(step, Notify)
    assert notice.about["given_up"] == given_up.why and notice.about["what"] == "offered HTLC"
    assert claimed(state, env) == ["to_remote"]


def test_an_htlc_transaction_with_a_fee_is_published_as_the_peer_signed_it() -> None:
    papers = Papers(Plan(STATIC, OFFERS[:1]))
    state, env = closed(papers, "alice"), papers.env_at("alice", FIRST)
    step = claim_all(state, env)
    [decided] = facts_of(step, ClaimDecided)
    htlc = output_of(papers, state, OFFERS[0])
    assert htlc.htlc_tx is not None and decided.claim.tx == htlc.htlc_tx.tx.serialize() and decided.at == FIRST
    assert decided.claim.outpoints == (htlc.outpoint,) and not step.actions
    # Nobody can change what it pays: whatever the mempool asks for, it costs us nothing to try.
    papers.feerates = papers.feerates.but(floor_per_kw=FeeratePerKw(100_000))
    assert claimed(state, papers.env_at("alice", FIRST)) == ["HTLC-timeout"]


def test_the_wallet_hears_how_many_more_requests_come_with_each() -> None:
    near = tuple(Planned(n, "bob", (40 + n) * 1_000_000, expires_in=10) for n in range(3))
    papers = Papers(Plan(htlcs=near, known=KNOWN))
    state = closed(papers, "alice")
    # Our balance is ripe too, and needs no help.
    step = claim_all(state, papers.env_at("alice", FIRST + 5))
    assert [asked.alongside for asked in told(step, AttachFee)] == [2, 1, 0]
    assert [fact.claim.name for fact in facts_of(step, ClaimDecided)] == ["to_local"]


def test_only_coins_of_transactions_that_are_gone_go_back_to_the_wallet() -> None:
    papers = Papers(Plan(htlcs=OFFERS))
    state = closed(papers, "alice")
    one, two, three = [output_of(papers, state, planned) for planned in OFFERS]
    lent, lost, own = a_claim(state, one, ref=b"one"), a_claim(state, two, ref=b"two"), a_claim(state, three)
    before = state.but(claims=(lent, lost, own))
    assert voided(before, before.but(claims=(lent,))) == (detach(b"two"),)
    assert voided(before, before.but(claims=(lent.but(tx=b"dearer"),))) == (detach(b"two"),), "one request, two rounds"
    assert voided(before, before) == ()
