"""The sides of a comparison: Bitcoin Core and embedded chains, each a process that is asked over loopback."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from interop.twin.blocks import START

USER, PASSWORD = "twin", "twin"
START_S = 60.0
STOP_S = 30.0
ANSWER_S = 120.0

Call = tuple[str, Any]
"""A method and its parameters."""


class SideFailed(Exception):
    """A process did not start, or does not answer."""


class Side:
    """One process and a connection to it."""

    def __init__(
        self, name: str, process: subprocess.Popen[bytes], port: int, directory: tempfile.TemporaryDirectory[str]
    ) -> None:
        self.name = name
        self._process = process
        self._directory = directory
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        self._headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}

    def send(self, calls: Sequence[Call]) -> None:
        """Put questions; the answers are read by `receive`."""
        body = [{"id": at, "method": method, "params": params} for at, (method, params) in enumerate(calls)]
        self._connection.request("POST", "/", json.dumps(body, default=float), self._headers)

    def receive(self) -> list[dict[str, Any]]:
        """The answers, each with `result` and `error`, numbers as they were written."""
        try:
            answers = json.loads(self._connection.getresponse().read(), parse_float=Decimal)
        except (OSError, http.client.HTTPException, ValueError) as why:
            raise SideFailed(f"{self.name} does not answer: {why!r}") from why
        return sorted(answers, key=lambda answer: int(answer["id"]))

    def ask(self, method: str, *params: Any) -> Any:
        """The result of one call.

        Raises:
            SideFailed: it is refused.
        """
        self.send([(method, params)])
        [answer] = self.receive()
        if answer["error"] is not None:
            raise SideFailed(f"{self.name}: {method}: {answer['error']}")
        return answer["result"]

    def put(self, body: bytes) -> tuple[int, bytes]:
        """The HTTP status and the body of the answer to any bytes."""
        self._connection.request("POST", "/", body, self._headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def stop(self) -> None:
        """End the process and forget its directory."""
        self._connection.close()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._directory.cleanup()


def start_core(program: Path) -> Side:
    """A bitcoind of its own, on an empty chain."""
    directory = tempfile.TemporaryDirectory(prefix="twin-core-")
    port = _free_port()
    options = [
        "-regtest",
        f"-datadir={directory.name}",
        "-server",
        f"-rpcuser={USER}",
        f"-rpcpassword={PASSWORD}",
        f"-rpcport={port}",
        f"-mocktime={START}",
        "-listen=0",
        "-connect=0",
        "-dnsseed=0",
        "-txindex",
        "-txospenderindex",
        "-blockfilterindex=1",
        "-persistmempool=0",
        "-checkmempool=0",
        "-checkblockindex=0",
        "-printtoconsole=0",
        "-par=1",
        "-dbcache=64",
    ]
    process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return _wait_for(Side("core", process, port, directory))


def start_ours(judge: str) -> Side:
    """An embedded chain in a process of its own."""
    directory = tempfile.TemporaryDirectory(prefix="twin-ours-")
    port = _free_port()
    root = Path(__file__).parents[2]
    environ = {**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}"}
    words = [
        "-m",
        "fulmen.regtest",
        "--judge",
        judge,
        "--port",
        str(port),
        "--rpcuser",
        USER,
        "--rpcpassword",
        PASSWORD,
    ]
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, env=environ)
    side = _wait_for(Side(judge, process, port, directory))
    side.ask("setmocktime", START)
    return side


def _wait_for(side: Side) -> Side:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if side._process.poll() is not None:
            raise SideFailed(f"{side.name} ended with {side._process.returncode}")
        try:
            side.ask("getblockcount")
        except (SideFailed, OSError):
            side._connection.close()
            time.sleep(0.05)
        else:
            return side
    side.stop()
    raise SideFailed(f"{side.name} does not answer after {START_S:.0f} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
