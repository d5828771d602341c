"""What each fact of a close leaves standing (B5-1, B5-9)."""

from __future__ import annotations

import pytest
from tests.builders.endings import FIRST, closed, ending, key_of, published, seen, tx_of, unspent
from tests.builders.onchain import Plan, Planned
from tests.builders.papers import Papers

from fulmen.core.base.ids import BlockHash, ChannelId, OutPoint, Txid
from fulmen.core.base.machine import evolve
from fulmen.core.base.outer import Block
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Sat
from fulmen.core.commitments.close import KnownPreimage
from fulmen.core.crypto.hashes import sha256d
from fulmen.core.onchain.facts import (
    AllResolved,
    BlocksUndone,
    ClaimDecided,
    CloseComing,
    CloseSeen,
    CloseUndone,
    CloseVanished,
    DestinationSet,
    OfferedHtlcDead,
    OfferedPreimageSeen,
    OursPublished,
    OursWithdrawn,
    OutputContested,
    OutputGivenUp,
    OutputTaken,
    OutputWanted,
    ReceivedPreimageKnown,
)
from fulmen.core.onchain.matters import Purpose
from fulmen.core.onchain.state import Bid, Claim, GivenUp, Onchain, SecondStage, Taken

ROOT = Txid(b"r" * 32)
BLOCK = Block(BlockHeight(600), BlockHash(bytes(32)))


def outpoint(vout: int) -> OutPoint:
    return OutPoint(ROOT, vout)


def a_claim(*vouts: int, feerate: int = 500) -> Claim:
    tx = b"claim" + bytes(vouts) + feerate.to_bytes(4, "big")
    return Claim(ROOT, tuple(outpoint(vout) for vout in vouts), "claim", tx, (), Sat(100), FeeratePerKw(feerate))


def with_claims(*claims: Claim) -> Onchain:
    return Onchain(ChannelId(bytes(32)), claims=claims)


def taken(vout: int, by: bytes, height: int = 600) -> OutputTaken:
    return OutputTaken(Taken(outpoint(vout), Txid(by), BLOCK.but(height=BlockHeight(height))))


def test_a_claim_that_lost_one_of_its_outputs_is_gone_and_others_stay() -> None:
    """Else it would be published for ever, and its coins stay with it."""
    lost, won, other = a_claim(0, 1), a_claim(2), a_claim(3)
    state = evolve(with_claims(lost, won, other), taken(1, b"t" * 32))
    assert state.claims == (won, other) and won.txid == sha256d(won.tx)
    assert evolve(state, taken(2, won.txid)).claims == (won, other), "a reorg may need it again"


def test_what_took_an_output_last_is_what_counts() -> None:
    state = evolve(evolve(with_claims(), taken(0, b"a" * 32)), taken(0, b"b" * 32, 601))
    assert [one.txid for one in state.taken] == [b"b" * 32]


def test_a_reorg_undoes_what_was_taken_above_it() -> None:
    state = evolve(evolve(with_claims(), taken(0, b"a" * 32, 600)), taken(1, b"b" * 32, 601))
    assert [one.outpoint for one in evolve(state, BlocksUndone(BlockHeight(600))).taken] == [outpoint(0)]


def test_a_new_claim_takes_the_place_of_all_that_take_the_same() -> None:
    state = with_claims(a_claim(0), a_claim(1), a_claim(2))
    both = a_claim(0, 1, feerate=700)
    state = evolve(state, ClaimDecided(both, BlockHeight(601)))
    assert state.claims == (a_claim(2), both)


def test_a_bid_remembers_its_beginning_and_never_falls() -> None:
    state = evolve(with_claims(), ClaimDecided(a_claim(0, feerate=700), BlockHeight(601)))
    state = evolve(state, ClaimDecided(a_claim(0, feerate=600), BlockHeight(605)))
    (bid,) = state.bids
    assert (bid.since, bid.feerate_per_kw) == (601, 700)


def test_what_somebody_else_spends_is_taken_alone_from_then_on() -> None:
    alone, together, apart = a_claim(0), a_claim(0, 1), a_claim(1)
    state = evolve(with_claims(alone, together, apart), OutputContested(outpoint(0)))
    assert state.claims == (alone, apart) and state.is_contested == {outpoint(0)}


# -- the close itself -------------------------------------------------------------------------------------------------

OFFER, RECEIVED = Planned(0, "alice", expires_in=60), Planned(1, "bob", 40_000_000, expires_in=60)


def seen_in(papers: Papers, which: str, height: int = FIRST, *preimages: KnownPreimage) -> CloseSeen:
    end = ending(papers, which, height)
    return CloseSeen(end.close.but(preimages=preimages), end.tx, end.block, end.kind, end.revoked)


def test_a_close_brings_the_preimages_of_what_we_received_and_those_of_what_we_offered_are_told_already() -> None:
    papers = Papers(Plan(htlcs=(OFFER, RECEIVED)))
    offered = KnownPreimage(key_of(papers, OFFER), OFFER.preimage)
    received = KnownPreimage(key_of(papers, RECEIVED), RECEIVED.preimage)
    state = evolve(unspent(papers), seen_in(papers, "bob", FIRST, offered, received))
    assert state.preimages == (received,) and state.fulfilled == (offered.key,)
    again = evolve(state, seen_in(papers, "bob", FIRST + 1, offered, received))
    assert again.preimages == (received,) and again.fulfilled == (offered.key,)
    assert evolve(again, seen_in(papers, "bob")).preimages == (received,), "what was learned stays"


