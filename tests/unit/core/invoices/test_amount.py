"""BOLT 11: amounts are exact, in their shortest form, and refused by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.vectors import vector_json

from fulmen.core.base.faults import Malformed
from fulmen.core.base.units import MAX_MONEY_SAT
from fulmen.core.invoices.amount import (
    PREFIXES,
    AmountMalformed,
    AmountTooFine,
    AmountTooLarge,
    NotAnInvoice,
    UnknownPrefix,
    read_amount,
    read_hrp,
    write_amount,
)

FIXTURES = vector_json("bitcoinjs/bolt11_fixtures.json")


@given(st.integers(1, MAX_MONEY_SAT * 1000))
def test_every_amount_is_written_and_read_exactly(amount_msat):
    text = write_amount(amount_msat)
    assert read_amount(text) == amount_msat
    assert len(text) <= len(f"{amount_msat * 10}p")


def test_the_published_amounts_are_written_and_read():
    for case in FIXTURES["satToHrp"]["valid"]:
        assert write_amount(case["input"] * 1000) == case["output"]
    for case in FIXTURES["millisatToHrp"]["valid"]:
        assert write_amount(case["input"]) == case["output"]
    for case in FIXTURES["hrpToSat"]["valid"]:
        assert read_amount(case["input"]) == int(case["output"]) * 1000
    for case in FIXTURES["hrpToMillisat"]["valid"]:
        assert read_amount(case["input"]) == int(case["output"])


@pytest.mark.parametrize(
    ("amount", "fault"),
    [
        ("10x", AmountMalformed),
        ("1f0", AmountMalformed),
        ("-1m", AmountMalformed),
        ("m", AmountMalformed),
        ("0u", AmountMalformed),
        ("\u0663m", AmountMalformed),
        ("8p", AmountTooFine),
        ("21000001", AmountTooLarge),
        ("9" * 5000, AmountTooLarge),
        ("0" * 5000, AmountMalformed),
    ],
)
def test_a_bad_amount_is_refused_by_name(amount, fault):
    with pytest.raises(fault):
        read_amount(amount)


def test_every_chain_we_know_has_its_prefix():
    for prefix in PREFIXES:
        assert read_hrp(prefix) == (prefix, None)
        assert read_hrp(f"{prefix}2500u") == (prefix, 250_000_000)


@pytest.mark.parametrize(
    ("hrp", "fault"),
    [("bc", NotAnInvoice), ("ln", UnknownPrefix), ("lnxy34m", UnknownPrefix), ("lnbcx", UnknownPrefix)],
)
def test_another_chain_is_refused(hrp, fault):
    with pytest.raises(fault):
        read_hrp(hrp)


@given(st.text(max_size=60))
def test_any_text_is_an_amount_or_refused_by_name(text):
    for read in (read_amount, read_hrp):
        try:
            read(text)
        except Malformed:
            continue
