"""`fulmen conformance`: play the scripts against a node, ours or anybody's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

import click

from fulmen.adapters.chain.faults import ChainSourceFault
from fulmen.adapters.chain.rpc_client import Endpoint, RpcClient
from fulmen.cli.exits import Exit
from fulmen.cli.refusals import fail
from fulmen.cli.settings import Settings, json_option
from fulmen.cli.templates import CommandOperator, synced
from fulmen.cli.verbs import as_json
from fulmen.conformance import report
from fulmen.conformance.chain import Coins, RpcChain
from fulmen.conformance.links import CannotConnect, Operator, Subject, tcp_connect
from fulmen.conformance.own_node import NodeUnderTest
from fulmen.conformance.runner import Outcome, Verdict, run_all
from fulmen.conformance.script import Script
from fulmen.conformance.scripts import ALL
from fulmen.core.base.faults import Fault
from fulmen.core.base.ids import NodeId, Secret
from fulmen.core.bitcoin.networks import network_named
from fulmen.core.crypto.secp256k1 import is_point, is_secret


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

    Scripts that need blocks take them from --chain, a regtest bitcoind (or `fulmen chain`) that the node is on; those
    in which the node opens a channel need --open-command, and one in which it closes one needs --close-command. What is
    not run says what it lacks.

    Ends with 0 when nothing failed, with 1 when a MUST was not kept, with 2 when the command line makes no sense, with
    3 when the node, or its chain, cannot be reached, when nothing was played, or when a script that was begun could not
    be played to its end. A SHOULD that is not kept is a warning, and changes no code.
    """
    scripts = _chosen(only)
    _together(
        {
            "--cookie": (cookie, "--chain", chain_url),
            "--synced-command": (synced_command, "--chain", chain_url),
            "--node-id": (node_id, "HOST:PORT", address),
            "--chain": (chain_url, "HOST:PORT", address),
            "--open-command": (open_command, "HOST:PORT", address),
            "--close-command": (close_command, "HOST:PORT", address),
        }
    )
    if ourselves and address:
        raise click.UsageError("say one node: HOST:PORT, or --ourselves")
    if listing:
        _list(settings, scripts)
        return
    seed = seed if seed is not None else os.urandom(8).hex()
    chain: RpcChain | None = None
    file = _opened(junit)
    outcomes: list[Outcome] = []
    about = {"seed": seed}

    def ended(outcome: Outcome) -> None:
        outcomes.append(outcome)
        _say(settings, outcome)

    try:
        if ourselves:
            node = NodeUnderTest()
            subject = node.subject()
            about["node"] = "fulmen's own core"
        else:
            if not address or not node_id:
                raise click.UsageError("say which node: HOST:PORT and --node-id ID (or --ourselves)")
            operator = CommandOperator(open_command, close_command)
            sees_blocks = synced(synced_command, patience)
            subject, chain = _over_tcp(settings, address, node_id, chain_url, cookie, sees_blocks, operator)
            subject.patience = patience
            subject.can_be_told = operator.commands
            about["node"] = f"{node_id}@{address}"
            # What is not there is said once, not a hundred times.
            if chain is not None:
                chain.height()
            subject.connect(_secret()).close()
        run_all(scripts, subject, seed.encode(), ended)
    except Fault as fault:
        unreachable = isinstance(fault, (CannotConnect, ChainSourceFault))
        fail(fault, settings, "conformance", Exit.UNREACHABLE if unreachable else Exit.REFUSED)
    finally:
        # What was played is told, also when somebody had enough of it.
        if file is not None:
            with file:
                file.write(report.as_junit(outcomes, about))
        if chain is not None:
            chain.close()
    if settings.json:
        click.echo(as_json(report.as_json(outcomes, about)))
    else:
        settings.console.print(f"{report.summary(outcomes)} (--seed {seed})", highlight=False)
    failed = any(outcome.verdict is Verdict.FAILED for outcome in outcomes)
    if (missing := report.unplayed(outcomes)) is not None:
        fail(missing, settings, "conformance", Exit.REFUSED if failed else Exit.UNREACHABLE)
    if failed:
        raise SystemExit(int(Exit.REFUSED))


conformance.params.append(json_option())


def _together(options: Mapping[str, tuple[object, str, object]]) -> None:
    """Say of what would be of no use that it is of none, in place of passing it over.

    Raises:
        click.UsageError: an option goes with another one that was not given.
    """
    for option, (value, companion, companions_value) in options.items():
        if value is not None and companions_value is None:
            raise click.UsageError(f"{option} goes with {companion}, which is not there")


def _opened(junit: Path | None) -> TextIO | None:
    """The file of the report, before anything is played.

    Raises:
        click.UsageError: it cannot be written.
    """
    if junit is None:
        return None
    try:
        return junit.open("w", encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"--junit {junit}: {error.strerror}") from error


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
    for each in wanted or [only]:
        if not any(_matches(script, each) for script in ALL):
            raise click.UsageError(f"no script has an id or words like {each!r}; see --list")
    return [script for script in ALL if any(_matches(script, each) for each in wanted)]


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
    synced: Callable[[int], None],
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
        chain = RpcChain(client, network, synced)
    coins = Coins(chain, os.urandom(16)) if chain is not None else None
    connect = tcp_connect(host.strip("[]"), int(port), NodeId(key), _secret)
    return Subject(NodeId(key), network, connect, time.time, time.sleep, coins, operator), chain


def _secret() -> Secret:
    while not is_secret(candidate := os.urandom(32)):
        pass
    return Secret(candidate)


def _say(settings: Settings, outcome: Outcome) -> None:
    if not settings.json:
        report.say(settings.console, outcome)
