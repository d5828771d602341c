"""Seeds, words and the tree of keys, against the values of BIP 32, 39, 84 and 86."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulmen.core.base.faults import Malformed
from fulmen.core.bitcoin import bip32, bip39
from fulmen.core.bitcoin.address import address_of
from fulmen.core.bitcoin.base58 import Base58ChecksumWrong
from fulmen.core.bitcoin.networks import MAINNET, REGTEST
from fulmen.core.bitcoin.script import p2wpkh
from fulmen.core.bitcoin.taproot import output_key, output_script
from fulmen.core.crypto.hashes import hash160

VECTORS = Path("tests/vectors/bip")
BIP32 = json.loads((VECTORS / "bip32_test_vectors.json").read_text())
BIP39 = json.loads((VECTORS / "bip39_vectors.json").read_text())["english"]
ACCOUNTS = json.loads((VECTORS / "bip84_bip86.json").read_text())
INVALID = json.loads((VECTORS / "bip32_invalid_keys.json").read_text())


@pytest.mark.parametrize(("seed", "rows"), BIP32.items(), ids=lambda value: str(value)[:12])
def test_every_key_of_bip_32_is_derived(seed: str, rows: list[tuple[str, str, str]]) -> None:
    root = bip32.from_seed(bytes.fromhex(seed))
    for path, public, private in rows:
        node = root.derive(path)
        assert node.to_text(MAINNET) == private
        assert node.public.to_text(MAINNET) == public
        assert bip32.parse_extended_key(private, MAINNET) == node
        assert bip32.parse_extended_key(public, MAINNET) == node.public


@pytest.mark.parametrize(("text", "reason"), INVALID)
def test_every_invalid_key_of_bip_32_is_refused(text: str, reason: str) -> None:
    expected: type[Malformed] = Base58ChecksumWrong if "checksum" in reason else bip32.ExtendedKeyMalformed
    with pytest.raises(expected):
        bip32.parse_extended_key(text, MAINNET)


def test_a_key_of_another_network_is_refused() -> None:
    text = bip32.from_seed(bytes(16)).to_text(REGTEST)
    assert text.startswith("tprv")
    with pytest.raises(bip32.ExtendedKeyMalformed, match="another network"):
        bip32.parse_extended_key(text, MAINNET)


def test_public_and_private_derivation_meet() -> None:
    account = bip32.from_seed(bytes(32)).derive("m/84'/1'/0'")
    assert account.derive((0, 7)).point == account.public.derive((0, 7)).point
    with pytest.raises(bip32.HardenedNeedsSecret):
        account.public.child(bip32.HARDENED)
    with pytest.raises(bip32.HardenedNeedsSecret):
        _ = account.public.secret


def test_a_secret_is_not_shown() -> None:
    root = bip32.from_seed(bytes(32))
    assert root.secret.hex() not in repr(root)
    assert repr(root.secret) not in repr(root)
    assert str(list(root.__rich_repr__())).find(repr(root.chain_code)) == -1


@pytest.mark.parametrize("path", ["m//0", "0/", "m/x", "m/2147483648", "m/0''", "x/0", "m/-1", "m/0'h", "mm", "m/²"])
def test_a_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(bip32.PathMalformed):
        bip32.parse_path(path)


@given(st.lists(st.integers(0, 2**32 - 1), max_size=6).map(tuple))
def test_a_path_survives_its_text(path: tuple[int, ...]) -> None:
    assert bip32.parse_path(bip32.path_text(path)) == path


def test_seed_lengths_are_checked() -> None:
    for length in (15, 65):
        with pytest.raises(bip32.SeedLengthWrong):
            bip32.from_seed(bytes(length))


@pytest.mark.parametrize(("entropy", "words", "seed", "master"), BIP39)
def test_words_and_seeds_are_those_of_bip_39(entropy: str, words: str, seed: str, master: str) -> None:
    assert bip39.mnemonic_of(bytes.fromhex(entropy)) == words
    assert bip39.entropy_of(words).hex() == entropy
    assert bip39.seed_of(words, "TREZOR").hex() == seed
    assert bip32.from_seed(bytes.fromhex(seed)).to_text(MAINNET) == master


def test_the_word_list_can_be_told_apart_by_four_letters() -> None:
    assert len(bip39.WORDS) == 2048
    assert len({word[:4] for word in bip39.WORDS}) == 2048
    assert list(bip39.WORDS) == sorted(bip39.WORDS)


def test_a_wrong_word_is_named_by_its_place_and_never_shown() -> None:
    words = ACCOUNTS["mnemonic"].split()
    words[4] = "abandom"
    with pytest.raises(bip39.WordUnknown, match="position 5") as caught:
        bip39.seed_of(" ".join(words))
    assert "abandom" not in str(caught.value)
    assert caught.value.details["position"] == 5


def test_a_swapped_word_breaks_the_checksum() -> None:
    with pytest.raises(bip39.MnemonicChecksumWrong):
        bip39.entropy_of(" ".join(["abandon"] * 12))
    with pytest.raises(bip39.WordCountWrong):
        bip39.entropy_of("abandon about")
    with pytest.raises(bip39.EntropyLengthWrong):
        bip39.mnemonic_of(bytes(17))


def test_case_and_spaces_of_words_do_not_matter() -> None:
    words = ACCOUNTS["mnemonic"]
    assert bip39.seed_of(f"  {words.upper().replace(' ', chr(10))} ") == bip39.seed_of(words)


@given(st.text(max_size=200))
def test_any_text_is_a_mnemonic_or_a_named_fault(text: str) -> None:
    with pytest.raises(Malformed):
        bip39.entropy_of(text)


PATHS = ((0, 0), (0, 1), (1, 0))


def test_accounts_have_the_addresses_of_bip_84_and_bip_86() -> None:
    root = bip32.from_seed(bip39.seed_of(ACCOUNTS["mnemonic"]))
    old, new = root.derive("m/84'/0'/0'"), root.derive("m/86'/0'/0'")
    assert new.to_text(MAINNET) == ACCOUNTS["bip86"]["account_xprv"]
    points = [old.public.derive(path).point for path in PATHS]
    assert [point.hex() for point in points] == ACCOUNTS["bip84"]["pubkeys"]
    assert [address_of(p2wpkh(hash160(point)), MAINNET) for point in points] == ACCOUNTS["bip84"]["addresses"]
    keys = [new.public.derive(path).point[1:] for path in PATHS]
    assert [key.hex() for key in keys] == ACCOUNTS["bip86"]["internal_keys"]
    assert [output_key(key)[0].hex() for key in keys] == ACCOUNTS["bip86"]["output_keys"]
    assert [address_of(output_script(key), MAINNET) for key in keys] == ACCOUNTS["bip86"]["addresses"]
