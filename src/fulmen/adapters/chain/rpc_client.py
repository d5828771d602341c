"""JSON-RPC over HTTP: calls, arrays of calls, typed answers, and the faults of both."""

from __future__ import annotations

import base64
import ssl
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from fulmen.adapters.chain.faults import (
    ChainSourceFault,
    SourceGarbage,
    SourceRefused,
    SourceUnauthorized,
    SourceUnreachable,
    SourceWarmingUp,
)
from fulmen.adapters.chain.http_client import HttpClient
from fulmen.core.base.faults import Refused

T = TypeVar("T")

TIMEOUT_S = 30.0
IN_WARMUP = -28
MAX_WORDS = 500
"""How much of a server's error text is kept."""


class EndpointUnreadable(Refused):
    """The address of a chain source is no URL like http://user:password@host:port/."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a JSON-RPC server is, and what it takes to be let in."""

    host: str
    port: int
    user: str = ""
    password: str = ""
    cookie: Path | None = None
    """Read again whenever the server says that we may not enter: it changes when the server restarts."""
    tls: bool = False
    certificate: Path | None = None
    """The server's certificate, or who signed it; without one, the system's authorities."""
    path: str = "/"

    @classmethod
    def from_url(cls, url: str, cookie: Path | None = None, certificate: Path | None = None) -> Endpoint:
        """Read http(s)://user:password@host:port/.

        Raises:
            EndpointUnreadable
        """
        try:
            parts = urllib.parse.urlsplit(url)
            port = parts.port
        except ValueError:
            # Not what Python says: a character that must be quoted makes a piece of the password look like a port.
            raise EndpointUnreadable("it is no URL like http://host:port/") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or not port:
            raise EndpointUnreadable("it is no URL like http://host:port/", scheme=parts.scheme)
        return cls(
            parts.hostname,
            port,
            urllib.parse.unquote(parts.username or ""),
            urllib.parse.unquote(parts.password or ""),
            cookie,
            parts.scheme == "https",
            certificate,
            parts.path or "/",
        )


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""


class _Reply(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _Error | None = None
    id: Any = None


Call = tuple[str, tuple[Any, ...]]
"""A method and its parameters."""


class RpcClient:
    """A JSON-RPC server, asked."""

    def __init__(self, endpoint: Endpoint, timeout_s: float = TIMEOUT_S) -> None:
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._http = HttpClient(endpoint.host, endpoint.port, _tls_context(endpoint))
        self._authorization = ""

    async def call(self, type_: type[T], method: str, *params: Any) -> T:
        """Make one call; the result is read as this type.

        Raises:
            ChainSourceFault: by the name of what went wrong; `SourceRefused` when the server says no.
        """
        body = await self._post(_encode(0, method, params))
        reply = _decode_reply(body, _Reply)
        return _result(reply, type_, method)

    async def call_or_null(self, type_: type[T], method: str, *params: Any) -> T | None:
        """Make one call whose result may be null.

        Raises:
            ChainSourceFault: as `call`.
        """
        reply = _decode_reply(await self._post(_encode(0, method, params)), _Reply)
        if reply.error is None and bytes(reply.result) == b"null":
            return None
        return _result(reply, type_, method)

    async def batch(self, type_: type[T], calls: Sequence[Call]) -> list[T | ChainSourceFault]:
        """Make several calls in one request; an answer that is an error is given as its fault.

        Raises:
            ChainSourceFault: the request as a whole failed.
        """
        if not calls:
            return []
        requests = b",".join(_encode(at, method, params) for at, (method, params) in enumerate(calls))
        replies = _decode_reply(await self._post(b"[" + requests + b"]"), list[_Reply])
        by_id = {reply.id: reply for reply in replies if isinstance(reply.id, int)}
        answers: list[T | ChainSourceFault] = []
        for at, (method, _) in enumerate(calls):
            if at not in by_id:
                raise SourceGarbage("an answer is missing", method=method)
            try:
                answers.append(_result(by_id[at], type_, method))
            except ChainSourceFault as fault:
                answers.append(fault)
        return answers

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _post(self, body: bytes) -> bytes:
        for attempt in range(2):
            if not self._authorization:
                self._authorization = self._read_authorization()
            status, answer = await self._http.post(self._endpoint.path, self._authorization, body, self._timeout_s)
            if status not in (401, 403):
                return answer
            self._authorization = ""
            if self._endpoint.cookie is None or attempt:
                break
        raise SourceUnauthorized(host=self._endpoint.host, port=self._endpoint.port)

    def _read_authorization(self) -> str:
        credentials = f"{self._endpoint.user}:{self._endpoint.password}"
        if self._endpoint.cookie is not None:
            try:
                credentials = self._endpoint.cookie.read_text(encoding="utf-8", errors="replace").strip()
            except OSError:
                raise SourceUnreachable("the cookie file cannot be read", path=str(self._endpoint.cookie)) from None
        return f"Authorization: Basic {base64.b64encode(credentials.encode()).decode()}\r\n"


def _encode(ident: int, method: str, params: tuple[Any, ...]) -> bytes:
    # "jsonrpc" must be there for btcd, and "1.0" gives every server's older and richer answer.
    return msgspec.json.encode({"jsonrpc": "1.0", "id": ident, "method": method, "params": params})


def _decode_reply(body: bytes, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=type_)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise SourceGarbage("the answer is not what JSON-RPC says", begins=body[:60]) from None


def _result(reply: _Reply, type_: type[T], method: str) -> T:
    if reply.error is not None:
        words = reply.error.message[:MAX_WORDS]
        if reply.error.code == IN_WARMUP:
            raise SourceWarmingUp(words)
        raise SourceRefused(reply.error.code, words)
    try:
        return msgspec.json.Decoder(type_, float_hook=Decimal).decode(reply.result)
    except (msgspec.MsgspecError, RecursionError, ValueError, ArithmeticError):
        raise SourceGarbage("the answer has another shape than the call's", method=method) from None


def read_as(type_: type[T], value: Any, method: str) -> T:
    """An answer of a batch of different calls, read as this type.

    Raises:
        SourceGarbage: it has another shape; or the fault that it is.
    """
    if isinstance(value, ChainSourceFault):
        raise value
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError:
        raise SourceGarbage("the answer has another shape than the call's", method=method) from None


def _tls_context(endpoint: Endpoint) -> ssl.SSLContext | None:
    if not endpoint.tls:
        return None
    context = ssl.create_default_context()
    if endpoint.certificate is not None:
        try:
            context.load_verify_locations(endpoint.certificate)
        except (OSError, ssl.SSLError) as error:
            raise EndpointUnreadable("the certificate cannot be read", error=str(error)) from None
    return context
