"""Payments over several hops, both ways at once, and over restarts."""

from __future__ import annotations

import json

import pytest
from tests.builders.line import Line, Load

from fulmen.api.client import RemoteError
from fulmen.api.errors import PAY_ROUTE_NOT_FOUND, PAY_STOPPED_RETRYING
from fulmen.lab.waiting import until


def test_a_payment_over_three_hops_costs_what_was_published(line: Line) -> None:
    paid = line.pay("alice", "dave", 20_000_000)
    fee = line.ledger.fee_msat(20_000_000, "alice", "bob", "carol", "dave")
    assert paid["amount_sent_msat"] == 20_000_000 + fee
    line.all_agree()


def test_the_logs_of_payer_and_payee_name_a_payment_once_and_never_its_receipt(line: Line) -> None:
    paid = line.pay("alice", "dave", 3_000_000)
    fee = line.ledger.fee_msat(3_000_000, "alice", "bob", "carol", "dave")
    told = {}
    for name in ("alice", "dave"):
        text = (line[name].home / "node.log").read_text(encoding="utf-8")
        assert str(paid["payment_preimage"]) not in text
        (told[name],) = (json.loads(row) for row in text.splitlines() if str(paid["payment_hash"]) in row)
    sent, received = told["alice"], told["dave"]
    assert (sent["event"], sent["amount_msat"], sent["fee_msat"]) == ("payment complete", 3_000_000, fee)
    assert (received["event"], received["amount_msat"]) == ("invoice paid", 3_000_000)
    assert sent["level"] == received["level"] == "info"


def test_payments_both_ways_at_once_conserve_every_msat(line: Line) -> None:
    loads = [Load(line, "alice", "dave", 4, 1_001, count=16), Load(line, "dave", "alice", 4, 2_003, count=16)]
    with loads[0], loads[1]:
        for load in loads:
            load.wait()
    assert [load.settle() for load in loads] == [16, 16]
    line.all_agree()


def test_a_node_that_was_stopped_finds_its_channels_open(line: Line) -> None:
    bob = line["bob"]
    ours = {row["channel_id"]: row["to_us_msat"] for row in bob.channels()}
    assert bob.stop() == 0
    bob.start()
    assert {row["channel_id"]: row["to_us_msat"] for row in bob.channels()} == ours
    line.await_usable()
    line.pay("alice", "dave", 1_000_000)
    line.pay("dave", "alice", 1_000_000)
    line.all_agree()


def test_an_invoice_is_paid_once_however_often_it_is_paid(line: Line) -> None:
    made = line["carol"].invoice(3_000_000, line.label("once"))
    first, second = (line["alice"].call("pay", bolt11=made["bolt11"]) for _ in range(2))
    assert first == second
    line.ledger.paid(3_000_000, "alice", "bob", "carol")
    line.all_agree()


def test_a_payment_that_nobody_can_carry_leaves_every_msat_where_it_was(line: Line) -> None:
    made = line["dave"].invoice(700_000_000, line.label("too much"))
    with pytest.raises(RemoteError) as refused:
        line["bob"].call("pay", bolt11=made["bolt11"], retry_for=10)
    assert refused.value.code == PAY_ROUTE_NOT_FOUND
    assert line["bob"].call("listpays", bolt11=made["bolt11"])["pays"][0]["status"] == "failed"
    line.all_agree()


def test_a_payment_waits_for_a_peer_that_is_away_for_a_moment(line: Line) -> None:
    alice, bob = line["alice"], line["bob"]
    made = bob.invoice(2_000_000, line.label("soon back"))
    bob.kill()
    until(
        lambda: not any(row["peer_connected"] for row in alice.channels() if row["peer_id"] == bob.id),
        "Alice has lost Bob",
    )
    payment = alice.begin("pay", bolt11=made["bolt11"])
    until(lambda: alice.call("listpays", bolt11=made["bolt11"])["pays"], "the payment has begun")
    # Not even a crash of the payer ends it.
    alice.kill()
    alice.start()
    bob.start()
    until(lambda: alice.call("listpays", bolt11=made["bolt11"])["pays"][0]["status"] == "complete", "it is paid", 60)
    payment.join(60)
    line.ledger.paid(2_000_000, "alice", "bob")
    line.await_usable()
    line.all_agree()


def test_a_payment_whose_channels_stay_away_says_so_when_its_time_is_over(line: Line) -> None:
    alice, bob = line["alice"], line["bob"]
    made = bob.invoice(2_000_000, line.label("not back"))
    bob.kill()
    until(
        lambda: not any(row["peer_connected"] for row in alice.channels() if row["peer_id"] == bob.id),
        "Alice has lost Bob",
    )
    with pytest.raises(RemoteError) as refused:
        alice.call("pay", bolt11=made["bolt11"], retry_for=2)
    assert refused.value.code == PAY_STOPPED_RETRYING
    assert "no channel of ours came back within 2 s" in refused.value.message.lower()
    bob.start()
    line.await_usable()
    line.all_agree()
