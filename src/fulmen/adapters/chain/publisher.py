"""Keep handing over what is to be mined: at once, and again with every block, until nobody wants it any more.

A child goes together with its unconfirmed parent, as a package where the source takes packages: a parent that pays too
little to be taken alone comes in with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fulmen.adapters.chain.faults import ChainSourceFault
from fulmen.adapters.chain.source import ChainSource, Published
from fulmen.core.base.ids import Txid
from fulmen.core.base.machine import Address
from fulmen.core.base.outer import PublishFailed
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.node.watching import Addressed

Key = tuple[Address, Txid]


@dataclass(slots=True)
class _Wanted:
    name: str
    raw: bytes
    spends: tuple[Txid, ...]
    parents: tuple[bytes, ...]
    refused: str = ""
    unanswered: bool = False
    """The source failed when it was handed over."""
    said: Published | None = None
    """The source's last answer."""


class Publisher:
    """Transactions that are to be in the mempool or in a block."""

    def __init__(self, source: ChainSource, also: Callable[[tuple[bytes, ...]], None] = lambda _txs: None) -> None:
        self._source = source
        self._also = also
        """Gets, at once, whatever is handed over, its parents before it: before anybody knows if the source answers."""
        self._wanted: dict[Key, _Wanted] = {}
        self._asked: dict[Txid, list[asyncio.Future[Published]]] = {}
        self._unsaid: list[Addressed] = []
        """Refusals that were heard before the source failed at another transaction."""

    def add(self, address: Address, name: str, raw: bytes, parents: tuple[bytes, ...] = ()) -> None:
        """Publish this complete transaction from now on; `name` says in logs and refusals what it is.

        `parents` are complete transactions that nobody else publishes and that it cannot be without.
        """
        tx = parse_tx(raw)
        spends = tuple(dict.fromkeys(spent.outpoint.txid for spent in tx.inputs))
        self._wanted[address, tx.txid] = _Wanted(name, raw, spends, parents)

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

    async def publish(self, only: Iterable[Key] | None = None) -> list[Addressed]:
        """Hand over what is wanted; gives `PublishFailed` for what is refused, once for the same words.

        Raises:
            ChainSourceFault: the source could not be asked; try again.
        """
        keys = self._in_order(list(self._wanted if only is None else only))
        for key in keys:
            self._also((*self._parents_of(self._wanted[key]), self._wanted[key].raw))
        for address, txid in keys:
            wanted = self._wanted.get((address, txid))
            if wanted is None:
                continue
            try:
                outcome = wanted.said = await self._hand_over(wanted)
            except ChainSourceFault:
                self._put_last((address, txid))
                raise
            wanted.unanswered = False
            for future in self._asked.get(txid, ()):
                if not future.done():
                    future.set_result(outcome)
            if not outcome.accepted and outcome.reason != wanted.refused:
                self._unsaid.append((address, PublishFailed(wanted.name, txid, outcome.reason)))
            wanted.refused = "" if outcome.accepted else outcome.reason
        events, self._unsaid = self._unsaid, []
        return events

    async def _hand_over(self, wanted: _Wanted) -> Published:
        parents = self._parents_of(wanted)
        if parents:
            together = await self._source.publish_package([*parents, wanted.raw])
            if together.accepted:
                return together
        return await self._source.publish(wanted.raw)

    def _parents_of(self, wanted: _Wanted) -> tuple[bytes, ...]:
        ours = [other.raw for (_, txid), other in self._wanted.items() if txid in wanted.spends]
        return tuple(dict.fromkeys([*wanted.parents, *ours]))

    def _put_last(self, key: Key) -> None:
        """What a source cannot answer, or not in time, may be about this one alone: all others go first from now on."""
        wanted = self._wanted.pop(key, None)
        if wanted is not None:
            wanted.unanswered = True
            self._wanted[key] = wanted

    def _in_order(self, keys: list[Key]) -> list[Key]:
        """Children first: a parent that needs its child is with it in a package, and then known already."""
        present = [key for key in keys if key in self._wanted]
        spent = {txid for key in present for txid in self._wanted[key].spends}
        return sorted(present, key=lambda key: (self._wanted[key].unanswered, key[1] in spent))
