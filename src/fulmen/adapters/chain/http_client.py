"""One POST at a time over kept connections: the HTTP/1.1 that JSON-RPC servers speak, bounded in size and time."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fulmen.adapters.chain.faults import SourceGarbage, SourceTimedOut, SourceUnreachable, SourceUntrusted

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 64 * 1024 * 1024
"""A whole block in hex has at most 8 MB; the names of a full mempool some 20."""
CONNECTIONS = 4
_READ_CHUNK = 256 * 1024


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    used: bool = False


class HttpClient:
    """Posts to one server. Connections are kept and used again; at most four are open."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._idle: list[_Connection] = []
        self._slots = asyncio.Semaphore(CONNECTIONS)

    async def post(self, path: str, headers: str, body: bytes, timeout_s: float) -> tuple[int, bytes]:
        """Send a body; gives the status and the body of the answer.

        Raises:
            SourceUnreachable, SourceTimedOut, SourceGarbage
        """
        request = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n{headers}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body
        try:
            async with asyncio.timeout(timeout_s), self._slots:
                return await self._ask(request)
        except TimeoutError:
            raise SourceTimedOut(host=self._host, port=self._port, seconds=timeout_s) from None

    async def close(self) -> None:
        """Close the kept connections."""
        while self._idle:
            connection = self._idle.pop()
            connection.writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await connection.writer.wait_closed()

    async def _ask(self, request: bytes) -> tuple[int, bytes]:
        while True:
            async with self._connection() as connection:
                fresh = not connection.used
                try:
                    connection.writer.write(request)
                    await connection.writer.drain()
                    status, body, keep = await _read_answer(connection.reader)
                except (OSError, asyncio.IncompleteReadError) as error:
                    if fresh:
                        raise SourceUnreachable(host=self._host, port=self._port, error=type(error).__name__) from None
                    # The server closed a kept connection meanwhile: once more, over a new one.
                    continue
                if keep:
                    connection.used = True
                    self._idle.append(connection)
                return status, body

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[_Connection]:
        connection = self._idle.pop() if self._idle else await self._connect()
        try:
            yield connection
        finally:
            if connection not in self._idle:
                connection.writer.close()

    async def _connect(self) -> _Connection:
        try:
            reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls, limit=MAX_HEAD_BYTES)
        except ssl.SSLCertVerificationError as error:
            raise SourceUntrusted(host=self._host, port=self._port, error=error.verify_message) from None
        # UnicodeError: a name that is none for DNS, with two dots in a row, or a part of more than 63 letters.
        except (OSError, ssl.SSLError, UnicodeError) as error:
            raise SourceUnreachable(host=self._host, port=self._port, error=str(error)) from None
        return _Connection(reader, writer)


async def _read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """Status, body, and whether the connection may be used again."""
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            raise SourceGarbage("the headers of the answer are too long") from None
        first, *lines = head.decode("latin-1").split("\r\n")
        parts = first.split(" ", 2)
        if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not (parts[1].isascii() and parts[1].isdigit()):
            raise SourceGarbage("the answer is not HTTP")
        status = int(parts[1][:4])
        if status != 100:
            break
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    keep = headers.get("connection", "").lower() != "close" and parts[0] == "HTTP/1.1"
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return status, await _read_chunks(reader), keep
    if "content-length" in headers:
        return status, await _read_exactly(reader, _length(headers["content-length"], 10)), keep
    if status == 204:
        return status, b"", keep
    return status, await _read_to_end(reader), False


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    parts, total = [], 0
    while True:
        try:
            line = await reader.readuntil(b"\r\n")
        except asyncio.LimitOverrunError:
            raise SourceGarbage("a chunk of the answer has no length") from None
        size = _length(line.decode("latin-1").partition(";")[0].strip(), 16)
        total += size
        if total > MAX_BODY_BYTES:
            raise SourceGarbage("the answer is too large", bytes=total)
        parts.append(await _read_exactly(reader, size))
        await reader.readexactly(2)
        if size == 0:
            return b"".join(parts)


async def _read_exactly(reader: asyncio.StreamReader, size: int) -> bytes:
    return await reader.readexactly(size) if size else b""


async def _read_to_end(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while part := await reader.read(_READ_CHUNK):
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise SourceGarbage("the answer is too large")
    return body


def _length(text: str, base: int) -> int:
    try:
        size = int(text, base) if len(text) <= 12 and text.isascii() and text.isalnum() else -1
    except ValueError:
        size = -1
    if not 0 <= size <= MAX_BODY_BYTES:
        raise SourceGarbage("the answer has no length that can be", length=text[:40])
    return size
