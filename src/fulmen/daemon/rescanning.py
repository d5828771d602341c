"""Going through old blocks for what the seed can spend, and looking out for lost channels in new ones.

The rules are in `core.wallet.rescan` and `core.wallet.lost`; here are blocks fetched and events posted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping

import structlog

from fulmen.adapters.chain.faults import ChainSourceFault
from fulmen.adapters.chain.source import ChainSource
from fulmen.adapters.keys.in_process import InProcessKeys
from fulmen.core.base.faults import Refused
from fulmen.core.base.ids import OutPoint
from fulmen.core.base.machine import Address, Event
from fulmen.core.base.outer import Block, ScriptPaid
from fulmen.core.base.units import BlockHeight
from fulmen.core.node.watching import ChainBlock
from fulmen.core.wallet.lost import LostFound, LostOutput, Payee, ScanBegun, lost_in, payees
from fulmen.core.wallet.machine import ADDRESS as WALLET
from fulmen.core.wallet.rescan import Rescan
from fulmen.core.wallet.state import Wallet

log = structlog.get_logger("rescan")
TOLD_EVERY = 10_000
"""Blocks, between two lines of the log."""


class RescanNotPossible(Refused):
    """Blocks cannot be looked through now: somebody does it already, or the chain turned."""


class Rescanner:
    """The daemon's side of a rescan; one at a time. `living` gives the funding outputs of the channels that we know."""

    def __init__(
        self,
        source: ChainSource,
        keys: InProcessKeys,
        post: Callable[[Address, Event], None],
        living: Callable[[], Collection[OutPoint]],
    ) -> None:
        self._living = living
        self._source = source
        self._keys = keys
        self._post = post
        self._busy = False
        self._payees: Mapping[bytes, Payee] | None = None

    async def look_out(self) -> None:
        """From now on every block is searched for what lost channels pay."""
        if self._payees is None:
            self._payees = await asyncio.to_thread(lambda: payees(self._keys.payment_points()))

    def joined(self, block: ChainBlock) -> None:
        """A block joins the chain."""
        if self._payees is None:
            return
        living = self._living()
        txs = [seen.tx for seen in block.txs if seen.tx is not None]
        found = tuple([lost for tx in txs for lost in lost_in(tx, self._payees, living)])
        if found:
            self._post(WALLET, LostFound(found))

    async def scan(self, first: BlockHeight, tip: Block, wallet: Wallet) -> tuple[int, tuple[LostOutput, ...]]:
        """Look through all blocks from `first` to the tip, and tell the wallet what is its own.

        Gives the number of its transactions, and what lost channels paid.

        Raises:
            RescanNotPossible
        """
        if self._busy:
            raise RescanNotPossible("blocks are being looked through already")
        self._busy = True
        try:
            await self.look_out()
            assert self._payees is not None
            found = Rescan(wallet.accounts, wallet.issued, self._payees, self._living())
            await self._round(found, first, tip)
            while found.again():
                await self._round(found, first, tip)
            if await self._source.hash_at(tip.height) != tip.hash:
                raise RescanNotPossible("the chain turned meanwhile; ask again")
        except ChainSourceFault as fault:
            raise RescanNotPossible(f"the chain source fails: {fault}") from fault
        finally:
            self._busy = False
        self._post(WALLET, ScanBegun(found.issued))
        for block, tx in found.found:
            self._post(WALLET, ScriptPaid(tx.txid, tx.serialize(), block))
        return len(found.found), found.lost

    async def _round(self, found: Rescan, first: BlockHeight, tip: Block) -> None:
        for height in range(first, tip.height + 1):
            block_hash = await self._source.hash_at(BlockHeight(height))
            if block_hash is None:
                raise RescanNotPossible("the chain turned meanwhile; ask again")
            block = await self._source.block(BlockHeight(height), block_hash)
            found.look(block.block, [seen.tx for seen in block.txs])
            if height % TOLD_EVERY == 0:
                log.info("looking through blocks", height=height, to=tip.height, found=len(found.found))
