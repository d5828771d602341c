"""The scripts over TCP, against a node of our own in a process of its own, on the embedded chain."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from demo.stage import Stage
from tests.builders.gate import not_kept
from tests.end_to_end.conftest import no_tracebacks

from fulmen.adapters.chain.rpc_client import Endpoint, RpcClient
from fulmen.cli.main import cli
from fulmen.conformance.chain import Coins, RpcChain
from fulmen.conformance.links import Subject, tcp_connect
from fulmen.conformance.runner import run
from fulmen.conformance.script import ExpectNoGossip, Script, Step
from fulmen.conformance.scripts import ALL
from fulmen.core.base.ids import ChannelId, NodeId, Secret
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.networks import REGTEST
from fulmen.lab.nodes import Node

PATIENT = 30.0
"""Scripts that listen longer than this are for `make soak`."""
PACED = 100.0
"""So are those that give a message longer than this: they wait until a node that keeps to a pace may tell it."""


class Caller:
    """Tells the node what to do, and does not wait for how it ends: that is what scripts are about."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def open_channel(self, node_id: NodeId, amount_sat: Sat) -> None:
        self._node.begin("fundchannel", id=node_id.hex(), amount=str(amount_sat))

    def close_channel(self, channel_id: ChannelId, funding: str) -> None:
        self._node.begin("close", id=channel_id.hex())


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        # A limit that a peer can reach: one script is about it.
        stage.open({"eve": {"policy.opening.max_htlc_value_in_flight_ppm": "900000"}})
        stage.give({"eve": 100_000_000})
        yield stage
        no_tracebacks(stage.directory)


@pytest.fixture(scope="module")
def subject(stage: Stage) -> Iterator[Subject]:
    node = stage["eve"]
    node_id = NodeId(bytes.fromhex(node.id))
    client = RpcClient(Endpoint.from_url(stage.chain.url, stage.chain.cookie_file))
    chain = RpcChain(client, REGTEST, lambda _height: stage.caught_up())
    connect = tcp_connect("127.0.0.1", node.port, node_id, lambda: Secret(os.urandom(32)))
    yield Subject(node_id, REGTEST, connect, time.time, time.sleep, Coins(chain, b"end to end"), Caller(node))
    chain.close()


def _one_for_each_id() -> list[Script]:
    chosen: dict[str, Script] = {}
    for script in ALL:
        if not any(map(_takes_long, script.steps)):
            for each in script.ids:
                chosen.setdefault(each, script)
    return list({script.name: script for script in chosen.values()}.values())


def _takes_long(step: Step) -> bool:
    listens = step.for_s if isinstance(step, ExpectNoGossip) else 0.0
    return listens > PATIENT or getattr(step, "within_s", 0.0) > PACED


def _check(script: Script, subject: Subject) -> None:
    outcome = run(script, subject, b"end to end")
    assert not not_kept(outcome), not_kept(outcome)


@pytest.mark.parametrize("script", _one_for_each_id(), ids=lambda script: script.name)
def test_a_node_of_ours_passes(script: Script, subject: Subject):
    _check(script, subject)


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("script", ALL, ids=lambda script: script.name)
def test_a_node_of_ours_passes_all_of_them(script: Script, subject: Subject):
    _check(script, subject)


def test_the_command_plays_reports_and_says_by_its_code_how_it_went(stage: Stage, tmp_path):
    node = stage["eve"]
    junit = tmp_path / "report.xml"
    words = [
        "conformance",
        f"127.0.0.1:{node.port}",
        "--node-id",
        node.id,
        "--only",
        "B1-9,B2-42",
        "--junit",
        str(junit),
        "--patience",
        "2",
    ]
    done = CliRunner().invoke(cli, ["--no-json", *words])
    assert done.exit_code == 0, done.output
    assert "✓ a ping that asks for 1 bytes" in done.output and "not run: needs a chain" in done.output
    suite = ElementTree.fromstring(junit.read_text())
    assert suite.get("failures") == "0" and int(suite.get("skipped", "0")) > 0


def test_a_node_that_is_not_there_is_said_once(stage: Stage):
    words = ["conformance", "127.0.0.1:1", "--node-id", stage["eve"].id]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 3 and done.output.count("could not be reached") == 1
