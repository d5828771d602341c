"""The embedded chain as a chain source without sockets: the daemon's own watcher and publisher run on it at once."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from tests.builders.env import FEERATES

from fulmen.adapters.chain.source import FundingOutput, Published, TipStatus
from fulmen.core.base.env import Feerates
from fulmen.core.base.ids import BlockHash, OutPoint, ShortChannelId, Txid
from fulmen.core.base.outer import Block
from fulmen.core.base.units import BlockHeight
from fulmen.core.bitcoin.transaction import TxOut, parse_tx
from fulmen.core.node.watching import ChainBlock, chain_block
from fulmen.regtest.consensus import Rejected
from fulmen.regtest.node import RegtestNode

T = TypeVar("T")


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine gives that waits for nobody."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    raise AssertionError("it waits for somebody")


class ChainInMemory:
    """A `ChainSource`."""

    name = "in memory"
    asks_spenders = True

    def __init__(self, node: RegtestNode) -> None:
        self._node = node

    async def check(self) -> Block:
        """The tip."""
        entry = self._node.chain.tip
        return Block(BlockHeight(entry.height), BlockHash(entry.hash))

    async def tip(self, *, with_mempool: bool) -> TipStatus:
        """The tip's hash, and what is unconfirmed."""
        pooled = tuple([Txid(one.txid) for one in self._node.pool]) if with_mempool else None
        return TipStatus(BlockHash(self._node.chain.tip.hash), pooled)

    async def hash_at(self, height: BlockHeight) -> BlockHash | None:
        """The best chain's block at a height."""
        entry = self._node.chain.at(height)
        return None if entry is None else BlockHash(entry.hash)

    async def parent_of(self, block_hash: BlockHash) -> BlockHash | None:
        """Nobody asks: no node here has read more than `Tips` keeps."""
        raise NotImplementedError

    async def height_of(self, block_hash: BlockHash) -> BlockHeight | None:
        """Nobody asks."""
        raise NotImplementedError

    async def block(self, height: BlockHeight, block_hash: BlockHash) -> ChainBlock:
        """A whole block."""
        entry = self._node.chain.at(height)
        assert entry is not None and entry.hash == block_hash
        return chain_block(height, self._node.chain.block(entry))

    async def spenders(self, outpoints: Sequence[OutPoint]) -> dict[OutPoint, Txid] | None:
        """Who spends these outputs in the mempool."""
        found = {outpoint: self._node.pool.spender(outpoint) for outpoint in outpoints}
        return {outpoint: Txid(pooled.txid) for outpoint, pooled in found.items() if pooled is not None}

    async def transactions(self, txids: Sequence[Txid]) -> dict[Txid, bytes]:
        """Unconfirmed transactions, raw."""
        found = {txid: self._node.pool.get(txid) for txid in txids}
        return {txid: pooled.tx.serialize() for txid, pooled in found.items() if pooled is not None}

    async def unspent(self, outpoint: OutPoint) -> TxOut | None:
        """A confirmed output that no block spends."""
        coin = self._node.chain.coins.get(outpoint)
        return None if coin is None else coin.output

    async def funding_output(self, short_channel_id: ShortChannelId) -> FundingOutput | None:
        """Nobody asks: there is no gossip here."""
        raise NotImplementedError

    async def feerates(self) -> Feerates:
        """Always the same."""
        return FEERATES

    async def publish(self, tx: bytes) -> Published:
        """Hand a transaction over."""
        read = parse_tx(tx)
        if self._node.txs.get(read.txid) is not None:
            return Published(True, confirmed=True)
        if self._node.pool.get(read.txid) is not None:
            return Published(True)
        try:
            self._node.submit_tx(read)
        except Rejected as why:
            return Published(False, str(why))
        return Published(True)

    async def publish_package(self, txs: Sequence[bytes]) -> Published:
        """Hand a child with its parents over."""
        missing = [tx for tx in map(parse_tx, txs) if self._node.txs.get(tx.txid) is None]
        if len(missing) < 2:
            return await self.publish(txs[-1])
        outcome = self._node.submit_package(missing)
        return Published(not outcome.refused, outcome.refused)

    async def close(self) -> None:
        """Nothing is open."""
