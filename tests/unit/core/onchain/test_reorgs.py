"""Blocks that leave the chain take their facts with them: what was resolved is resolved again.

BOLT 5: "MUST be prepared to resolve outputs multiple times, in case of blockchain reorganizations."
"""

from __future__ import annotations

import pytest
from tests.builders.cheats import (
    DEAD_OFFER,
    DEAD_RECEIVED,
    LIVING_OFFER,
    LIVING_RECEIVED,
    LONG_DELAY,
    a_court,
    cheat,
    htlc_txs,
    mine_exactly,
    worth,
)
from tests.builders.closes import both_formats, check_money, closed, either
from tests.builders.court import Court
from tests.builders.onchain import NAMES, Plan, Planned

from fulmen.core.base.ids import OutPoint
from fulmen.core.bitcoin.transaction import Tx, parse_tx
from fulmen.core.onchain.classify import Kind
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC


@both_formats
@either
def test_the_same_close_in_another_block_is_resolved_by_the_same_transactions(closer: str, format: str) -> None:
    offer = Planned(0, "bob")
    court = closed(closer, Plan(format, (offer,), known=(("alice", 0),)))
    court.publish()
    before = {name: [claim.tx for claim in court.hosts[name].onchain.claims] for name in NAMES}
    court.rewind(1)
    assert all(host.onchain.ending is None for host in court.hosts.values())
    court.mine()
    assert all(host.onchain.ending is not None for host in court.hosts.values())
    court.publish()
    after = {name: [claim.tx for claim in court.hosts[name].onchain.claims] for name in NAMES}
    assert all(tx in after[name] for name in NAMES for tx in before[name])
    court.mine_until_resolved()
    assert court.bob.fate_of(offer) == ["fulfilled"]
    check_money(court, closer, {0: "alice"})


@pytest.mark.parametrize("format", [ANCHORS_ZERO_FEE_HTLC.name])
@pytest.mark.parametrize("first", NAMES)
def test_a_rival_close_takes_the_place_of_the_first(first: str, format: str) -> None:
    offer = Planned(0, "alice")
    court = closed(first, Plan(format, (offer,)))
    court.mine()
    court.rewind(2)
    court.empty_mempool()
    second = court.other(first)
    mine_exactly(court, parse_tx(court.hosts[second].commitment()))
    kinds = {name: court.hosts[name].onchain.ending for name in NAMES}
    ending, other = kinds[second], kinds[first]
    assert ending is not None and ending.kind is Kind.LOCAL
    assert other is not None and other.kind is Kind.REMOTE
    court.mine_until_resolved()
    assert court.alice.fate_of(offer) == ["failed"]
    check_money(court, second, {0: "alice"})


@both_formats
@either
def test_a_claim_in_a_block_that_is_undone_is_published_again(closer: str, format: str) -> None:
    offer = Planned(0, "alice", expires_in=5)
    court = closed(closer, Plan(format, (offer,)))
    court.mine(5)
    assert any(court.regtest.txs.get(txid) for txid, name in court.alice.published.items() if "HTLC" in name)
    assert court.alice.onchain.taken
    court.rewind(2)
    court.empty_mempool()
    assert not [t for t in court.alice.onchain.taken if t.block.height > court.tip.height]
    assert court.alice.fate_of(offer) == []
    court.mine_until_resolved()
    assert court.alice.fate_of(offer) == ["failed"]
    check_money(court, closer, {0: "alice"})


@both_formats
@either
def test_a_preimage_stays_known_when_its_block_is_undone(closer: str, format: str) -> None:
    offer = Planned(0, "alice", expires_in=8)
    court = closed(closer, Plan(format, (offer,), known=(("bob", 0),)))
    court.mine(2)
    assert court.alice.fate_of(offer) == ["fulfilled"]
    court.rewind(2)
    court.empty_mempool()
    court.bob.crash()
    # The peer's claim is gone for good and it sleeps past the expiry: we take the HTLC back, and it stays paid.
    for _ in range(12):
        court.alice.publish()
        court.regtest.mine(1)
        block = court.block(court.tip.height)
        assert court.alice.matcher is not None
        court.alice.inbox += court.alice.matcher.connect(block)
        while court.alice.pump():
            pass
    assert court.alice.fate_of(offer) == ["fulfilled"]
    assert any("HTLC" in name for name in court.alice.names)


def test_a_close_undone_gives_the_wallet_its_coins_back_when_a_rival_confirms() -> None:
    offer = Planned(0, "alice", expires_in=2)
    court: Court = closed("alice", Plan(ANCHORS_ZERO_FEE_HTLC.name, (offer,)))
    court.mine(1)
    assert any(claim.wallet_ref for claim in court.alice.onchain.claims)
    court.rewind(2)
    court.empty_mempool()
    mine_exactly(court, parse_tx(court.bob.commitment()))
    assert not any(claim.wallet_ref for claim in court.alice.onchain.claims)
    court.mine_until_resolved()
    check_money(court, "bob", {0: "alice"})


# -- second stages go with their block --------------------------------------------------------------------------------


def stage_of(tx: Tx) -> OutPoint:
    return OutPoint(tx.txid, 0)


