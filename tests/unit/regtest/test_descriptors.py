"""Descriptors of single scripts, and their checksums (BIP 380's example, and Bitcoin Core's answers)."""

from __future__ import annotations

import pytest

from fulmen.core.bitcoin.script import P2A, multisig, p2wpkh, push
from fulmen.core.crypto.secp256k1 import point_of
from fulmen.regtest.rpc.descriptors import checksum, describe, with_checksum

KEY = point_of(bytes(31) + b"\x01")


@pytest.mark.parametrize(("descriptor", "expected"), [("raw(deadbeef)", "89f8spxm"), ("raw(51)", "8lvh9jxk")])
def test_checksums_are_those_of_the_bip(descriptor, expected):
    assert checksum(descriptor) == expected
    assert with_checksum(descriptor) == f"{descriptor}#{expected}"


def test_what_no_descriptor_may_have_is_refused():
    with pytest.raises(ValueError, match="substring"):
        checksum("raw(é)")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (push(KEY) + b"\xac", f"pk({KEY.hex()})"),
        (multisig(1, KEY, KEY), f"multi(1,{KEY.hex()},{KEY.hex()})"),
        (b"\x51\x20" + KEY[1:], f"rawtr({KEY[1:].hex()})"),
        (b"\x51", "raw(51)"),
        (P2A, "addr(bcrt1pfeesnyr2tx)"),
        (p2wpkh(bytes(20)), "addr(bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202)"),
    ],
)
def test_a_script_is_described_by_what_it_shows(script, expected):
    assert describe(script).partition("#")[0] == expected
