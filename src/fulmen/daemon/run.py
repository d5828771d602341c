"""Run a node until it is told to stop: from settings and a seed to a daemon, and back."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import structlog

from fulmen.adapters.chain import CoreSource, Endpoint, RpcClient
from fulmen.adapters.chain.dialects import dialect_named
from fulmen.adapters.chain.faults import SourceUnreachable
from fulmen.adapters.keys.in_process import InProcessKeys
from fulmen.core.base.ids import NodeId
from fulmen.core.base.policy import Policy
from fulmen.core.bitcoin.networks import REGTEST, network_named
from fulmen.core.gossip.addresses import address_of
from fulmen.daemon import logs, risks
from fulmen.daemon.chain_away import ChainNotRunning, NoChain, await_chain
from fulmen.daemon.chain_control import EmbeddedControl
from fulmen.daemon.connections import host_and_port
from fulmen.daemon.daemon import Daemon, DaemonOptions
from fulmen.daemon.directory import DataDirectory
from fulmen.daemon.settings import ServerSettings, Settings

log = structlog.get_logger("run")

EMBEDDED_CHAIN = "chain"
"""Beside the networks' directories: where `fulmen chain` keeps its chain, its port and its cookie."""


SWITCH_INTERVAL_S = 0.0005
RELAY_DELAY_MS = 200
"""A hop over the Internet takes as long, and nobody minds it."""
OLD_AFTER_S = 7200.0
"""Two hours without a block are seen once in three years, and a block's time may be two hours ahead."""


async def run(settings: Settings, seed: bytes, ready: Callable[[Daemon], None] = lambda _daemon: None) -> None:
    """Run a node until SIGINT, SIGTERM or the `stop` command; `ready` is called once it serves.

    Raises:
        Fault: by name, why it cannot start or had to stop.
    """
    # A commit hands the GIL to the writer thread and back; at the default interval a busy loop keeps it 5 ms each time.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    logs.set_up(settings.log.level, json=settings.log.json)
    network = network_named(settings.network)
    risks.check(network, settings.accept_the_risks)
    directory = DataDirectory(Path(settings.data_dir), settings.network)
    directory.make()
    async with AsyncExitStack() as exits:
        exits.callback(directory.lock().release)
        keys = InProcessKeys(seed, network.coin_type, settings.policy.feerates.cap_per_kw)
        options = options_of(settings, keys.node_id, directory.path)
        second = second_source(settings)
        client, source = await await_chain(lambda: reach_chain(settings), settings.chain.wait_s)
        daemon = Daemon(options, keys, source, second)
        if network == REGTEST:
            daemon.chain_control = EmbeddedControl(client)
        # Until all is closed: who presses Ctrl-C twice gets one graceful stop, not a torn one.
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, daemon.stop)
            exits.callback(loop.remove_signal_handler, number)
        await daemon.start()
        # Modules, tables and what was resumed stay: walking over all of it is a pause of tens of milliseconds.
        gc.collect()
        gc.freeze()
        try:
            ready(daemon)
            await daemon.wait()
        finally:
            await daemon.close()


def options_of(settings: Settings, node_id: NodeId, directory: Path) -> DaemonOptions:
    """What a daemon needs to know before it starts.

    Raises:
        BadAddress: what it shall listen on, or announce, is no address.
    """
    return DaemonOptions(
        directory,
        network_named(settings.network),
        settings.alias or node_id.hex()[:16],
        _policy(settings),
        tuple(host_and_port(address, listening=True) for address in settings.listen),
        settings.chain.poll_s,
        settings.gossip,
        tuple(address_of(*host_and_port(address)) for address in settings.announce),
        chain_apart=settings.chain.apart_blocks,
        chain_old_after_s=_old_after_s(settings),
    )


async def reach_chain(settings: Settings) -> tuple[RpcClient, CoreSource]:
    """The chain source, which has answered and is on our network.

    Raises:
        Fault: by name, why there is none.
    """
    network, dialect = network_named(settings.network), dialect_named(settings.chain.dialect)
    endpoint = chain_endpoint(settings)
    client = RpcClient(endpoint)
    source = CoreSource(client, network, dialect, settings.policy.feerates)
    try:
        await source.check()
    except BaseException as wrong:
        await source.close()
        if isinstance(wrong, SourceUnreachable) and not settings.chain.url:
            # It was killed, for a chain that is stopped takes its cookie with it.
            raise ChainNotRunning(
                "no chain: the embedded one does not run any more; start it again with `fulmen chain`",
                port=endpoint.port,
            ) from wrong
        raise
    return client, source


def second_source(settings: Settings) -> CoreSource | None:
    """The source that the first is held against, if one is named.

    Raises:
        EndpointUnreadable: what is named is no URL.
        DialectUnknown
    """
    server = settings.chain.second
    if not server.url:
        return None
    client = RpcClient(_endpoint_of(server))
    return CoreSource(client, network_named(settings.network), dialect_named(server.dialect), settings.policy.feerates)


def _policy(settings: Settings) -> Policy:
    """The policy, with what depends on the network."""
    relay = settings.policy.relay
    if relay.max_delay_ms is None:
        relay = relay.but(max_delay_ms=RELAY_DELAY_MS if network_named(settings.network).is_real else 0)
    return settings.policy.but(relay=relay)


def _old_after_s(settings: Settings) -> float | None:
    if settings.chain.old_after_s is not None:
        return settings.chain.old_after_s
    return None if network_named(settings.network).is_regtest else OLD_AFTER_S


def chain_endpoint(settings: Settings) -> Endpoint:
    """Where the chain source listens: as set, or the embedded chain beside our data, or this user's own.

    Raises:
        NoChain: none is named; ChainNotRunning: and the embedded chain does not run.
        EndpointUnreadable: what is named is no URL.
    """
    if settings.chain.url:
        return _endpoint_of(settings.chain)
    if network_named(settings.network) != REGTEST:
        raise NoChain("no chain: say where a bitcoind is with `chain.url`", network=settings.network)
    # A second node with a directory of its own is on the same embedded chain as the first.
    homes = dict.fromkeys(Path(home).expanduser() for home in (settings.data_dir, Settings().data_dir))
    for directory in (home / EMBEDDED_CHAIN for home in homes):
        try:
            port = int((directory / "port").read_text())
        except (OSError, ValueError):
            continue
        if not (directory / ".cookie").exists():  # it was stopped
            continue
        return Endpoint("127.0.0.1", port, cookie=directory / ".cookie")
    raise ChainNotRunning(
        "no chain: start one with `fulmen chain`, or say where a bitcoind is with `chain.url`",
        looked_in=", ".join(str(home / EMBEDDED_CHAIN) for home in homes),
    )


def _endpoint_of(server: ServerSettings) -> Endpoint:
    cookie = Path(server.cookie_file).expanduser() if server.cookie_file else None
    certificate = Path(server.certificate_file).expanduser() if server.certificate_file else None
    endpoint = Endpoint.from_url(server.url, cookie, certificate)
    return replace(endpoint, user=server.user, password=server.password) if server.user else endpoint
