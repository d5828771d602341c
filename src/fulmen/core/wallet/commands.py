"""What callers and other machines may ask of the wallet, and what they are answered."""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.faults import Refused
from fulmen.core.base.funds import (
    AskScript,
    Funded,
    FundingRefused,
    FundTransaction,
    Output,
    ReleaseFunding,
    ScriptGiven,
    SpendFunding,
)
from fulmen.core.base.ids import CommandId, OutPoint, Txid
from fulmen.core.base.machine import Event, Faulted, Step, Tell, Topic, Undelivered
from fulmen.core.base.outer import Answer, Notify
from fulmen.core.base.record import Record
from fulmen.core.base.units import FeeratePerKw, Sat
from fulmen.core.bitcoin.accounts import CHANGE, P2TR_ACCOUNT, RECEIVE, KeyPath, script_at
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.wallet.balance import anchor_reserve, channels_of
from fulmen.core.wallet.facts import AddressIssued, CoinsReserved, ReservationReleased, SpendDecided
from fulmen.core.wallet.faults import AlreadyPaid, InsufficientFunds, PurposeUnknown, ReservationUnknown
from fulmen.core.wallet.scripts import BRANCHES, next_path
from fulmen.core.wallet.spending import pay, pay_all
from fulmen.core.wallet.state import Wallet, WalletTx

commands = Topic()


class NewAddress(Event):
    """Give out a key that nobody was given yet."""

    command_id: CommandId
    purpose: int = P2TR_ACCOUNT
    """86 for P2TR, 84 for P2WPKH."""


class AddressGiven(Record):
    """The answer to `NewAddress`: the script, and the key behind it."""

    script_pubkey: bytes
    path: KeyPath


class Withdraw(Event):
    """Pay somebody on chain."""

    command_id: CommandId
    script_pubkey: bytes
    amount_sat: Sat | None
    """None: everything but what has to stay for anchors."""
    feerate_per_kw: FeeratePerKw | None = None
    """None: what the chain source thinks fit for an opening."""
    inputs: tuple[OutPoint, ...] = ()
    """Spend exactly these coins; empty lets the wallet choose."""
    minconf: int = 0
    """How deep in the chain the coins that the wallet chooses have to lie; 0: our own change may be unconfirmed."""


class Withdrawn(Record):
    """The answer to `Withdraw`: the transaction is decided, and published until it confirms."""

    txid: Txid
    tx: bytes
    """Serialised without its signatures."""
    amount_sat: Sat
    fee_sat: Sat


@commands.on(NewAddress)
def on_new_address(wallet: Wallet, event: NewAddress, _env: Env) -> Step[Wallet]:
    """Give out the next key of a receiving branch; the same command gets the same key again.

    Raises:
        PurposeUnknown
    """
    for command_id, path in wallet.answered:
        if command_id == event.command_id:
            return Step(wallet).act(_address(wallet, event.command_id, path))
    if (event.purpose, RECEIVE) not in BRANCHES:
        raise PurposeUnknown(purpose=event.purpose)
    path = next_path(wallet, event.purpose, RECEIVE)
    return Step(wallet).fact(AddressIssued(event.command_id, path)).act(_address(wallet, event.command_id, path))


@commands.on(AskScript)
def on_ask_script(wallet: Wallet, event: AskScript, _env: Env) -> Step[Wallet]:
    """Give a key of our own change branch to another machine; the same request gets the same key again."""
    step = Step(wallet)
    path = next((path for ref, path in wallet.answered if ref == event.ref), None)
    if path is None:
        path = next_path(wallet, P2TR_ACCOUNT, CHANGE)
        step.fact(AddressIssued(event.ref, path))
    return step.act(Tell(event.reply_to, ScriptGiven(event.ref, script_at(wallet.accounts, path))))


@commands.on(Withdraw)
def on_withdraw(wallet: Wallet, event: Withdraw, env: Env) -> Step[Wallet]:
    """Decide a payment on chain; the same command gets the same transaction again.

    Raises:
        AlreadyPaid: long ago, so that only its name is left.
        DustOutput, FeerateOutOfRange, InsufficientFunds, CoinUnavailable, TransactionTooHeavy
    """
    decided = _decided(wallet, event.command_id)
    if decided is not None:
        return Step(wallet).act(_withdrawn(event, decided))
    long_ago = wallet.done_as(event.command_id)
    if long_ago is not None:
        raise AlreadyPaid(txid=long_ago[::-1])
    feerate = env.feerates.opening_per_kw if event.feerate_per_kw is None else event.feerate_per_kw
    tx = _withdrawal(wallet, event, feerate, env)
    return Step(wallet).fact(SpendDecided(tx)).act(_withdrawn(event, tx))


