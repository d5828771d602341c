"""How each fundamental type of BOLT 1 stands on the wire.

A codec reads a value at a place and says where it ended, and writes a value. Those of a fixed width also name their
`struct` format, so that the compiler of declarations reads a run of them in one go.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from typing import Annotated, Any

from fulmen.core.base.ids import (
    BlockHash,
    ChainHash,
    ChannelId,
    NodeId,
    PaymentHash,
    PaymentSecret,
    Point,
    Preimage,
    Secret,
    ShortChannelId,
    Signature,
    Txid,
)
from fulmen.core.crypto.secp256k1 import NotAPoint, is_point
from fulmen.core.wire.bigsize import read_bigsize, write_bigsize
from fulmen.core.wire.faults import LengthOutOfBounds, NotAList, NotMinimal, NotUtf8, TooShort, Unencodable


class Codec(ABC):
    """Reads and writes one type."""

    @abstractmethod
    def read(self, data: bytes, at: int, end: int) -> tuple[Any, int]:
        """The value at `at`, not looking past `end`, and where it ends."""

    @abstractmethod
    def write(self, value: Any) -> bytes:
        """The bytes of a value."""


class Fixed(Codec):
    """One value of a fixed width: a `struct` format without byte order."""

    def __init__(self, letters: str) -> None:
        self.letters = letters
        self._struct = struct.Struct(">" + letters)
        self.size = self._struct.size
        self.is_bytes = letters.endswith("s")

    def read(self, data: bytes, at: int, end: int) -> tuple[Any, int]:
        stop = at + self.size
        if stop > end:
            raise TooShort(at=at)
        value = self._struct.unpack_from(data, at)[0]
        self.check(value)
        return value, stop

    def write(self, value: Any) -> bytes:
        if self.is_bytes and len(value) != self.size:
            raise Unencodable(expected=self.size, length=len(value))
        try:
            return self._struct.pack(value)
        except struct.error as error:
            raise Unencodable(value=value) from error

    def check(self, value: Any) -> None:
        """Refuse what has the right width and yet is no value of the type."""


class PointCodec(Fixed):
    """33 bytes that must be a compressed point."""

    def __init__(self) -> None:
        super().__init__("33s")

    def check(self, value: Any) -> None:
        """Refuse what is not on the curve.

        Raises:
            NotAPoint.
        """
        if not is_point(value):
            raise NotAPoint(point=value)


class Sized(Codec):
    """`len*byte` after a u16 `len`. The length is no field of its own."""

    def read(self, data: bytes, at: int, end: int) -> tuple[bytes, int]:
        start = at + 2
        if start > end:
            raise TooShort(at=at)
        stop = start + (data[at] << 8 | data[at + 1])
        if stop > end:
            raise LengthOutOfBounds(at=at, length=stop - start, left=end - start)
        return data[start:stop], stop

    def write(self, value: bytes) -> bytes:
        if len(value) > 0xFFFF:
            raise Unencodable(length=len(value))
        return len(value).to_bytes(2, "big") + value


class Rest(Codec):
    """`...*byte`: everything up to the end."""

    def read(self, data: bytes, at: int, end: int) -> tuple[bytes, int]:
        return data[at:end], end

    def write(self, value: bytes) -> bytes:
        return value


class Text(Codec):
    """`...*utf8`: everything up to the end, as text."""

    def read(self, data: bytes, at: int, end: int) -> tuple[str, int]:
        try:
            return data[at:end].decode("utf-8"), end
        except UnicodeDecodeError as error:
            raise NotUtf8(at=at) from error

    def write(self, value: str) -> bytes:
        return value.encode("utf-8")


class Counted(Codec):
    """A u16 count and that many elements."""

    def __init__(self, element: Codec) -> None:
        self.element = element

    def read(self, data: bytes, at: int, end: int) -> tuple[tuple[Any, ...], int]:
        if at + 2 > end:
            raise TooShort(at=at)
        count = data[at] << 8 | data[at + 1]
        at += 2
        if isinstance(self.element, Fixed):
            stop = at + count * self.element.size
            if stop > end:
                raise LengthOutOfBounds(at=at, count=count, left=end - at)
            return _fixed_elements(self.element, data, at, stop), stop
        values = []
        for _ in range(count):
            value, at = self.element.read(data, at, end)
            values.append(value)
        return tuple(values), at

    def write(self, value: tuple[Any, ...]) -> bytes:
        if len(value) > 0xFFFF:
            raise Unencodable(count=len(value))
        return len(value).to_bytes(2, "big") + _joined(self.element, value)


class Every(Codec):
    """`...*x`: elements of a fixed width up to the end; exactly `count` of them if that is given."""

    def __init__(self, element: Fixed, count: int | None = None) -> None:
        self.element = element
        self.count = count

    def read(self, data: bytes, at: int, end: int) -> tuple[tuple[Any, ...], int]:
        stop = end if self.count is None else at + self.count * self.element.size
        if stop > end:
            raise TooShort(at=at)
        if (stop - at) % self.element.size:
            raise NotAList(length=stop - at, element=self.element.size)
        return _fixed_elements(self.element, data, at, stop), stop

    def write(self, value: tuple[Any, ...]) -> bytes:
        if self.count is not None and len(value) != self.count:
            raise Unencodable(expected=self.count, count=len(value))
        return _joined(self.element, value)


class BigSize(Codec):
    """A number in 1, 3, 5 or 9 bytes."""

    def read(self, data: bytes, at: int, end: int) -> tuple[int, int]:
        return read_bigsize(data, at, end)

    def write(self, value: int) -> bytes:
        return write_bigsize(value)


class Truncated(Codec):
    """`tu16`, `tu32`, `tu64`: a number up to the end of its TLV, without leading zeros."""

    def __init__(self, width: int) -> None:
        self.width = width

    def read(self, data: bytes, at: int, end: int) -> tuple[int, int]:
        # What is longer than the type is left for the TLV's own length check to refuse.
        stop = min(end, at + self.width)
        # BOLT 1: "Leading zeros in truncated integers MUST be omitted"
        if stop > at and data[at] == 0:
            raise NotMinimal(at=at)
        return int.from_bytes(data[at:stop], "big"), stop

    def write(self, value: int) -> bytes:
        length = (value.bit_length() + 7) // 8
        if value < 0 or length > self.width:
            raise Unencodable(value=value, width=self.width)
        return value.to_bytes(length, "big")


class Flag(Codec):
    """An empty TLV whose presence says yes."""

    def read(self, data: bytes, at: int, end: int) -> tuple[bool, int]:
        return True, at

    def write(self, value: bool) -> bytes:
        return b""


class SciddirOrPubkey(Codec):
    """9 or 33 bytes that name a node: by channel and side, or by its key."""

    def read(self, data: bytes, at: int, end: int) -> tuple[bytes, int]:
        if at >= end:
            raise TooShort(at=at)
        if data[at] > 1:
            return POINT.read(data, at, end)
        if at + 9 > end:
            raise TooShort(at=at)
        return data[at : at + 9], at + 9

    def write(self, value: bytes) -> bytes:
        if len(value) != (9 if value[:1] in (b"\0", b"\1") else 33):
            raise Unencodable(length=len(value))
        return value


def _fixed_elements(element: Fixed, data: bytes, at: int, stop: int) -> tuple[Any, ...]:
    if element.is_bytes:
        values: tuple[Any, ...] = tuple([data[i : i + element.size] for i in range(at, stop, element.size)])
    else:
        values = struct.unpack_from(f">{(stop - at) // element.size}{element.letters}", data, at)
    if type(element).check is not Fixed.check:
        for value in values:
            element.check(value)
    return values


def _joined(element: Codec, values: tuple[Any, ...]) -> bytes:
    if isinstance(element, Fixed) and element.is_bytes:
        if set(map(len, values)) - {element.size}:
            raise Unencodable(expected=element.size)
        return b"".join(values)
    return b"".join(map(element.write, values))


U8, U16, U32, U64 = Fixed("B"), Fixed("H"), Fixed("I"), Fixed("Q")
S8, S16, S32, S64 = Fixed("b"), Fixed("h"), Fixed("i"), Fixed("q")
TU16, TU32, TU64 = Truncated(2), Truncated(4), Truncated(8)
BYTES32 = Fixed("32s")
POINT = PointCodec()
SIGNATURE = Fixed("64s")
SIZED = Sized()
REST = Rest()
TEXT = Text()
FLAG = Flag()
BIGSIZE = BigSize()
SCIDDIR_OR_PUBKEY = SciddirOrPubkey()

u8 = Annotated[int, U8]
u16 = Annotated[int, U16]
u32 = Annotated[int, U32]
u64 = Annotated[int, U64]
s64 = Annotated[int, S64]
Blob = Annotated[bytes, SIZED]
"""Bytes after a u16 length."""

NATURAL: dict[Any, Codec] = {
    ChannelId: BYTES32,
    ChainHash: BYTES32,
    BlockHash: BYTES32,
    Txid: BYTES32,
    PaymentHash: BYTES32,
    PaymentSecret: BYTES32,
    Preimage: BYTES32,
    Secret: BYTES32,
    Signature: SIGNATURE,
    Point: POINT,
    NodeId: POINT,
    ShortChannelId: U64,
    bytes: REST,
    str: TEXT,
    bool: FLAG,
}
"""The codec of a type that needs no annotation."""
