"""The demo's books of a close with HTLCs in it: to the satoshi, and no other way of taking them will do."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from demo import fees
from demo.chain import Spending
from demo.ledger import ANCHOR_SAT, Channel, Ledger, Pending
from demo.story import PRICES

from fulmen.core.base.ids import OutPoint, Txid
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut
from fulmen.lab.waiting import Deviation

RATE = 253
CAPACITY_SAT = 800_000
PENDING = (
    Pending("bob", "carol", 40_001_400, is_paid=True),
    Pending("bob", "carol", 30_001_300, is_paid=False),
    Pending("carol", "bob", 9_002_350, is_paid=True),
    Pending("carol", "bob", 8_002_100, is_paid=False),
)
RESTS_MSAT = {"bob": 697_496_550, "carol": 15_496_300}
"""What both have besides: together with the HTLCs the whole channel."""
ODD_SAT = 2
"""Parts of a satoshi, for which there is no output: 400 + 300 + 350 + 100 + 550 + 300 msat."""
COMMITMENT_FEE_SAT = 458
"""Of 1124 + 4 * 172 weight units."""
SIGNATURE, PREIMAGE, SCRIPT = bytes(72), bytes([1] * 32), bytes(136)
CLOSE, COIN = "aa" * 32, ("cc" * 32, 0)


def a_spending(txid: str, height: int, tx: Tx, fee_sat: int, inputs: tuple[tuple[str, int], ...]) -> Spending:
    outputs = tuple(int(out.amount_sat) for out in tx.outputs)
    return Spending(txid, fee_sat, outputs, inputs, height, tx, RATE)


def a_tx(witnesses: Iterable[tuple[bytes, ...]], *amounts: int) -> Tx:
    coin = OutPoint(Txid(bytes(32)), 0)
    outputs = tuple(TxOut(Sat(amount), b"\x51\x20" + bytes(32)) for amount in amounts)
    return Tx(2, tuple(TxIn(coin, b"", 0, witness) for witness in witnesses), outputs)


def a_sweep(txid: str, *inputs: tuple[str, int], dearer: int = 0) -> Spending:
    tx = a_tx([(SIGNATURE, b"", SCRIPT)] * len(inputs), 5000)
    return a_spending(txid, 7, tx, fees.sweep_sat(tx, RATE) + dearer, inputs)


def an_htlc_tx(txid: str, output: int, sat: int, preimage: bytes, dearer: int = 0) -> Spending:
    tx = a_tx([(b"", SIGNATURE, SIGNATURE, preimage, SCRIPT), (SIGNATURE, bytes(33))], sat, 1000)
    return a_spending(txid, 5, tx, fees.htlc_tx_sat(tx, RATE) + dearer, ((CLOSE, output), COIN))


class World:
    """A close of Bob's, and everything that was taken from it as it should be; tests change what they like."""

    def __init__(self) -> None:
        self.ledger = Ledger(dict(PRICES))
        wins = {name: sum(htlc.amount_msat for htlc in PENDING if htlc.winner == name) for name in RESTS_MSAT}
        msat = {name: rest + wins[name] for name, rest in RESTS_MSAT.items()}
        assert sum(msat.values()) == CAPACITY_SAT * 1000
        self.channel = Channel("cc", "bob", "carol", CAPACITY_SAT, msat, RATE)
        self.ledger.channels["Bob-Carol"] = self.channel
        htlcs = [htlc.sat for htlc in PENDING]
        self.close_fee_sat = COMMITMENT_FEE_SAT + ODD_SAT
        # BOLT 3: the opener pays the fee and both anchors.
        bob, carol = 697_496 - COMMITMENT_FEE_SAT - 2 * ANCHOR_SAT, 15_496
        self.shares = {"bob": bob, "carol": carol}
        close_tx = a_tx([(b"",)], *htlcs, bob, carol, ANCHOR_SAT, ANCHOR_SAT)
        self.close = a_spending(CLOSE, 3, close_tx, self.close_fee_sat, (("dd" * 32, 0),))
        self.taken: dict[str, dict[int, Spending]] = {
            CLOSE: {
                0: a_sweep("01" * 32, (CLOSE, 0)),
                1: an_htlc_tx("02" * 32, 1, htlcs[1], b""),
                2: an_htlc_tx("03" * 32, 2, htlcs[2], PREIMAGE),
                3: a_sweep("04" * 32, (CLOSE, 3)),
                5: a_sweep("05" * 32, (CLOSE, 5)),
            },
        }
        patient = a_sweep("06" * 32, (CLOSE, 4), ("02" * 32, 0), ("03" * 32, 0))
        self.taken[CLOSE][4] = patient
        self.taken["02" * 32] = {0: patient}
        self.taken["03" * 32] = {0: patient}

    def enter(self) -> dict[str, int]:
        return self.ledger.closed_alone(
            self.channel, "bob", self.close, lambda txid: self.taken.get(txid, {}).items(), PENDING
        )


