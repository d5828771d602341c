"""JSON-RPC 2.0 as Core Lightning speaks it: JSON objects one after another, answers ended by an empty line.

Pure: bytes in, calls out; results in, bytes out. A caller can make us hold no more than `MAX_REQUEST` bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from fulmen.api.errors import BadJson, BadRequest, error_object
from fulmen.core.base.faults import Fault
from fulmen.core.base.record import Record

MAX_REQUEST = 4 * 1024 * 1024
MAX_DEPTH = 32
_STRUCTURE = re.compile(rb'["{}\[\]]')
_STRING_END = re.compile(rb'["\\]')
_SPACE = b" \t\r\n"


class Call(Record):
    """One request. `id` is None for a notification, which gets no answer."""

    id: Any
    method: str
    params: Any = None


class Objects:
    """Cuts a stream of bytes into JSON objects."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0
        self._depth = 0
        self._in_string = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The objects that are complete now.

        Raises:
            BadJson: it begins with no object, nests too deep, or is too large. The stream cannot be read further.
        """
        self._buffer += data
        while (end := self._scan()) is not None:
            whole = bytes(self._buffer[:end])
            del self._buffer[:end]
            self._at = 0
            yield whole
        if len(self._buffer) > MAX_REQUEST:
            raise BadJson(f"A request may have at most {MAX_REQUEST} bytes.")

    def _scan(self) -> int | None:
        """Where the first object ends, if it does."""
        buffer = self._buffer
        if self._depth == 0:
            begin = len(buffer) - len(buffer.lstrip(_SPACE))
            del buffer[:begin]
            self._at = 0
            if not buffer:
                return None
            if buffer[0] not in b"{[":
                raise BadJson("A request must be a JSON object.")
        while True:
            if self._in_string:
                found = _STRING_END.search(buffer, self._at)
                if found is None:
                    self._at = len(buffer)
                    return None
                if found.group() == b"\\":
                    if found.end() >= len(buffer):
                        self._at = found.start()
                        return None
                    self._at = found.end() + 1
                    continue
                self._in_string = False
                self._at = found.end()
                continue
            found = _STRUCTURE.search(buffer, self._at)
            if found is None:
                self._at = len(buffer)
                return None
            self._at = found.end()
            mark = found.group()
            if mark == b'"':
                self._in_string = True
            elif mark in b"{[":
                self._depth += 1
                if self._depth > MAX_DEPTH:
                    raise BadJson(f"A request may nest at most {MAX_DEPTH} deep.")
            else:
                self._depth -= 1
                if self._depth == 0:
                    return self._at


def parse_call(text: bytes) -> Call:
    """One request.

    Raises:
        BadJson, BadRequest
    """
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadJson("The request is no valid JSON.") from None
    if not isinstance(value, dict):
        raise BadRequest("A request must be a JSON object; batches are not taken.")
    method, identity = value.get("method"), value.get("id")
    if not isinstance(method, str):
        raise BadRequest("A request needs a `method`, and it must be a text.")
    if isinstance(identity, list | dict | bool):
        raise BadRequest("The `id` of a request must be a text or a number.")
    return Call(id=identity, method=method, params=value.get("params"))


def result_text(identity: Any, result: Any) -> bytes:
    """A response with a result."""
    return msgspec.json.encode({"jsonrpc": "2.0", "id": identity, "result": result}) + b"\n\n"


def error_text(identity: Any, fault: Fault) -> bytes:
    """A response with an error."""
    return msgspec.json.encode({"jsonrpc": "2.0", "id": identity, "error": error_object(fault)}) + b"\n\n"


def notification_text(method: str, params: dict[str, Any]) -> bytes:
    """News for a caller who asked for notifications."""
    return msgspec.json.encode({"jsonrpc": "2.0", "method": method, "params": params}) + b"\n\n"
