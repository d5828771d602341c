from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulmen.api.values import Amount, AmountOrAny, Hash32, PubKey, SatOrAll, Scid, parse_amount


@pytest.mark.parametrize(
    ("text", "msat"),
    [
        ("5k", 5_000_000),
        ("5K", 5_000_000),
        ("0.001btc", 100_000_000),
        ("100msat", 100),
        ("1sat", 1000),
        ("1.5", 1500),
        ("0.1m", 100_000_000),
        ("2 sats", 2000),
        ("0.00000000001BTC", 1),
        ("0", 0),
        ("7ksat", 7_000_000),
    ],
)
def test_an_amount_reads_as_people_write_it(text, msat):
    assert parse_amount(text, default_unit="sat") == msat


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "-1",
        "1e5",
        "5M",
        "5Msat",
        "5kk",
        "0.1msat",
        "1.0005sat",
        "22000000btc",
        "٣",
        "1_000",
        "0x10",
        "1 000",
        "9" * 400,
        "nan",
    ],
)
def test_what_is_no_amount_is_refused_in_a_sentence(text):
    with pytest.raises(ValueError, match=r"amount|millisatoshi|bitcoin"):
        parse_amount(text, default_unit="sat")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("9" * 23, "more than all bitcoin"),
        ("21000001btc", "more than all bitcoin"),
        ("0.000000000001btc", "smaller than a millisatoshi"),
        ("-5", "negative"),
    ],
)
def test_an_amount_that_cannot_be_is_refused_for_what_is_wrong_with_it(text, says):
    with pytest.raises(ValueError, match=says):
        parse_amount(text, default_unit="sat")


def test_zeros_that_change_nothing_are_no_amount_of_their_own():
    assert parse_amount("0" * 30 + "5." + "0" * 30, default_unit="sat") == 5000


@given(st.integers(0, 21_000_000 * 10**11))
def test_every_amount_in_bitcoin_comes_back_to_the_msat(msat):
    assert parse_amount(f"{Decimal(msat).scaleb(-11):f}btc", default_unit="sat") == msat


def test_an_integer_has_the_unit_of_its_field():
    assert Amount.from_json(5) == 5
    assert Amount.from_json("5") == 5
    assert Amount.from_json("5sat") == 5000
    assert SatOrAll.from_json(5).sat == 5
    assert SatOrAll.from_json("all").sat is None
    assert AmountOrAny.from_json("any").msat is None


@pytest.mark.parametrize("value", [True, -1, 1.5, [], {}, None, 1 << 80])
def test_what_is_no_whole_number_is_no_amount(value):
    for kind in (Amount, AmountOrAny, SatOrAll):
        with pytest.raises(ValueError, match=r"must be"):
            kind.from_json(value)


def test_an_output_carries_whole_satoshi():
    with pytest.raises(ValueError, match=r"whole number of satoshi"):
        SatOrAll.from_json("1500msat")


def test_ids_are_hex_of_their_length():
    assert Hash32.from_json("AB" * 32) == b"\xab" * 32
    assert PubKey.from_json("02" + "00" * 32)[0] == 2
    assert Scid.from_json("1x2x3") == 1 << 40 | 2 << 16 | 3
    for kind, wrong in [(Hash32, "ab"), (Hash32, "zz" * 32), (PubKey, "05" + "00" * 32), (Scid, "1x2"), (Scid, 5)]:
        with pytest.raises(ValueError, match=r"must|looks|begins"):
            kind.from_json(wrong)
