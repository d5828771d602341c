"""LND asks its owner whether it may take a channel, over a stream that its REST API offers as a WebSocket (RFC 6455).

Without an answer it refuses channels that are to be used before they are confirmed. This one always says yes.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import struct
import threading

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Acceptor:
    """A connection that answers yes to each question until it is closed."""

    def __init__(self, rest_port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", rest_port), timeout=10)
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            (
                f"GET /v1/channels/acceptor?method=POST HTTP/1.1\r\nHost: 127.0.0.1:{rest_port}\r\n"
                f"Upgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
            ).encode()
        )
        self._reader = self._socket.makefile("rb")
        status = self._reader.readline()
        if b" 101 " not in status:
            raise ConnectionError(f"no WebSocket: {status!r}")
        while self._reader.readline().strip():
            pass
        self._socket.settimeout(None)
        threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _run(self) -> None:
        with contextlib.suppress(OSError, ValueError, struct.error):
            while True:
                kind, payload = self._frame()
                if kind == PING:
                    self._send(PONG, payload)
                elif kind == CLOSE:
                    return
                elif kind == TEXT and (question := json.loads(payload).get("result")):
                    self._answer(question)

    def _answer(self, question: dict[str, object]) -> None:
        unconfirmed = bool(question.get("wants_zero_conf"))
        answer = {"accept": True, "pending_chan_id": question["pending_chan_id"], "zero_conf": unconfirmed}
        if unconfirmed:
            answer["min_accept_depth"] = 0
        self._send(TEXT, json.dumps(answer).encode())

    def _frame(self) -> tuple[int, bytes]:
        first, second = self._reader.read(2)
        length = second & 127
        if length == 126:
            [length] = struct.unpack(">H", self._reader.read(2))
        elif length == 127:
            [length] = struct.unpack(">Q", self._reader.read(8))
        return first & 15, self._reader.read(length)

    def _send(self, kind: int, payload: bytes) -> None:
        # A client's frames are masked.
        mask = os.urandom(4)
        length = struct.pack(">B", 128 | len(payload)) if len(payload) < 126 else struct.pack(">BH", 254, len(payload))
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        self._socket.sendall(bytes([128 | kind]) + length + mask + masked)
