"""Which outputs of which commitment matter, from when on they can be taken, and what their spenders leave."""

from __future__ import annotations

import pytest
from tests.builders.cheats import HTLCS
from tests.builders.endings import (
    ANCHORS,
    FIRST,
    STATIC,
    closed,
    elsewhere,
    ending,
    output_of,
    the,
    tx_of,
    view_of,
)
from tests.builders.onchain import Plan, Planned
from tests.builders.papers import Papers

from fulmen.core.base.ids import OFFERED, Point
from fulmen.core.base.units import BlockHeight, Sat
from fulmen.core.bitcoin.script import p2wpkh, p2wsh
from fulmen.core.bitcoin.transaction import SEQUENCE_RBF, Tx, TxIn, TxOut
from fulmen.core.commitments.building import build
from fulmen.core.onchain.classify import Kind
from fulmen.core.onchain.local_close import HtlcSignaturesMissing
from fulmen.core.onchain.matters import Matter, Purpose, htlcs_of, second_stage_in
from fulmen.core.onchain.state import Onchain
from fulmen.core.transactions.commitment import Role
from fulmen.core.transactions.spending import Signer, Spend

OFFER, RECEIVED = Planned(0, "alice", expires_in=60), Planned(1, "bob", 40_000_000, expires_in=70)
BOTH = (OFFER, RECEIVED)


def purposes(state: Onchain) -> list[str]:
    return sorted(matter.purpose.name for matter in state.matters.values())


@pytest.mark.parametrize("format", [ANCHORS, STATIC])
def test_of_our_commitment_all_but_the_peers_balance_and_anchor_is_ours(format: str) -> None:
    state = closed(Papers(Plan(format, BOTH)), "alice")
    anchor = ["ANCHOR"] if format == ANCHORS else []
    assert purposes(state) == sorted([*anchor, "HTLC_SUCCESS", "HTLC_TIMEOUT", "TO_LOCAL"])
    assert all(matter.height == FIRST for matter in state.matters.values())


@pytest.mark.parametrize("format", [ANCHORS, STATIC])
@pytest.mark.parametrize("which", ["bob", "bob_next"])
def test_of_the_peers_commitments_our_balance_and_the_htlcs_are_ours(which: str, format: str) -> None:
    papers = Papers(Plan(format, BOTH, bob_has_next=True))
    state = closed(papers, which)
    assert purposes(state) == ["CLAIM", "TAKE_BACK", "TO_REMOTE"]
    csv = 1 if format == ANCHORS else 0
    assert the(state, Purpose.CLAIM).csv == csv
    for planned in BOTH:
        matter = output_of(papers, state, planned)
        assert matter.per_commitment_point == view_of(papers, which).per_commitment_point
        assert matter.height == FIRST and matter.outpoint.txid == tx_of(papers, which).txid


@pytest.mark.parametrize("format", [ANCHORS, STATIC])
def test_of_a_revoked_commitment_everything_is_ours_by_name(format: str) -> None:
    papers = Papers(Plan(format, HTLCS))
    state = closed(papers, "bob_last")
    held = [planned for planned in HTLCS if "bob_last" in planned.within and planned.amount_msat > 354_000]
    anchors = ["WATCH"] * 2 if format == ANCHORS else []
    assert purposes(state) == sorted([*anchors, "PUNISH_TO_LOCAL", "TO_REMOTE", *["PUNISH_HTLC"] * len(held)])
    for planned in held:
        matter = output_of(papers, state, planned)
        output = matter.output
        assert output is not None and output.key is not None and output.cltv_expiry == papers.expiry(planned)
        # Seen from its owner: what we offered is what the cheater received.
        assert (output.role is Role.RECEIVED_HTLC) is (output.key.direction is OFFERED)
        assert matter.amount_sat == planned.amount_msat // 1000
        assert matter.spend is not None and matter.spend.signer is Signer.REVOCATION


def test_an_htlc_that_lives_on_in_our_commitment_alone_takes_no_twins_place_in_a_cheat() -> None:
    """It is kept as one that the peer's commitments have lost, and stands in ours: it counts once."""
    living = Planned(0, "alice", 45_000_000, expires_in=60, within=("alice", "bob_last"))
    twin = Planned(1, "alice", 45_000_000, expires_in=60, within=("bob_last",), same_hash_as=0)
    papers = Papers(Plan(htlcs=(living, twin)))
    state = closed(papers, "bob_last")
    keys = [matter.key for matter in state.matters.values() if matter.purpose is Purpose.PUNISH_HTLC]
    assert len(ending(papers, "bob_last").revoked) == 2 and len(keys) == 2
    assert {key.id for key in keys if key is not None} == {0, 1}


def test_a_commitment_of_ours_without_all_signatures_is_an_alarm_and_no_close() -> None:
    papers = Papers(Plan(htlcs=BOTH))
    end = ending(papers, "alice")
    signatures = end.close.funding.peer_htlc_signatures
    assert len(signatures) == 2
    short = end.but(close=end.close.but(funding=end.close.funding.but(peer_htlc_signatures=signatures[:1])))
    with pytest.raises(HtlcSignaturesMissing):
        assert short.matters


