"""NodeHandle: what the commands need of a running node. The daemon implements it; tests give a small one.

Two ways lead in. `submit` tells a machine and waits for its answer, which is given once it is true on disk. The reads
show what machines show of themselves, and pages of what is cold, read outside the loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Protocol

from fulmen.core.base.env import Feerates
from fulmen.core.base.ids import CommandId, NodeId
from fulmen.core.base.machine import Address, Event
from fulmen.core.base.outer import Block
from fulmen.core.base.policy import Policy


class NodeHandle(Protocol):
    """A running node, as its callers may use it."""

    @property
    def node_id(self) -> NodeId: ...

    @property
    def network(self) -> str:
        """The name of its chain: `regtest`, `signet` …"""

    @property
    def alias(self) -> str: ...

    @property
    def addresses(self) -> Sequence[tuple[str, int]]:
        """Where it listens for peers."""

    @property
    def directory(self) -> str:
        """Where its data is."""

    @property
    def tip(self) -> Block: ...

    @property
    def feerates(self) -> Feerates: ...

    @property
    def policy(self) -> Policy: ...

    @property
    def now(self) -> int:
        """Seconds since 1970."""

    async def submit(self, to: Address, event_of: Callable[[CommandId], Event]) -> Any:
        """Tell a machine, and wait for its `Answer`: the result, once it is true on disk.

        Raises:
            Fault: the machine refused.
        """

    def state(self, address: Address) -> Any | None:
        """A live machine's state, to be read and not kept; None where there is none."""

    def states(self, kind: str) -> Mapping[bytes, Any]:
        """All live machines of a kind: key -> state."""

    def view(self, name: str) -> Any | None:
        """What a machine shows of itself (`Mount.view`)."""

    async def ended(self, kind: str, *, after: bytes = b"", limit: int = 1000) -> Sequence[tuple[bytes, Any]]:
        """A page of machines of a kind that are over: (key, last state), from the cold store, in order of keys."""

    async def sign_message(self, digest: bytes) -> bytes:
        """A recoverable signature by the node's key over a 32-byte digest: r, s, recovery id (65 bytes)."""

    async def connect(self, node_id: NodeId, host: str, port: int) -> bytes:
        """Dial a peer and wait until both said `init`: its features. Raises: Refused."""

    async def disconnect(self, node_id: NodeId) -> None:
        """Hang up on a peer. Raises: Refused."""

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
