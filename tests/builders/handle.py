"""A node for the commands' tests: what it is told it remembers, what it answers the test decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from fulmen.core.base.env import Feerates
from fulmen.core.base.ids import BlockHash, CommandId, NodeId
from fulmen.core.base.machine import Address, Event
from fulmen.core.base.outer import Block
from fulmen.core.base.policy import Policy
from fulmen.core.base.units import BlockHeight, FeeratePerKw
from fulmen.core.crypto.secp256k1 import point_of, sign_recoverable

SECRET = bytes(31) + b"\x11"


class ControlledChain:
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


class ToldNode:
    """Implements `NodeHandle`."""

    network = "regtest"
    alias = "told"
    addresses: Sequence[tuple[str, int]] = (("127.0.0.1", 9735),)
    directory = "/nowhere"
    tip = Block(BlockHeight(101), BlockHash(bytes(32)))
    feerates = Feerates(*map(FeeratePerKw, (253, 500, 1000, 1500, 5000)))
    policy = Policy()
    now = 1_800_000_000

    def __init__(self) -> None:
        self.node_id = NodeId(point_of(SECRET))
        self.chain_control: ControlledChain | None = ControlledChain()
        self.submitted: list[tuple[Address, Event]] = []
        self.answers: dict[str, Any] = {}
        """Name of an event -> what its machine answers: a value, or a fault to raise."""
        self.live: dict[str, dict[bytes, Any]] = {}
        self.over: dict[str, dict[bytes, Any]] = {}
        self.views: dict[str, Any] = {}
        self.connected: list[tuple[NodeId, str, int]] = []
        self.news_to_tell: list[dict[str, Any]] = []
        self.stopped = False

    async def submit(self, to: Address, event_of: Callable[[CommandId], Event]) -> Any:
        event = event_of(CommandId(bytes(16)))
        self.submitted.append((to, event))
        answer = self.answers[type(event).__name__]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def state(self, address: Address) -> Any | None:
        return self.live.get(address.kind, {}).get(address.key)

    def states(self, kind: str) -> Mapping[bytes, Any]:
        return self.live.get(kind, {})

    def view(self, name: str) -> Any | None:
        return self.views.get(name)

    async def ended(self, kind: str, *, after: bytes = b"", limit: int = 1000) -> Sequence[tuple[bytes, Any]]:
        rows = sorted(self.over.get(kind, {}).items())
        return [(key, state) for key, state in rows if key > after][:limit]

    async def sign_message(self, digest: bytes) -> bytes:
        return sign_recoverable(SECRET, digest)

    async def connect(self, node_id: NodeId, host: str, port: int) -> bytes:
        self.connected.append((node_id, host, port))
        return b"\x02"

    async def disconnect(self, node_id: NodeId) -> None:
        self.connected = [one for one in self.connected if one[0] != node_id]

    async def news(self, topic: str) -> AsyncIterator[dict[str, Any]]:
        for about in self.news_to_tell:
            yield about
        await asyncio.Event().wait()

    def stop(self) -> None:
        self.stopped = True
