"""Reading and writing Bitcoin's serialisation: little-endian integers, compact sizes, byte strings.

The reader refuses what Bitcoin Core's refuses: a compact size that is not minimal, a length beyond `MAX_SIZE`,
bytes that are missing. (The BOLTs' BigSize is big-endian and lives in `core.wire`.)
"""

from __future__ import annotations

from fulmen.core.base.faults import Malformed

MAX_SIZE = 0x02000000
"""No length in Bitcoin's serialisation is larger (MAX_SIZE of Bitcoin Core's serialize.h)."""


_SHORT = tuple(bytes((value,)) for value in range(0xFD))


class BytesMissing(Malformed):
    """The bytes end before what they announce."""


class BytesTrailing(Malformed):
    """Something is read to its end, and bytes are left."""


class CompactSizeNotMinimal(Malformed):
    """A compact size is written longer than needed."""


class LengthTooLarge(Malformed):
    """A length or a count is beyond what the serialisation allows."""


def compact_size(value: int) -> bytes:
    """1, 3, 5 or 9 bytes."""
    if value < 0xFD:
        return _SHORT[value]
    if value <= 0xFFFF:
        return b"\xfd" + value.to_bytes(2, "little")
    if value <= 0xFFFFFFFF:
        return b"\xfe" + value.to_bytes(4, "little")
    return b"\xff" + value.to_bytes(8, "little")


def with_length(data: bytes) -> bytes:
    """The bytes after their length as a compact size."""
    length = len(data)
    return (_SHORT[length] if length < 0xFD else compact_size(length)) + data


class Cursor:
    """A place in bytes that are being read."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at
        self.end = len(data)

    @property
    def left(self) -> int:
        """How many bytes are still unread."""
        return self.end - self.at

    def take(self, length: int) -> bytes:
        """The next bytes.

        Raises:
            BytesMissing: there are fewer.
        """
        start = self.at
        self.at = start + length
        if self.at > self.end:
            raise BytesMissing(wanted=length, left=self.end - start)
        return self.data[start : self.at]

    def u8(self) -> int:
        """One byte."""
        return self.take(1)[0]

    def u16(self) -> int:
        """Two bytes, little-endian."""
        return int.from_bytes(self.take(2), "little")

    def u32(self) -> int:
        """Four bytes, little-endian."""
        return int.from_bytes(self.take(4), "little")

    def u64(self) -> int:
        """Eight bytes, little-endian."""
        return int.from_bytes(self.take(8), "little")

    def compact_size(self) -> int:
        """A compact size up to `MAX_SIZE`.

        Raises:
            CompactSizeNotMinimal, LengthTooLarge, BytesMissing
        """
        first = self.take(1)[0]
        if first < 0xFD:
            return first
        width = 1 << (first - 0xFC)
        value = int.from_bytes(self.take(width), "little")
        if value < 0xFD or (width > 2 and value < 1 << (4 * width)):
            raise CompactSizeNotMinimal(value=value, bytes=width)
        if value > MAX_SIZE:
            raise LengthTooLarge(value=value)
        return value

    def count(self, smallest: int) -> int:
        """How many things follow, each of at least `smallest` bytes: more than fit in what is left is refused early."""
        value = self.compact_size()
        if value * smallest > self.end - self.at:
            raise BytesMissing(count=value, left=self.end - self.at)
        return value

    def string(self) -> bytes:
        """Bytes after their length."""
        return self.take(self.compact_size())

    def finish(self) -> None:
        """Nothing may be left.

        Raises:
            BytesTrailing: something is.
        """
        if self.at != self.end:
            raise BytesTrailing(left=self.end - self.at)
