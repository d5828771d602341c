"""Keep handing over what is to be mined: at once, and again with every block, until nobody wants it any more."""

from __future__ import annotations

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


class Publisher:
    """Transactions that are to be in the mempool or in a block."""

    def __init__(self, source: ChainSource) -> None:
        self._source = source
        self._wanted: dict[tuple[Address, Txid], _Wanted] = {}

    def add(self, address: Address, name: str, raw: bytes) -> None:
        """Publish this complete transaction from now on; `name` says in logs and refusals what it is."""
        self._wanted[address, parse_tx(raw).txid] = _Wanted(name, raw)

    def drop(self, address: Address, txid: Txid) -> None:
        """No longer."""
        self._wanted.pop((address, txid), None)

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
            outcome: Published = await self._source.publish(wanted.raw)
            if not outcome.accepted and outcome.reason != wanted.refused:
                events.append((address, PublishFailed(wanted.name, txid, outcome.reason)))
            wanted.refused = "" if outcome.accepted else outcome.reason
        return events
