"""NodeHandle: what the commands need of a running node. The daemon implements it; tests give a small one.

Two ways lead in. `submit` tells a machine and waits for its answer, which is given once it is true on disk. The reads
show what machines show of themselves, and pages of what is cold, read outside the loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from fulmen.core.base.env import Feerates
from fulmen.core.base.faults import Refused
from fulmen.core.base.ids import ChannelId, CommandId, NodeId, Txid
from fulmen.core.base.machine import Address, Event
from fulmen.core.base.outer import Block
from fulmen.core.base.policy import Policy
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight
from fulmen.core.bitcoin.networks import Network
from fulmen.core.gossip.addresses import NodeAddress
from fulmen.core.gossip.graph import DirectionPolicy
from fulmen.core.invoices.signing import SignInvoice
from fulmen.core.routing.words import Question, Reply
from fulmen.core.wallet.lost import TakenHome

Q = TypeVar("Q", bound=Reply)


class Page(Record):
    """Some rows of what is cold. `after` is where the next page begins, None when this was the last."""

    rows: tuple[tuple[bytes, Any], ...]
    """(key of the machine, its last state), in the order in which they became cold."""
    after: int | None


class NotPublished(Refused):
    """The chain source has not taken a transaction of ours; its own words say why."""


class Rescanned(Record):
    """What a rescan has found."""

    stop_height: int
    transactions: int
    """Of the wallet."""
    taken: TakenHome
    """What lost channels paid."""


class FailedHtlcs(Record):
    """How many HTLCs of a peer came to nothing since the start, and in the busier of this minute and the last."""

    total: int
    per_minute: int


class NodeHandle(Protocol):
    """A running node, as its callers may use it."""

    @property
    def node_id(self) -> NodeId: ...

    @property
    def network(self) -> Network: ...

    @property
    def alias(self) -> str: ...

    @property
    def addresses(self) -> Sequence[tuple[str, int]]:
        """Where it listens for peers: (host, port)."""

    @property
    def announced(self) -> Sequence[NodeAddress]:
        """Where our node_announcement says that it can be reached."""

    @property
    def directory(self) -> str:
        """Where its data is."""

    @property
    def tip(self) -> Block: ...

    @property
    def chain_trouble(self) -> str:
        """What is wrong with the chain source, in words; empty when all is well."""

    @property
    def reading_chain(self) -> bool:
        """Whether blocks are still to be read: until then peers are not listened to."""

    @property
    def feerates(self) -> Feerates: ...

    @property
    def policy(self) -> Policy: ...

    @property
    def now(self) -> int:
        """Seconds since 1970."""

    @property
    def counters(self) -> Mapping[str, int]:
        """What was counted since the start: name -> number."""

    async def submit(self, to: Address, event_of: Callable[[CommandId], Event]) -> Any:
        """Tell a machine, and wait for its `Answer`: the result, signed, once it is true on disk.

        Cancelling the wait takes nothing back.

        Raises:
            Fault: the machine refused.
        """

    async def await_published(self, txid: Txid) -> None:
        """Wait until the chain source has taken a transaction that was decided.

        Raises:
            NotPublished: it was refused, or nothing was said in time. It is handed over again with every block.
        """

    def state(self, address: Address) -> Any | None:
        """A live machine's state, to be read and not kept; None where there is none."""

    def states(self, kind: str) -> Mapping[bytes, Any]:
        """All live machines of a kind: key -> state."""

    def frozen(self, address: Address) -> str | None:
        """Why a machine is frozen, or None."""

    @property
    def views(self) -> Mapping[str, object]:
        """What machines show of themselves (`Mount.view`)."""

    def failed_htlcs(self, node_id: NodeId) -> FailedHtlcs:
        """HTLCs that a peer offered, and that came to nothing here or further on."""

    async def read_cold(self, address: Address) -> Any | None:
        """One cold row, or None."""

    async def cold_page(self, kind: str, after: int | None, limit: int) -> Page:
        """Cold rows of a kind, the oldest first, beginning behind `after`."""

    async def ask_network(self, question: Question, kind: type[Q]) -> Q:
        """Ask whoever keeps the graph and searches paths, beside the loop; any number in the question is replaced.

        Raises:
            Refused: the node is stopping.
        """

    async def terms_of_peer(self, channel_id: ChannelId) -> DirectionPolicy | None:
        """What the peer of a channel asks for forwarding to us.

        A fresh channel's peer is given some seconds to say it, once; None when it has not.
        """

    async def sign_message(self, digest: bytes) -> bytes:
        """A recoverable signature by the node's key over a 32-byte digest: r, s, recovery id (65 bytes)."""

    async def sign_invoice(self, request: SignInvoice) -> str:
        """The text of an invoice of ours; signing is deterministic, so it is the same text each time."""

    async def rescan(self, first: BlockHeight) -> Rescanned:
        """Look through old blocks for all that our seed can spend.

        Raises:
            Refused: not now.
        """

    def allow_payout(self, script_pubkey: bytes) -> None:
        """The operator names a script to which a mutual close may pay our share; the key holder knows our own."""

    def news(self, topic: str) -> AsyncIterator[dict[str, Any]]:
        """What machines `Notify` under a topic from now on."""

    def stop(self) -> None:
        """Begin a graceful stop."""

    @property
    def chain_control(self) -> ChainControl | None:
        """The controls of an embedded chain; None on any other chain."""


class ChainControl(Protocol):
    """What a regtest can be told to do."""

    async def mine(self, blocks: int, address: str | None) -> Sequence[str]:
        """Find blocks now; their hashes, oldest first."""

    async def faucet(self, address: str, sat: int) -> str:
        """Give coins out of nothing to an address; the transaction's id."""

    async def reorg(self, depth: int) -> Sequence[str]:
        """Undo so many blocks and find one more than that instead; the new hashes."""
