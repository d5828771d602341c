"""Watching: what machines want to know of the chain, matched against its blocks.

The shell brings blocks in order and rewinds; this says which machine gets which event. A want that names an earlier
height than the tip is looked up in blocks that passed already: `change` says which (`Rescan`), and the shell brings
them again (`scan`). An event told twice is a no-op to its machine, so nothing is remembered here but the wants.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TypeVar

from fulmen.core.base.faults import InvariantBroken
from fulmen.core.base.ids import BlockHash, OutPoint, Txid
from fulmen.core.base.machine import Address, Event
from fulmen.core.base.outer import (
    Block,
    ChainRewound,
    HeightReached,
    OutputSpent,
    ScriptPaid,
    TxConfirmed,
    TxGone,
    Want,
    WantHeight,
    WantMempoolWatch,
    WantPublished,
    WantScriptWatch,
    WantSpendWatch,
    WantTxWatch,
)
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight
from fulmen.core.bitcoin.block import WholeBlock
from fulmen.core.bitcoin.script import p2wpkh
from fulmen.core.bitcoin.transaction import Tx, parse_tx
from fulmen.core.crypto.hashes import hash160

K = TypeVar("K")
V = TypeVar("V")

Addressed = tuple[Address, Event]
Wanted = tuple[Address, Want]


class ChainTx(Record):
    """A transaction as the chain has it. `tx` is None when we cannot read it: then it is known by its name alone."""

    txid: Txid
    raw: bytes
    tx: Tx | None


class ChainBlock(Record):
    """A block of the best chain."""

    block: Block
    previous: BlockHash
    txs: tuple[ChainTx, ...]


class Rescan(Record):
    """Blocks that passed before these wants came: from `first` to the tip of now, to be brought to `scan`."""

    first: BlockHeight
    last: BlockHeight
    wants: tuple[Wanted, ...]


def chain_tx(tx: Tx) -> ChainTx:
    """A transaction that could be read."""
    return ChainTx(tx.txid, tx.serialize(), tx)


def chain_block(height: BlockHeight, whole: WholeBlock) -> ChainBlock:
    """A block that could be read."""
    return ChainBlock(
        Block(height, whole.header.hash), whole.header.previous, tuple([chain_tx(tx) for tx in whole.txs])
    )


class Watches:
    """Wants, by what they look for. The inner tables are ordered, so equal wants give equal events (law 3)."""

    def __init__(self, wants: Iterable[Wanted] = ()) -> None:
        self.spends: dict[OutPoint, dict[Address, int]] = {}
        self.txs: dict[Txid, dict[Address, int]] = {}
        self.scripts: dict[bytes, dict[Address, int]] = {}
        self.heights: dict[Address, dict[BlockHeight, None]] = {}
        self.waiting: dict[Txid, dict[Address, int]] = {}
        self.rivals: dict[OutPoint, dict[Txid, int]] = {}
        """What waiting transactions spend: a block that does it otherwise makes them impossible."""
        self.paid: dict[OutPoint, bytes] = {}
        """Outputs seen to pay a watched script: whoever spends them concerns its watchers too."""
        for address, want in wants:
            self.add(address, want)

    def add(self, address: Address, want: Want) -> None:
        """Look for this from now on."""
        match want:
            case WantSpendWatch():
                _more(self.spends, want.outpoint, address)
            case WantTxWatch():
                _more(self.txs, want.txid, address)
            case WantPublished():
                _more(self.txs, parse_tx(want.tx).txid, address)
            case WantScriptWatch():
                _more(self.scripts, want.script_pubkey, address)
            case WantHeight():
                self.heights.setdefault(address, {})[want.height] = None
            case WantMempoolWatch():
                _more(self.waiting, want.txid, address)
                for outpoint in want.spends:
                    _more(self.rivals, outpoint, want.txid)
            case _:
                pass

    def drop(self, address: Address, want: Want) -> None:
        """Stop looking for this."""
        match want:
            case WantSpendWatch():
                _less(self.spends, want.outpoint, address)
            case WantTxWatch():
                _less(self.txs, want.txid, address)
            case WantPublished():
                _less(self.txs, parse_tx(want.tx).txid, address)
            case WantScriptWatch():
                _less(self.scripts, want.script_pubkey, address)
            case WantHeight():
                wanted = self.heights.get(address, {})
                wanted.pop(want.height, None)
                if not wanted:
                    self.heights.pop(address, None)
            case WantMempoolWatch():
                _less(self.waiting, want.txid, address)
                for outpoint in want.spends:
                    _less(self.rivals, outpoint, want.txid)
            case _:
                pass

    def addresses(self) -> dict[Address, None]:
        """Everyone who wants anything of the chain."""
        found: dict[Address, None] = dict.fromkeys(self.heights)
        for watchers in (*self.spends.values(), *self.txs.values(), *self.scripts.values(), *self.waiting.values()):
            found |= dict.fromkeys(watchers)
        return found

    def events(self, found: ChainTx, block: Block | None, index: int) -> Iterator[Addressed]:
        """Who is told what of one transaction; `block` is None while it is in the mempool."""
        if block is not None:
            for address in self.txs.get(found.txid, ()):
                yield address, TxConfirmed(found.txid, found.raw, block, index)
        if found.tx is None:
            return
        if block is not None and self.rivals:
            yield from self._gone_by(found.txid, found.tx)
        concerned: dict[Address, None] = {}
        for spent in found.tx.inputs:
            for address in self.spends.get(spent.outpoint, ()):
                yield address, OutputSpent(spent.outpoint, found.raw, block)
            if self.scripts:
                script = self.paid.get(spent.outpoint) or _script_of_witness(spent.witness)
                concerned |= dict.fromkeys(self.scripts.get(script, ()))
        if self.scripts:
            for vout, output in enumerate(found.tx.outputs):
                watchers = self.scripts.get(output.script_pubkey)
                if watchers:
                    self.paid[OutPoint(found.txid, vout)] = output.script_pubkey
                    concerned |= dict.fromkeys(watchers)
        for address in concerned:
            yield address, ScriptPaid(found.txid, found.raw, block)

    def gone_from(self, present: Collection[Txid]) -> Iterator[Addressed]:
        """Who is told that what they saw in the mempool is there no longer."""
        for txid, watchers in self.waiting.items():
            if txid not in present:
                for address in watchers:
                    yield address, TxGone(txid)

    def _gone_by(self, txid: Txid, tx: Tx) -> Iterator[Addressed]:
        rivals = {rival: True for spent in tx.inputs for rival in self.rivals.get(spent.outpoint, ()) if rival != txid}
        for rival in rivals:
            for address in self.waiting.get(rival, ()):
                yield address, TxGone(rival)


class WatchMatcher:
    """Follows the chain from a tip on, and says who is to be told what."""

    def __init__(self, tip: Block) -> None:
        self.tip = tip
        self._watches = Watches()

    def change(self, added: Iterable[Wanted], removed: Iterable[Wanted]) -> tuple[list[Addressed], list[Rescan]]:
        """Wants came and went. Gives what is true already, and the blocks that have to be looked at again.

        A want whose `since` is 0 does not know how far back to look: only blocks to come are searched for it.
        """
        events: list[Addressed] = []
        behind: dict[BlockHeight, list[Wanted]] = {}
        for address, want in removed:
            self._watches.drop(address, want)
        for address, want in added:
            self._watches.add(address, want)
            if isinstance(want, WantHeight) and self.tip.height >= want.height:
                events.append((address, HeightReached(self.tip)))
            if isinstance(want, (WantSpendWatch, WantTxWatch)) and 0 < want.since <= self.tip.height:
                behind.setdefault(want.since, []).append((address, want))
        rescans = [Rescan(since, self.tip.height, tuple(behind[since])) for since in sorted(behind)]
        return events, rescans

    def connect(self, block: ChainBlock) -> list[Addressed]:
        """The next block.

        Raises:
            InvariantBroken: it does not stand on the tip.
        """
        if block.previous != self.tip.hash or block.block.height != self.tip.height + 1:
            raise InvariantBroken("a block does not follow the tip", height=block.block.height, tip=self.tip.height)
        self.tip = block.block
        events = list(_scan(self._watches, block))
        for address, heights in self._watches.heights.items():
            if any(height <= block.block.height for height in heights):
                events.append((address, HeightReached(block.block)))
        return events

    def rewind(self, to: Block) -> list[Addressed]:
        """Blocks above this one are no longer in the chain: everyone with a want of the chain is told."""
        self.tip = to
        return [(address, ChainRewound(to.height)) for address in self._watches.addresses()]

    def scan(self, block: ChainBlock, wants: Iterable[Wanted]) -> list[Addressed]:
        """A block that passed before these wants came."""
        return list(_scan(Watches(wants), block))

    def unconfirmed(self, txs: Iterable[ChainTx]) -> list[Addressed]:
        """Transactions that are new in the mempool, parents first."""
        return [event for found in txs for event in self._watches.events(found, None, 0)]

    def gone_from(self, present: Collection[Txid]) -> list[Addressed]:
        """Everything that is unconfirmed now: what was there before is gone, one way or the other."""
        return list(self._watches.gone_from(present))

    def watched_outpoints(self) -> tuple[OutPoint, ...]:
        """The outputs whose spenders are wanted, for sources that can be asked for them."""
        return tuple(self._watches.spends)

    @property
    def watches_scripts(self) -> bool:
        """True if somebody wants to know of payments to a script."""
        return bool(self._watches.scripts)


def _scan(watches: Watches, block: ChainBlock) -> Iterator[Addressed]:
    for index, found in enumerate(block.txs):
        yield from watches.events(found, block.block, index)


def _script_of_witness(witness: tuple[bytes, ...]) -> bytes:
    """The script of an output that is spent by a signature and a key (BIP 141), else nothing."""
    if len(witness) == 2 and len(witness[1]) == 33:
        return p2wpkh(hash160(witness[1]))
    return b""


def _more(table: dict[K, dict[V, int]], key: K, value: V) -> None:
    watchers = table.setdefault(key, {})
    watchers[value] = watchers.get(value, 0) + 1


def _less(table: dict[K, dict[V, int]], key: K, value: V) -> None:
    watchers = table.get(key, {})
    count = watchers.get(value, 0) - 1
    if count > 0:
        watchers[value] = count
        return
    watchers.pop(value, None)
    if not watchers:
        table.pop(key, None)