def two_stages(first: Planned, second: Planned) -> tuple[Court, Tx, Tx, Tx]:
    """A cheater has got ahead of us twice, and one penalty of ours takes both of what he has to wait for."""
    court = a_court(ANCHORS_ZERO_FEE_HTLC.name, to_self_delay=LONG_DELAY)
    revoked = cheat(court)
    one, other = htlc_txs(court, (first, second))
    mine_exactly(court, one, other)
    outpoints = court.alice.onchain.claim_on[stage_of(one)].outpoints
    assert set(outpoints) == {stage_of(one), stage_of(other)}
    return court, revoked, one, other


@pytest.mark.parametrize("crashes", [False, True])
@pytest.mark.parametrize(
    ("first", "second", "third"),
    [(DEAD_OFFER, DEAD_RECEIVED, LIVING_OFFER), (DEAD_RECEIVED, DEAD_OFFER, LIVING_RECEIVED)],
)
def test_what_shared_a_penalty_with_a_second_stage_that_is_no_more_is_punished_without_it(
    first: Planned, second: Planned, third: Planned, crashes: bool
) -> None:
    court, revoked, one, other = two_stages(first, second)
    bid = court.alice.onchain.bid_on[stage_of(other)].feerate_per_kw
    court.rewind(1)
    court.empty_mempool()
    if crashes:
        court.alice.crash()
        court.settle()
    [another] = htlc_txs(court, (first, third), joined=True)
    mine_exactly(court, another, other)
    if crashes:
        court.alice.crash()
        court.settle()
    state = court.alice.onchain
    assert stage_of(one) not in state.matters
    claim = state.claim_on[stage_of(other)]
    assert stage_of(one) not in claim.outpoints and claim.feerate_per_kw >= bid
    assert claim.txid in [parse_tx(want.tx).txid for want in court.alice.wanted()]
    court.mine_until_resolved(LONG_DELAY + 20)
    assert court.taker_of(stage_of(other)) == "alice"
    assert court.gain_of("alice") == worth(court, revoked, another, other) and court.gain_of("bob") == 0


@pytest.mark.parametrize("empty_blocks", [0, 1, 3])
def test_a_second_stage_that_comes_back_is_punished_whatever_was_decided_meanwhile(empty_blocks: int) -> None:
    court, revoked, one, other = two_stages(DEAD_OFFER, DEAD_RECEIVED)
    before = court.alice.onchain.claim_on[stage_of(one)]
    court.rewind(1)
    court.empty_mempool()
    for _ in range(empty_blocks):
        mine_exactly(court)
    mine_exactly(court, other)
    mine_exactly(court, one)
    after = court.alice.onchain.claim_on
    for stage in map(stage_of, (one, other)):
        assert after[stage].outpoints == (stage,) and after[stage].feerate_per_kw >= before.feerate_per_kw
    court.mine_until_resolved(LONG_DELAY + 20)
    assert court.gain_of("alice") == worth(court, revoked, one, other) and court.gain_of("bob") == 0


def test_both_second_stages_in_another_block_keep_their_one_penalty() -> None:
    court, revoked, one, other = two_stages(DEAD_OFFER, DEAD_RECEIVED)
    before = court.alice.onchain.claim_on[stage_of(one)]
    court.rewind(1)
    court.empty_mempool()
    mine_exactly(court, other, one)
    assert court.alice.onchain.claim_on[stage_of(one)].outpoints == before.outpoints
    court.mine_until_resolved(LONG_DELAY + 20)
    assert court.gain_of("alice") == worth(court, revoked, one, other) and court.gain_of("bob") == 0


@pytest.mark.parametrize("crashes", [False, True])
def test_a_penalty_that_is_made_anew_replaces_the_older_one_in_a_mempool(crashes: bool) -> None:
    """BIP 125, rules 3 and 4: for the fee of the one that it conflicts with and that of its own relay."""
    court, revoked, one, other = two_stages(DEAD_OFFER, DEAD_RECEIVED)
    older = court.alice.onchain.claim_on[stage_of(one)]
    court.publish()
    assert older.txid in pool_of(court)
    court.rewind(1)
    if crashes:
        court.alice.crash()
        court.settle()
    mine_exactly(court, other)
    assert older.txid in pool_of(court), "its other parent waits in the mempool as well"
    newer = court.alice.onchain.claim_on[stage_of(other)]
    assert newer.outpoints == (stage_of(other),)
    court.publish()
    assert newer.txid in pool_of(court) and older.txid not in pool_of(court)
    court.mine_until_resolved(LONG_DELAY + 20)
    assert court.gain_of("alice") == worth(court, revoked, one, other) and court.gain_of("bob") == 0


def pool_of(court: Court) -> set[bytes]:
    return {pooled.txid for pooled in court.regtest.pool}


def test_a_penalty_in_a_block_is_made_anew_when_what_it_took_goes_with_it() -> None:
    court, revoked, one, other = two_stages(DEAD_OFFER, DEAD_RECEIVED)
    court.mine()
    assert court.taker_of(stage_of(one)) == court.taker_of(stage_of(other)) == "alice"
    court.rewind(2)
    court.empty_mempool()
    mine_exactly(court, other)
    assert court.alice.onchain.claim_on[stage_of(other)].outpoints == (stage_of(other),)
    court.mine_until_resolved(LONG_DELAY + 20)
    assert court.gain_of("alice") == worth(court, revoked, other) and court.gain_of("bob") == 0
