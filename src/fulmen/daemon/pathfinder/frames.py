"""Values over a pipe: each a length of four bytes and the packed value."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from fulmen.core.base.faults import Malformed
from fulmen.core.base.record import Record
from fulmen.core.routing.words import Settings

T = TypeVar("T")
MAX_FRAME = 64 << 20


class PipeBroken(Malformed):
    """What comes from the pipe is not what the other end of it writes."""


class Start(Record):
    """The first value over the pipe."""

    settings: Settings
    cache: str = ""
    compile: bool = True


class Writer:
    """Packs values."""

    def __init__(self) -> None:
        self._encoder = msgspec.msgpack.Encoder()

    def pack(self, value: Any) -> bytes:
        """A value as it goes over the pipe."""
        body = self._encoder.encode(value)
        return len(body).to_bytes(4, "big") + body


class Reader(Generic[T]):
    """Finds the values in what arrives, however it was cut."""

    def __init__(self, kind: Any) -> None:
        self._decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(kind)
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[T]:
        """The values that are whole by now.

        Raises:
            PipeBroken: these are no values.
        """
        buffer = self._buffer
        buffer += data
        found: list[T] = []
        at = 0
        while len(buffer) - at >= 4:
            length = int.from_bytes(buffer[at : at + 4], "big")
            if length > MAX_FRAME:
                raise PipeBroken(length=length)
            if len(buffer) - at - 4 < length:
                break
            try:
                found.append(self._decoder.decode(bytes(buffer[at + 4 : at + 4 + length])))
            except msgspec.MsgspecError as error:
                raise PipeBroken(why=str(error)) from error
            at += 4 + length
        del buffer[:at]
        return found
