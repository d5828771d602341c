"""The demo's books know what each transaction must have cost, and end the demo where one cost something else."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import cast

import pytest
from demo import fees
from demo.chain import Spending
from demo.chapters import books
from demo.ledger import Ledger
from demo.screen import Screen
from demo.stage import Stage
from demo.story import PRICES, Story
from rich.console import Console

from fulmen.core.base.ids import OutPoint, Txid
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.script import p2wpkh, p2wsh
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut
from fulmen.lab.waiting import Deviation

GIVEN_SAT, CAPACITY_SAT = 2_000_000, 1_000_000
P2TR = b"\x51\x20" + bytes(32)
HOME = p2wpkh(bytes(20))


def a_tx(witness: tuple[bytes, ...], *outputs: TxOut) -> Tx:
    coin = OutPoint(Txid(bytes(32)), 0)
    return Tx(2, (TxIn(coin, b"", 0, witness),), outputs)


def a_funding(fee_sat: int, feerate_per_kw: int = 253) -> Spending:
    amounts = (CAPACITY_SAT, GIVEN_SAT - CAPACITY_SAT - fee_sat)
    outputs = (TxOut(Sat(amounts[0]), p2wsh(b"")), TxOut(Sat(amounts[1]), P2TR))
    tx = a_tx((bytes(71), bytes(33)), *outputs)
    return Spending("aa" * 32, fee_sat, amounts, (("bb" * 32, 0),), 0, tx, feerate_per_kw)


class Alice:
    """Says of herself whatever the books say, so that nothing is wrong but the fee."""

    def __init__(self, ledger: Ledger) -> None:
        self.coins_sat = ledger.coins_sat["alice"]

    def __str__(self) -> str:
        return "Alice"

    def await_quiet(self) -> None: ...

    def channels(self) -> list[dict[str, object]]:
        return [{"channel_id": "cc", "state": "CHANNELD_NORMAL", "to_us_msat": CAPACITY_SAT * 1000}]

    def routing_paid_msat(self) -> int:
        return 0

    routing_earned_msat = routing_paid_msat


def play(funding: Spending) -> str:
    ledger = Ledger(dict(PRICES))
    ledger.given("alice", GIVEN_SAT)
    ledger.opened("cc", "alice", "bob", CAPACITY_SAT, funding)
    shown = io.StringIO()
    stage = SimpleNamespace(nodes={"alice": Alice(ledger)})
    books.play(Story(cast("Stage", stage), ledger, Screen(Console(file=shown, width=120))))
    return shown.getvalue()


def test_a_fee_that_is_weight_times_feerate_is_shown_as_right():
    assert [line.split()[-1] for line in play(a_funding(170)).splitlines() if "fees to miners" in line] == ["✓"]


@pytest.mark.parametrize(("fee_sat", "feerate_per_kw"), [(171, 253), (169, 253), (170, 254), (17_000, 253)])
def test_a_fee_that_is_anything_else_ends_the_demo(fee_sat, feerate_per_kw):
    with pytest.raises(Deviation, match=f"Alice, fee of the funding a+: must be 17[01] sat, is {fee_sat} sat"):
        play(a_funding(fee_sat, feerate_per_kw))


def test_a_commitment_costs_what_bolt_3_says_and_no_more_than_anchors_need():
    assert fees.commitment_sat(253) == 284
    assert fees.commitment_sat(2500) == fees.commitment_sat(50_000) == 2810


def test_a_close_costs_what_it_weighs_with_the_longest_signatures():
    assert fees.closing_sat(a_tx((), TxOut(Sat(1), P2TR), TxOut(Sat(1), P2TR)), 1000) == 772
    assert fees.closing_sat(a_tx((), TxOut(Sat(1), HOME)), 1000) == 552


def test_a_sweep_costs_the_same_however_short_its_signature_is():
    taken = [a_tx((bytes(size), bytes(37)), TxOut(Sat(1), P2TR)) for size in (70, 71, 72, 73)]
    assert {fees.sweep_sat(tx, 253) for tx in taken} == {125}


def test_a_penalty_may_cost_more_only_as_time_goes_by_and_in_the_end_all_but_dust():
    costs = [fees.most_for_penalty_sat(100_000, blocks, 144) for blocks in range(200)]
    assert costs[0] == 0
    assert costs == sorted(costs)
    assert costs[71] == (100_000 - 330) // 4
    assert costs[142] == costs[-1] == 100_000 - 330


def test_an_htlc_adds_what_bolt_3_says_to_a_commitment():
    assert fees.commitment_sat(1000, 4) == 1124 + 4 * 172


def test_an_htlc_transaction_costs_what_bolt_3_says_and_the_wallets_coin_and_change():
    coin = (bytes(71), bytes(33))
    for preimage, weight in ((b"", 666), (bytes([1] * 32), 706)):
        own = (b"", bytes(72), bytes(72), preimage, bytes(136))
        inputs = tuple(a_tx(witness).inputs[0] for witness in (own, coin))
        with_change = Tx(2, inputs, (TxOut(Sat(1), HOME), TxOut(Sat(1), P2TR)))
        assert fees.htlc_tx_sat(with_change, 1000) == weight + 16 + 272 + 172
        assert fees.htlc_tx_sat(Tx(2, inputs, with_change.outputs[:1]), 1000) == weight + 16 + 272
