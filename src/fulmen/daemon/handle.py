"""The node as its callers have it: what `api.handle` asks for, put together from the parts of a daemon."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fulmen.adapters.keys.in_process import InProcessKeys
from fulmen.adapters.store import SqliteStore
from fulmen.api.handle import ChainControl, FailedHtlcs, NotPublished, Page, Rescanned
from fulmen.core.base.env import Feerates
from fulmen.core.base.faults import Fault, Refused
from fulmen.core.base.ids import ChannelId, CommandId, NodeId, Txid
from fulmen.core.base.machine import Address, Event
from fulmen.core.base.outer import Answer, Block
from fulmen.core.base.policy import Policy
from fulmen.core.base.units import BlockHeight
from fulmen.core.bitcoin.networks import Network as ChainParameters
from fulmen.core.gossip.addresses import NodeAddress
from fulmen.core.gossip.graph import DirectionPolicy
from fulmen.core.invoices.signing import SignInvoice
from fulmen.core.node import Node
from fulmen.core.routing.words import Question, Reply
from fulmen.core.wallet.lost import ScanEnded, TakenHome
from fulmen.core.wallet.machine import ADDRESS as WALLET
from fulmen.core.wallet.state import Wallet
from fulmen.daemon.chain_side import ChainSide
from fulmen.daemon.driver import Driver
from fulmen.daemon.failing_htlcs import FailingHtlcs
from fulmen.daemon.news import News
from fulmen.daemon.outlook import Outlook
from fulmen.daemon.pathfinder import Pathfinding
from fulmen.daemon.peer_terms import PeerTerms
from fulmen.daemon.rescanning import Rescanner

Q = TypeVar("Q", bound=Reply)
PUBLISH_S = 30.0
"""How long a caller waits for the chain source to take a transaction."""


class NodeStopping(Refused):
    """The node is stopping and takes nothing more."""


class Answers:
    """Who waits for which command's answer."""

    def __init__(self) -> None:
        self._waiting: dict[CommandId, asyncio.Future[Any]] = {}

    @contextmanager
    def waiting(self) -> Iterator[tuple[CommandId, asyncio.Future[Any]]]:
        """A new command id, and the answer to come."""
        command_id = CommandId(os.urandom(16))
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[command_id] = answer
        try:
            yield command_id, answer
        finally:
            del self._waiting[command_id]

    def give(self, action: Answer) -> None:
        """An answer is true on disk; nobody may wait for it any more."""
        answer = self._waiting.get(action.command_id)
        if answer is None or answer.done():
            return
        if action.refused is not None:
            refused = action.refused
            answer.set_exception(refused if isinstance(refused, Fault) else Refused(str(refused)))
        else:
            answer.set_result(action.result)


@dataclass(frozen=True, slots=True)
class About:
    """What does not change while the node runs."""

    network: ChainParameters
    alias: str
    addresses: tuple[tuple[str, int], ...]
    announced: tuple[NodeAddress, ...]
    directory: Path


@dataclass(frozen=True, slots=True)
class Parts:
    """What a running daemon consists of, as far as its callers need it."""

    about: About
    keys: InProcessKeys
    store: SqliteStore
    node: Node
    outlook: Outlook
    driver: Driver
    pathfinder: Pathfinding
    chain: ChainSide
    chain_read: asyncio.Event
    """Set while no blocks are left to read."""
    rescanner: Rescanner
    terms: PeerTerms
    news: News
    failing: FailingHtlcs
    answers: Answers
    stop: Callable[[], None]
    chain_control: ChainControl | None


