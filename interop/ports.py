"""A port for each socket of each daemon: counted up within a lane, so that no two lanes ever take the same one."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from pathlib import Path

FIRST = 21_000
PER_LANE = 1_000
MOST_LANES = 11
"""Up to 32000: from 32768 on systems give ports to outgoing connections."""


class Ports:
    """The ports of one lane: the first one that no other lane on this machine has, of this run or another.

    Args:
        least: the lane's number is at least this.
    """

    def __init__(self, least: int = 0) -> None:
        for lane in range(least, MOST_LANES):
            claim = os.open(Path(tempfile.gettempdir()) / f"fulmen-lab-lane-{lane}.lock", os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(claim)
                continue
            # Held until this process ends at the latest, and not by its children.
            self._claim = claim
            self._next = FIRST + lane * PER_LANE
            self._end = self._next + PER_LANE
            return
        raise RuntimeError("there are too many lanes on this machine")

    def release(self) -> None:
        """Let another lane have them."""
        os.close(self._claim)

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
