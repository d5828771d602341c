"""The child that lifts an unconfirmed commitment: what it weighs, what it may cost, and when it is asked for."""

from __future__ import annotations

import pytest
from tests.builders.endings import (
    FIRST,
    STATIC,
    closed,
    elsewhere,
    published,
    seen,
    the,
    told,
    tx_of,
    view_of,
)
from tests.builders.onchain import Plan, Planned
from tests.builders.papers import Papers

from fulmen.core.base.funds import AttachFee, FeeAttached, Output
from fulmen.core.base.ids import OutPoint, Signature
from fulmen.core.base.outer import SignRequest, WantPublished, WantSpendWatch
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Sat
from fulmen.core.bitcoin.script import p2tr
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut
from fulmen.core.commitments.building import build
from fulmen.core.commitments.commitment import LOCAL
from fulmen.core.crypto.secp256k1 import sign_ecdsa
from fulmen.core.onchain.lifting import CHILD, Liftable, child_in, lift, liftables, unconfirmed_roots
from fulmen.core.onchain.machine import MOUNT
from fulmen.core.onchain.matters import Purpose
from fulmen.core.onchain.raising import raise_all
from fulmen.core.onchain.state import Claim, Onchain
from fulmen.core.signer.requests import SignSpend
from fulmen.core.transactions.commitment import CommitmentOutput, Role
from fulmen.core.transactions.formats import ZERO_FEE_COMMITMENTS
from fulmen.core.transactions.funding import funding_witness
from fulmen.core.transactions.spending import MAX_SIGNATURE_LENGTH, spend_anchor, sweep_tx, witness_signature

SIGNATURE: Signature = sign_ecdsa(b"\x01" * 32, b"\x02" * 32)
START = FIRST - 1
SHORT = MAX_SIGNATURE_LENGTH - len(witness_signature(SIGNATURE))
"""What this signature is shorter than the longest."""


def papers_with(
    *htlcs: Planned, feerate: int = 253, patient: int = 1000, known: bool = False, **plan: object
) -> Papers:
    names = tuple(("alice", planned.id) for planned in htlcs if planned.by == "bob" and known)
    papers = Papers(Plan(htlcs=htlcs, feerate=feerate, known=names, **plan))
    rates = {"closing_per_kw": FeeratePerKw(patient), "urgent_per_kw": FeeratePerKw(patient)}
    papers.feerates = papers.feerates.but(**rates)
    return papers


def asked(papers: Papers, state: Onchain, height: int = START) -> AttachFee | None:
    found = told(lift(state, papers.env_at("alice", height)), AttachFee)
    assert len(found) < 2
    return found[0] if found else None


def anchor_of(papers: Papers, which: str = "alice") -> CommitmentOutput:
    role = Role.LOCAL_ANCHOR if which == "alice" else Role.REMOTE_ANCHOR
    anchor = build(view_of(papers, which)).output(role)
    assert anchor is not None
    return anchor


def weights(papers: Papers) -> tuple[int, int]:
    """What our commitment weighs and what a child with one coin of the wallet and its change does, both signed."""
    view = view_of(papers, "alice")
    local, remote = view.params.local.basepoints.funding_pubkey, view.params.remote.basepoints.funding_pubkey
    parent = build(view).tx.with_witness(0, *funding_witness(local, SIGNATURE, remote, SIGNATURE))
    spend = spend_anchor(anchor_of(papers))
    bare = sweep_tx(((OutPoint(parent.txid, 0), spend),), (TxOut(Sat(0), p2tr(bytes(32))),))
    child = bare.with_witness(0, *spend.witness(SIGNATURE))
    # 41 bytes of another input and a witness with one signature; the change is counted in the transaction.
    return parent.weight + 2 * SHORT, child.weight + SHORT + 4 * 41 + 108


def shares(papers: Papers) -> tuple[int, int, int]:
    """Our balance in our commitment, its HTLCs, and the fee it pays."""
    commitment = build(view_of(papers, "alice"))
    balance = commitment.output(Role.TO_LOCAL)
    assert balance is not None
    return balance.amount_sat, sum(output.amount_sat for output in commitment.htlcs), commitment.fee_sat