def test_of_what_we_cannot_read_our_balance_is_ours_and_hidden_scripts_are_watched() -> None:
    papers = Papers(Plan(htlcs=BOTH, outdated=True))
    end = ending(papers, "bob").but(kind=Kind.BEYOND)
    matters = {matter.outpoint.vout: matter for matter in end.matters}
    for vout, output in enumerate(tx_of(papers, "bob").outputs):
        ours = build(view_of(papers, "bob")).output(Role.TO_REMOTE)
        assert ours is not None
        assert matters[vout].purpose is (Purpose.TO_REMOTE if vout == ours.vout else Purpose.WATCH)
        assert matters[vout].amount_sat == output.amount_sat and matters[vout].height == FIRST
    plain = end.but(tx=Tx(2, (TxIn(papers.funding),), (TxOut(Sat(5000), p2wpkh(bytes(20))),)).serialize())
    assert plain.matters == ()


def test_every_htlc_of_a_living_commitment_is_known_once() -> None:
    only_next = Planned(2, "alice", 45_000_000, within=("bob_next",))
    papers = Papers(Plan(htlcs=(*BOTH, only_next), bob_has_next=True))
    keys = [htlc.key for htlc in htlcs_of(papers.at_close("alice"))]
    assert len(keys) == 3 and {key.id for key in keys} == {0, 1, 2}
    assert len(htlcs_of(papers.at_close("alice").but(remote_next=None))) == 2


# -- ripe -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sequence", "locktime", "ripe"),
    [
        (0, 0, 499),
        (1, 0, 500),
        (144, 0, 643),
        (144, 643, 643),
        (144, 644, 644),
        (0xFFFF, 0, 500 + 0xFFFF - 1),
        (SEQUENCE_RBF, 0, 499),
        (SEQUENCE_RBF, 700, 700),
    ],
)
def test_an_output_is_ripe_when_the_next_block_fulfils_its_delay_and_its_locktime(
    sequence: int, locktime: int, ripe: int
) -> None:
    spend = Spend(Sat(1), b"", b"", Signer.HTLC, (), sequence, BlockHeight(locktime))
    matter = Matter(Purpose.TAKE_BACK, elsewhere(), Sat(1), b"", BlockHeight(500), spend=spend)
    assert matter.ripe_at == ripe


def test_what_is_claimed_with_a_preimage_is_ripe_after_its_delay() -> None:
    for csv, ripe in ((0, 499), (1, 500)):
        claim = Matter(Purpose.CLAIM, elsewhere(), Sat(1), b"", BlockHeight(500), Point(b""), csv=csv)
        assert claim.ripe_at == ripe


def test_our_htlc_transaction_waits_for_what_stands_in_it() -> None:
    papers = Papers(Plan(htlcs=BOTH))
    timeout, success = [output_of(papers, closed(papers, "alice"), planned) for planned in BOTH]
    assert timeout.ripe_at == papers.expiry(OFFER) and success.ripe_at == FIRST


# -- second stages ----------------------------------------------------------------------------------------------------


def htlc_of(which: str) -> tuple[Matter, bytes]:
    """An HTLC of ours, or of a cheater, and the script of its second stage."""
    planned = Planned(0, "alice", expires_in=60, within=("alice", "bob", "bob_last"))
    papers = Papers(Plan(htlcs=(planned,)))
    matter = output_of(papers, closed(papers, which), planned)
    if which == "alice":
        assert matter.htlc_tx is not None
        return matter, p2wsh(matter.htlc_tx.second_stage_script)
    assert matter.punished is not None
    return matter, p2wsh(matter.punished.delayed_script)


def taking(matter: Matter, place: int, *scripts: bytes) -> Tx:
    """A transaction that takes an output in this place; its outputs have 1000 sat, 1001 sat and so on."""
    inputs = [TxIn(elsewhere(vout)) for vout in range(3)]
    inputs[place] = TxIn(matter.outpoint)
    return Tx(2, tuple(inputs), tuple([TxOut(Sat(1000 + vout), script) for vout, script in enumerate(scripts)]))


@pytest.mark.parametrize("which", ["alice", "bob_last"])
def test_the_second_stage_of_an_htlc_stands_where_its_input_does_and_nowhere_else(which: str) -> None:
    matter, script = htlc_of(which)
    other = p2wsh(b"\x51")
    assert second_stage_in(matter, taking(matter, 0, script)) == (0, 1000)
    assert second_stage_in(matter, taking(matter, 1, script, script, other)) == (1, 1001)
    assert second_stage_in(matter, taking(matter, 1, script, other)) is None, "taken in another way, or by a preimage"
    assert second_stage_in(matter, taking(matter, 2, script, script)) is None, "it has no output of its own"
    assert second_stage_in(matter, Tx(2, (TxIn(elsewhere()),), (TxOut(Sat(1), script),))) is None


def test_what_is_no_htlc_has_no_second_stage() -> None:
    papers = Papers(Plan(htlcs=BOTH))
    for which in ("alice", "bob", "bob_last"):
        state = closed(papers, which)
        for matter in state.matters.values():
            if matter.purpose in (Purpose.HTLC_TIMEOUT, Purpose.HTLC_SUCCESS, Purpose.PUNISH_HTLC):
                continue
            assert matter.second_stage_script is None
            assert second_stage_in(matter, taking(matter, 0, matter.script_pubkey)) is None
