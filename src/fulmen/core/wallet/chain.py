"""What the chain says: transactions in blocks and in the mempool, and blocks that are no more.

A chain source tells blocks in their order, and after `ChainRewound` tells again what is above. Being told twice
changes nothing.
"""

from __future__ import annotations

from functools import partial

from fulmen.core.base.env import Env
from fulmen.core.base.faults import Malformed
from fulmen.core.base.machine import CallerGone, Step, Topic
from fulmen.core.base.outer import (
    Block,
    ChainRewound,
    Notify,
    OutputSpent,
    PublishFailed,
    ScriptPaid,
    TxConfirmed,
    TxGone,
)
from fulmen.core.base.units import BlockHeight
from fulmen.core.bitcoin.transaction import Tx, parse_tx
from fulmen.core.wallet.facts import BlocksUnsaid, PassingForgotten, TxInBlock, TxInMempool, TxLeft, TxsSettled, forget
from fulmen.core.wallet.faults import ChainSaidNonsense
from fulmen.core.wallet.scripts import path_of
from fulmen.core.wallet.state import SETTLED_DEPTH, Coin, Wallet, WalletTx

chain = Topic()


@chain.on(ScriptPaid, TxConfirmed)
def on_transaction(wallet: Wallet, event: ScriptPaid | TxConfirmed, env: Env) -> Step[Wallet]:
    """A transaction pays to, or spends from, a script of ours.

    Raises:
        ChainSaidNonsense: it cannot be read, or is not the one that was named.
    """
    tx = _parsed(event.tx)
    if tx.txid != event.txid:
        raise ChainSaidNonsense("the transaction is not the one that was named", txid=event.txid[::-1])
    return _seen(wallet, tx, event.block, env)


@chain.on(OutputSpent)
def on_output_spent(wallet: Wallet, event: OutputSpent, env: Env) -> Step[Wallet]:
    """A coin of ours was spent.

    Raises:
        ChainSaidNonsense: the transaction cannot be read.
    """
    return _seen(wallet, _parsed(event.tx), event.block, env)


@chain.on(TxGone)
def on_tx_gone(wallet: Wallet, event: TxGone, _env: Env) -> Step[Wallet]:
    """A stranger's transaction was evicted, replaced, or is impossible now: nothing is pending of it any more."""
    known = wallet.by_txid.get(event.txid)
    step = Step(wallet)
    return step.fact(TxLeft(event.txid)) if known is not None and known.is_strangers else step


@chain.on(ChainRewound)
def on_chain_rewound(wallet: Wallet, event: ChainRewound, env: Env) -> Step[Wallet]:
    """Blocks are no more: our transactions in them wait again, strangers' may be anywhere until we are told."""
    step = Step(wallet)
    undone = [tx for tx in wallet.txs if tx.block is not None and tx.block.height > event.to]
    if undone:
        step.fact(BlocksUnsaid(event.to))
    for tx in undone:
        # Nodes put what was undone back into their mempool; a coinbase can never be there.
        if tx.own is None and not tx.coinbase:
            step.then(partial(_waiting, tx=tx.in_block(None), env=env))
    if any(coin.block is not None and coin.block.height > event.to for coin in wallet.settled):
        step.act(Notify("wallet", {"alarm": "blocks were undone that were held to be settled", "to": event.to}))
    return step


@chain.on(PublishFailed)
def on_publish_failed(wallet: Wallet, event: PublishFailed, _env: Env) -> Step[Wallet]:
    """Nobody took a transaction of ours: it is tried again with the next block; the operator hears why."""
    if event.txid not in wallet.by_txid:
        return Step(wallet)
    about = {"publish_failed": event.name, "txid": event.txid[::-1].hex(), "reason": event.reason}
    return Step(wallet).act(Notify("wallet", about))


@chain.on(CallerGone)
def on_caller_gone(wallet: Wallet, _event: CallerGone, _env: Env) -> Step[Wallet]:
    """At start: nobody waits any more for what was promised."""
    step = Step(wallet)
    return step if forget(wallet) is wallet else step.fact(PassingForgotten())


def _seen(wallet: Wallet, tx: Tx, block: Block | None, env: Env) -> Step[Wallet]:
    step = Step(wallet)
    known = wallet.by_txid.get(tx.txid)
    if known is not None and (block is None or known.block == block):
        return step
    if tx.txid in wallet.is_settled:
        return step if block is None else _spent_long_ago(wallet, tx, block)
    seen = _ours(wallet, tx, block)
    if not seen.coins and not any(wallet.knows_coin(outpoint) for outpoint in seen.spends):
        return step
    if block is not None:
        return step.fact(TxInBlock(seen)).then(lambda state: _settle(state, block.height))
    return _waiting(wallet, seen, env)


def _spent_long_ago(wallet: Wallet, tx: Tx, block: Block) -> Step[Wallet]:
    """A settled transaction is told again: it may have spent what was only found since (`Rescan`).

    What it pays us is among the settled coins already, or was spent.
    """
    spends = tuple([spent.outpoint for spent in tx.inputs])
    found_since = any(coin.outpoint in spends for coin in wallet.unspent)
    return Step(wallet).fact(TxInBlock(WalletTx(tx.txid, spends, (), block))) if found_since else Step(wallet)


def _waiting(wallet: Wallet, tx: WalletTx, env: Env) -> Step[Wallet]:
    """A stranger's transaction waits in the mempool; what contradicts a block or a spend of ours is not believed."""
    strangers = sum(other.is_strangers for other in wallet.txs)
    rivals = any((other.own or other.block) and _conflict(other, tx) for other in wallet.txs)
    step = Step(wallet)
    return step if rivals or strangers >= env.policy.wallet.max_unconfirmed else step.fact(TxInMempool(tx))


def _ours(wallet: Wallet, tx: Tx, block: Block | None) -> WalletTx:
    coins = []
    for vout, output in enumerate(tx.outputs):
        path = path_of(wallet, output.script_pubkey)
        if path is not None and output.amount_sat:
            script = output.script_pubkey
            coins.append(Coin(tx.outpoint(vout), output.amount_sat, script, path, block, tx.is_coinbase))
    spends = tuple([] if tx.is_coinbase else [i.outpoint for i in tx.inputs])
    return WalletTx(tx.txid, spends, tuple(coins), block, tx.is_coinbase)


def _settle(wallet: Wallet, height: BlockHeight) -> Step[Wallet]:
    """What is a hundred blocks below the newest that we heard of is settled."""
    deep = BlockHeight(height - SETTLED_DEPTH)
    step = Step(wallet)
    if any(tx.block is not None and tx.block.height <= deep for tx in wallet.txs):
        step.fact(TxsSettled(deep))
    return step


def _conflict(one: WalletTx, other: WalletTx) -> bool:
    return any(outpoint in other.spends for outpoint in one.spends)


def _parsed(raw: bytes) -> Tx:
    try:
        return parse_tx(raw)
    except Malformed as fault:
        raise ChainSaidNonsense(str(fault)) from None
