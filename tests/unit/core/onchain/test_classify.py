"""Whose commitment spends the funding (B5-2): by its name, else by its number and by whom it pays at once."""

from __future__ import annotations

import pytest
from tests.builders.channels import terms_of_a_copycat
from tests.builders.endings import ANCHORS, KINDS, STATIC, tx_of, view_of
from tests.builders.onchain import Plan, Planned
from tests.builders.papers import Papers

from fulmen.core.bitcoin.script import p2wpkh, p2wsh
from fulmen.core.bitcoin.transaction import Tx
from fulmen.core.commitments.building import build
from fulmen.core.crypto.hashes import hash160
from fulmen.core.onchain.classify import Kind, kind_of, to_remote_of
from fulmen.core.onchain.revoked_close import revoked_number
from fulmen.core.transactions.commitment import Role

HTLCS = (Planned(0, "alice", within=("alice", "bob", "bob_next", "bob_last")), Planned(1, "bob", 40_000_000))
formats = pytest.mark.parametrize("format", [ANCHORS, STATIC])


def numbered(papers: Papers, number: int, which: str = "bob") -> Tx:
    """A commitment with this number that differs from all that we know."""
    return build(papers._commitment("alice", which, number).but(feerate_per_kw=999)).tx


@formats
def test_a_commitment_is_known_by_its_name(format: str) -> None:
    papers = Papers(Plan(format, HTLCS, bob_has_next=True))
    close = papers.at_close("alice")
    assert {which: kind_of(close, tx_of(papers, which)) for which in KINDS} == KINDS


@formats
def test_a_number_of_the_peers_that_we_never_reached_means_that_we_have_lost_state(
    format: str,
) -> None:
    papers = Papers(Plan(format, HTLCS))
    close = papers.at_close("alice")
    assert kind_of(close, numbered(papers, 6)) is Kind.BEYOND
    assert kind_of(close, numbered(papers, 5)) is Kind.UNKNOWN, "there is another of that number"
    assert kind_of(close, numbered(papers, 4)) is Kind.REVOKED
    signed = Papers(Plan(format, HTLCS, bob_has_next=True)).at_close("alice")
    assert kind_of(signed, numbered(papers, 6)) is Kind.UNKNOWN
    assert kind_of(signed, numbered(papers, 7)) is Kind.BEYOND


@formats
def test_after_a_loss_of_state_even_the_last_known_number_may_be_newer_than_what_we_know(format: str) -> None:
    papers = Papers(Plan(format, HTLCS, outdated=True))
    assert kind_of(papers.at_close("alice"), numbered(papers, 3)) is Kind.BEYOND
    assert kind_of(papers.at_close("alice"), numbered(papers, 2)) is Kind.REVOKED


@formats
def test_a_peer_that_calls_our_payment_basepoint_its_own_is_punished_all_the_same(
    format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.builders.papers.terms_of", terms_of_a_copycat)
    papers = Papers(Plan(format, HTLCS, bob_has_next=True))
    close = papers.at_close("alice")
    assert to_remote_of(close, ours=True) == to_remote_of(close, ours=False)
    assert {which: kind_of(close, tx_of(papers, which)) for which in KINDS} == KINDS
    assert kind_of(close, numbered(papers, 4)) is Kind.REVOKED
    assert kind_of(close, numbered(papers, 7)) is Kind.BEYOND


@formats
def test_an_old_commitment_of_ours_or_what_has_no_number_is_unknown(format: str) -> None:
    papers = Papers(Plan(format, HTLCS))
    close = papers.at_close("alice")
    assert kind_of(close, numbered(papers, 4, "alice")) is Kind.UNKNOWN
    unmarked = tx_of(papers, "bob_last").but(locktime=0)
    assert kind_of(close, unmarked) is Kind.UNKNOWN
    assert revoked_number(close, unmarked.serialize()) is None and revoked_number(close, b"\x00\x01") is None


@formats
def test_a_balance_on_the_other_ends_commitment_has_one_script(format: str) -> None:
    papers = Papers(Plan(format))
    close = papers.at_close("alice")
    for ours, which in ((True, "bob"), (False, "alice")):
        script_pubkey, witness_script = to_remote_of(close, ours=ours)
        output = build(view_of(papers, which)).output(Role.TO_REMOTE)
        assert output is not None and output.script_pubkey == script_pubkey
        assert output.witness_script == witness_script
        party = close.params.local if ours else close.params.remote
        pubkey = party.basepoints.payment_basepoint
        assert script_pubkey == (p2wsh(witness_script) if format == ANCHORS else p2wpkh(hash160(pubkey)))
