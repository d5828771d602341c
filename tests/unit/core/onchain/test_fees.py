"""Who pays for what: the wallet for HTLC transactions without a fee, a child for our commitment, nobody for dust."""

from __future__ import annotations

from typing import Any

import pytest
from tests.builders.closes import both_formats, check_money, closed
from tests.builders.court import Court
from tests.builders.env import FEERATES
from tests.builders.onchain import Host, Plan, Planned

from fulmen.core.base.units import FeeratePerKw, Sat
from fulmen.core.bitcoin.accounts import KeyPath, script_at
from fulmen.core.bitcoin.transaction import SEQUENCE_RBF, parse_tx
from fulmen.core.commitments.building import build
from fulmen.core.commitments.commitment import LOCAL
from fulmen.core.onchain.lifting import CHILD
from fulmen.core.transactions.commitment import Role
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC, STATIC_REMOTEKEY

ANCHORS = ANCHORS_ZERO_FEE_HTLC.name


def rates(**changes: int) -> Any:
    return FEERATES.but(**{name: FeeratePerKw(rate) for name, rate in changes.items()})


def feerate_of(court: Court, host: Host, name: str) -> float:
    """sat/kw of a published transaction in a block."""
    [txid] = [txid for txid, published in host.published.items() if published == name]
    found = court.regtest.txs.get(txid)
    assert found is not None
    tx = court.regtest.chain.block(found[0]).txs[found[1]]
    paid = sum(court._output(i.outpoint).amount_sat for i in tx.inputs) - sum(out.amount_sat for out in tx.outputs)
    return paid * 1000 / tx.weight


@pytest.mark.parametrize("urgent", [500, 5000])
def test_an_htlc_transaction_without_a_fee_gets_one_from_the_wallet(urgent: int) -> None:
    offer = Planned(0, "bob")
    feerates = rates(urgent_per_kw=urgent, closing_per_kw=min(urgent, 1000))
    court = closed("alice", Plan(ANCHORS, (offer,), feerate=urgent, feerates=feerates, known=(("alice", 0),)))
    court.mine_until_resolved()
    assert urgent <= feerate_of(court, court.alice, "HTLC-success") < urgent * 1.05
    check_money(court, "alice", {0: "alice"})


@both_formats
def test_sweeps_pay_the_feerate_that_was_asked_and_may_be_replaced(format: str) -> None:
    court = closed("alice", Plan(format, feerates=rates(closing_per_kw=3000)))
    court.mine_until_resolved()
    assert 3000 <= feerate_of(court, court.alice, "to_local") < 3100
    assert 3000 <= feerate_of(court, court.bob, "to_remote") < 3100
    for host in (court.alice, court.bob):
        for claim in host.onchain.claims:
            assert parse_tx(claim.tx).inputs[0].sequence <= SEQUENCE_RBF


def test_a_commitment_that_pays_too_little_gets_a_child() -> None:
    court = Court(Plan(ANCHORS, feerate=253, feerates=rates(closing_per_kw=4000)))
    court.close_by("alice")
    court.mine()
    assert CHILD in court.alice.names
    child = next(txid for txid, name in court.alice.published.items() if name == CHILD)
    parent = next(txid for txid, name in court.alice.published.items() if name == "our commitment")
    blocks = [court.regtest.txs.get(txid) for txid in (parent, child)]
    paid, weight = 0, 0
    for found in blocks:
        assert found is not None
        tx = court.regtest.chain.block(found[0]).txs[found[1]]
        spent = [court._output(i.outpoint).amount_sat for i in tx.inputs]
        paid += sum(spent) - sum(out.amount_sat for out in tx.outputs)
        weight += tx.weight
    assert 4000 <= paid * 1000 / weight < 4100
    court.mine_until_resolved()
    check_money(court, "alice", {})


def test_a_commitment_that_pays_enough_gets_none() -> None:
    court = Court(Plan(ANCHORS, feerate=2500))
    court.close_by("alice")
    court.mine()
    assert CHILD not in court.alice.names


