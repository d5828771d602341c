"""A caller of the socket: blocking, small, for the command line and for scripts."""

from __future__ import annotations

import contextlib
import itertools
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from fulmen.api.errors import RpcError
from fulmen.api.socketpath import socket_to_call

MAX_ANSWER = 256 * 1024 * 1024


class NodeUnreachable(RpcError):
    """Nobody answers at the socket."""


class ConnectionLost(NodeUnreachable):
    """The node was there and is gone: what was asked may have happened."""


class RpcClient:
    """One connection to a node.

    >>> with RpcClient.of(directory) as node:
    ...     node.call("getinfo")
    """

    def __init__(self, path: Path, *, timeout_s: float | None = None) -> None:
        self._ids = itertools.count(1)
        self._buffer = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        try:
            self._socket.connect(str(path))
        except OSError as why:
            self._socket.close()
            raise NodeUnreachable(f"No node answers at {path} ({why.strerror or why}).") from None

    @classmethod
    def of(cls, directory: Path, *, timeout_s: float | None = None) -> Self:
        """A connection to the node whose data is in `directory`."""
        return cls(socket_to_call(directory), timeout_s=timeout_s)

    def call(
        self,
        method: str,
        params: Mapping[str, Any] | list[Any] | None = None,
        *,
        on_news: Callable[[str, dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Ask, and wait for the answer. News that comes before it goes to `on_news(topic, about)`.

        Raises:
            RpcError: the node refused; code, message and data are the node's.
            ConnectionLost: what was asked may have happened.
        """
        identity = next(self._ids)
        request = {"jsonrpc": "2.0", "id": identity, "method": method, "params": params or {}}
        try:
            # A node that has hung up may have said why before.
            with contextlib.suppress(BrokenPipeError):
                self._socket.sendall(msgspec.json.encode(request))
            while True:
                message = self._read()
                if message.get("id") == identity:
                    break
                if "method" in message and on_news is not None:
                    on_news(message["method"], message.get("params") or {})
                if "error" in message and message.get("id") is None:
                    break
        except (OSError, msgspec.DecodeError) as why:
            raise ConnectionLost(f"The connection to the node was lost ({why}).") from None
        if (error := message.get("error")) is not None:
            data = error.get("data") or {}
            raise RemoteError(error.get("message", ""), code=error.get("code"), data=data)
        result: dict[str, Any] = message.get("result", {})
        return result

    def _read(self) -> dict[str, Any]:
        while b"\n\n" not in self._buffer:
            data = self._socket.recv(1 << 20)
            if not data:
                raise ConnectionResetError("it hung up")
            self._buffer += data
            if len(self._buffer) > MAX_ANSWER:
                raise ConnectionAbortedError("the answer is too large")
        text, _, self._buffer = self._buffer.partition(b"\n\n")
        message = msgspec.json.decode(text)
        if not isinstance(message, dict):
            raise ConnectionAbortedError("it does not speak JSON-RPC")
        return message

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RemoteError(RpcError):
    """The node's refusal, as it came over the wire."""

    def __init__(self, message: str, *, code: int | None, data: dict[str, Any]) -> None:
        super().__init__(message, code=code)
        self.data = data
        self.details = {name: value for name, value in data.items() if name != "name"}

    @property
    def name(self) -> str:
        """The fault's name at the node."""
        return str(self.data.get("name", "RpcError"))