class Handle:
    """Implements `NodeHandle`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.chain_control = parts.chain_control

    def stop(self) -> None:
        """Begin a graceful stop."""
        self._parts.stop()

    @property
    def node_id(self) -> NodeId:
        """Who we are."""
        return self._parts.keys.node_id

    @property
    def network(self) -> ChainParameters:
        """Our chain."""
        return self._parts.about.network

    @property
    def alias(self) -> str:
        """What we call ourselves."""
        return self._parts.about.alias

    @property
    def addresses(self) -> Sequence[tuple[str, int]]:
        """Where we listen for peers."""
        return self._parts.about.addresses

    @property
    def announced(self) -> Sequence[NodeAddress]:
        """Where we say that we can be reached."""
        return self._parts.about.announced

    @property
    def directory(self) -> str:
        """Where our data is."""
        return str(self._parts.about.directory)

    @property
    def tip(self) -> Block:
        """The chain's tip."""
        return self._parts.outlook.tip

    @property
    def chain_trouble(self) -> str:
        """What is wrong with the chain source, in words; empty when all is well."""
        return self._parts.chain.trouble

    @property
    def reading_chain(self) -> bool:
        """Whether blocks are still to be read."""
        return self._parts.outlook.behind

    @property
    def feerates(self) -> Feerates:
        """What the chain asks for."""
        return self._parts.outlook.feerates

    @property
    def policy(self) -> Policy:
        """What the operator decided."""
        return self._parts.outlook.policy

    @property
    def now(self) -> int:
        """Seconds since 1970."""
        return self._parts.outlook().wall

    @property
    def counters(self) -> Mapping[str, int]:
        """How often the disk was waited for, and for how much."""
        return {
            "batches": self._parts.driver.batches,
            "facts": self._parts.driver.facts,
            "syncs": self._parts.store.syncs,
        }

    async def submit(self, to: Address, event_of: Callable[[CommandId], Event]) -> Any:
        """Tell a machine, and wait for its `Answer`."""
        if self._parts.driver.closing:
            raise NodeStopping()
        with self._parts.answers.waiting() as (command_id, answer):
            self._parts.driver.post(to, event_of(command_id))
            return await answer

    async def await_published(self, txid: Txid) -> None:
        """Wait until the chain source has taken a transaction of ours.

        Raises:
            NotPublished: it was refused, or nothing was said in time. It is handed over again with every block.
        """
        try:
            said = await asyncio.wait_for(self._parts.chain.published(txid), PUBLISH_S)
        except TimeoutError:
            raise NotPublished("the chain source gives no answer", txid=txid[::-1]) from None
        if not said.accepted:
            raise NotPublished(said.reason, txid=txid[::-1])

    def state(self, address: Address) -> Any | None:
        """A live machine's state."""
        return self._parts.node.state(address)

    def states(self, kind: str) -> Mapping[bytes, Any]:
        """All live machines of a kind."""
        return {address.key: self._parts.node.state(address) for address in self._parts.node.addresses(kind)}

    @property
    def views(self) -> Mapping[str, object]:
        """What machines show of themselves."""
        return self._parts.node.views

    def failed_htlcs(self, node_id: NodeId) -> FailedHtlcs:
        """HTLCs of a peer that came to nothing."""
        return self._parts.failing.of(node_id)

    def frozen(self, address: Address) -> str | None:
        """Why a machine is frozen, or None."""
        return self._parts.node.frozen(address)

    async def read_cold(self, address: Address) -> Any | None:
        """One cold row, be it on disk or on its way there."""
        return self._parts.node.read_cold(address)

    async def cold_page(self, kind: str, after: int | None, limit: int) -> Page:
        """Cold rows of a kind, read beside the loop; the last page has those that are not on disk yet as well."""
        ahead = self._parts.node.cold_ahead(kind)
        page = await asyncio.to_thread(self._read_page, kind, after, limit)
        if page.after is not None:
            return page
        there = {key for key, _ in page.rows}
        return Page(page.rows + tuple(row for row in ahead if row[0] not in there), None)

    def _read_page(self, kind: str, after: int | None, limit: int) -> Page:
        reader = self._parts.store.reader()
        try:
            page = reader.page(kind, after, limit, newest_first=False)
            return Page(tuple((address.key, row) for address, row in page.rows), page.after)
        finally:
            reader.close()

    async def ask_network(self, question: Question, kind: type[Q]) -> Q:
        """Ask the pathfinder."""
        return await self._parts.pathfinder.ask(question, kind)

    async def terms_of_peer(self, channel_id: ChannelId) -> DirectionPolicy | None:
        """What the peer of a channel asks for forwarding to us."""
        return await self._parts.terms.of(channel_id)

    async def sign_message(self, digest: bytes) -> bytes:
        """A recoverable signature by the node's key."""
        return self._parts.keys.sign_message(digest)

    async def rescan(self, first: BlockHeight) -> Rescanned:
        """Look through old blocks for all that our seed can spend."""
        await self._parts.chain_read.wait()
        tip, wallet = self._parts.outlook.tip, self._parts.node.state(WALLET)
        assert isinstance(wallet, Wallet)
        transactions, lost = await self._parts.rescanner.scan(first, tip, wallet)
        taken = await self.submit(WALLET, lambda command_id: ScanEnded(command_id, lost))
        assert isinstance(taken, TakenHome)
        return Rescanned(tip.height, transactions, taken)

    def allow_payout(self, script_pubkey: bytes) -> None:
        """The operator names a script to which a mutual close may pay our share."""
        self._parts.keys.allow_payout(script_pubkey)

    async def sign_invoice(self, request: SignInvoice) -> str:
        """The text of an invoice of ours."""
        return self._parts.keys.sign_invoice(request)

    def news(self, topic: str) -> AsyncIterator[dict[str, Any]]:
        """What machines say about a topic from now on."""
        return self._parts.news.about(topic)