def test_a_child_becomes_necessary_when_the_feerate_rises() -> None:
    court = Court(Plan(ANCHORS, feerate=1000))
    court.close_by("alice")
    court.publish()
    assert CHILD not in court.alice.names
    court.feerates = rates(closing_per_kw=6000)
    court.mine_empty(1)
    court.publish()
    assert CHILD in court.alice.names


def test_a_commitment_is_lifted_for_no_more_than_a_share_of_what_we_have_in_it() -> None:
    court = Court(Plan(ANCHORS, feerate=253, feerates=rates(closing_per_kw=240_000), coin_sat=Sat(2_000_000)))
    court.close_by("bob")
    court.mine()
    [child] = [claim for claim in court.bob.onchain.claims if claim.name == CHILD]
    balance = build(court.view("bob", LOCAL)).output(Role.TO_LOCAL)
    assert balance is not None
    assert 0.48 < child.fee_sat / balance.amount_sat <= 0.5
    assert court.regtest.txs.get(child.txid) is not None


def test_a_child_takes_what_coins_there_are() -> None:
    court = Court(Plan(ANCHORS, feerate=253, feerates=rates(closing_per_kw=240_000), coin_sat=Sat(20_000)))
    court.close_by("bob")
    court.mine()
    [child] = [claim for claim in court.bob.onchain.claims if claim.name == CHILD]
    assert 19_000 < child.fee_sat <= 20_000 + 330


def test_without_coins_the_operator_hears_it_and_the_wallet_is_asked_again() -> None:
    offer = Planned(0, "bob", expires_in=30)
    court = closed("alice", Plan(ANCHORS, (offer,), feerate=2500, known=(("alice", 0),), coin_sat=Sat(0)))
    court.mine(2)
    assert "HTLC-success" not in court.alice.names
    assert any(notice.about.get("why") == "InsufficientFunds" for notice in court.alice.notices)
    court.regtest.give(script_at(court.alice.keys.accounts, KeyPath(86, 0, 3)), Sat(50_000))
    court.mine(2)
    assert "HTLC-success" in court.alice.names
    court.mine_until_resolved()
    assert court.bob.fate_of(offer) == ["fulfilled"]


def test_an_htlc_that_costs_more_than_it_brings_is_given_up_and_failed_upstream_after_its_expiry() -> None:
    dear = rates(floor_per_kw=20_000, urgent_per_kw=25_000, closing_per_kw=20_000)
    offer = Planned(0, "alice", 2_000_000, expires_in=4)
    court = closed("alice", Plan(ANCHORS, (offer,), feerate=2500, feerates=dear))
    court.mine(6)
    assert [given.outpoint for given in court.alice.onchain.given_up]
    assert any("given_up" in notice.about for notice in court.alice.notices)
    court.mine(1)
    assert court.alice.fate_of(offer) == [], "the mempool may ask for less while upstream has time left"
    court.policy = court.policy.but(feerates=court.policy.feerates.but(floor_per_kw=FeeratePerKw(20_000)))
    court.mine(1)
    assert court.alice.fate_of(offer) == ["failed"], "we ourselves publish nothing for less"


def test_an_htlc_has_to_pay_for_both_of_its_transactions() -> None:
    """Its second stage alone would leave 520 sat, more than dust; its first stage costs more than that."""
    dear = rates(floor_per_kw=760, urgent_per_kw=760, closing_per_kw=760)
    given_up = {}
    for amount_msat in (880_000, 2_000_000):
        court = closed("alice", Plan(ANCHORS, (Planned(0, "alice", amount_msat, expires_in=4),), feerates=dear))
        court.mine(6)
        given_up[amount_msat] = bool(court.alice.onchain.given_up)
    assert given_up == {880_000: True, 2_000_000: False}


def test_a_balance_below_its_fee_is_given_up() -> None:
    dear = rates(floor_per_kw=200_000, urgent_per_kw=240_000, closing_per_kw=200_000)
    htlcs = (Planned(0, "bob", 380_000_000, expires_in=3),)
    court = closed("alice", Plan(STATIC_REMOTEKEY.name, htlcs, feerates=dear))
    assert [notice.about["what"] for notice in court.bob.notices] == ["to_remote"]
    assert [given.why for given in court.bob.onchain.given_up] == [
        "20000 sat cost more than they bring at 200000 sat/kw"
    ]
