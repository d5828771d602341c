"""Nodes for the commands' tests.

`RunningNode` runs the real machines in memory: what a command asks is decided by them, and answered as the daemon would
answer, signatures and all. Nothing leaves it; a test says what the network and the chain would say.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.builders.channels import env_of, keys_of
from tests.builders.env import FEERATES
from tests.builders.wallets import ACCOUNTS

from fulmen.api.handle import FailedHtlcs, NotPublished, Page, Q, Rescanned
from fulmen.core.base.faults import Fault
from fulmen.core.base.ids import (
    BlockHash,
    ChannelId,
    CommandId,
    NodeId,
    PaymentHash,
    PaymentSecret,
    Secret,
    Txid,
)
from fulmen.core.base.machine import Action, Address, Event, Lull
from fulmen.core.base.outer import Answer, Block, Send
from fulmen.core.base.peers import Connected, MessageReceived
from fulmen.core.base.policy import Policy
from fulmen.core.base.units import BlockHeight, Msat, Sat, Timestamp
from fulmen.core.bitcoin.networks import REGTEST
from fulmen.core.channel import opening
from fulmen.core.channel import table as channel
from fulmen.core.crypto.hashes import sha256
from fulmen.core.crypto.secp256k1 import point_of, sign_recoverable
from fulmen.core.gossip.addresses import IPV4, NodeAddress
from fulmen.core.gossip.graph import DirectionPolicy, Graph
from fulmen.core.invoices import bolt11
from fulmen.core.invoices.invoice import InvoiceFields
from fulmen.core.invoices.signing import SignInvoice, sign_invoice
from fulmen.core.node import Node
from fulmen.core.payments import invoice, payments, register
from fulmen.core.peer import table as peer
from fulmen.core.routing.pathfinder import Pathfinder
from fulmen.core.routing.requests import FindRoute, RouteAnswered
from fulmen.core.routing.words import Find, Found, Question, RemoteTerms, Settings, Terms
from fulmen.core.switch import circuits, earnings
from fulmen.core.wallet import machine as wallet
from fulmen.core.wallet.lost import TakenHome
from fulmen.core.wire.features import PAYMENT_SECRET, VAR_ONION_OPTIN, Features
from fulmen.core.wire.messages.setup import Init

SECRET = Secret(bytes(31) + b"\x11")
"""The node key with which messages and invoices are signed."""


def an_invoice_of(name: str, timestamp: int, *, amount_msat: int | None = 5000, expiry_s: int = 3600) -> str:
    """A signed invoice of another node."""
    unsigned = bolt11.unsigned(
        InvoiceFields(
            REGTEST.bolt11_prefix,
            Timestamp(timestamp),
            PaymentHash(sha256(b"p")),
            PaymentSecret(bytes(32)),
            None if amount_msat is None else Msat(amount_msat),
            "tea",
            expiry_s=expiry_s,
            features=Features.of(VAR_ONION_OPTIN, PAYMENT_SECRET),
        )
    )
    return keys_of(name).sign_invoice(SignInvoice(unsigned.hrp, unsigned.words))


class ControlledChain:
    """A regtest that does as it is told, and remembers it."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    async def mine(self, blocks: int, address: str | None) -> Sequence[str]:
        self.told.append(("mine", blocks, address))
        return ["00" * 32] * blocks

    async def faucet(self, address: str, sat: int) -> str:
        self.told.append(("faucet", address, sat))
        return "11" * 32

    async def reorg(self, depth: int) -> Sequence[str]:
        self.told.append(("reorg", depth))
        return ["22" * 32] * (depth + 1)


