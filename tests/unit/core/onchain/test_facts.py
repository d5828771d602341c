"""What each fact of a close leaves standing (B5-1, B5-9)."""

from __future__ import annotations

from fulmen.core.base.ids import BlockHash, ChannelId, OutPoint, Txid
from fulmen.core.base.machine import evolve
from fulmen.core.base.outer import Block
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Sat
from fulmen.core.onchain.facts import BlocksUndone, ClaimDecided, OutputContested, OutputTaken
from fulmen.core.onchain.state import Claim, Onchain, Taken

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
    assert state.claims == (won, other)
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