def test_every_htlc_is_its_winners_and_every_fee_its_payers():
    world = World()
    assert world.enter() == world.shares
    ledger = world.ledger
    assert all(fee.holds for fee in ledger.miner_fees)
    assert (
        len(ledger.miner_fees) == 1 + 2 + 4
    )  # the commitment, two HTLC transactions, and who takes three at once pays once
    paid = {name: sum(fee.paid_sat for fee in ledger.miner_fees if fee.payer == name) for name in ("bob", "carol")}
    bobs = world.shares["bob"] + PENDING[1].sat + PENDING[2].sat
    assert ledger.coins_sat["bob"] == bobs - (paid["bob"] - world.close_fee_sat)
    assert ledger.coins_sat["carol"] == world.shares["carol"] + PENDING[0].sat + PENDING[3].sat - paid["carol"]
    assert sum(ledger.coins_sat.values()) + sum(paid.values()) + ledger.anchors_left_sat == CAPACITY_SAT
    assert ledger.htlcs_on_chain == len(PENDING)


@pytest.mark.parametrize("output", range(6))
def test_an_output_that_nobody_has_taken_ends_the_demo(output):
    world = World()
    del world.taken[CLOSE][output]
    with pytest.raises(Deviation, match="nobody has taken the"):
        world.enter()


@pytest.mark.parametrize("htlc_tx", ["02" * 32, "03" * 32])
def test_an_htlc_transaction_whose_output_waits_for_ever_ends_the_demo(htlc_tx):
    world = World()
    del world.taken[htlc_tx]
    with pytest.raises(Deviation, match="from the HTLC transaction"):
        world.enter()


def test_an_htlc_transaction_that_keeps_a_part_of_the_htlc_ends_the_demo():
    world = World()
    world.taken[CLOSE][1] = an_htlc_tx("02" * 32, 1, PENDING[1].sat - 1, b"")
    with pytest.raises(Deviation, match=f"does not hand on {PENDING[1].sat} sat"):
        world.enter()


def test_a_sweep_that_spends_something_else_as_well_ends_the_demo():
    world = World()
    world.taken[CLOSE][0] = a_sweep("01" * 32, (CLOSE, 0), COIN)
    with pytest.raises(Deviation, match="spends more than the outputs of carol"):
        world.enter()


def test_a_commitment_with_another_output_ends_the_demo():
    world = World()
    world.close = a_spending(CLOSE, 3, a_tx([(b"",)], 1000), world.close_fee_sat, ())
    with pytest.raises(Deviation, match="but the books say"):
        world.enter()


def test_fees_that_are_not_weight_times_feerate_are_known_as_wrong():
    world = World()
    world.taken[CLOSE][0] = a_sweep("01" * 32, (CLOSE, 0), dearer=1)
    world.taken[CLOSE][1] = an_htlc_tx("02" * 32, 1, PENDING[1].sat, b"", dearer=-1)
    world.enter()
    assert [fee.what.split()[1] for fee in world.ledger.miner_fees if not fee.holds] == ["HTLC", "sweep"]
