"""A daemon put together: what has to be in place before what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.builders.channels import CHANNEL, born, keys_of

from fulmen.adapters.chain.source import TipStatus
from fulmen.core.base.env import Feerates
from fulmen.core.base.ids import BlockHash, NodeId, OutPoint
from fulmen.core.base.outer import Block
from fulmen.core.base.policy import DeadlinePolicy, Policy
from fulmen.core.base.units import BlockHeight, CltvDelta, FeeratePerKw
from fulmen.core.bitcoin.networks import REGTEST
from fulmen.core.bitcoin.transaction import TxOut
from fulmen.core.channel.facts import FundingConfirmed, ReadySent, ScidAssigned
from fulmen.core.channel.state import Channel
from fulmen.core.node import Batch
from fulmen.core.node.tips import ADDRESS as CHAIN
from fulmen.core.node.tips import TipMoved
from fulmen.core.node.watching import ChainBlock
from fulmen.daemon import daemon as room
from fulmen.daemon.daemon import Daemon, DaemonOptions
from fulmen.sim.disk import SimulatedDisk

BELOW, UNDONE, INSTEAD, NEXT = (
    Block(BlockHeight(height), BlockHash(bytes([name]) * 32))
    for height, name in ((102, 1), (103, 2), (103, 3), (104, 4))
)
"""The node has read `UNDONE`; the chain has the two others in its place."""


class Disk(SimulatedDisk):
    """As much more of the store as a daemon calls."""

    def close(self) -> None:
        """Nothing is open."""


class Turned:
    """A source whose chain turned while nobody looked, and that answers at once."""

    name, asks_spenders = "turned", True

    def __init__(self) -> None:
        self.chain = {block.height: block.hash for block in (BELOW, INSTEAD, NEXT)}

    async def check(self) -> Block:
        return NEXT

    async def tip(self, *, with_mempool: bool) -> TipStatus:
        return TipStatus(NEXT.hash, ())

    async def hash_at(self, height: BlockHeight) -> BlockHash | None:
        await asyncio.sleep(0)
        return self.chain.get(height, BlockHash(bytes(32)) if height < BELOW.height else None)

    async def block(self, height: BlockHeight, block_hash: BlockHash) -> ChainBlock:
        below = await self.hash_at(BlockHeight(height - 1))
        assert below is not None
        return ChainBlock(Block(height, block_hash), below, ())

    async def unspent(self, _outpoint: OutPoint) -> TxOut | None:
        return None

    async def spenders(self, _outpoints: object) -> dict[OutPoint, Any]:
        return {}

    async def transactions(self, _txids: object) -> dict[Any, bytes]:
        return {}

    async def feerates(self) -> Feerates:
        rate = FeeratePerKw(1000)
        return Feerates(rate, rate, rate, rate, rate, rate)

    async def close(self) -> None:
        """Nothing is open."""


def a_node_with_a_funding_in(block: Block) -> Disk:
    """What a disk holds of a node with one channel, which has read that block."""
    opened = born("alice", "bob", NodeId(b"bob".rjust(33, b"\x02")), is_opener=False, minimum_depth=1).opened
    scid = (block.height << 40) | 1
    facts = (opened, FundingConfirmed(block, 0), ScidAssigned(scid), ReadySent(scid + (1 << 60)))
    disk = Disk()
    tips = ((CHAIN, TipMoved(BELOW)), (CHAIN, TipMoved(block)))
    disk.submit(Batch(1, (*((CHANNEL, fact) for fact in facts), *tips)), lambda: None)
    disk.sync()
    return disk


async def until(holds: Callable[[], bool], between: Callable[[], object]) -> None:
    for _ in range(5000):
        if holds():
            return
        between()
        await asyncio.sleep(0.001)
    raise AssertionError("it never came to that")


def test_blocks_that_were_undone_while_we_were_away_are_told_to_all_however_slow_the_disk_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only who wants something is told, and a start that has something to write lets no want go before it is safe."""
    disk = a_node_with_a_funding_in(UNDONE)
    monkeypatch.setattr(room, "SqliteStore", lambda *_: disk)
    # A setting that is another one now is a fact of each channel at the start.
    deadlines = DeadlinePolicy(fulfilled_deadline=CltvDelta(20), min_final_cltv_expiry_delta=CltvDelta(30))
    policy = Policy(deadlines=deadlines)
    options = DaemonOptions(tmp_path, REGTEST, "alice", policy, listen=(), chain_poll_s=0.001, worker=False)

    async def play() -> None:
        daemon = Daemon(options, keys_of("alice"), Turned())
        starting = asyncio.create_task(daemon.start())
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert disk.waiting
        await until(starting.done, disk.sync)
        starting.result()
        node = daemon._node
        await until(lambda: node.state(CHAIN).tip == NEXT, disk.sync)
        channel = node.state(CHANNEL)
        assert isinstance(channel, Channel)
        assert (channel.funding.confirmed, channel.scid) == (None, None)
        closing = asyncio.create_task(daemon.close())
        await until(closing.done, disk.sync)
        closing.result()

    asyncio.run(asyncio.wait_for(play(), 30))


class Growing(Turned):
    """A source that finds a block after it was asked for its tip the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.tips = [BELOW]

    async def check(self) -> Block:
        return self.tips.pop() if self.tips else NEXT


def test_a_first_start_reads_every_block_from_the_one_on_that_it_saw_before_anybody_could_ask_for_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk()
    monkeypatch.setattr(room, "SqliteStore", lambda *_: disk)
    options = DaemonOptions(tmp_path, REGTEST, "alice", Policy(), listen=(), chain_poll_s=0.001, worker=False)

    async def play() -> None:
        daemon = Daemon(options, keys_of("alice"), Growing())
        starting = asyncio.create_task(daemon.start())
        await until(lambda: bool(disk.waiting), lambda: None)
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert not starting.done(), "what it begins with is not on the disk yet"
        await until(starting.done, disk.sync)
        starting.result()
        node = daemon._node
        await until(lambda: node.state(CHAIN).tip == NEXT, disk.sync)
        assert node.state(CHAIN).blocks == (BELOW, INSTEAD, NEXT)
        closing = asyncio.create_task(daemon.close())
        await until(closing.done, disk.sync)
        closing.result()

    asyncio.run(asyncio.wait_for(play(), 30))
