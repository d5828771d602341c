"""The key holder signs what takes an output for ourselves, and refuses what its keys are not for."""

from __future__ import annotations

import pytest
from tests.builders.channels import KEY_INDEX, born, env_of, keys_of
from tests.builders.judge import verify_spend
from tests.builders.transactions import a_commitment, an_htlc

from fulmen.core.base.ids import OFFERED, NodeId, OutPoint, Point, Signature, Txid
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.script import p2wpkh, p2wsh
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut
from fulmen.core.channel.opening import first_view
from fulmen.core.commitments.commitment import REMOTE
from fulmen.core.crypto.secp256k1 import point_of, signature_from_der, verify_ecdsa
from fulmen.core.signer.requests import SignHtlcTx, SignSpend
from fulmen.core.signer.signing import (
    ChannelSecrets,
    WillNotSign,
    sign_commitment,
    sign_htlc_tx,
    sign_our_commitment,
    sign_spend,
)
from fulmen.core.transactions.commitment import CommitmentOutput, Role
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC
from fulmen.core.transactions.keys import derive_pubkey
from fulmen.core.transactions.scripts import anchor_script, funding_script, to_local_script
from fulmen.core.transactions.spending import (
    Signer,
    Spend,
    owner_htlc_digest,
    punish_second_stage,
    spend_anchor,
    spend_second_stage,
)

SECRETS: ChannelSecrets = keys_of("alice")._of(KEY_INDEX)
POINTS = keys_of("alice").basepoints(KEY_INDEX)
COMMITMENT_POINT = keys_of("alice").per_commitment_point(KEY_INDEX, 3)
OUTPOINT = OutPoint(Txid(b"\x11" * 32), 0)
NO_POINT = Point(b"")
PEERS = Signature(bytes(31) + b"\x01" + bytes(31) + b"\x01")


def a_tx(sequence: int = 0xFFFFFFFD) -> Tx:
    return Tx(2, (TxIn(OUTPOINT, b"", sequence),), (TxOut(Sat(300), p2wpkh(b"\x01" * 20)),))


def an_output(role: Role, script: bytes) -> CommitmentOutput:
    return CommitmentOutput(role, 0, Sat(330), p2wsh(script), script)


def test_a_delayed_output_is_signed_with_the_key_of_its_commitment() -> None:
    delayed = derive_pubkey(POINTS.delayed_payment_basepoint, COMMITMENT_POINT)
    script = to_local_script(POINTS.revocation_basepoint, 6, delayed)
    spend = spend_second_stage(Sat(400), script, 6)
    signed = sign_spend(SignSpend(KEY_INDEX, COMMITMENT_POINT, spend), a_tx(6), SECRETS)
    verify_spend(signed, [TxOut(Sat(400), p2wsh(script))])


def test_the_funding_key_signs_for_our_anchor() -> None:
    script = anchor_script(POINTS.funding_pubkey)
    spend = spend_anchor(an_output(Role.LOCAL_ANCHOR, script))
    signed = sign_spend(SignSpend(KEY_INDEX, NO_POINT, spend), a_tx(), SECRETS)
    verify_spend(signed, [TxOut(Sat(330), p2wsh(script))])


@pytest.mark.parametrize(
    "script",
    [
        funding_script(POINTS.funding_pubkey, keys_of("bob").basepoints(KEY_INDEX).funding_pubkey),
        anchor_script(keys_of("bob").basepoints(KEY_INDEX).funding_pubkey),
    ],
    ids=["the funding output", "the peer's anchor"],
)
def test_the_funding_key_signs_for_nothing_else(script: bytes) -> None:
    spend = Spend(Sat(1_000_000), p2wsh(script), script, Signer.FUNDING, (script,))
    with pytest.raises(WillNotSign):
        sign_spend(SignSpend(KEY_INDEX, NO_POINT, spend), a_tx(), SECRETS)


def test_an_input_that_is_not_there_is_not_signed() -> None:
    spend = spend_anchor(an_output(Role.LOCAL_ANCHOR, anchor_script(POINTS.funding_pubkey)))
    with pytest.raises(WillNotSign):
        sign_spend(SignSpend(KEY_INDEX, NO_POINT, spend, index=1), a_tx(), SECRETS)


def test_an_htlc_transaction_that_the_peer_never_signed_is_not_signed() -> None:
    [htlc] = a_commitment(ANCHORS_ZERO_FEE_HTLC, (an_htlc(OFFERED, 0),)).htlcs
    request = SignHtlcTx(KEY_INDEX, COMMITMENT_POINT, ANCHORS_ZERO_FEE_HTLC.name, htlc, Signature(b""))
    with pytest.raises(WillNotSign):
        sign_htlc_tx(request, a_tx(), SECRETS)


def test_secrets_are_never_printed() -> None:
    assert repr(SECRETS) == "ChannelSecrets(…)"
    assert point_of(SECRETS.funding) == POINTS.funding_pubkey


def test_an_htlc_transaction_gets_both_signatures_into_its_input() -> None:
    commitment = a_commitment(ANCHORS_ZERO_FEE_HTLC, (an_htlc(OFFERED, 0),))
    [htlc] = commitment.htlcs
    request = SignHtlcTx(KEY_INDEX, COMMITMENT_POINT, ANCHORS_ZERO_FEE_HTLC.name, htlc, PEERS)
    tx = commitment.htlc_tx(htlc)
    signed = sign_htlc_tx(request, tx, SECRETS)
    assert len(signed.inputs[0].witness) == 5
    ours = signature_from_der(signed.inputs[0].witness[2][:-1])
    key = derive_pubkey(POINTS.htlc_basepoint, COMMITMENT_POINT)
    assert verify_ecdsa(key, owner_htlc_digest(htlc, tx, 0), ours)
    for index in (-1, 1):
        with pytest.raises(WillNotSign):
            sign_htlc_tx(request.but(index=index), tx, SECRETS)


def test_a_penalty_needs_the_peers_secret() -> None:
    script = to_local_script(POINTS.revocation_basepoint, 6, POINTS.delayed_payment_basepoint)
    spend = punish_second_stage(Sat(400), script)
    with pytest.raises(WillNotSign):
        sign_spend(SignSpend(KEY_INDEX, COMMITMENT_POINT, spend), a_tx(), SECRETS)
    secret = keys_of("bob")._per_commitment_secret(KEY_INDEX, 3)
    signed = sign_spend(SignSpend(KEY_INDEX, COMMITMENT_POINT, spend, per_commitment_secret=secret), a_tx(), SECRETS)
    assert signed.inputs[0].witness


def test_only_our_own_commitment_that_the_peer_signed_is_signed_to_be_published() -> None:
    ours = first_view(born("alice", "bob", NodeId(keys_of("bob").node_id), is_opener=True).opened, env_of("alice"))
    assert sign_our_commitment(ours, SECRETS).inputs[0].witness
    unsigned = ours.funding.but(peer_signature=Signature(b""))
    theirs = ours.but(side=REMOTE, funding=ours.funding.but(peer_signature=PEERS))
    for view in (ours.but(funding=unsigned), theirs):
        with pytest.raises(WillNotSign):
            sign_our_commitment(view, SECRETS)
    with pytest.raises(WillNotSign):
        sign_commitment(ours, SECRETS)
