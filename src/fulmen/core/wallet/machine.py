"""The wallet as the node mounts it."""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.faults import Refused
from fulmen.core.base.funds import WalletView
from fulmen.core.base.machine import Address, CallerGone, Event, Lull, Step, Topic
from fulmen.core.base.mount import Mount
from fulmen.core.base.outer import Want, WantMempoolWatch, WantPublished, WantSpendWatch
from fulmen.core.bitcoin.accounts import CHANGE, P2TR_ACCOUNT, Accounts, script_at
from fulmen.core.wallet.chain import chain
from fulmen.core.wallet.commands import commands
from fulmen.core.wallet.facts import forget
from fulmen.core.wallet.lending import lending
from fulmen.core.wallet.lost import lost
from fulmen.core.wallet.scripts import next_path, watches
from fulmen.core.wallet.state import Wallet

KIND = "wallet"
ADDRESS = Address(KIND)

WALLET: Topic = commands | lending | chain | lost


class NotForTheWallet(Refused):
    """The wallet has no use for this event."""


def mount(accounts: Accounts) -> Mount:
    """The wallet of these accounts, of which only the public halves are kept."""
    watching = Accounts(accounts.bip84.public, accounts.bip86.public)
    return Mount(
        kind=KIND,
        initial=lambda _key: Wallet(watching),
        decide=decide,
        crash=(CallerGone(),),
        forget=forget,
        wants=wants,
        view=view,
        standing=True,
    )


def decide(wallet: Wallet, event: Event, env: Env) -> Step[Wallet]:
    """Hand an event to its handler.

    Raises:
        NotForTheWallet: it has none.
    """
    if isinstance(event, Lull):
        return Step(wallet)
    handler = WALLET.get(type(event))
    if handler is None:
        raise NotForTheWallet(event=type(event).__name__)
    step: Step[Wallet] = handler(wallet, event, env)
    return step


def wants(wallet: Wallet) -> tuple[Want, ...]:
    """Every script and coin watched, every payment that waits too, and every transaction of ours that can still get a
    block published.

    A spend of a taproot coin does not show whose it was, so whoever watches scripts alone may miss it. And a coin that
    was found again in old blocks may have been spent in one that was read before anybody knew of it.
    """
    published = [
        WantPublished(tx.own.name, tx.own.tx, (tx.own.sign, *tx.own.others))
        for tx in wallet.alive
        if tx.block is None and tx.own is not None and not tx.own.lent
    ]
    waiting = [WantMempoolWatch(tx.txid, tx.spends) for tx in wallet.txs if tx.is_strangers]
    coins = [
        WantSpendWatch(coin.outpoint, coin.script_pubkey, coin.block.height)
        for coin in wallet.at_stake
        if coin.block is not None
    ]
    return (*watches(wallet), *coins, *waiting, *published)


def view(wallet: Wallet) -> WalletView:
    """What others may take without asking."""
    path = next_path(wallet, P2TR_ACCOUNT, CHANGE)
    return WalletView(script_at(wallet.accounts, path), path)
