"""`fulmen conformance`: play the scripts against a node, ours or anybody's."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import click

from fulmen.adapters.chain.rpc_client import Endpoint, RpcClient
from fulmen.cli.exits import Exit
from fulmen.cli.refusals import fail
from fulmen.cli.settings import Settings, json_option
from fulmen.cli.verbs import as_json
from fulmen.conformance import report
from fulmen.conformance.chain import Coins, RpcChain
from fulmen.conformance.links import CannotConnect, Operator, Subject, tcp_connect
from fulmen.conformance.own_node import NodeUnderTest
from fulmen.conformance.runner import Outcome, Verdict, run_all
from fulmen.conformance.script import Script
from fulmen.conformance.scripts import ALL
from fulmen.core.base.faults import Fault
from fulmen.core.base.ids import ChannelId, NodeId, Secret
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.networks import network_named
from fulmen.core.crypto.secp256k1 import is_point, is_secret

SYNC_TIMEOUT_S = 60.0
SYNC_POLL_S = 0.2


class CommandOperator:
    """Tells the node what to do by shell commands of the user's."""

    def __init__(self, opens: str, closes: str) -> None:
        self._opens = opens
        self._closes = closes

    def open_channel(self, node_id: NodeId, amount_sat: Sat) -> None:
        """Have it open a channel to a connected peer; the command may take as long as the channel."""
        _start(self._opens, node_id=node_id.hex(), amount=str(amount_sat))

    def close_channel(self, channel_id: ChannelId, funding: str) -> None:
        """Have it close a channel."""
        _start(self._closes, channel_id=channel_id.hex(), funding=funding)


def _start(template: str, **values: str) -> None:
    words = [word.format(**values) for word in shlex.split(template)]
    subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@click.command()
@click.argument("address", metavar="[HOST:PORT]", required=False)
@click.option("--node-id", metavar="ID", help="The node's public key.")
@click.option("--chain", "chain_url", metavar="URL", help="http://user:password@host:port of its regtest bitcoind.")
@click.option("--cookie", type=click.Path(dir_okay=False, path_type=Path), help="The cookie of that bitcoind.")
@click.option("--only", metavar="IDS", help="Only scripts with one of these ids (B2-39,B7-*) or words in their name.")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write JUnit XML here, too.")
@click.option("--seed", help="What the fake peers' keys are made from; another one each time, if it is not said.")
@click.option("--synced-command", metavar="CMD", help="Ends well once the node has seen block {height}.")
@click.option("--open-command", metavar="CMD", help="Has the node open {amount} sat to the connected peer {node_id}.")
@click.option("--close-command", metavar="CMD", help="Has the node close {channel_id} (funded by {funding}).")
@click.option("--patience", type=click.FloatRange(min=0.1), default=1.0, help="How many times as long it may take.")
@click.option("--ourselves", is_flag=True, help="Play against fulmen's own core, in this process.")
@click.option("--list", "listing", is_flag=True, help="Only say which scripts there are.")
@click.pass_obj
def conformance(
    settings: Settings,
    address: str | None,
    node_id: str | None,
    chain_url: str | None,
    cookie: Path | None,
    only: str | None,
    junit: Path | None,
    seed: str | None,
    synced_command: str | None,
    open_command: str | None,
    close_command: str | None,
    patience: float,
    ourselves: bool,
    listing: bool,
) -> None:
    """Hold a Lightning node against the BOLTs: fake peers play scripts of messages to it.

    \b
    fulmen conformance 127.0.0.1:9735 --node-id 02ab…
    fulmen conformance --ourselves --only B1-*

    Scripts that need blocks take them from --chain, a regtest bitcoind (or `fulmen chain`) that the node is on.
    Ends with 0 when nothing failed, with 1 when a MUST was not kept, with 3 when the node cannot be reached.
    """
    scripts = _chosen(only)
    if listing:
        _list(settings, scripts)
        return
    seed = seed if seed is not None else os.urandom(8).hex()
    chain: RpcChain | None = None
    try:
        if ourselves:
            node = NodeUnderTest()
            subject = node.subject()
            about = {"node": "fulmen's own core", "seed": seed}
        else:
            if not address or not node_id:
                raise click.UsageError("say which node: HOST:PORT and --node-id ID (or --ourselves)")
            operator = CommandOperator(open_command, close_command) if open_command and close_command else None
            subject, chain = _over_tcp(settings, address, node_id, chain_url, cookie, synced_command, operator)
            subject.patience = patience
            subject.connect(_secret()).close()  # a node that is not there is said once, not a hundred times
            about = {"node": f"{node_id}@{address}", "seed": seed}
        outcomes = run_all(scripts, subject, seed.encode(), lambda outcome: _say(settings, outcome))
    except Fault as fault:
        fail(fault, settings, "conformance", Exit.UNREACHABLE if isinstance(fault, CannotConnect) else Exit.REFUSED)
    finally:
        if chain is not None:
            chain.close()
    if junit is not None:
        junit.write_text(report.as_junit(outcomes, about), encoding="utf-8")
    if settings.json:
        click.echo(as_json(report.as_json(outcomes, about)))
    else:
        settings.console.print(f"{report.summary(outcomes)} (--seed {seed})", highlight=False)
    if any(outcome.verdict is Verdict.FAILED for outcome in outcomes):
        raise SystemExit(int(Exit.REFUSED))


