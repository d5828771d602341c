"""Fees rise to the deadline, within their budget, and never fall; every replacement passes the mempool's rules."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from tests.builders.cheats import mine_exactly
from tests.builders.closes import both_formats, check_money, closed, either
from tests.builders.court import Court
from tests.builders.env import FEERATES
from tests.builders.onchain import Host, Plan, Planned

from fulmen.core.base.policy import DeadlinePolicy, SweepPolicy
from fulmen.core.base.units import BlockHeight, CltvDelta, FeeratePerKw, Sat
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.onchain.deadlines import last_block_of
from fulmen.core.onchain.lifting import CHILD
from fulmen.core.onchain.state import Claim
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC, STATIC_REMOTEKEY

ANCHORS = ANCHORS_ZERO_FEE_HTLC.name
RICH = Sat(2_000_000)


def rates(**changes: int) -> Any:
    return FEERATES.but(**{name: FeeratePerKw(rate) for name, rate in changes.items()})


def waiting(host: Host) -> dict[Any, Claim]:
    """Its transactions that are in no block, by what they take."""
    state = host.onchain
    return {o: claim for claim in state.claims for o in claim.outpoints if o not in state.taken_by}


def nothing_is_mined(court: Court, blocks: int) -> list[dict[Any, Claim]]:
    """Blocks without any of our transactions, each after everybody has published; gives what alice wants each time."""
    seen = [waiting(court.alice)]
    for _ in range(blocks):
        court.publish()
        mine_exactly(court)
        seen.append(waiting(court.alice))
    court.publish()
    return seen


def never_falls(seen: list[dict[Any, Claim]]) -> bool:
    return all(
        after[o].fee_sat >= claim.fee_sat and after[o].feerate_per_kw >= claim.feerate_per_kw
        for before, after in pairwise(seen)
        for o, claim in before.items()
        if o in after
    )


@pytest.mark.parametrize(("closer", "format"), [("bob", ANCHORS), ("bob", STATIC_REMOTEKEY.name), ("alice", ANCHORS)])
def test_a_claim_with_a_preimage_pays_half_of_it_when_its_last_block_comes(closer: str, format: str) -> None:
    offer = Planned(0, "bob", expires_in=12)
    court = closed(closer, Plan(format, (offer,), known=(("alice", 0),), coin_sat=RICH))
    [htlc] = [o for o, m in court.alice.onchain.matters.items() if m.purpose.needs_preimage]
    seen = nothing_is_mined(court, court.expiry(offer) - 1 - court.tip.height)
    assert never_falls(seen) and not court.alice.failures
    fees = [claims[htlc].fee_sat for claims in seen]
    # Not before the last block, and never more than half; a fee that the wallet pays is right to a few satoshis.
    assert fees[-1] == pytest.approx(25_000, rel=0.03) and fees[-2] < 23_000 and fees[0] < 2_500
    assert len(set(fees)) > 6
    court.mine_until_resolved()
    assert court.bob.fate_of(offer) == ["fulfilled"]
    check_money(court, closer, {0: "alice"})


@either
def test_taking_back_rises_while_the_upstream_htlc_has_its_time_left(closer: str) -> None:
    offer = Planned(0, "alice", expires_in=2)
    court = Court(Plan(ANCHORS, (offer,), coin_sat=RICH))
    court.policy = court.policy.but(deadlines=court.policy.deadlines.but(cltv_expiry_delta=CltvDelta(28)))
    court.close_by(closer)
    court.mine(3)
    [htlc] = [o for o, m in court.alice.onchain.matters.items() if m.purpose.is_offered]
    last = last_block_of(court.alice.onchain.matters[htlc], court.env("alice"))
    assert last == court.expiry(offer) + 10
    # The close itself took some blocks, and the first transaction that took it back may have been mined: undo that.
    while court.alice.onchain.taken_by.get(htlc) is not None:
        court.rewind(1)
        court.empty_mempool()
    seen = nothing_is_mined(court, last - 1 - court.tip.height)
    assert never_falls(seen) and not court.alice.failures
    assert seen[-1][htlc].fee_sat == pytest.approx(25_000, rel=0.03)


@both_formats
def test_what_nobody_can_take_pays_for_patience_first_and_for_haste_in_the_end(format: str) -> None:
    court = Court(Plan(format, feerates=rates(closing_per_kw=1000, urgent_per_kw=6000)))
    court.policy = court.policy.but(sweep=SweepPolicy(patience=CltvDelta(10)))
    court.close_by("bob")
    court.mine()
    seen = nothing_is_mined(court, 14)
    assert never_falls(seen) and not court.alice.failures
    [outpoint] = seen[0]
    paid = [claims[outpoint].feerate_per_kw for claims in seen]
    assert paid[0] == 1000 and paid[-1] == 6000 and sorted(paid) == paid and len(set(paid)) > 5


def test_a_feerate_that_falls_again_takes_nothing_back() -> None:
    court = closed("bob", Plan(ANCHORS, feerates=rates(closing_per_kw=3000, urgent_per_kw=3000)))
    before = waiting(court.alice)
    court.feerates = rates(closing_per_kw=300, urgent_per_kw=300)
    assert never_falls([before, *nothing_is_mined(court, 3)])
    assert waiting(court.alice) == before


@pytest.mark.parametrize("restarts", [False, True])
def test_our_childs_fee_rises_to_half_way_before_the_first_deadline(restarts: bool) -> None:
    offer = Planned(0, "bob", expires_in=24)
    court = Court(Plan(ANCHORS, (offer,), feerate=253, known=(("alice", 0),), coin_sat=RICH))
    court.close_by("alice", knows=True)
    seen = []
    for _ in range(11):
        court.publish()
        mine_exactly(court)
        if restarts:
            court.alice.crash()
            court.settle()
        [child] = [claim for claim in court.alice.onchain.claims if claim.name == CHILD]
        seen.append(child)
    court.publish()
    assert not [failure for failure in court.alice.failures if failure.name == CHILD]
    assert sorted(c.fee_sat for c in seen) == [c.fee_sat for c in seen] and len({c.tx for c in seen}) > 6
    assert len({c.wallet_ref for c in seen}) == 1
    # A missed deadline costs the HTLC, not our balance: half of the one, and nothing of the other.
    assert seen[-1].fee_sat == pytest.approx(50_000 / 2, rel=0.03)
    court.mine_until_resolved()
    assert court.bob.fate_of(offer) == ["fulfilled"]
    check_money(court, "alice", {0: "alice"})


def test_the_peers_commitment_is_lifted_by_our_anchor_when_our_deadline_asks_for_it() -> None:
    offer = Planned(0, "bob", expires_in=24)
    court = Court(Plan(ANCHORS, (offer,), feerate=253, known=(("alice", 0),), coin_sat=RICH))
    court.feerates = rates(floor_per_kw=253, closing_per_kw=253, urgent_per_kw=400)
    court.regtest.submit_tx(parse_tx(court.bob.commitment()))
    seen: list[Claim] = []
    for _ in range(11):
        court.publish()
        mine_exactly(court)
        seen += [claim for claim in court.alice.onchain.claims if claim.name == CHILD]
    court.publish()
    assert 6 <= len(seen) < 11, "it is bob's affair first"
    assert not [failure for failure in court.alice.failures if failure.name == CHILD]
    assert sorted(c.fee_sat for c in seen) == [c.fee_sat for c in seen] and seen[-1].fee_sat == pytest.approx(
        50_000 / 2, rel=0.03
    )
    court.mine_until_resolved()
    assert court.regtest.txs.get(seen[-1].txid) is not None
    assert court.bob.fate_of(offer) == ["fulfilled"]
    check_money(court, "bob", {0: "alice"})


def test_the_peers_commitment_without_a_deadline_of_ours_is_the_peers_affair() -> None:
    offer = Planned(0, "bob", expires_in=24)
    court = Court(Plan(ANCHORS, (offer,), feerate=253, coin_sat=RICH))
    court.regtest.submit_tx(parse_tx(court.bob.commitment()))
    nothing_is_mined(court, 12)
    assert not court.alice.onchain.claims


def test_a_child_brings_the_peers_commitment_back_that_the_mempool_has_dropped() -> None:
    offer = Planned(0, "bob", expires_in=10)
    court = Court(Plan(ANCHORS, (offer,), feerate=253, known=(("alice", 0),), coin_sat=RICH))
    court.regtest.submit_tx(parse_tx(court.bob.commitment()))
    nothing_is_mined(court, 3)
    court.empty_mempool()
    court.mine()
    ending = court.alice.onchain.ending
    assert ending is not None and ending.txid == parse_tx(court.bob.commitment()).txid


def test_the_deadline_of_an_offered_htlc_leaves_the_upstream_one_its_time() -> None:
    offer = Planned(0, "alice", expires_in=2)
    court = closed("bob", Plan(ANCHORS, (offer,)))
    [matter] = [m for m in court.alice.onchain.matters.values() if m.purpose.is_offered]
    usual = DeadlinePolicy()
    expected = court.expiry(offer) + usual.cltv_expiry_delta - usual.fulfilled_deadline
    assert last_block_of(matter, court.env("alice")) == BlockHeight(expected)
