"""Bech32 and Bech32m: text with a checksum that finds errors. BIP 173, BIP 350.

The words are values of five bits, as bytes. BOLT 11 uses Bech32 without the limit of 90 characters; BOLT 12 uses
the alphabet without the checksum.
"""

from __future__ import annotations

import enum
from base64 import b32encode

from fulmen.core.base.faults import Malformed

CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
MAX_ADDRESS_CHARACTERS = 90
CHECKSUM_CHARACTERS = 6

_NONE = 0xFF
_CHARACTERS = CHARSET.encode().ljust(256, bytes((_NONE,)))
_VALUES = bytes(CHARSET.find(chr(byte)) & _NONE for byte in range(256))
_VALUES_OF_RFC_4648 = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", bytes(range(32)))
_DIGITS = b"0123456789abcdefghijklmnopqrstuv".ljust(256, b"?")
"""What `int` reads in base 32, in linear time."""
_HIGH_BITS = bytes(byte >> 5 for byte in range(256))
_LOW_BITS = bytes(byte & 31 for byte in range(256))


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
    if not hrp or not (hrp.isascii() and hrp.isprintable() and " " not in hrp):
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
    return words.translate(_CHARACTERS).decode("ascii")


def words_of(characters: str) -> bytes:
    """Lower-case characters of the alphabet as five-bit words.

    Raises:
        Bech32CharacterInvalid: with the place of the first that is none.
    """
    words = characters.encode("utf-8", "surrogatepass").translate(_VALUES)
    if _NONE in words:
        at = next(at for at, character in enumerate(characters) if character not in CHARSET)
        raise Bech32CharacterInvalid(character=characters[at], at=at)
    return words


def to_words(data: bytes) -> bytes:
    """Bytes as five-bit words, the last one filled with zero bits."""
    return b32encode(data).rstrip(b"=").translate(_VALUES_OF_RFC_4648)


def from_words(words: bytes) -> bytes:
    """Five-bit words as bytes; the bits left over must be fewer than five, and zero.

    Raises:
        Bech32PaddingInvalid: they are not.
    """
    left = len(words) * 5 % 8
    if left >= 5 or (left and words[-1] & ((1 << left) - 1)):
        raise Bech32PaddingInvalid
    size = len(words) * 5 // 8
    return (number_of(words) >> left).to_bytes(size, "big")


def number_of(words: bytes) -> int:
    """The big-endian number in five-bit words."""
    return int(words.translate(_DIGITS), 32) if words else 0


def _expanded(hrp: str) -> bytes:
    codes = hrp.encode("ascii")
    return codes.translate(_HIGH_BITS) + b"\x00" + codes.translate(_LOW_BITS)


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


def _with_word(polynomial: int, word: int) -> int:
    return (polynomial & 0x1FFFFFF) << 5 ^ word ^ _GENERATOR_SUMS[polynomial >> 25]


_SUMS_OF_TWO = tuple(_with_word(_with_word(top << 20, 0), 0) for top in range(1024))
"""What the highest ten bits come to when two words follow."""


def _polymod(words: bytes) -> int:
    odd = len(words) & 1
    polynomial = _with_word(1, words[0]) if odd else 1
    for high, low in zip(words[odd::2], words[odd + 1 :: 2], strict=True):
        polynomial = (polynomial & 0xFFFFF) << 10 ^ high << 5 ^ low ^ _SUMS_OF_TWO[polynomial >> 20]
    return polynomial
