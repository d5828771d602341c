"""A chain daemon is ours, or none: whoever else answers at its port is not taken for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from fulmen.lab import chains
from fulmen.lab.chains import ChainDaemon, Embedded
from fulmen.lab.programs import Process
from fulmen.lab.waiting import Deviation


class AnswersAll(BaseHTTPRequestHandler):
    """Has an answer to every call."""

    def do_POST(self) -> None:
        said = b'{"id": 0, "error": null, "result": 7}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


class OnePort:
    """Gives a port that was chosen before."""

    def __init__(self, port: int) -> None:
        self._port = port

    def take(self) -> int:
        return self._port


class EndsAtOnce(ChainDaemon):
    """A daemon that does not find what it needs."""

    name = "the daemon"
    dialect = "core"

    def _process(self) -> Process:
        words = (sys.executable, "-c", "print('no disk'); raise SystemExit(3)")
        return Process(self.name, words, self.home / "chain.log")


@pytest.fixture
def taken_port() -> Iterator[int]:
    """Where another daemon answers, as a bitcoind would."""
    with HTTPServer(("127.0.0.1", 0), AnswersAll) as somebody:
        serving = Thread(target=somebody.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        yield somebody.server_port
        somebody.shutdown()
        serving.join()


@pytest.mark.parametrize("kind", [Embedded, EndsAtOnce])
def test_a_port_that_is_taken_is_named_and_nothing_is_started(
    kind: type[ChainDaemon], tmp_path: Path, taken_port: int
) -> None:
    daemon = kind(tmp_path, OnePort(taken_port))
    with pytest.raises(Deviation, match=f"{daemon.name} cannot listen on port {taken_port}: somebody else does"):
        daemon.start()
    assert not daemon.process.pid


def test_an_embedded_chain_is_up_when_it_says_so_itself(
    tmp_path: Path, taken_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As when the port is taken between the look at it and the daemon's own try.
    monkeypatch.setattr(chains, "_is_listened_on", lambda _port: False)
    daemon = Embedded(tmp_path, OnePort(taken_port))
    with pytest.raises(Deviation, match=r"(?s)the embedded chain ended with code .*address already in use"):
        daemon.start()


def test_a_daemon_that_ends_says_why(tmp_path: Path) -> None:
    daemon = EndsAtOnce(tmp_path, OnePort(9))
    with pytest.raises(Deviation, match="the daemon ended with code 3:\nno disk"):
        daemon.start()
