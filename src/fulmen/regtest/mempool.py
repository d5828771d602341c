"""The mempool as a graph: who is in it, who spends whom, and what a block takes away.

What may come in is decided in `admission`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from fulmen.core.base.ids import OutPoint, Txid
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.block import WholeBlock
from fulmen.core.bitcoin.transaction import WITNESS_SCALE, Tx
from fulmen.regtest.blocktree import Entry
from fulmen.regtest.coins import Coin, Undo
from fulmen.regtest.consensus import NO_LOCKS, SequenceLocks


@dataclass(slots=True, eq=False)
class Pooled:
    """A transaction of the mempool (or on its way into it) and its relatives there."""

    tx: Tx
    raw: bytes
    coins: tuple[Coin, ...]
    fee: Sat
    adjusted_weight: int
    """Weight units; signature checks count too."""
    sigops_cost: int
    time: int
    height: int
    """The chain's when it came."""
    locks: SequenceLocks = NO_LOCKS
    """As they were reckoned when it came, its unconfirmed parents taken for part of the next block ..."""
    locks_from: Entry | None = None
    """... with its confirmed ones at or below this block: while that is active, the locks are not reckoned again."""
    unbroadcast: bool = False
    """A caller sent it, and no peer has asked for it: there are none."""
    fee_delta: int = 0
    parents: dict[Txid, Pooled] = field(default_factory=dict)
    children: dict[Txid, Pooled] = field(default_factory=dict)

    @property
    def txid(self) -> Txid:
        """The transaction's."""
        return self.tx.txid

    @property
    def vsize(self) -> int:
        """Virtual bytes, adjusted for signature checks."""
        return -(-self.adjusted_weight // WITNESS_SCALE)

    @property
    def modified_fee(self) -> int:
        """The fee with what `prioritisetransaction` adds for mining and replacement."""
        return self.fee + self.fee_delta

    @property
    def parent_ids(self) -> Iterable[Txid]:
        """Txids of unconfirmed parents."""
        return self.parents


class Mempool:
    """Unconfirmed transactions, in the order they came."""

    def __init__(self) -> None:
        self._pool: dict[Txid, Pooled] = {}
        self._spends: dict[OutPoint, Pooled] = {}
        self._unconfirmed: dict[Txid, Tx] = {}
        self._lost_blocks = False
        self.deltas: dict[Txid, int] = {}
        self.total_vsize = 0
        self.total_fee = 0
        self.sequence = 1
        """Grows with every change, as `getrawmempool` shows it."""

    def __len__(self) -> int:
        return len(self._pool)

    def __iter__(self) -> Iterator[Pooled]:
        return iter(list(self._pool.values()))

    def get(self, txid: Txid) -> Pooled | None:
        """The transaction, if it is here."""
        return self._pool.get(txid)

    def spender(self, outpoint: OutPoint) -> Pooled | None:
        """Who spends this output."""
        return self._spends.get(outpoint)

    def coin(self, outpoint: OutPoint, height: int) -> Coin | None:
        """An output of an unconfirmed transaction, as if it were in a block of this height."""
        parent = self._pool.get(outpoint.txid)
        if parent is None or outpoint.vout >= len(parent.tx.outputs):
            return None
        return Coin(parent.tx.outputs[outpoint.vout], height, False)

    def ancestors(self, pooled: Pooled) -> dict[Txid, Pooled]:
        """All it depends on, itself included."""
        return _reach(pooled, up=True, down=False)

    def descendants(self, pooled: Pooled) -> dict[Txid, Pooled]:
        """All that depends on it, itself included."""
        return _reach(pooled, up=False, down=True)

    def cluster(self, pooled: Pooled) -> dict[Txid, Pooled]:
        """All it is related to, itself included."""
        return _reach(pooled, up=True, down=True)

    def clusters(self) -> Iterator[list[Pooled]]:
        """The whole mempool, cluster by cluster."""
        seen: dict[Txid, Pooled] = {}
        for pooled in self._pool.values():
            if pooled.txid not in seen:
                found = self.cluster(pooled)
                seen |= found
                yield list(found.values())

    def add(self, pooled: Pooled) -> None:
        """Put an admitted transaction in and tie it to its relatives."""
        pooled.fee_delta = self.deltas.get(pooled.txid, 0)
        pooled.parents = {}
        self._pool[pooled.txid] = pooled
        for spent in pooled.tx.inputs:
            self._spends[spent.outpoint] = pooled
            if (parent := self._pool.get(spent.outpoint.txid)) is not None:
                pooled.parents[parent.txid] = parent
                parent.children[pooled.txid] = pooled
        for vout in range(len(pooled.tx.outputs)):
            child = self._spends.get(OutPoint(pooled.txid, vout))
            if child is not None:
                pooled.children[child.txid] = child
                child.parents[pooled.txid] = pooled
        self.total_vsize += pooled.vsize
        self.total_fee += pooled.fee
        self.sequence += 1

    def remove(self, pooled: Pooled) -> None:
        """Take one out; its children stay."""
        del self._pool[pooled.txid]
        for spent in pooled.tx.inputs:
            del self._spends[spent.outpoint]
        for parent in pooled.parents.values():
            del parent.children[pooled.txid]
        for child in pooled.children.values():
            del child.parents[pooled.txid]
        self.total_vsize -= pooled.vsize
        self.total_fee -= pooled.fee
        self.sequence += 1

    def remove_with_descendants(self, pooled: Pooled) -> list[Pooled]:
        """Take one out with all that depends on it."""
        gone = list(self.descendants(pooled).values())
        for leaving in gone:
            self.remove(leaving)
        return gone

    def prioritise(self, txid: Txid, delta_sat: int) -> None:
        """Add to the fee that mining and replacement see."""
        self.deltas[txid] = self.deltas.get(txid, 0) + delta_sat
        if not self.deltas[txid]:
            del self.deltas[txid]
        if (pooled := self._pool.get(txid)) is not None:
            pooled.fee_delta += delta_sat

    def sent_from_here(self, txid: Txid) -> None:
        """A caller sent it."""
        self._pool[txid].unbroadcast = True

    def block_connected(self, _entry: Entry, block: WholeBlock, _undo: Undo) -> None:
        """What is confirmed leaves, and so does what it conflicts with."""
        for tx in block.txs[1:]:
            self._unconfirmed.pop(tx.txid, None)
            self.deltas.pop(tx.txid, None)
            if (confirmed := self._pool.get(tx.txid)) is not None:
                self.remove(confirmed)
            for spent in tx.inputs:
                if (conflicting := self._spends.get(spent.outpoint)) is not None:
                    self.remove_with_descendants(conflicting)

    def block_disconnected(self, _entry: Entry, block: WholeBlock, _undo: Undo) -> None:
        """What it confirmed waits to come back (`take_unconfirmed`)."""
        self._unconfirmed = {tx.txid: tx for tx in block.txs[1:]} | self._unconfirmed
        self._lost_blocks = True

    def take_unconfirmed(self) -> list[Tx] | None:
        """The transactions of disconnected blocks that no other block confirmed, parents first; gives them once.

        None if no block was disconnected.
        """
        back = list(self._unconfirmed.values()) if self._lost_blocks else None
        self._unconfirmed = {}
        self._lost_blocks = False
        return back


def _reach(start: Pooled, *, up: bool, down: bool) -> dict[Txid, Pooled]:
    found: dict[Txid, Pooled] = {}
    todo = [start]
    while todo:
        pooled = todo.pop()
        if pooled.txid in found:
            continue
        found[pooled.txid] = pooled
        if up:
            todo.extend(pooled.parents.values())
        if down:
            todo.extend(pooled.children.values())
    return found
