"""JSON over HTTP, as the drivers of daemons need it: one connection per call, answers as plain values."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any


class Unanswered(Exception):
    """Nobody there, or no JSON."""


def ask(
    port: int,
    method: str,
    path: str,
    body: Any = None,
    *,
    login: str = "",
    headers: Mapping[str, str] | None = None,
    certificate: Path | None = None,
    timeout_s: float = 60,
    first: bool = False,
) -> Any:
    """The answer to one request, whatever its status; a stream of JSON lines is given as a list of them.

    Args:
        login: user:password, or nothing.
        headers: more of them.
        certificate: that of the server, which speaks TLS then.
        first: only the first line, of a stream that may go on for long.

    Raises:
        Unanswered
    """
    try:
        connection = _connection(port, certificate, timeout_s)
    except OSError as why:
        raise Unanswered(f"{method} {path}: {why!r}") from why
    said = {"Content-Type": "application/json", **(headers or {})}
    if login:
        said["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
    try:
        connection.request(method, path, None if body is None else json.dumps(body, default=_plain), said)
        answer = connection.getresponse()
        text = (answer.readline() if first else answer.read()).decode()
    except (OSError, http.client.HTTPException) as why:
        raise Unanswered(f"{method} {path}: {why!r}") from why
    finally:
        connection.close()
    try:
        # Amounts are read as decimals: a satoshi must not be lost on a float.
        return json.loads(text, parse_float=Decimal)
    except ValueError:
        pass
    try:
        return [json.loads(line, parse_float=Decimal) for line in text.splitlines() if line.strip()]
    except ValueError:
        raise Unanswered(f"{method} {path} answers {text[:200]!r}") from None


def _connection(port: int, certificate: Path | None, timeout_s: float) -> http.client.HTTPConnection:
    if certificate is None:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    context = ssl.create_default_context(cafile=certificate)
    # What a node signs for itself leaves out what strict readers of RFC 5280 want of an authority.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=timeout_s, context=context)


def _plain(value: object) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(type(value))
