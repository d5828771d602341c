"""Base58Check: the text form of old addresses and of extended keys, with four bytes of checksum."""

from __future__ import annotations

from fulmen.core.base.faults import Malformed
from fulmen.core.crypto.hashes import sha256d

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
MAX_CHARACTERS = 120
"""An extended key has 111; more is nothing that we read (the conversion takes quadratic time)."""

_VALUES = {character: value for value, character in enumerate(ALPHABET)}


class Base58TooLong(Malformed):
    """More characters than anything that we read has."""


class Base58CharacterInvalid(Malformed):
    """A character that the alphabet has not."""


class Base58ChecksumWrong(Malformed):
    """The checksum does not fit, or there is none."""


def encode_check(payload: bytes) -> str:
    """The text of a payload and its checksum."""
    data = payload + sha256d(payload)[:4]
    number = int.from_bytes(data, "big")
    characters = []
    while number:
        number, value = divmod(number, 58)
        characters.append(ALPHABET[value])
    zeros = len(data) - len(data.lstrip(b"\x00"))
    return "1" * zeros + "".join(reversed(characters))


def decode_check(text: str) -> bytes:
    """The payload of a text whose checksum fits.

    Raises:
        Base58TooLong, Base58CharacterInvalid, Base58ChecksumWrong
    """
    if len(text) > MAX_CHARACTERS:
        raise Base58TooLong(characters=len(text))
    number = 0
    for at, character in enumerate(text):
        value = _VALUES.get(character)
        if value is None:
            raise Base58CharacterInvalid(character=character, at=at)
        number = number * 58 + value
    zeros = len(text) - len(text.lstrip("1"))
    data = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    if len(data) < 4 or sha256d(data[:-4])[:4] != data[-4:]:
        raise Base58ChecksumWrong
    return data[:-4]
