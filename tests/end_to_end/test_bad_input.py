"""What strangers and mistaken callers send: a name for each mistake, and a node that goes on."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.builders.line import Line

import fulmen
from fulmen.api.client import RemoteError
from fulmen.lab.nodes import NETWORK, Node

SOURCE = str(Path(fulmen.__file__).parent.parent)


@pytest.mark.parametrize(
    ("method", "params", "name"),
    [
        ("no such verb", {}, "UnknownCommand"),
        ("pay", {}, "BadParameter"),
        ("pay", {"bolt11": "lnbcrt1nonsense"}, None),
        ("pay", {"bolt11": "x" * 20_000}, "BadParameter"),
        ("pay", {"bolt11": 5}, "BadParameter"),
        ("invoice", {"amount_msat": -1, "label": "a", "description": ""}, "BadParameter"),
        ("invoice", {"amount_msat": "1.5sats of", "label": "a", "description": ""}, "BadParameter"),
        ("invoice", {"amount_msat": 1, "label": "", "description": ""}, "BadParameter"),
        ("invoice", {"amount_msat": 1, "label": "a", "description": "", "colour": "red"}, "BadParameter"),
        ("connect", {"id": "02" + "00" * 32 + "@127.0.0.1:1"}, None),
        ("connect", {"id": "me@home"}, "BadParameter"),
        ("fundchannel", {"id": "02" * 33, "amount": "100000"}, "RpcError"),
        ("close", {"id": "1x1x1"}, "ChannelUnknown"),
        ("withdraw", {"destination": "bcrt1qnonsense", "satoshi": 1000}, None),
        ("faucet", {"address": "nowhere"}, None),
    ],
)
def test_a_wrong_call_is_refused_by_name(line: Line, method: str, params: dict[str, object], name: str | None) -> None:
    with pytest.raises(RemoteError) as refused:
        line["alice"].call(method, **params)
    assert refused.value.message and "Traceback" not in refused.value.message
    if name is not None:
        assert refused.value.name == name
    assert line["alice"].call("getinfo")["id"] == line["alice"].id


@pytest.mark.parametrize(
    "text",
    [b"\xff\xfe\0", b"{]", b"[" * 100_000, b'"a"', b"[]", b'{"id": 1}', b'{"method": 5, "id": 1}'],
    ids=["no text", "no JSON", "deep", "a string", "a list", "no method", "a number for a method"],
)
def test_what_is_no_call_is_answered_with_an_error_or_hung_up_on(line: Line, text: bytes) -> None:
    alice = line["alice"]
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(20)
        caller.connect(str(alice.home / NETWORK / "rpc"))
        caller.sendall(text)
        caller.shutdown(socket.SHUT_WR)
        answer = b""
        while data := caller.recv(65536):
            answer += data
    assert not answer or "error" in json.loads(answer)
    assert alice.call("getinfo")["id"] == alice.id


def test_strangers_who_send_noise_are_hung_up_on(line: Line) -> None:
    chance = random.Random(1)
    for size in (1, 49, 50, 51, 66, 1000, 70_000):
        with (
            socket.create_connection(("127.0.0.1", line["bob"].port), timeout=20) as stranger,
            contextlib.suppress(ConnectionError),
        ):
            stranger.sendall(b"\0" + chance.randbytes(size - 1))
            stranger.shutdown(socket.SHUT_WR)
            while stranger.recv(65536):
                pass
    line.pay("alice", "carol", 1_000_000)
    line.all_agree()


def run_fulmen(node: Node, *words: str) -> subprocess.CompletedProcess[str]:
    """`fulmen --dir D ...` as a person has it."""
    environ = {**os.environ, "PYTHONPATH": SOURCE}
    command = [sys.executable, "-m", "fulmen.cli", "--dir", str(node.home), *words]
    return subprocess.run(command, capture_output=True, text=True, env=environ, timeout=60, check=False)


def test_the_command_line_speaks_to_the_node_and_its_exit_codes_mean_something(line: Line) -> None:
    made = run_fulmen(line["carol"], "invoice", "5sat", line.label("by hand"), "tea")
    bolt11 = json.loads(made.stdout)["bolt11"]
    paid = run_fulmen(line["alice"], "pay", bolt11)
    assert paid.returncode == 0, paid.stderr
    assert json.loads(paid.stdout)["amount_msat"] == 5000
    line.ledger.paid(5000, "alice", "bob", "carol")
    refused = run_fulmen(line["alice"], "pay", "lnbcrt1nonsense")
    assert refused.returncode == 2 and "error" in json.loads(refused.stderr)
    nobody = Node("nobody", line.stage.directory / "nobody", {})
    away = run_fulmen(nobody, "--no-json", "getinfo")
    assert away.returncode == 3 and "fulmen start" in away.stderr
    line.all_agree()