def test_a_close_keeps_what_hangs_on_it_and_forgets_what_hung_on_another() -> None:
    papers = Papers(Plan())
    root, other = tx_of(papers, "bob").txid, tx_of(papers, "alice").txid
    here, there = OutPoint(root, 0), OutPoint(other, 0)
    kept, lost = a_claim(0).but(root=root), a_claim(1).but(root=other)
    state = seen(papers, "bob").but(
        claims=(kept, lost),
        bids=(Bid(here, BLOCK.height, FeeratePerKw(1)), Bid(there, BLOCK.height, FeeratePerKw(1))),
        contested=(here, there),
        given_up=(GivenUp(here, "dear"),),
        taken=(Taken(here, root, BLOCK),),
    )
    after = evolve(state, seen_in(papers, "bob"))
    assert after.coming is None and after.ending is not None and after.ending.txid == root
    assert (after.claims, [bid.outpoint for bid in after.bids], after.contested) == ((kept,), [here], (here,))
    assert after.given_up == () and after.taken == ()


def test_a_close_undone_is_expected_again_and_its_transactions_stay() -> None:
    papers = Papers(Plan())
    state = closed(papers, "bob").but(claims=(a_claim(0),), given_up=(GivenUp(outpoint(0), "dear"),))
    after = evolve(evolve(state, taken(0, b"a" * 32)), CloseUndone())
    assert after.ending is None and after.coming == state.ending == after.spend
    assert after.taken == () and after.given_up == () and state.ending == state.spend


def test_what_hung_on_a_commitment_goes_with_it() -> None:
    papers = Papers(Plan())
    state = evolve(unspent(papers), CloseComing(ending(papers, "bob")))
    assert state.coming == ending(papers, "bob")
    ours, theirs = a_claim(0), a_claim(1).but(root=tx_of(papers, "bob").txid)
    state = state.but(claims=(ours, theirs), publishing=published(papers).publishing)
    vanished = evolve(state, CloseVanished())
    assert vanished.coming is None and vanished.claims == (ours,)
    assert evolve(vanished, CloseVanished()).claims == (ours,)
    withdrawn = evolve(state, OursWithdrawn())
    assert withdrawn.coming is None and withdrawn.publishing is None and withdrawn.claims == ()


def test_each_piece_of_news_is_added_to_what_was_known() -> None:
    papers = Papers(Plan(htlcs=(OFFER, RECEIVED)))
    offered, received = key_of(papers, OFFER), key_of(papers, RECEIVED)
    publishing = published(papers).publishing
    assert publishing is not None
    state = unspent(papers).but(
        fulfilled=(received,), failed=(received,), preimages=(KnownPreimage(offered, OFFER.preimage),)
    )
    for fact in (
        OursPublished(publishing),
        DestinationSet(b"script"),
        OutputGivenUp(outpoint(1), "dear"),
        OutputGivenUp(outpoint(2), "dearer"),
        OutputGivenUp(outpoint(3), "dearest"),
        OutputWanted(outpoint(3)),
        ReceivedPreimageKnown(received, RECEIVED.preimage),
        OfferedPreimageSeen(offered, OFFER.preimage),
        OfferedHtlcDead(offered),
        AllResolved(),
    ):
        state = evolve(state, fact)
    assert state.publishing == publishing and state.destination == b"script" and state.resolved
    assert state.is_given_up == {outpoint(1), outpoint(2)} and state.given_up[1].why == "dearer"
    assert state.fulfilled == (received, offered) and state.failed == (received, offered)
    assert state.preimage_of == {offered: OFFER.preimage, received: RECEIVED.preimage}


# -- what follows from them -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("which", "stage"), [("alice", Purpose.SECOND_STAGE), ("bob_last", Purpose.PUNISH_SECOND_STAGE)]
)
def test_a_second_stage_matters_as_soon_as_a_block_has_it(which: str, stage: Purpose) -> None:
    offer = Planned(0, "alice", expires_in=60, within=("alice", "bob", "bob_last"))
    papers = Papers(Plan(htlcs=(offer,)))
    state = closed(papers, which)
    before = len(state.matters)
    [htlc] = [m for m in state.matters.values() if m.output is not None and m.output.key is not None]
    found = Taken(htlc.outpoint, Txid(b"s" * 32), BLOCK.but(height=BlockHeight(FIRST + 3)), SecondStage(2, Sat(49_000)))
    state = evolve(state, OutputTaken(found))
    matter = state.matters[OutPoint(Txid(b"s" * 32), 2)]
    assert (matter.purpose, matter.amount_sat, matter.height) == (stage, 49_000, FIRST + 3)
    assert len(state.matters) == before + 1
    assert len(evolve(state, OutputTaken(found.but(second_stage=None))).matters) == before
    elsewhere = found.but(outpoint=outpoint(9))
    assert len(evolve(state, OutputTaken(elsewhere)).matters) == before + 1, "of what we do not know nothing follows"


def test_the_preimage_for_an_output_is_that_of_its_own_htlc() -> None:
    papers = Papers(Plan(htlcs=(OFFER, RECEIVED)))
    state = closed(papers, "bob").but(preimages=(KnownPreimage(key_of(papers, RECEIVED), RECEIVED.preimage),))
    for matter in state.matters.values():
        expected = RECEIVED.preimage if matter.purpose is Purpose.CLAIM else None
        assert state.preimage_for(matter) == expected
    bare = closed(papers, "alice")
    assert [bare.preimage_for(matter) for matter in bare.matters.values()] == [None] * len(bare.matters)


def test_the_lists_of_a_state_are_found_by_output() -> None:
    one, both = a_claim(0), a_claim(1, 2)
    state = with_claims(one, both)
    assert state.claim_on == {outpoint(0): one, outpoint(1): both, outpoint(2): both}
    state = evolve(state, taken(1, b"t" * 32))
    assert state.taken_by == {outpoint(1): state.taken[0]}
    assert with_claims().matters == {} and with_claims().spend is None
