"""Just enough HTTP/1.1 for a JSON-RPC server: POST, keep-alive, basic authentication, bounded in every direction."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
from collections.abc import Callable
from dataclasses import dataclass

MAX_HEAD_BYTES = 32 * 1024
MAX_BODY_BYTES = 16 * 1024 * 1024
IDLE_S = 120.0
BODY_S = 30.0
MAX_CONNECTIONS = 256
_REASONS = {
    200: "OK",
    204: "No Content",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    411: "Length Required",
    413: "Content Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class _Unusable(Exception):
    """The request cannot be answered: the connection ends after this status."""

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class _Head:
    method: str
    length: int
    credentials: bytes
    keep: bool
    expects: bool


class HttpServer:
    """Answers POST requests of callers who know a password."""

    def __init__(self, answer: Callable[[bytes], tuple[int, bytes]], credentials: list[tuple[str, str]]) -> None:
        self._answer = answer
        self._accepted = [f"{user}:{password}".encode() for user, password in credentials]
        self._connections: dict[asyncio.Task[None], None] = {}
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; gives the port, chosen by the system when 0 was asked.

        Raises:
            OSError: there is no such host here, or the port is taken.
        """
        try:
            self._server = await asyncio.start_server(self._serve, host, port, limit=MAX_HEAD_BYTES)
        except UnicodeError:
            raise OSError(f"{host!r} is no name of a host") from None
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = None
        try:
            if len(self._connections) > MAX_CONNECTIONS:
                await _write(writer, 503, b"Work queue depth exceeded", keep=False)
            else:
                while await self._exchange(reader, writer):
                    pass
        except (asyncio.IncompleteReadError, asyncio.CancelledError, TimeoutError, ConnectionError):
            pass
        finally:
            del self._connections[task]
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; false when the connection is over."""
        try:
            head = await _read_head(reader)
            if head.expects:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            async with asyncio.timeout(BODY_S):
                body = await reader.readexactly(head.length)
        except _Unusable as why:
            await _write(writer, why.status, why.text.encode(), keep=False)
            return False
        if head.method != "POST":
            await _write(writer, 405, b"JSONRPC server handles only POST requests", keep=head.keep)
        elif not any(hmac.compare_digest(head.credentials, accepted) for accepted in self._accepted):
            await _write(writer, 401, b"", keep=head.keep, more=b'WWW-Authenticate: Basic realm="jsonrpc"\r\n')
        else:
            status, answer = self._answer(body)
            await _write(writer, status, answer, keep=head.keep, more=b"Content-Type: application/json\r\n")
        return head.keep


async def _read_head(reader: asyncio.StreamReader) -> _Head:
    try:
        async with asyncio.timeout(IDLE_S):
            raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise _Unusable(400, "headers too long") from None
    first, *lines = raw.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise _Unusable(400, "not an HTTP/1.1 request")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "transfer-encoding" in headers:
        raise _Unusable(411, "send a Content-Length")
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()) or len(length) > 12:
        raise _Unusable(400, "Content-Length is not a number")
    if int(length) > MAX_BODY_BYTES:
        raise _Unusable(413, "body too large")
    asked = headers.get("connection", "").lower()
    return _Head(
        method=parts[0],
        length=int(length),
        credentials=_credentials(headers.get("authorization", "")),
        keep=asked != "close" and (parts[2] != "HTTP/1.0" or asked == "keep-alive"),
        expects=headers.get("expect", "").lower() == "100-continue",
    )


def _credentials(authorization: str) -> bytes:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""


async def _write(writer: asyncio.StreamWriter, status: int, body: bytes, *, keep: bool, more: bytes = b"") -> None:
    connection = b"keep-alive" if keep else b"close"
    writer.write(
        f"HTTP/1.1 {status} {_REASONS.get(status, 'Error')}\r\n".encode()
        + more
        + b"Connection: "
        + connection
        + b"\r\nContent-Length: "
        + str(len(body)).encode()
        + b"\r\n\r\n"
        + body
    )
    await writer.drain()
