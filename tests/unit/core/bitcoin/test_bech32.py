"""Bech32, Bech32m and addresses, against the values of BIP 173 and BIP 350."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulmen.core.base.faults import Malformed
from fulmen.core.bitcoin import address, base58, bech32
from fulmen.core.bitcoin.bech32 import Checksum
from fulmen.core.bitcoin.networks import LITECOIN_REGTEST, MAINNET, NETWORKS, REGTEST, TESTNET, Network
from fulmen.core.bitcoin.script import P2A, p2pkh, p2sh, p2tr, p2wpkh, p2wsh

VECTORS = json.loads(Path("tests/vectors/bip/bip173_bip350.json").read_text())
FAULT_OF_REASON = {
    "HRP character out of range": "Bech32HrpMalformed",
    "overall max length exceeded": "Bech32TooLong",
    "No separator character": "Bech32WithoutSeparator",
    "Empty HRP": "Bech32HrpMalformed",
    "empty HRP": "Bech32HrpMalformed",
    "Invalid data character": "Bech32CharacterInvalid",
    "Invalid character in checksum": "Bech32CharacterInvalid",
    "Too short checksum": "Bech32ChecksumTooShort",
    "checksum calculated with uppercase form of HRP": "Bech32ChecksumWrong",
    "Invalid human-readable part": "AddressOfOtherNetwork",
    "Invalid checksum (Bech32 instead of Bech32m)": "AddressChecksumKindWrong",
    "Invalid checksum (Bech32m instead of Bech32)": "AddressChecksumKindWrong",
    "Invalid witness version": "WitnessVersionInvalid",
    "Invalid program length (1 byte)": "WitnessProgramInvalid",
    "Invalid program length (41 bytes)": "WitnessProgramInvalid",
    "Invalid program length for witness version 0 (per BIP141)": "WitnessProgramInvalid",
    "Mixed case": "Bech32MixedCase",
    "zero padding of more than 4 bits": "Bech32PaddingInvalid",
    "Non-zero padding in 8-to-5 conversion": "Bech32PaddingInvalid",
    "Empty data section": "WitnessProgramInvalid",
}


def network_of(text: str) -> Network:
    return TESTNET if text.lower().startswith("tb") else MAINNET


@pytest.mark.parametrize("text", VECTORS["bech32_valid"])
def test_bech32_is_read_and_written(text: str) -> None:
    hrp, words, checksum = bech32.decode(text)
    assert checksum is Checksum.BECH32
    assert bech32.encode(hrp, words, checksum) == text.lower()


@pytest.mark.parametrize("text", VECTORS["bech32m_valid"])
def test_bech32m_is_read_and_written(text: str) -> None:
    hrp, words, checksum = bech32.decode(text)
    assert checksum is Checksum.BECH32M
    assert bech32.encode(hrp, words, checksum) == text.lower()


@pytest.mark.parametrize(("text", "reason"), VECTORS["bech32_invalid"] + VECTORS["bech32m_invalid"])
def test_broken_bech32_is_refused_for_the_reason_that_the_bip_gives(text: str, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        bech32.decode(text)
    assert caught.value.name == FAULT_OF_REASON[reason]


@pytest.mark.parametrize(("text", "script"), VECTORS["address_valid"])
def test_segwit_addresses_stand_for_their_scripts(text: str, script: str) -> None:
    assert address.script_of(text, network_of(text)).hex() == script
    assert address.address_of(bytes.fromhex(script), network_of(text)) == text.lower()


@pytest.mark.parametrize(("text", "reason"), VECTORS["address_invalid"])
def test_broken_addresses_are_refused_for_the_reason_that_the_bip_gives(text: str, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        address.script_of(text, network_of(text))
    assert caught.value.name == FAULT_OF_REASON[reason]


@given(st.binary(max_size=300))
def test_bytes_survive_their_words(data: bytes) -> None:
    assert bech32.from_words(bech32.to_words(data)) == data


@given(st.binary(min_size=20, max_size=60), st.integers(0, 10_000), st.integers(1, 31))
def test_one_wrong_character_is_always_found(data: bytes, place: int, difference: int) -> None:
    text = bech32.encode("lnbc", bech32.to_words(data), Checksum.BECH32)
    at = 5 + place % (len(text) - 5)
    wrong = bech32.CHARSET[bech32.CHARSET.index(text[at]) ^ difference]
    with pytest.raises(bech32.Bech32ChecksumWrong):
        bech32.decode(text[:at] + wrong + text[at + 1 :], limit=1000)


@given(st.text(max_size=100))
def test_any_text_is_an_address_or_a_named_fault(text: str) -> None:
    for network in NETWORKS:
        try:
            assert address.script_of(text, network)
        except Malformed:
            continue


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
@pytest.mark.parametrize(
    "script", [p2pkh(b"\x05" * 20), p2sh(b"\x06" * 20), p2wpkh(b"\x07" * 20), p2wsh(b"\x51"), p2tr(b"\x08" * 32), P2A]
)
def test_every_form_survives_its_address_on_every_network(script: bytes, network: Network) -> None:
    assert address.script_of(address.address_of(script, network), network) == script


def test_old_addresses_are_read() -> None:
    text = "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"
    assert address.address_of(address.script_of(text, MAINNET), MAINNET) == text
    with pytest.raises(address.AddressOfOtherNetwork):
        address.script_of(text, REGTEST)
    with pytest.raises(base58.Base58ChecksumWrong):
        address.script_of(text[:-1] + "3", MAINNET)
    with pytest.raises(base58.Base58CharacterInvalid):
        address.script_of(text[:-1] + "l", MAINNET)


def test_litecoin_writes_its_own_p2sh_version_and_reads_the_shared_one() -> None:
    shared = address.address_of(p2sh(bytes(20)), REGTEST)
    own = address.address_of(p2sh(bytes(20)), LITECOIN_REGTEST)
    assert shared != own
    assert address.script_of(shared, LITECOIN_REGTEST) == address.script_of(own, LITECOIN_REGTEST)


def test_a_script_without_an_address_says_so() -> None:
    for script in (b"", b"\x6a", b"\x00\x02\x01\x02"):
        with pytest.raises(address.ScriptWithoutAddress):
            address.address_of(script, MAINNET)


def test_base58_keeps_leading_zeros() -> None:
    assert base58.decode_check(base58.encode_check(bytes(5))) == bytes(5)
    with pytest.raises(base58.Base58TooLong):
        base58.decode_check("1" * 121)
    with pytest.raises(base58.Base58ChecksumWrong):
        base58.decode_check("")