class RunningNode:
    """Implements `NodeHandle`."""

    network = REGTEST
    alias = "told"
    addresses: Sequence[tuple[str, int]] = (("127.0.0.1", 9735),)
    announced: Sequence[NodeAddress] = (NodeAddress(IPV4, "203.0.113.7", 9736),)
    directory = "/nowhere"
    feerates = FEERATES
    policy = Policy()
    tip = Block(BlockHeight(101), BlockHash(bytes(32)))
    counters: Mapping[str, int] = {"batches": 3, "facts": 7, "syncs": 2}
    now = 1_700_000_000
    chain_trouble = ""
    reading_chain = False

    def __init__(self, name: str = "me", graph: Graph | None = None) -> None:
        self.name = name
        self.node_id = NodeId(point_of(SECRET))
        settings = Settings(self.node_id, REGTEST.chain_hash, b"")
        self.pathfinder = Pathfinder(settings, graph)
        self.chain_control: ControlledChain | None = ControlledChain()
        self.actions: list[Action] = []
        self.news_to_tell: list[dict[str, Any]] = []
        self.stopped = False
        self.failed: dict[NodeId, tuple[int, int]] = {}
        self.payouts: list[bytes] = []
        self.rescanned: list[int] = []
        self._refusal: Fault | None = None
        self.mempool_says = ""
        """Why nothing is published, if so."""
        self._numbers = itertools.count(1)
        self._answers: dict[CommandId, asyncio.Future[Any]] = {}
        self._cold: dict[Address, Any] = {}
        mounts = [
            wallet.mount(ACCOUNTS),
            register.MOUNT,
            invoice.MOUNT,
            circuits.MOUNT,
            earnings.MOUNT,
            payments.MOUNT,
            channel.MOUNT,
            opening.MOUNT,
            peer.MOUNT,
        ]
        self._env = env_of(name, chain_hash=REGTEST.chain_hash, tip=self.tip, wall=self.now)
        self.node = Node(mounts, lambda: self._env, verify=lambda _checks: None)
        self.node.resume()

    # -- what a test says --

    def tell(self, to: Address, *events: Event) -> list[Action]:
        """Give events to a machine; the actions that came of it."""
        batch = self.node.run([*((to, event) for event in events), Lull()])
        for row in batch.cold:
            self._cold[row.address] = row.row
        for action in batch.actions:
            if not isinstance(action, Answer):
                continue
            waiting = self._answers.get(action.command_id)
            if waiting is not None and not waiting.done():
                self._answer(waiting, action)
        self.actions.extend(batch.actions)
        for action in batch.actions:
            if isinstance(action, FindRoute):
                self.pathfinder.hear(Find(1, action.request), Timestamp(self.now))
                (found,) = [one for one in self.pathfinder.take() if isinstance(one, Found)]
                self.tell(action.reply_to, RouteAnswered(action.ref, found.answer))
        return list(batch.actions)

    def at(self, now: int) -> None:
        """It is this late."""
        self.now = now
        self._env = replace(self._env, wall=Timestamp(now))

    def meet(self, name: str, *, inbound: bool = False) -> NodeId:
        """A peer of this name connects, and says `init`."""
        keys = keys_of(name)
        address = Address("peer", keys.node_id)
        ours = Connected(inbound, "127.0.0.1:9736")
        said = next(
            action.message
            for action in self.tell(address, ours)
            if isinstance(action, Send) and isinstance(action.message, Init)
        )
        self.tell(address, MessageReceived(Init(b"", said.features)))
        return keys.node_id

    def refuse_all(self, fault: Fault) -> None:
        """Every command is answered with this."""
        self._refusal = fault

    def _answer(self, waiting: asyncio.Future[Any], answer: Answer) -> None:
        if answer.refused is not None:
            waiting.set_exception(answer.refused)
            return
        result = answer.result
        for request in answer.sign:
            assert isinstance(request, SignInvoice)
            result = result.but(bolt11=sign_invoice(request, SECRET))
        waiting.set_result(result)

    # -- NodeHandle --

    async def submit(self, to: Address, event_of: Callable[[CommandId], Event]) -> Any:
        if self._refusal is not None:
            raise self._refusal
        command_id = CommandId(sha256(next(self._numbers).to_bytes(4, "big"))[:16])
        self._answers[command_id] = asyncio.get_running_loop().create_future()
        self.tell(to, event_of(command_id))
        return await self._answers[command_id]

    async def await_published(self, txid: Txid) -> None:
        if self.mempool_says:
            raise NotPublished(self.mempool_says, txid=txid[::-1])

    def state(self, address: Address) -> Any | None:
        return self.node.state(address)

    def states(self, kind: str) -> Mapping[bytes, Any]:
        return {address.key: self.node.state(address) for address in self.node.addresses(kind)}

    def failed_htlcs(self, node_id: NodeId) -> FailedHtlcs:
        return FailedHtlcs(*self.failed.get(node_id, (0, 0)))

    def frozen(self, address: Address) -> str | None:
        return self.node.frozen(address)

    @property
    def views(self) -> Mapping[str, object]:
        return self.node.views

    async def read_cold(self, address: Address) -> Any | None:
        return self._cold.get(address)

    async def cold_page(self, kind: str, after: int | None, limit: int) -> Page:
        rows = [(n, address.key, row) for n, (address, row) in enumerate(self._cold.items(), 1) if address.kind == kind]
        page = [row for row in rows if row[0] > (after or 0)][:limit]
        return Page(tuple((key, row) for _, key, row in page), page[-1][0] if len(page) == limit else None)

    async def ask_network(self, question: Question, kind: type[Q]) -> Q:
        self.pathfinder.hear(question.but(number=1), Timestamp(self.now))
        (found,) = [one for one in self.pathfinder.take() if isinstance(one, kind)]
        return found

    async def terms_of_peer(self, channel_id: ChannelId) -> DirectionPolicy | None:
        return (await self.ask_network(RemoteTerms(0, channel_id), Terms)).policy

    async def sign_message(self, digest: bytes) -> bytes:
        return sign_recoverable(SECRET, digest)

    async def rescan(self, first: BlockHeight) -> Rescanned:
        self.rescanned.append(first)
        return Rescanned(101, 3, TakenHome((Txid(bytes(range(32))),), 2, Sat(1234)))

    def allow_payout(self, script_pubkey: bytes) -> None:
        self.payouts.append(script_pubkey)

    async def sign_invoice(self, request: SignInvoice) -> str:
        return sign_invoice(request, SECRET)

    async def news(self, topic: str) -> AsyncIterator[dict[str, Any]]:
        for about in self.news_to_tell:
            yield about
        await asyncio.Event().wait()

    def stop(self) -> None:
        self.stopped = True
