"""Closes that must not be: revoked commitments, commitments beyond what we know, and spends that nobody can explain."""

from __future__ import annotations

import pytest
from tests.builders.channels import KEY_INDEX
from tests.builders.cheats import mine_exactly
from tests.builders.closes import both_formats
from tests.builders.court import Court
from tests.builders.onchain import Plan, Planned

from fulmen.core.base.outer import WantPublished
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.script import p2wpkh
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut, parse_tx
from fulmen.core.commitments.building import build
from fulmen.core.commitments.commitment import LOCAL
from fulmen.core.crypto.secp256k1 import sign_ecdsa
from fulmen.core.onchain.classify import Kind
from fulmen.core.onchain.local_close import matters_of_local
from fulmen.core.onchain.matters import Purpose, Spent
from fulmen.core.signer.requests import SignFundingSpend, SignHtlcTx
from fulmen.core.transactions.commitment import Role
from fulmen.core.transactions.formats import STATIC_REMOTEKEY
from fulmen.core.transactions.funding import funding_digest, funding_witness


def alarms(court: Court) -> list[str]:
    return [str(notice.about["kind"]) for notice in court.alice.notices if notice.topic == "alarm"]


BOTH_TIMES = [Kind.REVOKED.value] * 2
"""From the mempool, and from the block."""


def to_remote_sat(court: Court) -> int:
    output = build(court.view("bob", LOCAL)).output(Role.TO_REMOTE)
    assert output is not None
    return output.amount_sat


@both_formats
def test_after_a_loss_of_state_our_balance_is_taken_and_htlcs_wait_for_their_outputs(format: str) -> None:
    offer = Planned(0, "alice", expires_in=5, within=("alice", "bob"))
    court = Court(Plan(format, (offer,), outdated=True, known=(("bob", 0),)))
    court.close_by("bob")
    court.mine()
    ending = court.alice.onchain.ending
    assert ending is not None and ending.kind is Kind.BEYOND and alarms(court) == [Kind.BEYOND.value]
    court.mine(4)
    assert court.alice.fate_of(offer) == ["fulfilled"], "the peer showed the preimage on its own commitment"
    court.mine_until_resolved()
    assert court.gain_of("alice") == to_remote_sat(court)
    assert court.alice.names == ["to_remote"]


@both_formats
def test_after_a_loss_of_state_an_htlc_fails_only_when_its_output_is_spent_deep(format: str) -> None:
    offer = Planned(0, "alice", expires_in=5, within=("alice", "bob"))
    court = Court(Plan(format, (offer,), outdated=True))
    court.close_by("bob")
    court.mine(20)
    assert court.alice.fate_of(offer) == []
    assert not court.alice.is_resolved


@both_formats
def test_a_revoked_commitment_raises_the_alarm_and_its_htlcs_get_their_verdicts(format: str) -> None:
    living = Planned(0, "alice", 40_000_000, expires_in=5, within=("alice", "bob", "bob_last"))
    newer = Planned(1, "alice", 41_000_000, expires_in=5, within=("alice", "bob"))
    received = Planned(2, "bob", 42_000_000, expires_in=9, within=("alice", "bob", "bob_last"))
    court = Court(Plan(format, (living, newer, received)))
    court.regtest.submit_tx(court.revoked())
    court.mine()
    ending = court.alice.onchain.ending
    assert ending is not None and ending.kind is Kind.REVOKED and alarms(court) == BOTH_TIMES
    purposes = sorted(matter.purpose.value for matter in ending.matters)
    expected = [Purpose.PUNISH_HTLC, Purpose.PUNISH_HTLC, Purpose.PUNISH_TO_LOCAL, Purpose.TO_REMOTE]
    anchors = [Purpose.WATCH] * 2 if "anchors" in format else []
    assert purposes == sorted(purpose.value for purpose in (*expected, *anchors))
    court.mine()
    assert court.alice.fate_of(living) == court.alice.fate_of(newer) == [], "its output is taken, but not deep enough"
    court.mine()
    assert court.alice.fate_of(newer) == ["failed"], "this commitment never held it"
    assert court.alice.fate_of(living) == ["failed"], "the penalty was in one block with the cheat"
    court.mine_until_resolved()


def test_a_preimage_on_a_revoked_commitment_pays_too() -> None:
    offer = Planned(0, "alice", expires_in=6, within=("alice", "bob", "bob_last"))
    court = Court(Plan(STATIC_REMOTEKEY.name, (offer,)))
    mine_exactly(court, court.revoked())
    court.regtest.submit_tx(_htlc_success_on(court, offer))
    court.see_mempool()
    assert court.alice.fate_of(offer) == ["fulfilled"]


def _htlc_success_on(court: Court, offer: Planned) -> Tx:
    """What bob can publish on his revoked commitment once he knows the preimage."""
    view = court._commitment("bob", "bob_last", 4)
    close = court.at_close("bob").but(local=view, funding=court._signed("bob", "bob_last", 4))
    spent = Spent(close, court.revoked(), court.tip)
    [matter] = [matter for matter in matters_of_local(spent) if matter.purpose is Purpose.HTLC_SUCCESS]
    assert matter.htlc_tx is not None and matter.output is not None
    sign = SignHtlcTx(
        KEY_INDEX,
        view.per_commitment_point,
        court.plan.format,
        matter.output,
        matter.htlc_tx.peer_signature,
        offer.preimage,
    )
    return parse_tx(court.keys["bob"].complete(WantPublished("cheat", matter.htlc_tx.tx.serialize(), (sign,))))


@both_formats
def test_an_unknown_spend_of_the_funding_raises_the_alarm(format: str) -> None:
    court = Court(Plan(format))
    local, remote = (court.keys[name].basepoints(KEY_INDEX).funding_pubkey for name in ("alice", "bob"))
    tx = Tx(2, (TxIn(court.funding),), (TxOut(Sat(999_000), p2wpkh(b"\x07" * 20)),))
    digest = funding_digest(tx, local, remote, Sat(1_000_000))
    ours, theirs = (sign_ecdsa(court.keys[name]._of(KEY_INDEX).funding, digest) for name in ("alice", "bob"))
    court.regtest.submit_tx(tx.with_witness(0, *funding_witness(local, ours, remote, theirs)))
    court.mine()
    assert alarms(court) == [Kind.UNKNOWN.value]
    court.mine(12)
    assert court.alice.is_resolved and court.alice.names == []


def test_our_own_old_commitment_is_not_taken_for_a_revoked_one_of_the_peer() -> None:
    court = Court(Plan())
    view = court._commitment("alice", "alice", 2)
    signed = view.but(funding=court._signed("alice", "alice", 2))
    raw = court.keys["alice"].complete(WantPublished("old", build(view).tx.serialize(), (SignFundingSpend(signed),)))
    court.regtest.submit_tx(parse_tx(raw))
    court.mine()
    assert alarms(court) == [Kind.UNKNOWN.value]


@pytest.mark.parametrize("number", [0, 4])
def test_every_revoked_number_is_known(number: int) -> None:
    court = Court(Plan())
    court.regtest.submit_tx(court.revoked(number))
    court.mine()
    assert alarms(court) == BOTH_TIMES
