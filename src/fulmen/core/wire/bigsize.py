"""BigSize: the variable-length unsigned integer of TLV types and lengths.

BOLT 1, "Appendix A: BigSize Test Vectors".
"""

from __future__ import annotations

from fulmen.core.wire.faults import NotMinimal, TooShort, Unencodable

_WIDTHS = {0xFD: 2, 0xFE: 4, 0xFF: 8}
_LEAST = {0xFD: 0xFD, 0xFE: 0x10000, 0xFF: 0x100000000}


def read_bigsize(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The number at `at` and where it ends.

    Raises:
        TooShort, NotMinimal.
    """
    if at >= end:
        raise TooShort(at=at)
    first = data[at]
    if first < 0xFD:
        return first, at + 1
    stop = at + 1 + _WIDTHS[first]
    if stop > end:
        raise TooShort(at=at)
    value = int.from_bytes(data[at + 1 : stop], "big")
    if value < _LEAST[first]:
        raise NotMinimal(at=at)
    return value, stop


def write_bigsize(value: int) -> bytes:
    """1, 3, 5 or 9 bytes."""
    if value < 0 or value >= 1 << 64:
        raise Unencodable(value=value)
    if value < 0xFD:
        return value.to_bytes(1, "big")
    if value < 0x10000:
        return b"\xfd" + value.to_bytes(2, "big")
    if value < 0x100000000:
        return b"\xfe" + value.to_bytes(4, "big")
    return b"\xff" + value.to_bytes(8, "big")
