"""The embedded chain as one thing: chain, mempool, indexes, miner and faucet, with a clock that can be set.

It does no I/O but its journal; the RPC server (`rpc`) is its shell.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fulmen.core.base.ids import Txid
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.block import COINBASE_MATURITY, WholeBlock, parse_block
from fulmen.core.bitcoin.transaction import Tx, TxOut
from fulmen.regtest import faucet, journal, miner, packages
from fulmen.regtest.admission import Admission
from fulmen.regtest.blocktree import Entry
from fulmen.regtest.chainstate import ChainState
from fulmen.regtest.consensus import Rejected
from fulmen.regtest.indexes import BlockFilters, ScriptIndex, TxIndex
from fulmen.regtest.journal import ChainJournal
from fulmen.regtest.judge import Judge
from fulmen.regtest.manners import Admitted
from fulmen.regtest.mempool import Mempool
from fulmen.regtest.packages import PackageOutcome
from fulmen.regtest.relaypolicy import RelayPolicy
from fulmen.regtest.replacement import Reconsiderable

TAKEN_BACK_BLOCKS = 10
"""When blocks are ruled out by command, the mempool gets back what so many of them had confirmed."""
MATURING_ROUNDS = 2
"""How often the faucet mines a hundred blocks for one payment: two rounds leave thousands of bitcoins ripe."""


class RegtestNode:
    """A whole regtest node less its network."""

    def __init__(
        self, judge: Judge, wall: Callable[[], int], path: Path | None = None, policy: RelayPolicy | None = None
    ) -> None:
        self._wall = wall
        self._mocktime = 0
        self._extra = 0
        self._started = wall()
        self.on_stop: Callable[[], None] = lambda: None
        """What its shell does when a caller asks it to stop."""
        self.judge = judge
        self.policy = policy or RelayPolicy()
        self.chain = ChainState(judge, self.now)
        self.pool = Mempool()
        self.txs = TxIndex()
        self.scripts = ScriptIndex()
        self.filters = BlockFilters(self.chain)
        for follower in (self.txs, self.scripts, self.pool):
            self.chain.follow(follower)
        self.admission = Admission(self.chain, self.pool, self.policy)
        self._journal = ChainJournal(None)
        kept = ChainJournal(path)
        for kind, payload in kept.read():
            self._replay(kind, payload)
        self._journal = kept
        self.chain.settle = self.admission.after_reorg

    def now(self) -> int:
        """Seconds since 1970, by the wall clock or as `set_mocktime` says."""
        return self._mocktime or self._wall()

    def uptime(self) -> int:
        """Seconds of the wall clock since it was made."""
        return max(0, self._wall() - self._started)

    def set_mocktime(self, timestamp: int) -> None:
        """Stop the clock at a time; 0 lets it go on."""
        self._mocktime = timestamp
        self._journal.write(journal.MOCKTIME, timestamp.to_bytes(8, "little"))

    def submit_tx(self, tx: Tx, *, dry_run: bool = False) -> Admitted:
        """Take a transaction into the mempool.

        Raises:
            Rejected: with Core's reason.
        """
        admitted = self.admission.admit(tx, dry_run=dry_run)
        if not dry_run:
            self.admission.expire()
            if self.pool.get(tx.txid) is None:
                # It came to what had waited for too long.
                raise Reconsiderable("mempool full")
        return admitted

    def submit_package(self, txs: list[Tx], *, max_sat_per_kvb: int = 0) -> PackageOutcome:
        """Take a child with its parents."""
        return packages.submit(self.admission, self.pool, txs, max_sat_per_kvb=max_sat_per_kvb)

    def submit_block(self, block: WholeBlock) -> Entry:
        """Take a block from outside.

        Raises:
            Rejected: with Core's reason.
        """
        entry = self.chain.accept(block)
        self._journal.write(journal.BLOCK, entry.raw)
        return entry

    def mine(self, count: int, script_pubkey: bytes = faucet.SCRIPT_PUBKEY) -> list[Entry]:
        """Mine blocks that pay a script, with what pays best from the mempool."""
        mined = []
        for _ in range(count):
            chosen = miner.select(self.pool)
            fees = Sat(sum(each.fee for each in chosen))
            mined.append(self._mine_one(tuple(each.tx for each in chosen), fees, script_pubkey))
        return mined

    def mine_exactly(self, txs: tuple[Tx, ...], script_pubkey: bytes) -> Entry:
        """Mine a block with these transactions and no other; nobody collects their fees.

        Raises:
            Rejected: they make no valid block.
        """
        return self._mine_one(txs, Sat(0), script_pubkey)

    def _mine_one(self, txs: tuple[Tx, ...], fees: Sat, script_pubkey: bytes) -> Entry:
        self._extra += 1
        extra = self._extra.to_bytes(4, "little") + len(self.chain.tree).to_bytes(4, "little")
        return self.submit_block(miner.assemble(self.chain.tip, txs, fees, script_pubkey, self.now(), extra))

    def invalidate(self, block_hash: bytes) -> None:
        """Rule a block out: a reorg on command.

        Raises:
            BlockUnknown: no such block.
            Rejected: it is the genesis block.
        """
        # As in Core: what each block had confirmed comes back before the next one is taken off, for so many blocks.
        top = self.chain.height
        self.chain.invalidate(
            block_hash,
            lambda: self.admission.after_reorg(take_back=top - self.chain.height <= TAKEN_BACK_BLOCKS),
        )
        self._journal.write(journal.INVALIDATED, block_hash)

    def reconsider(self, block_hash: bytes) -> None:
        """Take an invalidation back.

        Raises:
            BlockUnknown: no such block.
        """
        self.chain.reconsider(block_hash)
        self._journal.write(journal.RECONSIDERED, block_hash)

    def give(self, script_pubkey: bytes, amount_sat: Sat) -> Txid:
        """Pay from the faucet into the mempool; mines until its coins are ripe, if it must.

        Raises:
            FaucetDry: the chain has not minted that much.
            Rejected: the payment itself is refused (dust).
        """
        output = TxOut(amount_sat, script_pubkey)
        for _ in range(MATURING_ROUNDS):
            try:
                return self.submit_tx(self._from_faucet(output)).txid
            except faucet.FaucetDry:
                self.mine(COINBASE_MATURITY + 1)
        return self.submit_tx(self._from_faucet(output)).txid

    def close(self) -> None:
        """Give back files and foreign memory."""
        self._journal.close()
        self.judge.close()

    def _from_faucet(self, output: TxOut) -> Tx:
        height = self.chain.height + 1
        coins = {
            outpoint: coin
            for outpoint, coin in faucet.spendable(self.scripts.unspent(faucet.SCRIPT_PUBKEY), height).items()
            if self.pool.spender(outpoint) is None
        }
        return faucet.pay(coins, output)

    def _replay(self, kind: bytes, payload: bytes) -> None:
        match kind:
            case journal.BLOCK:
                self.chain.accept(parse_block(payload))
            case journal.INVALIDATED:
                self.chain.invalidate(payload)
            case journal.RECONSIDERED:
                self.chain.reconsider(payload)
            case journal.MOCKTIME:
                self._mocktime = int.from_bytes(payload, "little")
            case _:
                raise Rejected("unknown record in the chain's file", kind.hex())
