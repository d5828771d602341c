"""The chain's file: every block and every command that moved the chain, in order, so that a restart finds the same.

Records of one type byte, u32 length, u32 CRC-32 (both little-endian) and the payload. A record that a crash cut short
is dropped with all that follows it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from struct import Struct

BLOCK = b"B"
INVALIDATED = b"I"
RECONSIDERED = b"R"
MOCKTIME = b"T"

_HEAD = Struct("<cII")
MAX_PAYLOAD = 4_000_000


class ChainJournal:
    """An append-only file; without a path nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file = None if path is None else path.open("ab")

    def read(self) -> Iterator[tuple[bytes, bytes]]:
        """The records so far: kind and payload. What is damaged at the end is cut off."""
        if self._path is None:
            return
        data = self._path.read_bytes()
        at = 0
        while at + _HEAD.size <= len(data):
            kind, length, checksum = _HEAD.unpack_from(data, at)
            payload = data[at + _HEAD.size : at + _HEAD.size + length]
            if len(payload) != length or length > MAX_PAYLOAD or zlib.crc32(payload) != checksum:
                break
            yield kind, payload
            at += _HEAD.size + length
        if at < len(data) and self._file is not None:
            self._file.truncate(at)

    def write(self, kind: bytes, payload: bytes) -> None:
        """Append one record."""
        if self._file is not None:
            self._file.write(_HEAD.pack(kind, len(payload), zlib.crc32(payload)) + payload)
            self._file.flush()

    def close(self) -> None:
        """No more records."""
        if self._file is not None:
            self._file.close()
            self._file = None
