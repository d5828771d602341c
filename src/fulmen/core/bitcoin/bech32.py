"""Bech32 and Bech32m: text with a checksum that finds errors. BIP 173, BIP 350.

The words are values of five bits, as bytes. BOLT 11 uses Bech32 without the limit of 90 characters; BOLT 12 uses
the alphabet without the checksum.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from fulmen.core.base.faults import Malformed

CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
MAX_ADDRESS_CHARACTERS = 90
CHECKSUM_CHARACTERS = 6

_VALUES = {character: value for value, character in enumerate(CHARSET)}


class Checksum(enum.IntEnum):
    """What the checksum's polynomial comes to."""

    BECH32 = 1
    BECH32M = 0x2BC830A3


class Bech32TooLong(Malformed):
    """More characters than the form allows."""


class Bech32MixedCase(Malformed):
    """Upper and lower case in one string."""


class Bech32CharacterInvalid(Malformed):
    """A character that the alphabet has not."""


class Bech32WithoutSeparator(Malformed):
    """There is no `1` between the human-readable part and the data."""


class Bech32HrpMalformed(Malformed):
    """The human-readable part is empty or has a character outside of 33 to 126."""


class Bech32ChecksumTooShort(Malformed):
    """Fewer than six characters stand after the separator."""


class Bech32ChecksumWrong(Malformed):
    """The checksum does not fit: a character is wrong, missing or too many."""


class Bech32PaddingInvalid(Malformed):
    """The bits that fill the last word are not zero, or are five or more."""


def encode(hrp: str, words: bytes, checksum: Checksum) -> str:
    """The text, in lower case."""
    polynomial = _polymod(_expanded(hrp) + words + bytes(CHECKSUM_CHARACTERS)) ^ checksum
    check = bytes(polynomial >> 5 * (5 - i) & 31 for i in range(CHECKSUM_CHARACTERS))
    return f"{hrp}1{characters_of(words + check)}"


def decode(text: str, limit: int = MAX_ADDRESS_CHARACTERS) -> tuple[str, bytes, Checksum]:
    """The human-readable part in lower case, the words without the checksum, and which checksum it is.

    Raises:
        Malformed: by the name of what is wrong.

    Source: BIP 173, "Bech32"; BIP 350.
    """
    if len(text) > limit:
        raise Bech32TooLong(characters=len(text), limit=limit)
    lower = text.lower()
    if lower != text and text.upper() != text:
        raise Bech32MixedCase
    hrp, separator, data = lower.rpartition("1")
    if not separator:
        raise Bech32WithoutSeparator
    if not hrp or not all("!" <= character <= "~" for character in hrp):
        raise Bech32HrpMalformed(hrp=hrp)
    if len(data) < CHECKSUM_CHARACTERS:
        raise Bech32ChecksumTooShort(characters=len(data))
    words = words_of(data)
    polynomial = _polymod(_expanded(hrp) + words)
    if polynomial not in (Checksum.BECH32, Checksum.BECH32M):
        raise Bech32ChecksumWrong
    return hrp, words[:-CHECKSUM_CHARACTERS], Checksum(polynomial)


def characters_of(words: bytes) -> str:
    """Five-bit words as characters of the alphabet."""
    return "".join([CHARSET[word] for word in words])


def words_of(characters: str) -> bytes:
    """Lower-case characters of the alphabet as five-bit words.

    Raises:
        Bech32CharacterInvalid: with the place of the first that is none.
    """
    try:
        return bytes([_VALUES[character] for character in characters])
    except KeyError:
        at = next(at for at, character in enumerate(characters) if character not in _VALUES)
        raise Bech32CharacterInvalid(character=characters[at], at=at) from None


def to_words(data: bytes) -> bytes:
    """Bytes as five-bit words, the last one filled with zero bits."""
    return _regrouped(data, 8, 5)


def from_words(words: bytes) -> bytes:
    """Five-bit words as bytes; the bits left over must be fewer than five, and zero.

    Raises:
        Bech32PaddingInvalid: they are not.
    """
    left = len(words) * 5 % 8
    if left >= 5 or (left and words[-1] & ((1 << left) - 1)):
        raise Bech32PaddingInvalid
    return _regrouped(words, 5, 8)[: len(words) * 5 // 8]


def _regrouped(groups: Iterable[int], from_bits: int, to_bits: int) -> bytes:
    gathered, bits, out = 0, 0, bytearray()
    for group in groups:
        gathered = (gathered << from_bits | group) & 0xFFF
        bits += from_bits
        while bits >= to_bits:
            bits -= to_bits
            out.append(gathered >> bits & ((1 << to_bits) - 1))
    if bits:
        out.append(gathered << (to_bits - bits) & ((1 << to_bits) - 1))
    return bytes(out)


def _expanded(hrp: str) -> bytes:
    codes = hrp.encode("ascii")
    return bytes(code >> 5 for code in codes) + b"\x00" + bytes(code & 31 for code in codes)


def _generator_sums() -> tuple[int, ...]:
    generators = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
    sums = []
    for top in range(32):
        total = 0
        for bit, generator in enumerate(generators):
            if top >> bit & 1:
                total ^= generator
        sums.append(total)
    return tuple(sums)


_GENERATOR_SUMS = _generator_sums()


def _polymod(words: bytes) -> int:
    polynomial = 1
    for word in words:
        polynomial = (polynomial & 0x1FFFFFF) << 5 ^ word ^ _GENERATOR_SUMS[polynomial >> 25]
    return polynomial
