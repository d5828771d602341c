"""A whole node: store, keys, machines, sockets, chain, pathfinder and the API's socket, put together and taken apart.

Nothing is decided here. `Daemon.start` builds from the ground up and resumes what was stored; `stop` lets go what was
decided, snapshots every machine, and closes everything in the reverse order.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import structlog

import fulmen
from fulmen.adapters.chain.echo import Echo
from fulmen.adapters.chain.oversight import Oversight
from fulmen.adapters.chain.source import ChainSource
from fulmen.adapters.keys.in_process import InProcessKeys
from fulmen.adapters.store import SqliteStore
from fulmen.api.handle import ChainControl
from fulmen.api.server import RpcServer
from fulmen.api.socketpath import socket_to_serve
from fulmen.core.base.env import Feerates
from fulmen.core.base.ids import ChannelId, NodeId, OutPoint, Secret
from fulmen.core.base.machine import Address, Event
from fulmen.core.base.outer import Answer, Block, HangUp, Linger, Notify, Send
from fulmen.core.base.peers import GossipLink, GossipReceived
from fulmen.core.base.policy import Policy
from fulmen.core.bitcoin.networks import Network as ChainParameters
from fulmen.core.channel.state import Channel
from fulmen.core.channel.updates import FeeratesChanged
from fulmen.core.crypto.secp256k1 import is_secret
from fulmen.core.gossip.addresses import NodeAddress
from fulmen.core.gossip.own import OwnNode
from fulmen.core.gossip.policy import GossipPolicy
from fulmen.core.node import Node, WantsChanged
from fulmen.core.node.machines import mounts
from fulmen.core.node.own_channels import OwnChannels
from fulmen.core.node.tips import ADDRESS as CHAIN
from fulmen.core.node.tips import BlockRead, Tips
from fulmen.core.node.watching import ChainBlock
from fulmen.core.peer.features import offered
from fulmen.core.routing.requests import FindRoute, Learn
from fulmen.core.routing.words import BlockConnected, BlocksRewound, OwnNodeIs
from fulmen.core.routing.words import Settings as PathfinderSettings
from fulmen.core.wallet.machine import ADDRESS as WALLET
from fulmen.core.wallet.state import Wallet
from fulmen.core.wire.features import NODE
from fulmen.daemon.chain_side import ChainSide, first_feerates
from fulmen.daemon.clock import Clock
from fulmen.daemon.connections import Connections
from fulmen.daemon.driver import Driver
from fulmen.daemon.ending import ends
from fulmen.daemon.errands import Errands
from fulmen.daemon.failing_htlcs import FailingHtlcs
from fulmen.daemon.handle import About, Answers, Handle, Parts
from fulmen.daemon.lingering import Lingering
from fulmen.daemon.news import News
from fulmen.daemon.outlook import Outlook
from fulmen.daemon.pathfinder import PathfinderInLine, PathfinderProcess, Pathfinding
from fulmen.daemon.peer_terms import PeerTerms
from fulmen.daemon.rescanning import Rescanner

log = structlog.get_logger("daemon")
LOOK_S = 1.0
"""How often gossip is told what is new of our channels."""


@dataclass(frozen=True, slots=True)
class DaemonOptions:
    """What a daemon needs to know before it starts."""

    directory: Path
    network: ChainParameters
    alias: str
    policy: Policy = field(default_factory=Policy)
    listen: tuple[tuple[str, int], ...] = (("127.0.0.1", 0),)
    chain_poll_s: float = 1.0
    gossip: GossipPolicy = field(default_factory=GossipPolicy)
    announce: tuple[NodeAddress, ...] = ()
    """Where our node_announcement says that we can be reached."""
    worker: bool = True
    """Keep the graph and search paths in a process of its own."""
    chain_apart: int = 3
    """For how many blocks two chain sources may differ."""
    chain_old_after_s: float | None = None
    """The age at which a tip is an alarm; None: never."""


class Daemon:
    """One running node; its callers have it by its `handle`, once it has started."""

    handle: Handle

    def __init__(
        self, options: DaemonOptions, keys: InProcessKeys, source: ChainSource, second: ChainSource | None = None
    ) -> None:
        self._options = options
        self._keys = keys
        self._source = source
        self._second = second
        """What the first is held against, and a second way to the miners. A node starts and runs without it."""
        self._exits = AsyncExitStack()
        self._answers = Answers()
        self._addresses: list[tuple[str, int]] = []
        self._news = News()
        self._stopping = asyncio.Event()
        self._chain_read = asyncio.Event()
        self._pressed = False
        self._chain: ChainSide | None = None
        self._early_wants: list[WantsChanged] = []
        self.chain_control: ChainControl | None = None

    # ---- life ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the store, ask the chain source who it is, resume the machines, listen, and serve the API.

        Raises:
            Fault: by name, what is wrong; nothing was changed then.
        """
        tip = await self._source.check()
        feerates = await first_feerates(self._source, self._options.network, self._options.policy.feerates)
        self._open_node(tip, feerates)
        await self._open_pathfinder()
        self._listen_to_driver()
        self._is_behind(True)
        self._driver.start()
        if not self._blocks_read():
            # On the first day what is paid is looked for from this block on, and it is on the disk before anybody can
            # ask for an address: one that is found while we still begin may pay it.
            self._driver.post(CHAIN, BlockRead(tip))
        # Nobody reads the chain before all that is wanted of it is known: of a block that is undone, or that pays a
        # script of ours, only those are told who want something.
        await self._driver.begun()
        self._rescanner = Rescanner(self._source, self._keys, self._driver.post, self._fundings)
        wallet = self._node.state(WALLET)
        if isinstance(wallet, Wallet) and wallet.lookout:
            await self._rescanner.look_out()
        self._chain = self._chain_side()
        for changed in self._early_wants:
            self._chain.wants_changed(changed)
        for host, port in self._options.listen:
            self._addresses.append((host, await self._connections.listen(host, port)))
        self.handle = self._handle(self._chain)
        self._server = RpcServer(self.handle, socket_to_serve(self._options.directory))
        await self._server.start()
        self._work = [asyncio.create_task(self._chain.run()), asyncio.create_task(self._look_at_channels())]
        for task in self._work:
            task.add_done_callback(self._work_ended)
        network = self._options.network.name
        log.info("started", version=fulmen.__version__, node_id=self._keys.node_id.hex(), network=network)

    def _open_node(self, tip: Block, feerates: Feerates) -> None:
        """The store, the machines on it, and what performs their actions."""
        options = self._options
        about = {"network": options.network.name, "node": self._keys.node_id.hex()}
        soon = asyncio.get_running_loop().call_soon_threadsafe
        self._store = SqliteStore(options.directory / "journal.sqlite", soon, about)
        self._exits.callback(self._store.close)
        self._clock = Clock(self)
        self._outlook = Outlook(self._keys, self._clock, tip, feerates, options.policy, options.network.chain_hash)
        self._node = Node(mounts(self._keys.accounts), self._outlook, verify=self._keys.verify, cold=self._store)
        self._outlook.views = self._node.views
        self._driver = Driver(self._node, self._store, self._keys)
        self._connections = Connections(self._keys.node_id, self._driver, ecdh=self._keys.ecdh, ephemeral=_ephemeral)
        self._lingering = Lingering(self._driver.post)
        self._failing = FailingHtlcs(self._peer_of, options.policy.peer.warned_failed_htlcs_per_minute)
        self._errands = Errands(self._keys, self._connections, self._source)

    def _chain_side(self) -> ChainSide:
        options = self._options
        oversight = Oversight(
            self._source,
            self._second,
            apart=options.chain_apart,
            old_after_s=options.chain_old_after_s,
            wall=self._clock.wall,
        )
        return ChainSide(
            self._source,
            self._blocks_read(),
            self._driver.post,
            self._keys.complete,
            poll_s=options.chain_poll_s,
            moved=self._moved,
            priced=self._priced,
            joined=self._joined,
            behind=self._is_behind,
            oversight=oversight,
            echo=None if self._second is None else Echo(self._second),
        )

    def _handle(self, chain: ChainSide) -> Handle:
        return Handle(
            Parts(
                about=self._about(),
                keys=self._keys,
                store=self._store,
                node=self._node,
                outlook=self._outlook,
                driver=self._driver,
                pathfinder=self.pathfinder,
                chain=chain,
                chain_read=self._chain_read,
                rescanner=self._rescanner,
                terms=self._terms,
                news=self._news,
                failing=self._failing,
                answers=self._answers,
                stop=self.stop,
                chain_control=self.chain_control,
            )
        )

    async def wait(self) -> None:
        """Until somebody asks for a stop, or something that cannot be mended goes wrong.

        Raises:
            Fault: why the node has to stop.
        """
        stopped = asyncio.ensure_future(self._driver.wait())
        asked = asyncio.ensure_future(self._stopping.wait())
        done, pending = await asyncio.wait((stopped, asked, *self._work), return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            if task in (stopped, asked):
                task.cancel()
        for task in done:
            if task is not asked:
                task.result()

    async def close(self) -> None:
        """Stop gracefully: no more callers, no more messages, everything decided on disk, machines snapshotted."""
        await ends("callers", self._server.close())
        await ends("chain", self._end_work())
        await ends("peers", self._connections.close())
        try:
            await self._driver.stop()
        finally:
            self._clock.close()
            self._lingering.close()
            await self._exits.aclose()
            await self._source.close()
            if self._second is not None:
                await self._second.close()
        log.info("stopped")

    async def _end_work(self) -> None:
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    def stop(self) -> None:
        """Begin a graceful stop."""
        self._stopping.set()

    def _work_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("a part of the node has stopped", why=f"{type(error).__name__}: {error}")

    def _about(self) -> About:
        options = self._options
        return About(options.network, options.alias, tuple(self._addresses), options.announce, options.directory)

    # ---- putting together ----------------------------------------------------------------------

    async def _open_pathfinder(self) -> None:
        options = self._options
        features = offered(options.policy, NodeId(b""))
        chain_hash = options.network.chain_hash
        settings = PathfinderSettings(self._keys.node_id, chain_hash, features.to_bytes(), options.gossip)
        kind = PathfinderProcess if options.worker else PathfinderInLine
        self.pathfinder: Pathfinding = kind(settings, self._errands, self._driver.post, options.directory / "graph")
        await self.pathfinder.start()
        self._exits.push_async_callback(self.pathfinder.stop)
        announced = features.within(NODE).to_bytes()
        own = OwnNode(options.alias, self._keys.node_id[:3], announced, options.announce)
        self.pathfinder.tell(OwnNodeIs(own))
        self._terms = PeerTerms(self.pathfinder.ask)
        self._own_channels = OwnChannels(self._channels, self._outlook, self.pathfinder.tell)

    async def _look_at_channels(self) -> None:
        while True:
            self._own_channels.look()
            await asyncio.sleep(LOOK_S)

    def _listen_to_driver(self) -> None:
        driver, pathfinder = self._driver, self.pathfinder
        driver.performs(Send, self._connections.send)
        driver.performs(HangUp, self._connections.hang_up)
        driver.performs(Answer, self._answers.give)
        driver.performs(Notify, self._hear)
        driver.performs(Linger, self._lingering.linger)
        driver.performs(GossipReceived, pathfinder.on_gossip)
        driver.performs(GossipLink, self._on_link)
        driver.performs(FindRoute, pathfinder.on_find)
        driver.performs(Learn, pathfinder.on_learn)
        driver.on_wants(self._chain_wants)
        driver.on_wants(self._clock.wants_changed)
        driver.on_wants(self._connections.wants_changed)
        driver.on_pressure(self._is_pressed)

    def _hear(self, news: Notify) -> None:
        self._news.tell(news)
        self._failing.heard(news)

    def _peer_of(self, channel_id: ChannelId) -> NodeId | None:
        state = self._node.state(Address("channel", channel_id))
        return state.terms.node_id if isinstance(state, Channel) and state.params is not None else None

    def _on_link(self, action: GossipLink) -> None:
        # Gossip hears which channels are offline before it hears that their peer came or went: what it has to say
        # about a channel waits for `channel_reestablish`.
        self._own_channels.look()
        self.pathfinder.on_link(action)

    def _channels(self) -> Iterator[Channel]:
        for address in self._node.addresses("channel"):
            state = self._node.state(address)
            if isinstance(state, Channel):
                yield state

    def _fundings(self) -> frozenset[OutPoint]:
        return frozenset([one.outpoint for channel in self._channels() for one in channel.fundings])

    def post(self, address: Address, event: Event) -> None:
        """Give an event to a machine (the clock is made before the driver)."""
        self._driver.post(address, event)

    def _chain_wants(self, changed: WantsChanged) -> None:
        """What was stored says from where the chain is read, so the first wants come before there is a reader."""
        if self._chain is None:
            self._early_wants.append(changed)
        else:
            self._chain.wants_changed(changed)

    def _blocks_read(self) -> tuple[Block, ...]:
        tips = self._node.state(CHAIN)
        return tips.blocks if isinstance(tips, Tips) else ()

    # ---- what the outside says -----------------------------------------------------------------

    def _moved(self, tip: Block) -> None:
        if tip.height <= self._outlook.tip.height and tip != self._outlook.tip:
            self.pathfinder.tell(BlocksRewound(tip.height))
        self._outlook.tip = tip

    def _is_behind(self, behind: bool) -> None:
        """Peers wait until the chain is read: what they say would be judged, and answered, at a height long gone."""
        log.info("reading the chain" if behind else "the chain is read", height=self._outlook.tip.height)
        self._outlook.behind = behind
        if behind:
            self._chain_read.clear()
        else:
            # What is read later, several blocks at once, was found while this process could hear its peers.
            if self._outlook.read_at is None:
                self._outlook.read_at = self._outlook.tip.height
            self._chain_read.set()
        self._hold()

    def _is_pressed(self, on: bool) -> None:
        self._pressed = on
        self._hold()

    def _hold(self) -> None:
        self._connections.hold(self._pressed or self._outlook.behind)

    def _joined(self, block: ChainBlock) -> None:
        spent = tuple(spend.outpoint for found in block.txs if found.tx is not None for spend in found.tx.inputs)
        self.pathfinder.tell(BlockConnected(block.block.height, spent))
        self._rescanner.joined(block)

    def _priced(self, feerates: Feerates) -> None:
        if feerates == self._outlook.feerates:
            return
        self._outlook.feerates = feerates
        for address in self._node.addresses("channel"):
            self._driver.post(address, FeeratesChanged())


def _ephemeral() -> Secret:
    while True:
        candidate = os.urandom(32)
        if is_secret(candidate):
            return Secret(candidate)
