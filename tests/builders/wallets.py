"""A wallet from published words, the transactions that pay it, and events told twice."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from tests.builders.env import an_env

from fulmen.core.base.env import Env
from fulmen.core.base.funds import AttachFee, ForeignInput, Output
from fulmen.core.base.ids import BlockHash, CommandId, OutPoint, Txid
from fulmen.core.base.machine import Address, Event, Step
from fulmen.core.base.outer import Block, ScriptPaid
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Sat, Weight
from fulmen.core.bitcoin.accounts import Accounts, KeyPath, accounts_of, public_accounts, script_at
from fulmen.core.bitcoin.bip32 import from_seed
from fulmen.core.bitcoin.script import p2tr, p2wpkh
from fulmen.core.bitcoin.transaction import NULL_OUTPOINT, Tx, TxIn, TxOut
from fulmen.core.wallet.machine import decide
from fulmen.core.wallet.state import Wallet

SECRET_ACCOUNTS: Accounts = accounts_of(from_seed(b"fulmen's test wallet"), 1)
ACCOUNTS = public_accounts(SECRET_ACCOUNTS)
OLD = KeyPath(84, 0, 0)
NEW = KeyPath(86, 0, 0)
ELSEWHERE = p2wpkh(b"\xee" * 20)
TAPROOT_ELSEWHERE = p2tr(b"\xdd" * 32)


def our_script(path: KeyPath = NEW) -> bytes:
    return script_at(ACCOUNTS, path)


def an_outpoint(n: int) -> OutPoint:
    return OutPoint(Txid(sha256(b"stranger %d" % n).digest()), n % 3)


def a_block(height: int, fork: int = 0) -> Block:
    return Block(BlockHeight(height), BlockHash(sha256(b"block %d %d" % (height, fork)).digest()))


def a_payment(n: int, amount_sat: int, path: KeyPath = NEW, spends: OutPoint | None = None, salt: int = 0) -> Tx:
    """A stranger's transaction with an output for us. Equal `n` (or `spends`) means that only one of them can be."""
    outputs = (TxOut(Sat(7_000 + salt), ELSEWHERE), TxOut(Sat(amount_sat), our_script(path)))
    return Tx(2, (TxIn(spends or an_outpoint(n)),), outputs)


def a_coinbase(n: int, amount_sat: int, path: KeyPath = NEW) -> Tx:
    return Tx(2, (TxIn(NULL_OUTPOINT, b"\x03" + n.to_bytes(3, "little")),), (TxOut(Sat(amount_sat), our_script(path)),))


def told(tx: Tx, block: Block | None = None) -> ScriptPaid:
    return ScriptPaid(tx.txid, tx.serialize(), block)


def a_command(n: int) -> CommandId:
    return CommandId(n.to_bytes(16, "big"))


def a_wallet(*amounts_sat: int, height: int = 100, path: KeyPath = NEW) -> Wallet:
    """A wallet with these coins, each confirmed in a transaction of its own."""
    wallet = Wallet(ACCOUNTS)
    for n, amount in enumerate(amounts_sat):
        wallet = step_of(wallet, told(a_payment(1000 + n, amount, path), a_block(height))).state
    return wallet


def step_of(wallet: Wallet, event: Event, env: Env | None = None, **changes: Any) -> Step[Wallet]:
    return decide(wallet, event, env or an_env(**changes))


ONCHAIN = Address("onchain", b"\x01" * 32)
HTLC = ForeignInput(OutPoint(Txid(b"\x77" * 32), 3), 1, Output(Sat(40_000), TAPROOT_ELSEWHERE), Weight(705))
"""An input of an HTLC transaction, which pays its fee with somebody else's coins."""


def a_fee_request(*foreign: ForeignInput, outputs: tuple[Output, ...] = (), rate: int = 2000) -> AttachFee:
    return AttachFee(b"ref", ONCHAIN, "htlc-timeout", foreign, outputs, 600_000, 2, FeeratePerKw(rate))


HTLC_REQUEST = a_fee_request(HTLC, outputs=(Output(Sat(40_000), ELSEWHERE),))
