"""A wire between two nodes that can be cut wherever somebody says so, or slowed down, or shut."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

TO_TARGET, FROM_TARGET = 0, 1
CHUNK = 65536

Judge = Callable[[int, bytes], tuple[bytes, bool]]
"""For one connection: direction and bytes that came -> what passes now, and whether the connection holds.

What neither passes nor cuts is the judge's to pass on later.
"""


class Proxy:
    """Listens on a port, and passes each connection on to another one."""

    def __init__(self, port: int, target: int) -> None:
        self._target = target
        self.judge: Callable[[], Judge] = lambda: _let_pass
        """Makes the judge of each new connection."""
        self.source = "127.0.0.1"
        """The address that the other side sees calling."""
        self.delay_s = 0.0
        """How long each piece waits before it passes."""
        self.connections = 0
        """How many were made so far."""
        self._shut = False
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """No new connections, and no old ones."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Cut what is connected."""
        with self._lock:
            cut, self._sockets = self._sockets, set()
        for each in cut:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def shut(self, shut: bool = True) -> None:
        """Take no connections for now (and cut those there are), or take them again."""
        self._shut = shut
        if shut:
            self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._shut:
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._target), 10, (self.source, 0))
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._lock:
                self.connections += 1
                self._sockets |= {near, far}
            threading.Thread(target=self._serve, args=(near, far), daemon=True).start()

    def _serve(self, near: socket.socket, far: socket.socket) -> None:
        for each in (near, far):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        judge = self.judge()
        back = threading.Thread(target=self._pass, args=(judge, FROM_TARGET, far, near), daemon=True)
        back.start()
        self._pass(judge, TO_TARGET, near, far)
        back.join()
        with self._lock:
            self._sockets -= {near, far}
        near.close()
        far.close()

    def _pass(self, judge: Judge, way: int, source: socket.socket, sink: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError):
                holds = True
                while holds and (data := source.recv(CHUNK)):
                    if self.delay_s:
                        time.sleep(self.delay_s)
                    passed, holds = judge(way, data)
                    sink.sendall(passed)
        finally:
            for each in (source, sink):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


def _let_pass(_way: int, data: bytes) -> tuple[bytes, bool]:
    return data, True
