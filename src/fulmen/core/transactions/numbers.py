"""The commitment number, hidden in locktime and sequence so that only the two ends can read it.

Source: BOLT 3, "Commitment Transaction".
"""

from __future__ import annotations

from fulmen.core.base.faults import InvariantBroken
from fulmen.core.base.ids import Point
from fulmen.core.bitcoin.transaction import Tx
from fulmen.core.crypto.hashes import sha256

MAX_COMMITMENT_NUMBER = (1 << 48) - 1

_LOCKTIME_MARK = 0x20
_SEQUENCE_MARK = 0x80
_LOW_24 = 0xFFFFFF


class NumberOutOfRange(InvariantBroken):
    """A commitment number has 48 bits."""


def obscuring_factor(opener_payment_basepoint: Point, accepter_payment_basepoint: Point) -> int:
    """The lower 48 bits of SHA256(payment_basepoint from open_channel || payment_basepoint from accept_channel)."""
    return int.from_bytes(sha256(opener_payment_basepoint + accepter_payment_basepoint)[26:], "big")


def locktime_and_sequence(number: int, factor: int) -> tuple[int, int]:
    """What a commitment's nLockTime and its input's nSequence say.

    Raises:
        NumberOutOfRange: more than 48 bits, or negative.
    """
    if not 0 <= number <= MAX_COMMITMENT_NUMBER:
        raise NumberOutOfRange(number=number)
    obscured = number ^ factor
    return _LOCKTIME_MARK << 24 | obscured & _LOW_24, _SEQUENCE_MARK << 24 | obscured >> 24


def commitment_number_of(tx: Tx, factor: int) -> int | None:
    """The number of a commitment that spends the funding, or None if the transaction is not of that form."""
    if len(tx.inputs) != 1:
        return None
    sequence = tx.inputs[0].sequence
    if tx.locktime >> 24 != _LOCKTIME_MARK or sequence >> 24 != _SEQUENCE_MARK:
        return None
    return ((sequence & _LOW_24) << 24 | tx.locktime & _LOW_24) ^ factor
