"""A port for each socket of each daemon: counted up within a lane, so that two lanes never take the same one."""

from __future__ import annotations

import socket

FIRST = 21_000
PER_LANE = 3_000
"""Below 32768, where systems begin to give ports to outgoing connections."""


class Ports:
    """The ports of one lane."""

    def __init__(self, lane: int) -> None:
        self._next = FIRST + lane * PER_LANE
        self._end = self._next + PER_LANE

    def take(self) -> int:
        """One that nobody listens on, and that was not given before."""
        while self._next < self._end:
            port, self._next = self._next, self._next + 1
            if _free(port):
                return port
        raise RuntimeError("this lane has used up its ports")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
