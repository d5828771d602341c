import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.judge import verify_spend
from tests.builders.transactions import OTHER, OWNER, secret

from fulmen.core.base.ids import OutPoint
from fulmen.core.bitcoin.script import nulldata, p2wpkh, p2wsh
from fulmen.core.bitcoin.transaction import TxOut
from fulmen.core.crypto.secp256k1 import sign_ecdsa
from fulmen.core.transactions.closing import (
    ClosesToNothing,
    FeeAboveBalance,
    closing_weight,
    legacy_closing_tx,
    simple_closing_tx,
)
from fulmen.core.transactions.funding import funding_digest, funding_output, funding_witness

FUNDING = OutPoint(b"\xf0" * 32, 1)
OPENER, ACCEPTER = p2wpkh(b"\x01" * 20), p2wsh(b"the accepter's")
amounts = st.integers(0, 10**10)


def a_legacy(**changes):
    values = {
        "opener_msat": 600_000_999,
        "opener_script": OPENER,
        "accepter_msat": 399_999_001,
        "accepter_script": ACCEPTER,
        "fee_sat": 500,
        "dust_limit_sat": 546,
    }
    return legacy_closing_tx(FUNDING, **{**values, **changes})


def a_simple(**changes):
    values = {
        "closer_msat": 600_000_999,
        "closer_script": OPENER,
        "closee_msat": 399_999_001,
        "closee_script": ACCEPTER,
        "fee_sat": 500,
        "locktime": 800_000,
    }
    return simple_closing_tx(FUNDING, **{**values, **changes})


def test_the_opener_pays_the_fee_of_a_legacy_close():
    tx = a_legacy()
    assert tx.outputs == (TxOut(399_999, ACCEPTER), TxOut(599_500, OPENER))
    assert (tx.version, tx.locktime, tx.inputs[0].sequence) == (2, 0, 0xFFFFFFFF)
    assert tx.inputs[0].outpoint == FUNDING


def test_a_legacy_close_leaves_dust_out_and_whoever_wants_to_be():
    assert a_legacy(accepter_msat=545_999).outputs == (TxOut(599_500, OPENER),)
    assert a_legacy(accepter_msat=546_000).outputs[0] == TxOut(546, ACCEPTER)
    assert a_legacy(without_opener=True).outputs == (TxOut(399_999, ACCEPTER),)
    assert a_legacy(without_accepter=True).outputs == (TxOut(599_500, OPENER),)


def test_a_close_that_cannot_be_is_refused():
    with pytest.raises(FeeAboveBalance):
        a_legacy(fee_sat=600_001)
    with pytest.raises(FeeAboveBalance):
        a_simple(fee_sat=600_001)
    with pytest.raises(ClosesToNothing):
        a_legacy(opener_msat=1_000_000, accepter_msat=0)
    with pytest.raises(ClosesToNothing):
        a_simple(closer_output=False, closee_output=False)


def test_the_closer_pays_the_fee_of_a_simple_close():
    tx = a_simple()
    assert tx.outputs == (TxOut(399_999, ACCEPTER), TxOut(599_500, OPENER))
    assert (tx.version, tx.locktime, tx.inputs[0].sequence) == (2, 800_000, 0xFFFFFFFD)
    assert a_simple(closer_output=False).outputs == (TxOut(399_999, ACCEPTER),)
    assert a_simple(closee_output=False).outputs == (TxOut(599_500, OPENER),)


def test_an_op_return_output_carries_nothing():
    burnt = nulldata(b"for the miners")
    assert a_simple(closer_script=burnt).outputs == (TxOut(0, burnt), TxOut(399_999, ACCEPTER))
    assert a_simple(closee_script=burnt).outputs == (TxOut(0, burnt), TxOut(599_500, OPENER))


def test_a_closer_may_give_all_that_it_has_for_the_fee():
    tx = a_simple(closer_msat=500_999, fee_sat=500)
    assert TxOut(0, OPENER) in tx.outputs
    with pytest.raises(FeeAboveBalance):
        a_simple(closer_msat=499_999, fee_sat=500)


def test_equal_amounts_are_ordered_by_script():
    tx = a_simple(closer_msat=500_500_000, closee_msat=500_000_000)
    assert tx.outputs == (TxOut(500_000, OPENER), TxOut(500_000, ACCEPTER))
    assert OPENER < ACCEPTER


@given(amounts, amounts, st.integers(0, 10**7))
def test_no_satoshi_appears(opener_msat, accepter_msat, fee_sat):
    try:
        tx = a_legacy(opener_msat=opener_msat, accepter_msat=accepter_msat, fee_sat=fee_sat)
    except (FeeAboveBalance, ClosesToNothing):
        return
    paid = sum(output.amount_sat for output in tx.outputs)
    assert paid + fee_sat <= (opener_msat + accepter_msat) // 1000
    assert list(tx.outputs) == sorted(tx.outputs, key=lambda output: (output.amount_sat, output.script_pubkey))


@pytest.mark.parametrize("tx", [a_legacy(), a_simple()], ids=["legacy", "simple"])
def test_a_close_signed_by_both_spends_the_funding_and_weighs_what_was_expected(tx):
    keys = (OWNER.funding_pubkey, OTHER.funding_pubkey)
    digest = funding_digest(tx, *keys, 1_000_000)
    ours, theirs = (sign_ecdsa(secret(f"{end} funding"), digest) for end in ("owner", "other"))
    signed = tx.with_witness(0, *funding_witness(keys[0], ours, keys[1], theirs))
    verify_spend(signed, [funding_output(*keys, 1_000_000)])
    assert 0 <= closing_weight(OPENER, ACCEPTER) - signed.weight <= 6