conformance.params.append(json_option())


def _list(settings: Settings, scripts: list[Script]) -> None:
    if settings.json:
        click.echo(as_json({"scripts": [{"name": script.name, "ids": script.ids} for script in scripts]}))
        return
    for script in scripts:
        click.echo(f"{' '.join(script.ids):14} {script.name}")


def _chosen(only: str | None) -> list[Script]:
    if not only:
        return list(ALL)
    wanted = [each.strip() for each in only.split(",") if each.strip()]
    chosen = [script for script in ALL if any(_matches(script, each) for each in wanted)]
    if not chosen:
        raise click.UsageError(f"no script has an id or words like {only!r}; see --list")
    return chosen


def _matches(script: Script, wanted: str) -> bool:
    if wanted.endswith("*"):
        return any(each.startswith(wanted[:-1]) for each in script.ids)
    return wanted in script.ids or (not _is_id(wanted) and wanted.lower() in script.name.lower())


def _is_id(text: str) -> bool:
    return text[:1] == "B" and text[1:2].isdigit()


def _over_tcp(
    settings: Settings,
    address: str,
    node_id: str,
    chain_url: str | None,
    cookie: Path | None,
    synced_command: str | None,
    operator: Operator | None,
) -> tuple[Subject, RpcChain | None]:
    """The node at an address, and its chain if there is one."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise click.UsageError(f"an address looks like HOST:PORT, not {address!r}")
    try:
        key = bytes.fromhex(node_id)
    except ValueError:
        key = b""
    if not is_point(key):
        raise click.UsageError(f"a node id is a public key of 66 hex digits, not {node_id!r}")
    network = network_named(settings.network)
    chain = None
    if chain_url is not None:
        client = RpcClient(Endpoint.from_url(chain_url, cookie))
        chain = RpcChain(client, network, _synced(synced_command))
    coins = Coins(chain, os.urandom(16)) if chain is not None else None
    connect = tcp_connect(host.strip("[]"), int(port), NodeId(key), _secret)
    return Subject(NodeId(key), network, connect, time.time, time.sleep, coins, operator), chain


def _secret() -> Secret:
    while not is_secret(candidate := os.urandom(32)):
        pass
    return Secret(candidate)


def _synced(command: str | None) -> Callable[[int], None]:
    """Waits until the user's command says that the node has seen a block."""

    def wait(height: int) -> None:
        if command is None:
            return
        words = [word.format(height=height) for word in shlex.split(command)]
        deadline = time.monotonic() + SYNC_TIMEOUT_S
        while subprocess.run(words, capture_output=True, check=False).returncode and time.monotonic() < deadline:
            time.sleep(SYNC_POLL_S)

    return wait


def _say(settings: Settings, outcome: Outcome) -> None:
    if not settings.json:
        report.say(settings.console, outcome)
