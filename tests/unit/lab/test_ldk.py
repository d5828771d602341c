"""LDK nodes of one name in two networks are two, and their driver is asked from the command line."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from fulmen.cli.exits import Exit
from fulmen.cli.main import cli
from fulmen.lab.chains import Embedded
from fulmen.lab.ldk import LdkNode
from fulmen.lab.state import PortsOf


def node(home: Path) -> LdkNode:
    ports = PortsOf((), {}, set())
    return LdkNode("lydia", home, ports, Embedded(home / "chain", ports), program=("true",))


def test_a_seed_is_its_networks_own_and_stays(tmp_path: Path) -> None:
    first = node(tmp_path / "first")
    first.launch()
    first.process.stop()
    assert len(first.settings()["seed"]) == 64
    assert node(tmp_path / "first").settings()["seed"] == first.settings()["seed"]
    assert node(tmp_path / "second").settings()["seed"] != first.settings()["seed"]


class Driver(socketserver.StreamRequestHandler):
    """Answers as the driver of an LDK node."""

    def handle(self) -> None:
        asked = json.loads(self.rfile.readline())
        known = asked["do"] == "balances"
        said = {"id": asked["id"], "ok": {"of": asked["of"]}} if known else {"id": asked["id"], "error": "no such word"}
        self.wfile.write(json.dumps(said).encode() + b"\n")


@pytest.fixture
def control() -> Iterator[str]:
    with socketserver.TCPServer(("127.0.0.1", 0), Driver) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        serving.join()


def ask(*words: str) -> tuple[int, str]:
    ran = CliRunner().invoke(cli, ["--no-json", "lab", "ask", *words], catch_exceptions=False)
    return ran.exit_code, ran.output


def test_a_driver_is_asked_with_what_the_command_line_says(control: str) -> None:
    code, said = ask(control, "balances", '{"of": "everybody"}')
    assert (code, json.loads(said)) == (0, {"of": "everybody"})


def test_what_a_driver_refuses_is_a_sentence(control: str) -> None:
    assert ask(control, "dance", "{}") == (Exit.REFUSED, "Error: dance: no such word.\n")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("127.0.0.1", "balances"), "HOST:PORT"),
        (("127.0.0.1:99999", "balances"), "HOST:PORT"),
        (("127.0.0.1:1", "balances", "[]"), "JSON"),
        (("127.0.0.1:1", "balances", "{"), "JSON"),
    ],
)
def test_words_that_are_wrong_are_named(words: tuple[str, ...], says: str) -> None:
    code, said = ask(*words)
    assert code == Exit.USAGE and says in said
