"""What the wallet knows: its transactions, and the coins of those that are too deep to be undone.

Every number is computed from these; nothing is counted along. Transactions in the mempool that are not ours and
reservations pass with a crash; our own transactions, once decided, do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from fulmen.core.base.ids import OutPoint, Txid
from fulmen.core.base.outer import Block
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Sat
from fulmen.core.bitcoin.accounts import Accounts, KeyPath, SignWalletInputs
from fulmen.core.signer.requests import SignSpend

SETTLED_DEPTH = 100
"""A block with this many on top is never undone; a coinbase is mature then (consensus: COINBASE_MATURITY)."""


class Coin(Record):
    """An output that pays to us."""

    outpoint: OutPoint
    amount_sat: Sat
    script_pubkey: bytes
    path: KeyPath
    block: Block | None = None
    """Where it is confirmed."""
    coinbase: bool = False

    def is_mature(self, height: BlockHeight) -> bool:
        """True if the next block may spend it."""
        return not self.coinbase or (self.block is not None and height + 1 >= self.block.height + SETTLED_DEPTH)


class Spend(Record):
    """A transaction of our own making, as it waits for its signatures."""

    ref: bytes
    """The command or the request that it answers."""
    name: str
    tx: bytes
    """Serialised without witness; the txid is final, for all inputs are segwit."""
    fee_sat: Sat
    sign: SignWalletInputs
    lent: bool = False
    """It is somebody else's transaction for which we only pay the fee; that one publishes it."""
    feerate_per_kw: FeeratePerKw = FeeratePerKw(0)
    """Of one that is lent: what was asked for, or as much of it as the coins reached for."""
    others: tuple[SignSpend, ...] = ()
    """Who signs the inputs that are no coins of the wallet: what lost channels paid."""


class WalletTx(Record):
    """A transaction that pays us or spends from us."""

    txid: Txid
    spends: tuple[OutPoint, ...]
    """All its inputs, ours or not."""
    coins: tuple[Coin, ...]
    """Its outputs that are ours."""
    block: Block | None = None
    coinbase: bool = False
    own: Spend | None = None

    @property
    def is_strangers(self) -> bool:
        """It waits in the mempool and is not of our making: it passes with a crash."""
        return self.block is None and self.own is None

    def in_block(self, block: Block | None) -> WalletTx:
        """The same transaction at another place."""
        return self.but(block=block, coins=tuple(coin.but(block=block) for coin in self.coins))


class Wallet(Record, dict=True):
    """The state of the machine."""

    accounts: Accounts
    issued: tuple[int, int, int, int] = (0, 0, 0, 0)
    """For each branch of `scripts.BRANCHES`: the index after the last that was given out or paid in a block."""
    txs: tuple[WalletTx, ...] = ()
    """Those that are unconfirmed or could still be undone, in the order in which we met them."""
    reservations: tuple[WalletTx, ...] = ()
    """Transactions that are promised and not yet decided; their coins are taken. They pass with a crash."""
    settled: tuple[Coin, ...] = ()
    """Unspent coins of transactions that are too deep to be undone."""
    settled_txids: tuple[Txid, ...] = ()
    """So that an old block, told again, changes nothing."""
    answered: tuple[tuple[bytes, KeyPath], ...] = ()
    """The last commands that asked for an address, and which they got."""
    done: tuple[tuple[bytes, Txid], ...] = ()
    """The last of our own transactions that are settled: what they answered, and their names."""
    lookout: bool = False
    """The seed may have had channels that we do not know: every block is searched for what they pay."""

    @cached_property
    def by_txid(self) -> dict[Txid, WalletTx]:
        """The transactions by their names."""
        return {tx.txid: tx for tx in self.txs}

    @cached_property
    def is_settled(self) -> frozenset[Txid]:
        """The names of those that are too deep."""
        return frozenset(self.settled_txids)

    @cached_property
    def alive(self) -> tuple[WalletTx, ...]:
        """All but those that a confirmed transaction has made impossible, and what hangs on them."""
        taken = {outpoint: True for tx in self.txs if tx.block is not None for outpoint in tx.spends}
        dead: dict[Txid, bool] = {}
        found = True
        while found:  # parents mostly stand before their children, so this ends soon
            found = False
            for tx in self.txs:
                if tx.block is None and tx.txid not in dead and any(o in taken or o.txid in dead for o in tx.spends):
                    dead[tx.txid] = found = True
        return tuple([tx for tx in self.txs if tx.txid not in dead])

    @cached_property
    def unspent(self) -> tuple[Coin, ...]:
        """All coins that no living transaction spends: confirmed or not, mature or not, reserved or not."""
        spent = {outpoint: True for tx in self.alive for outpoint in tx.spends}
        return tuple([coin for coin in self._coins() if coin.outpoint not in spent])

    @cached_property
    def at_stake(self) -> tuple[Coin, ...]:
        """Confirmed coins that no confirmed transaction spends: somebody with the same words could still do it."""
        spent = {outpoint: True for tx in self.txs if tx.block is not None for outpoint in tx.spends}
        return tuple([c for c in self._coins() if c.block is not None and c.outpoint not in spent])

    @cached_property
    def in_blocks(self) -> dict[OutPoint, bool]:
        """All coins that a block holds, spent or not, as long as we can tell."""
        return dict.fromkeys([coin.outpoint for coin in self._coins() if coin.block is not None], True)

    @cached_property
    def reserved(self) -> dict[OutPoint, bytes]:
        """Which coins are promised, and for whom.

        What a dead transaction of ours would spend stays promised to it until the block that killed it is settled:
        were that block undone, it could still be mined.
        """
        living = dict.fromkeys([tx.txid for tx in self.alive], True)
        dead = [tx for tx in self.txs if tx.own is not None and tx.txid not in living]
        return {outpoint: tx.own.ref for tx in (*self.reservations, *dead) if tx.own for outpoint in tx.spends}

    def done_as(self, ref: bytes) -> Txid | None:
        """The settled transaction that answered a command, as long as it is remembered."""
        return next((txid for done, txid in self.done if done == ref), None)

    def knows_coin(self, outpoint: OutPoint) -> bool:
        """True if this output pays to us, spent or not, as long as we can tell."""
        return outpoint in self._known

    @cached_property
    def _known(self) -> dict[OutPoint, bool]:
        known = {coin.outpoint: True for coin in self.settled}
        for tx in self.txs:
            known.update(dict.fromkeys([coin.outpoint for coin in tx.coins], True))
            if tx.own is not None:
                known.update(dict.fromkeys(tx.spends, True))
        return known

    def _coins(self) -> Iterator[Coin]:
        yield from self.settled
        for tx in self.alive:
            yield from tx.coins
