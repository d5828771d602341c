"""Type-length-value streams: records in strictly increasing order, minimal, within bounds.

BOLT 1, "Type-Length-Value Format".
"""

from __future__ import annotations

from collections.abc import Iterable

from fulmen.core.wire.bigsize import read_bigsize, write_bigsize
from fulmen.core.wire.faults import LengthOutOfBounds, TlvNotIncreasing

UnknownTlvs = tuple[tuple[int, bytes], ...]
"""(type, value) of the odd records we do not know, in order: kept, so that what we pass on stays as it was signed."""


def split_tlvs(data: bytes, at: int = 0, end: int | None = None) -> list[tuple[int, int, int]]:
    """Cut a stream into (type, start of its value, end of its value); nothing is said about which types are known.

    Raises:
        TooShort, NotMinimal, LengthOutOfBounds, TlvNotIncreasing.
    """
    stop = len(data) if end is None else end
    records: list[tuple[int, int, int]] = []
    last = -1
    while at < stop:
        number, at = read_bigsize(data, at, stop)
        # BOLT 1: "if decoded `type`s are not strictly-increasing ... MUST fail to parse the `tlv_stream`"
        if number <= last:
            raise TlvNotIncreasing(type=number, after=last)
        last = number
        length, at = read_bigsize(data, at, stop)
        # BOLT 1: "if `length` exceeds the number of bytes remaining in the message: MUST fail to parse"
        if length > stop - at:
            raise LengthOutOfBounds(type=number, length=length, left=stop - at)
        records.append((number, at, at + length))
        at += length
    return records


def write_tlv(number: int, value: bytes) -> bytes:
    """One record."""
    return write_bigsize(number) + write_bigsize(len(value)) + value


def join_tlvs(records: Iterable[tuple[int, bytes]]) -> bytes:
    """A stream from (type, value) pairs in increasing order."""
    return b"".join(write_tlv(number, value) for number, value in records)
