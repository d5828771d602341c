"""What any chain source gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fulmen.core.base.env import Feerates
from fulmen.core.base.ids import BlockHash, OutPoint, ShortChannelId, Txid
from fulmen.core.base.outer import Block
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, Timestamp
from fulmen.core.bitcoin.transaction import TxOut
from fulmen.core.node.watching import ChainBlock


class TipStatus(Record):
    """The end of the source's best chain, and what is unconfirmed there."""

    hash: BlockHash
    mempool: tuple[Txid, ...] | None
    """None when it was not asked for, or is too large to be compared."""


class Published(Record):
    """What became of a transaction that was handed over."""

    accepted: bool
    """It is in the mempool or in a block, since now or already before."""
    reason: str = ""
    """The source's words when it was refused."""
    confirmed: bool = False
    """It is in a block already."""


class FundingOutput(Record):
    """An unspent output that a short channel id names."""

    outpoint: OutPoint
    output: TxOut
    confirmations: int


class ChainSource(Protocol):
    """Headers, blocks, unconfirmed spends, feerates, and the way to the miners.

    Every method raises a `ChainSourceFault` when the source is away, slow, or answers with nonsense.
    """

    name: str
    asks_spenders: bool
    """Whether `spenders` answers; else the mempool has to be compared."""

    async def check(self) -> Block:
        """Whether it is on our network and has caught up; gives its tip.

        Raises:
            WrongNetwork: another genesis block.
            SourceWarmingUp: it is still starting or catching up.
        """
        ...

    async def tip(self, *, with_mempool: bool) -> TipStatus:
        """The best block's hash, cheaply: this is what is polled."""
        ...

    async def hash_at(self, height: BlockHeight) -> BlockHash | None:
        """The best chain's block at a height; None above its tip."""
        ...

    async def parent_of(self, block_hash: BlockHash) -> BlockHash | None:
        """The block before one, also off the best chain; None when the source does not know it."""
        ...

    async def height_of(self, block_hash: BlockHash) -> BlockHeight | None:
        """The height of a block of the best chain; None when it is not there."""
        ...

    async def time_of(self, block_hash: BlockHash) -> Timestamp | None:
        """What a block's header says about when it was made; None when the source does not know the block."""
        ...

    async def block(self, height: BlockHeight, block_hash: BlockHash) -> ChainBlock:
        """A whole block.

        Raises:
            SourceLied: it is another block than was asked for, or nobody worked for it.
        """
        ...

    async def spenders(self, outpoints: Sequence[OutPoint]) -> dict[OutPoint, Txid] | None:
        """Who spends these outputs in the mempool; None when the source cannot be asked that."""
        ...

    async def transactions(self, txids: Sequence[Txid]) -> dict[Txid, bytes]:
        """Unconfirmed transactions, raw; those that are gone meanwhile are left out."""
        ...

    async def unspent(self, outpoint: OutPoint) -> TxOut | None:
        """A confirmed output that no block spends, or None."""
        ...

    async def funding_output(self, short_channel_id: ShortChannelId) -> FundingOutput | None:
        """The unspent output that a short channel id names, or None when there is none, or it is spent."""
        ...

    async def feerates(self) -> Feerates:
        """Estimates, within the policy's floor and cap."""
        ...

    async def publish(self, tx: bytes) -> Published:
        """Hand a transaction over. Doing so again is fine."""
        ...

    async def publish_package(self, txs: Sequence[bytes]) -> Published:
        """Hand a child with its parents over, the child last."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