def test_a_child_is_asked_for_with_all_that_the_wallet_has_to_know() -> None:
    papers = papers_with()
    request = asked(papers, published(papers))
    assert request is not None
    anchor, (parent, _), (_, _, fee) = anchor_of(papers), weights(papers), shares(papers)
    [spent] = request.inputs
    assert spent.outpoint == OutPoint(tx_of(papers, "alice").txid, anchor.vout)
    assert spent.spends == Output(Sat(330), anchor.script_pubkey)
    assert (request.name, request.outputs, request.locktime, request.version) == (CHILD, (), 0, 2)
    assert request.parent is not None and (request.parent.weight, request.parent.fee_sat) == (parent, fee)
    assert request.reply_to == papers.address and request.feerate_per_kw == 1000
    assert request.least_per_kw == fee * 1000 // parent + 1


def test_parent_and_child_together_pay_at_most_half_of_what_we_have_in_it_beside_its_own_fee() -> None:
    offer, unknown = Planned(0, "alice", expires_in=100), Planned(1, "bob", 30_000_000, expires_in=100)
    papers = papers_with(offer, unknown, patient=249_000)
    papers.policy = papers.policy.but(feerates=papers.policy.feerates.but(cap_per_kw=FeeratePerKw(1_000_000)))
    request = asked(papers, published(papers))
    assert request is not None
    balance, _, fee = shares(papers)
    budget = (balance + 50_000) // 2 + fee
    assert request.feerate_per_kw == budget * 1000 // sum(weights(papers))


