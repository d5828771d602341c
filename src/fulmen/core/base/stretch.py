"""Cold rows that are true for a stretch of numbers: written once with its two ends, found by any number within.

The key says it all: a prefix, the number behind the last, the first number (6 bytes each, big endian), and what tells
rows of the same stretch apart. A store finds them by their keys alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fulmen.core.base.machine import Address
from fulmen.core.base.record import Record

NUMBER_LENGTH = 6
MOST = 1 << 8 * NUMBER_LENGTH


class Stretch(Record):
    """Asks for the rows of a kind under a prefix whose stretch holds a number, in the order of their keys."""

    kind: str
    prefix: bytes
    number: int

    @property
    def first_key(self) -> bytes:
        """No key of a stretch that ends behind `number` is less."""
        return self.prefix + _number(self.number + 1)

    @property
    def last_key(self) -> bytes:
        """Every key under the prefix is less."""
        return self.prefix + b"\xff" * (2 * NUMBER_LENGTH + 1)

    @property
    def greatest_start(self) -> bytes:
        """What stands in a key as the first number is at most this."""
        return _number(self.number)

    def holds(self, address: Address) -> bool:
        """Whether the row at this address is one of those asked for."""
        if address.kind != self.kind or not address.key.startswith(self.prefix):
            return False
        behind, start = address.key[self.behind_at : self.start_at], address.key[self.start_at :][:NUMBER_LENGTH]
        return int.from_bytes(start, "big") <= self.number < int.from_bytes(behind, "big")

    @property
    def behind_at(self) -> int:
        """Where in a key the number behind the last stands."""
        return len(self.prefix)

    @property
    def start_at(self) -> int:
        """Where in a key the first number stands."""
        return len(self.prefix) + NUMBER_LENGTH


class Found(Record):
    """What a `Stretch` has found: (what tells them apart, row)."""

    rows: tuple[tuple[bytes, Any], ...]


def stretch_key(prefix: bytes, start: int, behind: int, rest: bytes) -> bytes:
    """The key of a row that is true from `start` on and no more at `behind`."""
    return b"".join((prefix, _number(behind), _number(start), rest))


def held(wanted: Stretch, rows: Mapping[Address, Any]) -> tuple[tuple[Address, Any], ...]:
    """Those rows that are asked for, in the order of their keys: what a store without an index does."""
    among = [(address, row) for address, row in rows.items() if wanted.holds(address)]
    return tuple(sorted(among, key=lambda item: item[0].key))


def found(wanted: Stretch, rows: tuple[tuple[Address, Any], ...]) -> Found:
    """The rows as a machine gets them."""
    rest = wanted.start_at + NUMBER_LENGTH
    return Found(tuple([(address.key[rest:], row) for address, row in rows]))


def _number(number: int) -> bytes:
    return min(number, MOST - 1).to_bytes(NUMBER_LENGTH, "big")
