"""What becomes true in the wallet, and what each fact makes of the state."""

from __future__ import annotations

from typing import ClassVar

from fulmen.core.base.ids import OutPoint, Txid
from fulmen.core.base.machine import Fact, evolves
from fulmen.core.base.units import BlockHeight
from fulmen.core.bitcoin.accounts import KeyPath
from fulmen.core.wallet.scripts import branch_of
from fulmen.core.wallet.state import Coin, Wallet, WalletTx

REMEMBERED_COMMANDS = 100
REMEMBERED_SPENDS = 1000


class AddressIssued(Fact):
    """A caller got the address of this key."""

    command_id: bytes
    path: KeyPath


class BranchesFound(Fact):
    """The seed was looked for in blocks that passed: so many addresses of each branch are in use."""

    issued: tuple[int, int, int, int]


class SpendDecided(Fact):
    """A transaction of ours will be published until it confirms."""

    tx: WalletTx


class FeeWithdrawn(Fact):
    """A transaction for which we would have paid the fee will never be."""

    ref: bytes


class TxInBlock(Fact):
    """A transaction that concerns us is in a block."""

    tx: WalletTx


class TxInMempool(Fact):
    """A stranger's transaction that concerns us is in the mempool; whether it still is after a crash, nobody knows."""

    passing: ClassVar[bool] = True

    tx: WalletTx


class TxLeft(Fact):
    """A stranger's transaction is no longer in the mempool: whether it ever comes back, nobody knows."""

    passing: ClassVar[bool] = True

    txid: Txid


class BlocksUnsaid(Fact):
    """The chain has lost its blocks above this height; strangers' transactions in them have to be told again."""

    above: BlockHeight


class TxsSettled(Fact):
    """Transactions up to this height can no longer be undone."""

    up_to: BlockHeight


class CoinsReserved(Fact):
    """A transaction is promised to whoever asked for it."""

    passing: ClassVar[bool] = True

    tx: WalletTx


class ReservationReleased(Fact):
    """A promised transaction will never be."""

    passing: ClassVar[bool] = True

    ref: bytes


class PassingForgotten(Fact):
    """What a crash would have forgotten is forgotten."""

    passing: ClassVar[bool] = True


def forget(wallet: Wallet) -> Wallet:
    """The state less its passing facts."""
    if not wallet.reservations and not any(tx.is_strangers for tx in wallet.txs):
        return wallet
    kept = tuple([tx for tx in wallet.txs if not tx.is_strangers])
    return wallet.but(txs=kept, reservations=())


@evolves(AddressIssued)
def _address_issued(wallet: Wallet, fact: AddressIssued) -> Wallet:
    answered = (*wallet.answered, (fact.command_id, fact.path))[-REMEMBERED_COMMANDS:]
    return wallet.but(answered=answered, issued=_raised(wallet.issued, fact.path))


@evolves(BranchesFound)
def _branches_found(wallet: Wallet, fact: BranchesFound) -> Wallet:
    return wallet.but(issued=fact.issued, lookout=True)


@evolves(SpendDecided)
def _spend_decided(wallet: Wallet, fact: SpendDecided) -> Wallet:
    issued = wallet.issued
    for coin in fact.tx.coins:
        issued = _raised(issued, coin.path)
    return wallet.but(
        txs=_put(_without_rivals(without_lent(wallet, fact.tx).txs, fact.tx), fact.tx),
        issued=issued,
        reservations=tuple([r for r in wallet.reservations if _ref(r) != _ref(fact.tx)]),
    )


def without_lent(wallet: Wallet, tx: WalletTx) -> Wallet:
    """The wallet without the transaction that this one, lent under the same name, replaces."""
    if tx.own is None or not tx.own.lent:
        return wallet
    kept = [other for other in wallet.txs if _ref(other) != tx.own.ref or other.block is not None]
    return wallet.but(txs=tuple(kept))


@evolves(FeeWithdrawn)
def _fee_withdrawn(wallet: Wallet, fact: FeeWithdrawn) -> Wallet:
    return wallet.but(txs=tuple([tx for tx in wallet.txs if _ref(tx) != fact.ref or tx.block is not None]))


@evolves(TxInBlock)
def _tx_in_block(wallet: Wallet, fact: TxInBlock) -> Wallet:
    issued = wallet.issued
    for coin in fact.tx.coins:
        issued = _raised(issued, coin.path)
    known = wallet.by_txid.get(fact.tx.txid)
    tx = fact.tx if known is None else fact.tx.but(own=known.own)
    others = _without_rivals(wallet.txs, tx)
    if known is not None and known.block is None and known.own is None:
        # Its place in the mempool passes with a crash: what is durable begins here.
        others = tuple([other for other in others if other.txid != tx.txid])
    return wallet.but(txs=_put(others, tx), issued=issued)


