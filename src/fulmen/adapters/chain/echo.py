"""A second way to the miners: what the first source is given, another one gets as well.

What it says changes nothing: a refusal is for the first source to tell, and a transaction that it lost meanwhile comes
again with the next block.
"""

from __future__ import annotations

import asyncio

from fulmen.adapters.chain.faults import ChainSourceFault
from fulmen.adapters.chain.source import ChainSource

MOST_WAITING = 1000


class Echo:
    """Hands transactions over to a second source, one after the other, and keeps nobody waiting."""

    def __init__(self, source: ChainSource) -> None:
        self._source = source
        self._waiting: dict[bytes, tuple[bytes, ...]] = {}
        self._wake = asyncio.Event()

    def hand_over(self, txs: tuple[bytes, ...]) -> None:
        """A transaction, after those of its parents that may be unknown."""
        if len(self._waiting) < MOST_WAITING or txs[-1] in self._waiting:
            self._waiting[txs[-1]] = txs
            self._wake.set()

    async def run(self) -> None:
        """Hand over until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._hand_all_over()
            except ChainSourceFault:
                # `Oversight` says that it fails. Who waits in vain comes again.
                self._waiting.clear()

    async def _hand_all_over(self) -> None:
        while self._waiting:
            txs = self._waiting.pop(next(iter(self._waiting)))
            if len(txs) > 1 and (await self._source.publish_package(txs)).accepted:
                continue
            await self._source.publish(txs[-1])
