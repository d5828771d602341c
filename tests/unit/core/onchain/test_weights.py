"""What we publish weighs what we reckoned with, signature by signature: else every fee would be a little wrong."""

from __future__ import annotations

import pytest
from tests.builders.closes import FORMATS, closed
from tests.builders.court import Court
from tests.builders.onchain import Plan, Planned

from fulmen.core.base.ids import OutPoint, Signature, Txid
from fulmen.core.base.units import BlockHeight, Sat
from fulmen.core.bitcoin.script import p2wpkh
from fulmen.core.bitcoin.transaction import TxOut
from fulmen.core.commitments.building import build
from fulmen.core.commitments.commitment import LOCAL, REMOTE
from fulmen.core.crypto.secp256k1 import sign_ecdsa
from fulmen.core.onchain.classify import Kind, kind_of
from fulmen.core.onchain.htlc_txs import FEE_INPUT_AND_CHANGE_WEIGHT
from fulmen.core.onchain.lifting import Liftable
from fulmen.core.onchain.revoked_close import revoked_number
from fulmen.core.onchain.sweeps import weight_of
from fulmen.core.transactions.funding import funding_witness
from fulmen.core.transactions.spending import MAX_SIGNATURE_LENGTH, Signer, Spend, sweep_tx

SIGNATURE: Signature = sign_ecdsa(b"\x01" * 32, b"\x02" * 32)
DESTINATION = p2wpkh(bytes(20))
HTLCS = (Planned(0, "alice"), Planned(1, "bob"))


def a_spend(signer: Signer, *rest: bytes) -> Spend:
    return Spend(Sat(1000), DESTINATION, b"\x51" * 80, signer, rest)


def outpoint(number: int) -> OutPoint:
    return OutPoint(Txid(bytes([number]) * 32), number)


@pytest.mark.parametrize(
    "spends",
    [
        (a_spend(Signer.HTLC, b"", b"\x51" * 80),),
        (a_spend(Signer.HTLC, b"p" * 32, b"\x51" * 300), a_spend(Signer.HTLC, b"", b"\x51" * 77)),
        (a_spend(Signer.NOBODY, b"", b"\x51" * 40),),
        (a_spend(Signer.NOBODY), a_spend(Signer.NOBODY)),
        (a_spend(Signer.NOBODY), a_spend(Signer.REVOCATION, b"\x01", b"\x51" * 77)),
    ],
)
def test_a_sweep_weighs_what_was_reckoned_less_what_its_signatures_are_short(spends: tuple[Spend, ...]) -> None:
    placed = tuple((outpoint(number), spend) for number, spend in enumerate(spends))
    tx = sweep_tx(placed, (TxOut(Sat(500), DESTINATION),))
    short = 0
    for index, spend in enumerate(spends):
        witness = spend.witness(None if spend.signer is Signer.NOBODY else SIGNATURE)
        if spend.signer is not Signer.NOBODY:
            short += MAX_SIGNATURE_LENGTH - len(witness[0])
        tx = tx.with_witness(index, *witness)
    assert weight_of(placed, DESTINATION) == tx.weight + short


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("side", [LOCAL, REMOTE])
def test_a_commitment_that_is_lifted_weighs_what_was_reckoned(side: object, format: str) -> None:
    court = Court(Plan(format, HTLCS))
    view = court.view("alice", side)  # type: ignore[arg-type]
    commitment = build(view)
    local, remote = view.params.local.basepoints.funding_pubkey, view.params.remote.basepoints.funding_pubkey
    witness = funding_witness(local, SIGNATURE, remote, SIGNATURE)
    short = sum(MAX_SIGNATURE_LENGTH - len(item) for item in witness[1:3])
    signed = commitment.tx.with_witness(0, *witness)
    assert Liftable(view, BlockHeight(1), ()).weight == signed.weight + short


def test_a_coin_and_its_change_weigh_about_what_is_added_for_them() -> None:
    """An input with 41 bytes and a witness of 108, an output of 43 bytes."""
    assert FEE_INPUT_AND_CHANGE_WEIGHT == 444


@pytest.mark.parametrize("format", FORMATS)
def test_only_what_the_peer_has_revoked_has_the_number_of_a_revoked_state(format: str) -> None:
    court = Court(Plan(format, HTLCS, bob_has_next=True))
    close = court.at_close("alice")
    assert revoked_number(close, court.revoked().serialize()) == 4
    for view in (close.remote, close.remote_next):
        assert view is not None
        assert revoked_number(close, build(view).tx.serialize()) is None
    assert close.remote_next is not None
    assert kind_of(close, build(close.remote_next).tx) is Kind.REMOTE_NEXT
    assert kind_of(close, build(close.remote).tx) is Kind.REMOTE
    assert kind_of(close, build(close.local).tx) is Kind.LOCAL
    assert kind_of(close, court.revoked()) is Kind.REVOKED


@pytest.mark.parametrize("format", FORMATS)
def test_who_offered_what_is_told_when_all_is_resolved(format: str) -> None:
    court = closed("alice", Plan(format, HTLCS, known=(("bob", 0), ("alice", 1))))
    court.mine_until_resolved()
    assert court.alice.fate_of(HTLCS[0]) == ["fulfilled"] and court.bob.fate_of(HTLCS[1]) == ["fulfilled"]