@evolves(TxInMempool)
def _tx_in_mempool(wallet: Wallet, fact: TxInMempool) -> Wallet:
    return wallet.but(txs=_put(_without_rivals(wallet.txs, fact.tx), fact.tx))


@evolves(TxLeft)
def _tx_left(wallet: Wallet, fact: TxLeft) -> Wallet:
    gone: dict[Txid, bool] = {fact.txid: True}
    for tx in wallet.txs:
        if tx.is_strangers and any(outpoint.txid in gone for outpoint in tx.spends):
            gone[tx.txid] = True
    return wallet.but(txs=tuple([tx for tx in wallet.txs if tx.txid not in gone]))


@evolves(BlocksUnsaid)
def _blocks_unsaid(wallet: Wallet, fact: BlocksUnsaid) -> Wallet:
    kept = []
    for tx in wallet.txs:
        if tx.block is None or tx.block.height <= fact.above:
            kept.append(tx)
        elif tx.own is not None:
            kept.append(tx.in_block(None))
    return wallet.but(txs=tuple(kept))


@evolves(TxsSettled)
def _txs_settled(wallet: Wallet, fact: TxsSettled) -> Wallet:
    deep = tuple([tx for tx in wallet.txs if tx.block is not None and tx.block.height <= fact.up_to])
    gone = {tx.txid: True for tx in deep}
    spent: dict[OutPoint, bool] = {outpoint: True for tx in deep for outpoint in tx.spends}
    coins: list[Coin] = [*wallet.settled, *(coin for tx in deep for coin in tx.coins)]
    # What they contradict can never be mined, nor what hangs on it.
    impossible: dict[Txid, bool] = {}
    for tx in wallet.txs:
        if tx.block is None and any(o in spent or o.txid in impossible for o in tx.spends):
            impossible[tx.txid] = True
    txs = [tx for tx in wallet.txs if tx.txid not in gone and tx.txid not in impossible]
    promised = [r for r in wallet.reservations if not any(o in spent or o.txid in impossible for o in r.spends)]
    return wallet.but(
        txs=tuple(txs),
        reservations=tuple(promised),
        settled=tuple([coin for coin in coins if coin.outpoint not in spent]),
        settled_txids=(*wallet.settled_txids, *gone),
        done=(*wallet.done, *((tx.own.ref, tx.txid) for tx in deep if tx.own is not None))[-REMEMBERED_SPENDS:],
    )


@evolves(CoinsReserved)
def _coins_reserved(wallet: Wallet, fact: CoinsReserved) -> Wallet:
    return wallet.but(reservations=(*wallet.reservations, fact.tx))


@evolves(ReservationReleased)
def _reservation_released(wallet: Wallet, fact: ReservationReleased) -> Wallet:
    return wallet.but(reservations=tuple([tx for tx in wallet.reservations if _ref(tx) != fact.ref]))


@evolves(PassingForgotten)
def _passing_forgotten(wallet: Wallet, _fact: PassingForgotten) -> Wallet:
    return forget(wallet)


def _ref(tx: WalletTx) -> bytes:
    return b"" if tx.own is None else tx.own.ref


def _raised(indexes: tuple[int, int, int, int], path: KeyPath) -> tuple[int, int, int, int]:
    branch = branch_of(path)
    if path.index < indexes[branch]:
        return indexes
    first, second, third, fourth = (path.index + 1 if at == branch else old for at, old in enumerate(indexes))
    return first, second, third, fourth


def _put(txs: tuple[WalletTx, ...], tx: WalletTx) -> tuple[WalletTx, ...]:
    """With this transaction in its old place, or at the end."""
    if any(other.txid == tx.txid for other in txs):
        return tuple([tx if other.txid == tx.txid else other for other in txs])
    return (*txs, tx)


def _without_rivals(txs: tuple[WalletTx, ...], tx: WalletTx) -> tuple[WalletTx, ...]:
    """Without strangers' unconfirmed transactions that spend what this one spends: it has replaced them.

    Ours stay: the block that made them impossible may be undone.
    """
    spends = dict.fromkeys(tx.spends)
    gone: dict[Txid, bool] = {}
    for other in txs:
        if (
            other.is_strangers
            and other.txid != tx.txid
            and any(outpoint in spends or outpoint.txid in gone for outpoint in other.spends)
        ):
            gone[other.txid] = True
    return tuple([other for other in txs if other.txid not in gone])
