"""Twelve to twenty-four words that stand for a seed. BIP 39.

Faults name places, never words: a fault may be logged, and a word is a part of a secret.
"""

from __future__ import annotations

import hashlib
import unicodedata

from fulmen.core.base.faults import Malformed
from fulmen.core.bitcoin.bip39_english import WORDS
from fulmen.core.crypto.hashes import sha256

ENTROPY_BYTES = (16, 20, 24, 28, 32)
ROUNDS = 2048
MAX_CHARACTERS = 1000

_INDEX = {word: index for index, word in enumerate(WORDS)}


class EntropyLengthWrong(Malformed):
    """Entropy has 16, 20, 24, 28 or 32 bytes."""


class WordCountWrong(Malformed):
    """A mnemonic has 12, 15, 18, 21 or 24 words."""


class WordUnknown(Malformed):
    """A word is not in the list; `position` counts from 1."""


class MnemonicChecksumWrong(Malformed):
    """All words are in the list, and yet one is wrong or two are swapped."""


def mnemonic_of(entropy: bytes) -> str:
    """The words of some entropy.

    Raises:
        EntropyLengthWrong
    """
    if len(entropy) not in ENTROPY_BYTES:
        raise EntropyLengthWrong(bytes=len(entropy))
    checksum_bits = len(entropy) // 4
    bits = int.from_bytes(entropy, "big") << checksum_bits | sha256(entropy)[0] >> (8 - checksum_bits)
    count = (len(entropy) * 8 + checksum_bits) // 11
    return " ".join(WORDS[bits >> 11 * at & 0x7FF] for at in range(count - 1, -1, -1))


def entropy_of(mnemonic: str) -> bytes:
    """The entropy of some words, whose checksum must fit. Case and white space do not matter.

    Raises:
        WordCountWrong, WordUnknown, MnemonicChecksumWrong
    """
    words = _words(mnemonic)
    if len(words) not in (12, 15, 18, 21, 24):
        raise WordCountWrong(words=len(words))
    unknown = [position for position, word in enumerate(words, 1) if word not in _INDEX]
    if unknown:
        at = ", ".join(map(str, unknown))
        raise WordUnknown(f"no word of the list stands at position {at}", position=unknown[0], of=len(words))
    bits = 0
    for word in words:
        bits = bits << 11 | _INDEX[word]
    checksum_bits = len(words) // 3
    entropy = (bits >> checksum_bits).to_bytes(len(words) * 4 // 3, "big")
    if bits & ((1 << checksum_bits) - 1) != sha256(entropy)[0] >> (8 - checksum_bits):
        raise MnemonicChecksumWrong
    return entropy


def seed_of(mnemonic: str, passphrase: str = "") -> bytes:
    """The 64-byte seed for BIP 32, of words whose checksum fits.

    Raises:
        WordCountWrong, WordUnknown, MnemonicChecksumWrong
    """
    entropy_of(mnemonic)
    salt = "mnemonic" + unicodedata.normalize("NFKD", passphrase)
    return hashlib.pbkdf2_hmac("sha512", " ".join(_words(mnemonic)).encode(), salt.encode(), ROUNDS)


def _words(mnemonic: str) -> list[str]:
    if len(mnemonic) > MAX_CHARACTERS:
        raise WordCountWrong("a mnemonic is not that long", characters=len(mnemonic))
    return unicodedata.normalize("NFKD", mnemonic).lower().split()
