"""Scripts: pushes, numbers, output forms, dust."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulmen.core.base.ids import Secret
from fulmen.core.bitcoin import script as s
from fulmen.core.bitcoin.opcodes import OP_CHECKSIG, OP_CLTV, OP_DROP
from fulmen.core.crypto.secp256k1 import sign_ecdsa, signature_to_der


@pytest.mark.parametrize(("length", "prefix"), [(0, "00"), (75, "4b"), (76, "4c4c"), (255, "4cff"), (256, "4d0001")])
def test_a_push_is_as_short_as_can_be(length: int, prefix: str) -> None:
    data = b"\x07" * length
    assert s.push(data) == bytes.fromhex(prefix) + data
    assert list(s.parts_of(s.push(data))) == [(s.push(data)[0], data)]


@given(st.integers(-(2**31) + 1, 2**31 - 1))
def test_a_number_survives_its_encoding(value: int) -> None:
    assert s.decode_number(s.encode_number(value)) == value


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, "00"), (1, "51"), (16, "60"), (-1, "4f"), (17, "0111"), (127, "017f"), (128, "028000"), (-255, "02ff80")],
)
def test_numbers_are_written_as_bip_62_wants(value: int, encoded: str) -> None:
    assert s.number(value).hex() == encoded


@pytest.mark.parametrize("data", [b"\x00", b"\x80", b"\x01\x00", b"\x01\x80", b"\x01\x02\x03\x04\x05"])
def test_numbers_that_are_too_long_are_refused(data: bytes) -> None:
    with pytest.raises(s.NumberMalformed):
        s.decode_number(data)


@given(st.binary(max_size=100))
def test_any_bytes_can_be_taken_apart_or_are_a_truncated_push(data: bytes) -> None:
    try:
        list(s.parts_of(data))
        assert "[error]" not in s.asm(data)
    except s.PushTruncated:
        assert s.asm(data).endswith("[error]")


@pytest.mark.parametrize(
    ("script", "form", "dust"),
    [
        (s.p2pkh(bytes(20)), s.Form.P2PKH, 546),
        (s.p2sh(bytes(20)), s.Form.P2SH, 540),
        (s.p2wpkh(bytes(20)), s.Form.P2WPKH, 294),
        (s.p2wsh(b"\x51"), s.Form.P2WSH, 330),
        (s.p2tr(bytes(32)), s.Form.P2TR, 330),
        (s.P2A, s.Form.P2A, 240),
        (s.nulldata(b"hello"), s.Form.OP_RETURN, 0),
        (bytes.fromhex("6028") + bytes(40), s.Form.WITNESS_UNKNOWN, 354),
    ],
)
def test_every_output_form_is_known_with_its_dust_limit(script: bytes, form: s.Form, dust: int) -> None:
    """BOLT 3, "Dust Limits"."""
    assert s.form_of(script) is form
    assert s.dust_limit(script) == dust


@pytest.mark.parametrize("script", ["", "00", "0001ff", "5129" + "00" * 41, "4f14" + "00" * 20, "0014" + "00" * 19])
def test_what_is_no_witness_program_is_not_taken_for_one(script: str) -> None:
    assert s.witness_program(bytes.fromhex(script)) is None


def test_asm_speaks_as_bitcoin_core_does() -> None:
    script = s.number(500_000) + OP_CLTV + OP_DROP + s.push(b"\x02" * 33) + OP_CHECKSIG
    assert s.asm(script) == f"500000 OP_CHECKLOCKTIMEVERIFY OP_DROP {'02' * 33} OP_CHECKSIG"


def test_words_of_a_script_show_short_pushes_as_numbers():
    assert s.asm(s.push(b"hi") + s.push(b"\x81") + s.push(b"\x00\x80") + s.push(b"abcde")) == "26984 -1 0 6162636465"


def test_words_of_a_signature_name_what_it_signs():
    signature = signature_to_der(sign_ecdsa(Secret(bytes(31) + b"\x01"), bytes(32)))
    assert s.asm(s.push(signature + b"\x83"), signatures=True) == f"{signature.hex()}[SINGLE|ANYONECANPAY]"
    assert s.asm(s.push(signature + b"\x05"), signatures=True) == signature.hex() + "05"
    assert s.asm(s.push(signature + b"\x01")) == signature.hex() + "01"
