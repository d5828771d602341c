"""The active chain: blocks connected and disconnected, the coins they leave, what the judge says of them.

Whoever follows the chain (mempool, indexes) is told of every block that joins or leaves it, in order.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from fulmen.core.base.faults import InvariantBroken, Refused
from fulmen.core.base.ids import BlockHash, OutPoint
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.block import WholeBlock, parse_block
from fulmen.core.bitcoin.transaction import Tx, TxOut
from fulmen.regtest import btclib_engine
from fulmen.regtest.blocktree import BlockTree, Entry
from fulmen.regtest.coins import Coin, Coins, Undo, is_unspendable
from fulmen.regtest.consensus import (
    MissingInputs,
    Mutated,
    Rejected,
    check_block,
    check_block_in_context,
    check_coinbase_amount,
    check_header_in_context,
    check_inputs,
    sequence_locks,
)
from fulmen.regtest.judge import BlockContext, Judge
from fulmen.regtest.params import GENESIS_BLOCK, MAX_BLOCK_SIGOPS_COST

PARSED_BLOCKS_KEPT = 64


class BlockUnknown(Refused):
    """No block has this hash."""


class Follower(Protocol):
    """Who is told what the active chain does."""

    def block_connected(self, entry: Entry, block: WholeBlock, undo: Undo) -> None:
        """A block is the new tip."""
        ...

    def block_disconnected(self, entry: Entry, block: WholeBlock, undo: Undo) -> None:
        """The tip left the chain; its parent is the tip."""
        ...


class ChainState:
    """The chain with the most work, block by block, and its unspent outputs."""

    def __init__(self, judge: Judge, clock: Callable[[], int]) -> None:
        genesis = parse_block(GENESIS_BLOCK)
        entry = Entry(genesis.header.hash, None, 0, genesis.header.time, 0, len(genesis.txs), GENESIS_BLOCK)
        self.judge = judge
        self.clock = clock
        self.tree = BlockTree(entry)
        # The genesis coinbase is not in the set of coins: Core never connected it.
        self.coins = Coins()
        self._active = [entry]
        self._undo: dict[BlockHash, Undo] = {}
        self._followers: list[Follower] = []
        self.settle: Callable[[], None] = lambda: None
        """Called after each step to a better branch: by then blocks may have left, and others taken their place."""
        self._parsed: OrderedDict[BlockHash, WholeBlock] = OrderedDict()

    @property
    def tip(self) -> Entry:
        """The last block of the active chain."""
        return self._active[-1]

    @property
    def height(self) -> int:
        """The height of the tip."""
        return self.tip.height

    def follow(self, follower: Follower) -> None:
        """Tell someone of all blocks from now on, after those who were there before."""
        self._followers.append(follower)

    def at(self, height: int) -> Entry | None:
        """The active block at a height."""
        return self._active[height] if 0 <= height < len(self._active) else None

    def is_active(self, entry: Entry) -> bool:
        """True if the block is part of the active chain."""
        return self.at(entry.height) is entry

    def entries(self) -> Iterator[Entry]:
        """The active chain from the genesis block on."""
        return iter(self._active)

    def block(self, entry: Entry) -> WholeBlock:
        """The parsed block."""
        found = self._parsed.get(entry.hash)
        if found is None:
            found = parse_block(entry.raw)
            self._parsed[entry.hash] = found
            if len(self._parsed) > PARSED_BLOCKS_KEPT:
                self._parsed.popitem(last=False)
        return found

    def undo_of(self, entry: Entry) -> Undo:
        """What an active block spent."""
        return self._undo.get(entry.hash, ())

    def median_time_at(self, height: int) -> int:
        """The median time past of the active block at a height."""
        return self._active[height].median_time_past

    def accept(self, block: WholeBlock) -> Entry:
        """Take a block into the tree, and into the active chain if it leads.

        Raises:
            Rejected: it breaks a rule; Core's words.
        """
        check_block(block, btclib_engine.legacy_sigops)
        known = self.tree.get(block.header.hash)
        if known is not None:
            raise Rejected("duplicate-invalid" if known.invalid else "duplicate")
        parent = self.tree.get(block.header.previous)
        if parent is None:
            raise Rejected("prev-blk-not-found")
        if parent.invalid:
            raise Rejected("bad-prevblk")
        check_header_in_context(block.header, parent.median_time_past, self.clock())
        entry = Entry(
            block.header.hash,
            parent,
            parent.height + 1,
            block.header.time,
            len(self.tree),
            len(block.txs),
            block.serialize(),
        )
        try:
            check_block_in_context(block, entry.height, parent.median_time_past)
        except Mutated:
            raise
        except Rejected:
            entry.invalid = True
            self.tree.add(entry)
            raise
        self.tree.add(entry)
        refused = self.activate_best()
        if refused is not None and refused[0] is entry:
            raise refused[1]
        return entry

    def invalidate(self, block_hash: bytes, gone: Callable[[], None] = lambda: None) -> None:
        """Rule a block out with all that stand on it; the chain goes back, and over to the next best.

        Args:
            gone: called after each block that is taken off.

        Raises:
            BlockUnknown: no such block.
            Rejected: it is the genesis block.
        """
        entry = self._known(block_hash)
        if entry.parent is None:
            raise Rejected("the genesis block cannot be invalidated")
        self.tree.rule_out(entry)
        while self.tip.invalid:
            self._disconnect_tip()
            gone()
        self.activate_best()

    def reconsider(self, block_hash: bytes) -> None:
        """Take an `invalidate` back.

        Raises:
            BlockUnknown: no such block.
        """
        self.tree.allow(self._known(block_hash))
        self.activate_best()

    def activate_best(self) -> tuple[Entry, Rejected] | None:
        """Make the best valid branch the active chain. Gives the last block that was found invalid on the way."""
        refused: tuple[Entry, Rejected] | None = None
        while (best := self.tree.best()) is not self.tip:
            before = self.height
            branch = []
            entry = best
            while not self.is_active(entry):
                branch.append(entry)
                assert entry.parent is not None
                entry = entry.parent
            while self.tip is not entry:
                self._disconnect_tip()
            for joining in reversed(branch):
                try:
                    self._connect(joining)
                except Rejected as why:
                    self.tree.rule_out(joining)
                    refused = (joining, why)
                    break
                if self.height > before:
                    # Better than it was: as in Core, who waits is served before the rest of the branch follows.
                    break
            self.settle()
        return refused

    def _connect(self, entry: Entry) -> None:
        block = self.block(entry)
        spent = self._check_spends(block, entry.height)
        context = BlockContext(
            height=entry.height,
            median_time_past=self.tip.median_time_past,
            now=self.clock(),
            spent=[[coin.output for coin in coins] for coins in spent],
            ancestors=lambda: (active.raw for active in self._active[1:]),
        )
        if reason := self.judge.block(entry.raw, context):
            raise Rejected(_in_core_words(block, context) or reason)
        undo = self.coins.connect(block.txs, entry.height)
        self._undo[entry.hash] = undo
        self._active.append(entry)
        entry.connected = True
        for follower in self._followers:
            follower.block_connected(entry, block, undo)

    def _disconnect_tip(self) -> None:
        entry = self._active[-1]
        if entry.parent is None:
            raise InvariantBroken("the genesis block stays")
        block, undo = self.block(entry), self._undo.pop(entry.hash)
        self.coins.disconnect(block.txs, undo)
        self._active.pop()
        for follower in self._followers:
            follower.block_disconnected(entry, block, undo)

    def _check_spends(self, block: WholeBlock, height: int) -> list[list[Coin]]:
        for tx in block.txs:
            if any(self.coins.get(tx.outpoint(vout)) for vout in range(len(tx.outputs))):
                raise Rejected("bad-txns-BIP30", "tried to overwrite transaction")
        fees = 0
        inside: dict[OutPoint, Coin | None] = {}
        spent = []
        for index, tx in enumerate(block.txs):
            if index:
                coins = self._take(tx, inside)
                fees += check_inputs(tx, coins, height)
                locks = sequence_locks(tx, [coin.height for coin in coins], self.median_time_at)
                if not locks.pass_at(height, self.tip.median_time_past):
                    raise Rejected("bad-txns-nonfinal", "contains a non-BIP68-final transaction")
                spent.append(coins)
            for vout, output in enumerate(tx.outputs):
                if not is_unspendable(output.script_pubkey):
                    inside[tx.outpoint(vout)] = Coin(output, height, index == 0)
        check_coinbase_amount(block.txs[0], Sat(fees), height)
        return spent

    def _take(self, tx: Tx, inside: dict[OutPoint, Coin | None]) -> list[Coin]:
        coins = []
        for wanted in tx.inputs:
            coin = inside[wanted.outpoint] if wanted.outpoint in inside else self.coins.get(wanted.outpoint)
            if coin is None:
                raise MissingInputs
            inside[wanted.outpoint] = None
            coins.append(coin)
        return coins

    def _known(self, block_hash: bytes) -> Entry:
        entry = self.tree.get(block_hash)
        if entry is None:
            raise BlockUnknown("Block not found", block_hash=block_hash[::-1])
        return entry


def _in_core_words(block: WholeBlock, context: BlockContext) -> str:
    """Why a judge refuses a block, found again: it may not say so, or in words of its own. Empty if it is not found."""
    raws = [tx.serialize() for tx in block.txs]
    spent: list[Sequence[TxOut]] = [(), *context.spent]
    cost = sum(btclib_engine.sigops_cost(raw, outputs) for raw, outputs in zip(raws, spent, strict=True))
    if cost > MAX_BLOCK_SIGOPS_COST:
        return "bad-blk-sigops"
    for raw, outputs in zip(raws[1:], spent[1:], strict=True):
        if reason := btclib_engine.consensus_scripts(raw, outputs):
            return f"block-script-verify-flag-failed ({reason})"
    return ""
