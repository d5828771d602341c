"""The wallet's keys: BIP 84 and BIP 86 accounts. Watching needs their public halves; signing is the key holder's.

`SignWalletInputs` is what the key holder is asked, `sign_wallet_inputs` how it answers. It signs only where the key
at the named path is the one that the spent output pays to.
"""

from __future__ import annotations

from functools import lru_cache

from fulmen.core.base.faults import Refused
from fulmen.core.base.outer import SignRequest
from fulmen.core.base.record import Record
from fulmen.core.bitcoin.bip32 import HARDENED, ExtendedKey
from fulmen.core.bitcoin.script import p2pkh, p2wpkh
from fulmen.core.bitcoin.sighash import SIGHASH_ALL, SIGHASH_DEFAULT, sighash_segwit_v0, sighash_taproot
from fulmen.core.bitcoin.taproot import output_script, output_secret
from fulmen.core.bitcoin.transaction import Tx, TxOut
from fulmen.core.crypto.hashes import hash160
from fulmen.core.crypto.secp256k1 import sign_ecdsa, sign_schnorr, signature_to_der

P2WPKH_ACCOUNT = 84
P2TR_ACCOUNT = 86
RECEIVE = 0
CHANGE = 1

P2WPKH_WITNESS_WEIGHT = 108
"""Item count, signature of at most 72 bytes with its length, public key with its length."""
P2TR_WITNESS_WEIGHT = 66
"""Item count, signature of 64 bytes with its length."""
INPUT_WEIGHT = 4 * 41
"""Outpoint, empty script, sequence."""


class NotOurInput(Refused):
    """The key at the named path is not the one that the spent output pays to; nothing is signed."""


class KeyPath(Record, order=True):
    """A key of ours below its account: m / purpose' / coin' / 0' / change / index (BIP 44)."""

    purpose: int
    change: int
    index: int


class Accounts(Record):
    """The public halves of account 0 of both kinds."""

    bip84: ExtendedKey
    bip86: ExtendedKey

    def of(self, purpose: int) -> ExtendedKey:
        """The account of a purpose, 84 or 86."""
        return self.bip84 if purpose == P2WPKH_ACCOUNT else self.bip86


class WalletInput(Record):
    """An input that a key of the wallet signs."""

    index: int
    path: KeyPath


class SignWalletInputs(SignRequest):
    """The key holder puts in the witnesses of some inputs.

    `spent` are the outputs that all inputs of the transaction spend, in their order (BIP 341 signs them all).
    """

    spent: tuple[TxOut, ...]
    inputs: tuple[WalletInput, ...]


def account_path(purpose: int, coin_type: int) -> tuple[int, ...]:
    """m / purpose' / coin' / 0'."""
    return purpose + HARDENED, coin_type + HARDENED, HARDENED


def accounts_of(root: ExtendedKey, coin_type: int) -> Accounts:
    """Both accounts below a root, with or without their secrets as the root has them."""
    return Accounts(
        root.derive(account_path(P2WPKH_ACCOUNT, coin_type)), root.derive(account_path(P2TR_ACCOUNT, coin_type))
    )


def public_accounts(accounts: Accounts) -> Accounts:
    """What may watch and cannot spend."""
    return Accounts(accounts.bip84.public, accounts.bip86.public)


@lru_cache(maxsize=1 << 16)
def script_at(accounts: Accounts, path: KeyPath) -> bytes:
    """The script_pubkey of a key: P2WPKH for BIP 84, P2TR without scripts for BIP 86."""
    point = _branch(accounts.of(path.purpose), path.change).child(path.index).point
    return p2wpkh(hash160(point)) if path.purpose == P2WPKH_ACCOUNT else output_script(point[1:])


def input_weight(path: KeyPath) -> int:
    """The most that an input of this kind weighs, witness included."""
    return INPUT_WEIGHT + (P2WPKH_WITNESS_WEIGHT if path.purpose == P2WPKH_ACCOUNT else P2TR_WITNESS_WEIGHT)


def sign_wallet_inputs(accounts: Accounts, tx: Tx, request: SignWalletInputs, aux: bytes = bytes(32)) -> Tx:
    """The transaction with the witnesses of the requested inputs put in: ECDSA with low S, or Schnorr.

    Args:
        accounts: with secrets.
        aux: 32 bytes of randomness for Schnorr signatures; zeros make the same signature each time (BIP 340).

    Raises:
        NotOurInput: an input pays to another key than its path says, or there is no such input.
    """
    if len(request.spent) != len(tx.inputs):
        raise NotOurInput("every spent output must be named", inputs=len(tx.inputs), named=len(request.spent))
    signed = tx
    for wanted in request.inputs:
        if not 0 <= wanted.index < len(tx.inputs):
            raise NotOurInput("there is no such input", index=wanted.index)
        signed = signed.with_witness(wanted.index, *_witness(accounts, tx, request.spent, wanted, aux))
    return signed


@lru_cache(maxsize=16)
def _branch(account: ExtendedKey, change: int) -> ExtendedKey:
    return account.child(change)


def _witness(
    accounts: Accounts, tx: Tx, spent: tuple[TxOut, ...], wanted: WalletInput, aux: bytes
) -> tuple[bytes, ...]:
    path, output = wanted.path, spent[wanted.index]
    key = accounts.of(path.purpose).derive((path.change, path.index))
    if path.purpose == P2WPKH_ACCOUNT:
        pubkey_hash = hash160(key.point)
        if output.script_pubkey != p2wpkh(pubkey_hash):
            raise NotOurInput(index=wanted.index)
        digest = sighash_segwit_v0(tx, wanted.index, p2pkh(pubkey_hash), output.amount_sat, SIGHASH_ALL)
        return signature_to_der(sign_ecdsa(key.secret, digest)) + bytes((SIGHASH_ALL,)), key.point
    internal_key = key.point[1:]
    if output.script_pubkey != output_script(internal_key):
        raise NotOurInput(index=wanted.index)
    digest = sighash_taproot(tx, wanted.index, spent, SIGHASH_DEFAULT)
    return (sign_schnorr(output_secret(key.secret, internal_key), digest, aux),)
