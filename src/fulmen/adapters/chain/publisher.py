"""Keep handing over what is to be mined: at once, and again with every block, until nobody wants it any more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from fulmen.adapters.chain.source import ChainSource, Published
from fulmen.core.base.ids import Txid
from fulmen.core.base.machine import Address
from fulmen.core.base.outer import PublishFailed
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.node.watching import Addressed


@dataclass(slots=True)
class _Wanted:
    name: str
    raw: bytes
    refused: str = ""
    said: Published | None = None
    """The source's last answer."""


class Publisher:
    """Transactions that are to be in the mempool or in a block."""

    def __init__(self, source: ChainSource) -> None:
        self._source = source
        self._wanted: dict[tuple[Address, Txid], _Wanted] = {}
        self._asked: dict[Txid, list[asyncio.Future[Published]]] = {}

    def add(self, address: Address, name: str, raw: bytes) -> None:
        """Publish this complete transaction from now on; `name` says in logs and refusals what it is."""
        self._wanted[address, parse_tx(raw).txid] = _Wanted(name, raw)

    def drop(self, address: Address, txid: Txid) -> None:
        """No longer."""
        self._wanted.pop((address, txid), None)

    async def outcome(self, txid: Txid) -> Published:
        """What the source says to a transaction, once it has said something. It need not be wanted yet."""
        for (_, known), wanted in self._wanted.items():
            if known == txid and wanted.said is not None:
                return wanted.said
        future: asyncio.Future[Published] = asyncio.get_running_loop().create_future()
        asked = self._asked.setdefault(txid, [])
        asked.append(future)
        try:
            return await future
        finally:
            asked.remove(future)
            if not asked:
                self._asked.pop(txid, None)

    async def publish(self, only: Iterable[tuple[Address, Txid]] | None = None) -> list[Addressed]:
        """Hand over what is wanted; gives `PublishFailed` for what is refused, once for the same words.

        Raises:
            ChainSourceFault: the source could not be asked; try again.
        """
        events: list[Addressed] = []
        for address, txid in list(self._wanted if only is None else only):
            wanted = self._wanted.get((address, txid))
            if wanted is None:
                continue
            outcome = wanted.said = await self._source.publish(wanted.raw)
            for future in self._asked.get(txid, ()):
                if not future.done():
                    future.set_result(outcome)
            if not outcome.accepted and outcome.reason != wanted.refused:
                events.append((address, PublishFailed(wanted.name, txid, outcome.reason)))
            wanted.refused = "" if outcome.accepted else outcome.reason
        return events
