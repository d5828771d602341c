"""Logs: one line per thing, with names for channel, peer and payment, and never a secret.

On a terminal they are for people, otherwise JSON. Text that comes from a peer is shown with its control characters
escaped, so that nobody writes lines of his own into our log.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog

from fulmen.core.base.faults import Fault, Refused

LEVELS = ("debug", "info", "warning", "error", "critical")
SECRET_NAMES = (
    "secret",
    "preimage",
    "seed",
    "password",
    "passphrase",
    "mnemonic",
    "private",
    "entropy",
    "cookie",
    "rune",
)
"""A field whose name has one of these in it is never written."""
SHOWN_ANYWAY = ("has_", "_hash")
HIDDEN = "(not shown)"


class Detail:
    """What is too much to be looked at when nobody reads it."""

    messages = False
    """Each message to and from peers, and what becomes of each HTLC, has a line (level `debug`)."""


class BadLogLevel(Refused):
    """There is no such level."""


def set_up(level: str = "info", stream: TextIO | None = None, json: bool | None = None) -> None:
    """Configure logging for the process.

    Raises:
        BadLogLevel: it is none of `LEVELS`.
    """
    if level not in LEVELS:
        raise BadLogLevel(level=level, levels=", ".join(LEVELS))
    Detail.messages = level == "debug"
    out = stream if stream is not None else sys.stderr
    as_json = json if json is not None else not out.isatty()
    written: Any = _Spoken(out)
    renderer: Any = (
        structlog.processors.JSONRenderer(default=shown)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=out.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            keep_secrets,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(written),
        cache_logger_on_first_use=False,
    )


class _Spoken:
    """A stream to which a line may be lost: a full disk behind it, or a reader that is gone, must not end the node."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write, if it can be."""
        # ValueError: it was closed.
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        """Flush, if it can be."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def keep_secrets(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Leave out what has a secret's name, show bytes in hex, and escape control characters."""
    for name in list(line):
        line[name] = HIDDEN if is_secret_name(name) else _tame(line[name], multiline=name in ("exception", "traceback"))
    return line


def is_secret_name(name: str) -> bool:
    """Whether a field of this name may not be written."""
    low = name.lower()
    return any(word in low for word in SECRET_NAMES) and not any(word in low for word in SHOWN_ANYWAY)


def shown(value: Any) -> Any:
    """Any value as text, without its insides when it is not plain."""
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if isinstance(value, Fault):
        return f"{value.name}: {value}"
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    return str(value) if isinstance(value, (int, float)) else f"<{type(value).__name__}>"


def _tame(value: Any, multiline: bool = False) -> Any:
    if isinstance(value, str):
        return "".join(c if c.isprintable() or (multiline and c == "\n") else f"\\x{ord(c):02x}" for c in value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {str(key): HIDDEN if is_secret_name(str(key)) else _tame(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tame(item) for item in value]
    return _tame(shown(value))
