"""Indexes of the active chain: where a transaction is, and what a script was paid.

They follow the chain block by block and go back with it.
"""

from __future__ import annotations

from fulmen.core.base.ids import BlockHash, OutPoint, Txid
from fulmen.core.bitcoin.block import WholeBlock
from fulmen.regtest.blocktree import Entry
from fulmen.regtest.btclib_engine import basic_filter
from fulmen.regtest.chainstate import ChainState
from fulmen.regtest.coins import Coin, Undo, is_unspendable

NO_FILTER_HEADER = bytes(32)


class TxIndex:
    """Txid -> the block that has it, and its place there; outpoint -> the transaction that spends it."""

    def __init__(self) -> None:
        self._places: dict[Txid, tuple[Entry, int]] = {}
        self._spenders: dict[OutPoint, Txid] = {}

    def get(self, txid: Txid) -> tuple[Entry, int] | None:
        """The block and the position in it."""
        return self._places.get(txid)

    def spender(self, outpoint: OutPoint) -> Txid | None:
        """The confirmed transaction that spends an output."""
        return self._spenders.get(outpoint)

    def block_connected(self, entry: Entry, block: WholeBlock, _undo: Undo) -> None:
        """Learn a block's transactions."""
        for index, tx in enumerate(block.txs):
            self._places[tx.txid] = (entry, index)
            for spent in tx.inputs:
                self._spenders[spent.outpoint] = tx.txid

    def block_disconnected(self, _entry: Entry, block: WholeBlock, _undo: Undo) -> None:
        """Forget them."""
        for tx in block.txs:
            del self._places[tx.txid]
            for spent in tx.inputs:
                self._spenders.pop(spent.outpoint, None)


class ScriptIndex:
    """Script -> its unspent outputs and the transactions that touched it."""

    def __init__(self) -> None:
        self._unspent: dict[bytes, dict[OutPoint, Coin]] = {}
        self._history: dict[bytes, dict[Txid, int]] = {}

    def unspent(self, script_pubkey: bytes) -> dict[OutPoint, Coin]:
        """The coins of a script, oldest first."""
        return dict(self._unspent.get(script_pubkey, {}))

    def history(self, script_pubkey: bytes) -> list[tuple[Txid, int]]:
        """The transactions that paid to or spent from a script, with their heights, oldest first."""
        return list(self._history.get(script_pubkey, {}).items())

    def block_connected(self, entry: Entry, block: WholeBlock, undo: Undo) -> None:
        """Learn a block's payments."""
        for index, tx in enumerate(block.txs):
            if index:
                for spent, coin in zip(tx.inputs, undo[index - 1], strict=True):
                    script = coin.output.script_pubkey
                    del self._unspent[script][spent.outpoint]
                    self._touch(script, tx.txid, entry.height)
            for vout, output in enumerate(tx.outputs):
                if not is_unspendable(output.script_pubkey):
                    coins = self._unspent.setdefault(output.script_pubkey, {})
                    coins[tx.outpoint(vout)] = Coin(output, entry.height, index == 0)
                    self._touch(output.script_pubkey, tx.txid, entry.height)

    def block_disconnected(self, _entry: Entry, block: WholeBlock, undo: Undo) -> None:
        """Forget them."""
        for index in range(len(block.txs) - 1, -1, -1):
            tx = block.txs[index]
            for vout, output in enumerate(tx.outputs):
                if not is_unspendable(output.script_pubkey):
                    self._unspent[output.script_pubkey].pop(tx.outpoint(vout), None)
                    self._untouch(output.script_pubkey, tx.txid)
            if index:
                for spent, coin in zip(tx.inputs, undo[index - 1], strict=True):
                    self._unspent.setdefault(coin.output.script_pubkey, {})[spent.outpoint] = coin
                    self._untouch(coin.output.script_pubkey, tx.txid)

    def _touch(self, script: bytes, txid: Txid, height: int) -> None:
        self._history.setdefault(script, {})[txid] = height

    def _untouch(self, script: bytes, txid: Txid) -> None:
        self._history.get(script, {}).pop(txid, None)


class BlockFilters:
    """BIP 158 basic filters and their headers, made when they are asked for."""

    def __init__(self, chain: ChainState) -> None:
        self._chain = chain
        self._made: dict[BlockHash, tuple[bytes, bytes]] = {}

    def get(self, entry: Entry) -> tuple[bytes, bytes]:
        """The filter and the header (as explorers print it) of an active block."""
        owed = []
        above: Entry | None = entry
        while above is not None and above.hash not in self._made:
            owed.append(above)
            above = above.parent
        previous = NO_FILTER_HEADER if above is None else self._made[above.hash][1]
        for block in reversed(owed):
            spent = [coin.output.script_pubkey for coins in self._chain.undo_of(block) for coin in coins]
            self._made[block.hash] = basic_filter(block.raw, spent, previous)
            previous = self._made[block.hash][1]
        return self._made[entry.hash]