@pytest.mark.parametrize(
    ("claimable", "at_stake", "expires_in"), [(True, 80_000, 8), (False, 50_000, 20)], ids=["known", "unknown"]
)
def test_what_a_deadline_sets_free_is_half_of_the_htlcs_that_may_be_ours(
    claimable: bool, at_stake: int, expires_in: int
) -> None:
    """A received HTLC that we cannot claim is neither at stake nor a deadline."""
    offer, received = Planned(0, "alice", expires_in=20), Planned(1, "bob", 30_000_000, expires_in=8)
    papers = papers_with(offer, received, patient=253)
    deadlines = papers.policy.deadlines
    papers.policy = papers.policy.but(deadlines=deadlines.but(cltv_expiry_delta=deadlines.fulfilled_deadline))
    state = published(papers, START, *([received] if claimable else []))
    # An offer should be back one block after its expiry at the latest; half of the time is the commitment's.
    first = expires_in if claimable else expires_in + 1
    last_tip = START + first // 2 - 1
    _, _, fee = shares(papers)
    whole = (at_stake // 2 + fee) * 1000 // sum(weights(papers))
    rates = [asked(papers, state, height) for height in (last_tip - 1, last_tip, last_tip + 1)]
    assert rates[0] is None or rates[0].feerate_per_kw < whole
    assert [rate.feerate_per_kw for rate in rates[1:] if rate is not None] == [whole, whole]


def test_a_commitment_whose_deadline_is_here_gets_all_that_it_may_cost_at_once() -> None:
    received = Planned(0, "bob", expires_in=1)
    papers = papers_with(received, patient=253)
    request = asked(papers, published(papers, START, received))
    _, htlcs, fee = shares(papers)
    assert htlcs == 50_000 and request is not None
    assert request.feerate_per_kw == (25_000 + fee) * 1000 // sum(weights(papers))


def test_a_child_is_asked_for_as_soon_as_the_market_is_above_what_the_commitment_pays() -> None:
    papers = papers_with(feerate=1000)
    (parent, _), (_, _, fee) = weights(papers), shares(papers)
    own = fee * 1000 // parent
    for rate, due in ((own, False), (own + 1, True)):
        papers.feerates = papers.feerates.but(closing_per_kw=FeeratePerKw(rate))
        assert (asked(papers, published(papers)) is not None) is due


def test_a_child_that_waits_is_replaced_only_for_what_its_relay_costs() -> None:
    papers = papers_with()
    state = published(papers)
    state = state.but(claims=(child_of(papers, state).but(feerate_per_kw=FeeratePerKw(1000)),))
    for market, due in ((1000, False), (1252, False), (1253, True), (1400, True)):
        papers.feerates = papers.feerates.but(closing_per_kw=FeeratePerKw(market))
        request = asked(papers, state)
        assert (request is not None) is due
        assert request is None or request.least_per_kw == 1253


def anchor_at(papers: Papers, which: str = "alice") -> OutPoint:
    return OutPoint(tx_of(papers, which).txid, anchor_of(papers, which).vout)


def attached(outpoint: OutPoint, ref: bytes = b"ref") -> FeeAttached:
    """What the wallet answers."""
    tx = Tx(2, (TxIn(outpoint), TxIn(elsewhere())), (TxOut(Sat(1000), p2tr(bytes(32))),))
    return FeeAttached(ref, tx.serialize(), SignRequest(), Sat(444), FeeratePerKw(1111))


def child_of(papers: Papers, state: Onchain, which: str = "alice") -> Claim:
    outpoint = anchor_at(papers, which)
    claim = child_in(state, attached(outpoint), outpoint)
    assert claim is not None
    return claim


# -- which commitments ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["bob", "bob_next"])
def test_the_peers_commitment_is_lifted_when_a_quarter_of_the_time_for_it_is_gone(which: str) -> None:
    offer = Planned(0, "alice", expires_in=32, within=("alice", which))
    papers = papers_with(offer, feerate=253, patient=3000, bob_has_next=which == "bob_next")
    deadlines = papers.policy.deadlines
    papers.policy = papers.policy.but(deadlines=deadlines.but(cltv_expiry_delta=deadlines.fulfilled_deadline))
    state = seen(papers, which)
    # 33 blocks until the offer should be back, 16 of them for the commitment.
    assert [asked(papers, state, START + n) is not None for n in (0, 3, 4, 5)] == [False, False, True, True]
    request = asked(papers, state, START + 4)
    assert request is not None and request.inputs[0].outpoint == anchor_at(papers, which)


@pytest.mark.parametrize(("known", "lifted"), [(True, True), (False, False)])
def test_the_peers_commitment_without_a_deadline_of_ours_is_never_lifted(known: bool, lifted: bool) -> None:
    papers = papers_with(Planned(0, "bob", expires_in=12), patient=3000, known=known)
    assert (asked(papers, seen(papers, "bob"), START + 11) is not None) is lifted


def test_a_preimage_that_the_channel_told_of_makes_an_htlc_of_the_peers_commitment_ours_too() -> None:
    received = Planned(0, "bob", expires_in=12)
    papers = papers_with(received, patient=3000)
    state = seen(papers, "bob").but(publishing=published(papers, START, received).publishing)
    both = [liftable.claimable for liftable in liftables(state)]
    assert both == [(received.key("alice", papers.channel_id),)] * 2
    assert len(told(lift(state, papers.env_at("alice", START + 11)), AttachFee)) == 2


def test_what_may_be_lifted_is_the_peers_since_it_was_seen_and_ours_since_it_is_published() -> None:
    papers = papers_with()
    state = seen(papers, "bob", FIRST + 4).but(publishing=published(papers, START - 7).publishing)
    assert [(one.view.side is LOCAL, one.since) for one in liftables(state)] == [(False, START + 4), (True, START - 7)]


@pytest.mark.parametrize("which", ["alice", "bob_last"])
def test_what_the_mempool_has_of_us_or_of_a_cheater_is_not_lifted_for_the_peer(which: str) -> None:
    papers = papers_with(Planned(0, "alice", expires_in=5, within=("alice", "bob", "bob_last")), patient=3000)
    assert not list(liftables(seen(papers, which)))


def test_nothing_is_lifted_once_a_block_has_a_commitment_nor_what_has_no_anchor() -> None:
    papers = papers_with(patient=3000)
    state = published(papers)
    assert asked(papers, state) is not None
    assert asked(papers, state.but(ending=closed(papers, "bob").ending)) is None
    old = papers_with(patient=3000, format=STATIC)
    state = published(old)
    assert asked(old, state) is None
    assert child_in(state, attached(elsewhere()), elsewhere()) is None


# -- what the wallet gives back ---------------------------------------------------------------------------------------


def test_the_wallets_answer_belongs_to_the_commitment_whose_anchor_it_takes() -> None:
    offer = Planned(0, "alice", expires_in=30)
    papers = papers_with(offer)
    state = seen(papers, "bob").but(publishing=published(papers).publishing)
    for which in ("alice", "bob"):
        outpoint = anchor_at(papers, which)
        claim = child_of(papers, state, which)
        assert claim.root == tx_of(papers, which).txid and claim.outpoints == (outpoint,)
        assert (claim.name, claim.fee_sat, claim.feerate_per_kw, claim.wallet_ref) == (CHILD, 444, 1111, b"ref")
        ours, wallets = claim.sign
        assert isinstance(ours, SignSpend) and ours.spend == spend_anchor(anchor_of(papers, which))
        assert ours.index == 0 and wallets == SignRequest()
    assert child_in(state, attached(elsewhere()), elsewhere()) is None
    gone = published(papers)
    assert child_in(gone, attached(anchor_at(papers, "bob")), anchor_at(papers, "bob")) is None


def test_what_children_may_follow_is_ours_without_signatures_and_the_peers_as_it_came() -> None:
    papers = papers_with()
    ours, theirs = tx_of(papers, "alice"), tx_of(papers, "bob")
    assert unconfirmed_roots(published(papers)) == {ours.txid: b""}
    assert unconfirmed_roots(seen(papers, "bob")) == {theirs.txid: theirs.serialize()}
    assert unconfirmed_roots(seen(papers, "alice")) == {}, "ours is signed by who publishes it"


def test_a_child_is_published_with_its_parent_and_watched_until_a_block_has_either() -> None:
    papers = papers_with()
    theirs = tx_of(papers, "bob").serialize()
    for state, which, parents in ((published(papers), "alice", ()), (seen(papers, "bob"), "bob", (theirs,))):
        claim = child_of(papers, state, which)
        wants = MOUNT.wants(state.but(claims=(claim,)))
        assert [want for want in wants if isinstance(want, WantPublished)] == [
            WantPublished(CHILD, claim.tx, claim.sign, parents)
        ]


def test_a_child_of_our_commitment_in_a_block_goes_on_until_its_anchor_is_spent() -> None:
    papers = papers_with()
    state = closed(papers, "alice")
    anchor = the(state, Purpose.ANCHOR)
    assert anchor.outpoint == anchor_at(papers) and anchor.spend == spend_anchor(anchor_of(papers))
    assert anchor.outpoint not in [want.outpoint for want in MOUNT.wants(state) if isinstance(want, WantSpendWatch)]
    claim = child_of(papers, published(papers))
    wants = MOUNT.wants(state.but(claims=(claim,)))
    assert anchor.outpoint in [want.outpoint for want in wants if isinstance(want, WantSpendWatch)]
    assert claim.tx in [want.tx for want in wants if isinstance(want, WantPublished)]
    # It is not for us to replace it now: whatever it pays, the commitment is there.
    step = raise_all(state.but(claims=(claim,)), papers.env_at("alice", FIRST + 300))
    assert not step.facts and not step.actions


def test_a_commitment_as_it_is_lifted_says_which_anchor_is_ours() -> None:
    papers = papers_with()
    for which in ("alice", "bob"):
        assert Liftable(view_of(papers, which), BlockHeight(START), ()).anchor == anchor_of(papers, which)
    free = papers_with(feerate=0, format=ZERO_FEE_COMMITMENTS.name)
    for which in ("alice", "bob"):
        shared = Liftable(view_of(free, which), BlockHeight(START), ()).anchor
        assert shared is not None and shared.role is Role.SHARED_ANCHOR