@commands.on(FundTransaction)
def on_fund_transaction(wallet: Wallet, event: FundTransaction, env: Env) -> Step[Wallet]:
    """Promise a transaction to an opening: its coins are taken until it is spent or released.

    The new channel's own anchor reserve stays as well.
    """
    promised = _reserved(wallet, event.ref) or _decided(wallet, event.ref)
    if promised is not None:
        return Step(wallet).act(_funded(event, promised))
    reserve = anchor_reserve(env.policy.wallet, channels_of(env.views) + 1)
    try:
        if len(wallet.reservations) >= env.policy.wallet.max_reservations:
            raise InsufficientFunds("too many openings wait for their peers", reservations=len(wallet.reservations))
        tx = pay(
            wallet,
            event.outputs,
            event.feerate_per_kw,
            env,
            ref=event.ref,
            name="funding",
            reserve_sat=reserve,
            inputs=event.inputs,
            minconf=event.minconf,
        )
    except Refused as fault:
        return Step(wallet).act(Tell(event.reply_to, FundingRefused(event.ref, fault.name, str(fault))))
    return Step(wallet).fact(CoinsReserved(tx)).act(_funded(event, tx))


@commands.on(SpendFunding)
def on_spend_funding(wallet: Wallet, event: SpendFunding, _env: Env) -> Step[Wallet]:
    """The promised transaction goes out, and is published until it confirms.

    Raises:
        ReservationUnknown: it was released, or a crash forgot it.
    """
    if _decided(wallet, event.ref) is not None or wallet.done_as(event.ref) is not None:
        return Step(wallet)
    promised = _reserved(wallet, event.ref)
    if promised is None:
        raise ReservationUnknown(ref=event.ref)
    return Step(wallet).fact(SpendDecided(promised))


@commands.on(ReleaseFunding)
def on_release_funding(wallet: Wallet, event: ReleaseFunding, _env: Env) -> Step[Wallet]:
    """The promised transaction will never be."""
    return _release(wallet, event.ref)


@commands.on(Undelivered)
def on_undelivered(wallet: Wallet, event: Undelivered, _env: Env) -> Step[Wallet]:
    """Whoever asked for coins is gone: they are free again."""
    told = event.action.event
    return _release(wallet, told.ref) if isinstance(told, Funded) else Step(wallet)


@commands.on(Faulted)
def on_faulted(wallet: Wallet, event: Faulted, _env: Env) -> Step[Wallet]:
    """Tell the caller why not; what nobody waits for goes to the log."""
    command_id = getattr(event.event, "command_id", None)
    if command_id is not None:
        return Step(wallet).act(Answer(command_id, refused=event.why))
    about = {"during": type(event.event).__name__, "fault": event.why.name, "text": str(event.why)}
    return Step(wallet).act(Notify("wallet", about))


def _withdrawal(wallet: Wallet, event: Withdraw, feerate: FeeratePerKw, env: Env) -> WalletTx:
    reserve = anchor_reserve(env.policy.wallet, channels_of(env.views))
    if event.amount_sat is None:
        return pay_all(
            wallet,
            event.script_pubkey,
            feerate,
            env,
            ref=event.command_id,
            name="withdrawal",
            reserve_sat=reserve,
            inputs=event.inputs,
            minconf=event.minconf,
        )
    return pay(
        wallet,
        (Output(event.amount_sat, event.script_pubkey),),
        feerate,
        env,
        ref=event.command_id,
        name="withdrawal",
        reserve_sat=reserve,
        inputs=event.inputs,
        minconf=event.minconf,
    )


def _release(wallet: Wallet, ref: bytes) -> Step[Wallet]:
    step = Step(wallet)
    return step if _reserved(wallet, ref) is None else step.fact(ReservationReleased(ref))


def _reserved(wallet: Wallet, ref: bytes) -> WalletTx | None:
    return next((tx for tx in wallet.reservations if tx.own is not None and tx.own.ref == ref), None)


def _decided(wallet: Wallet, ref: bytes) -> WalletTx | None:
    return next((tx for tx in wallet.txs if tx.own is not None and tx.own.ref == ref), None)


def _address(wallet: Wallet, command_id: CommandId, path: KeyPath) -> Answer:
    return Answer(command_id, AddressGiven(script_at(wallet.accounts, path), path))


def _withdrawn(event: Withdraw, tx: WalletTx) -> Answer:
    assert tx.own is not None
    paid = sum(o.amount_sat for o in parse_tx(tx.own.tx).outputs if o.script_pubkey == event.script_pubkey)
    return Answer(event.command_id, Withdrawn(tx.txid, tx.own.tx, Sat(paid), tx.own.fee_sat))


def _funded(event: FundTransaction, tx: WalletTx) -> Tell:
    assert tx.own is not None
    return Tell(event.reply_to, Funded(event.ref, tx.own.tx, tx.own.fee_sat))
