"""Where each message begins on an encrypted wire, and what it is called: for who has the keys of its sessions.

Source: BOLT 8, "Lightning Message Specification".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from fulmen.core.transport.cipher import HEADER_LENGTH, Opener
from fulmen.core.transport.faults import FrameMacMismatch
from fulmen.core.transport.handshake import ACT_ONE_LENGTH, ACT_THREE_LENGTH, ACT_TWO_LENGTH
from fulmen.core.wire.declare import KINDS
from interop.proxy import FROM_TARGET, TO_TARGET

ACTS = {TO_TARGET: ACT_ONE_LENGTH + ACT_THREE_LENGTH, FROM_TARGET: ACT_TWO_LENGTH}
"""Bytes of the handshake in each direction: whoever is behind the proxy was dialled."""

Keys = Callable[[], Iterable[tuple[bytes, bytes]]]
"""Key and chaining key of every direction of every session so far."""


@dataclass(frozen=True)
class Frame:
    """One message as it stands on the wire."""

    name: str
    """In the BOLTs; empty for the handshake, and a number for what has no name."""
    data: bytes
    message: bytes = b""
    """What is said in it; nothing in the handshake."""


class Frames:
    """One direction of one connection: bytes in as they come, whole frames out."""

    def __init__(self, way: int, keys: Keys) -> None:
        self._acts = ACTS[way]
        self._keys = keys
        self._opener: Opener | None = None
        self._buffer = bytearray()
        self._fed = 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are whole with these bytes.

        Raises:
            LookupError: no key fits.
        """
        if self._acts:
            act, data = data[: self._acts], data[self._acts :]
            self._acts -= len(act)
            yield Frame("", act)
        self._buffer += data
        if self._opener is None:
            if len(self._buffer) < HEADER_LENGTH:
                return
            self._opener = self._fitting(bytes(self._buffer[:HEADER_LENGTH]))
        while self._fed < len(self._buffer):
            # One byte at a time: a frame ends where its message comes out.
            self._fed += 1
            if opened := self._opener.feed(bytes(self._buffer[self._fed - 1 : self._fed])):
                frame = bytes(self._buffer[: self._fed])
                del self._buffer[: self._fed]
                self._fed = 0
                yield Frame(_name(opened[0]), frame, opened[0])

    def _fitting(self, header: bytes) -> Opener:
        for key, chaining_key in reversed(list(self._keys())):
            try:
                Opener(key, chaining_key).feed(header)
            except FrameMacMismatch:
                continue
            return Opener(key, chaining_key)
        raise LookupError("a wire whose keys nobody told")


def _name(message: bytes) -> str:
    number = int.from_bytes(message[:2], "big")
    kind = KINDS.get(number)
    return str(number) if kind is None else kind.name
