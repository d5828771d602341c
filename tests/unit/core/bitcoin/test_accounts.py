"""The wallet's keys: watching and signing meet, and nothing else is signed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fulmen.core.base.ids import OutPoint, Txid
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.accounts import (
    CHANGE,
    RECEIVE,
    KeyPath,
    NotOurInput,
    SignWalletInputs,
    WalletInput,
    accounts_of,
    input_weight,
    public_accounts,
    script_at,
    sign_wallet_inputs,
)
from fulmen.core.bitcoin.address import address_of
from fulmen.core.bitcoin.bip32 import HardenedNeedsSecret, from_seed
from fulmen.core.bitcoin.bip39 import seed_of
from fulmen.core.bitcoin.networks import MAINNET
from fulmen.core.bitcoin.script import p2pkh, p2tr
from fulmen.core.bitcoin.sighash import sighash_segwit_v0, sighash_taproot
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut
from fulmen.core.crypto.secp256k1 import signature_from_der, verify_ecdsa, verify_schnorr

PUBLISHED = json.loads(Path("tests/vectors/bip/bip84_bip86.json").read_text())
SECRET = accounts_of(from_seed(seed_of(PUBLISHED["mnemonic"])), MAINNET.coin_type)
WATCHING = public_accounts(SECRET)
OLD, NEW = KeyPath(84, RECEIVE, 3), KeyPath(86, CHANGE, 5)
SPENT = (TxOut(Sat(70_000), script_at(WATCHING, OLD)), TxOut(Sat(50_000), script_at(WATCHING, NEW)))
TX = Tx(
    2,
    (TxIn(OutPoint(Txid(b"\x01" * 32), 0)), TxIn(OutPoint(Txid(b"\x02" * 32), 1))),
    (TxOut(Sat(119_000), p2tr(b"\x03" * 32)),),
    800_000,
)


@pytest.mark.parametrize("purpose", [84, 86])
def test_the_watched_scripts_are_the_published_addresses(purpose: int) -> None:
    paths = [KeyPath(purpose, RECEIVE, 0), KeyPath(purpose, RECEIVE, 1), KeyPath(purpose, CHANGE, 0)]
    addresses = [address_of(script_at(WATCHING, path), MAINNET) for path in paths]
    assert addresses == PUBLISHED[f"bip{purpose}"]["addresses"]


def test_what_watches_cannot_sign() -> None:
    with pytest.raises(HardenedNeedsSecret):
        sign_wallet_inputs(WATCHING, TX, SignWalletInputs(SPENT, (WalletInput(0, OLD),)))


def test_both_kinds_of_input_are_signed_so_that_they_verify() -> None:
    request = SignWalletInputs(SPENT, (WalletInput(0, OLD), WalletInput(1, NEW)))
    signed = sign_wallet_inputs(SECRET, TX, request)
    assert signed.txid == TX.txid
    der, point = signed.inputs[0].witness
    script_code = p2pkh(SPENT[0].script_pubkey[2:])
    digest = sighash_segwit_v0(TX, 0, script_code, SPENT[0].amount_sat)
    assert verify_ecdsa(point, digest, signature_from_der(der[:-1])) and der[-1] == 1
    (schnorr,) = signed.inputs[1].witness
    assert verify_schnorr(SPENT[1].script_pubkey[2:], sighash_taproot(TX, 1, SPENT), schnorr)
    assert sign_wallet_inputs(SECRET, TX, request) == signed


def test_no_input_weighs_more_than_was_reckoned() -> None:
    for index in range(40):
        path = KeyPath(84, RECEIVE, index)
        spent = (TxOut(Sat(1000), script_at(WATCHING, path)),)
        bare = TX.but(inputs=TX.inputs[:1])
        signed = sign_wallet_inputs(SECRET, bare, SignWalletInputs(spent, (WalletInput(0, path),)))
        reckoned = bare.weight + 2 + input_weight(path) - 4 * 41
        assert reckoned - 3 <= signed.weight <= reckoned


@pytest.mark.parametrize(
    "request_",
    [
        SignWalletInputs(SPENT, (WalletInput(0, NEW),)),
        SignWalletInputs(SPENT, (WalletInput(1, OLD),)),
        SignWalletInputs(SPENT, (WalletInput(1, NEW.but(index=6)),)),
        SignWalletInputs(SPENT, (WalletInput(2, NEW),)),
        SignWalletInputs(SPENT[:1], (WalletInput(0, OLD),)),
    ],
)
def test_what_is_not_the_key_of_the_path_is_not_signed(request_: SignWalletInputs) -> None:
    with pytest.raises(NotOurInput):
        sign_wallet_inputs(SECRET, TX, request_)
