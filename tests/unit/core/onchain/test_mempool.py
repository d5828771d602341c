"""What the mempool shows before any block does: preimages are learned, and a cheat is punished on the spot."""

from __future__ import annotations

import pytest
from tests.builders.cheats import HTLCS, LIVING_OFFER, a_court, cheat, htlc_txs, mine_exactly, worth
from tests.builders.closes import both_formats, check_money
from tests.builders.court import Court
from tests.builders.onchain import Plan, Planned

from fulmen.core.base.outer import WantPublished, WantSpendWatch
from fulmen.core.base.units import FeeratePerKw, Sat
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.commitments.close import CommitmentWithdrawn
from fulmen.core.onchain.classify import Kind
from fulmen.core.onchain.lifting import CHILD
from fulmen.core.onchain.matters import Purpose
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC, STATIC_REMOTEKEY


@both_formats
def test_a_cheat_in_the_mempool_is_punished_in_the_same_block(format: str) -> None:
    court = a_court(format, HTLCS[:4])
    revoked = court.revoked()
    court.regtest.submit_tx(revoked)
    court.publish()
    penalties = [claim for claim in court.alice.onchain.claims if court.regtest.pool.get(claim.txid) is not None]
    assert sorted(claim.name for claim in penalties) == sorted(
        [Purpose.PUNISH_HTLC.value] * 4 + ["to_local of a revoked commitment"]
    )
    assert all(want.parents == (revoked.serialize(),) for want in court.alice.wanted())
    court.mine()
    height = court.tip.height
    assert [court.regtest.txs.get(claim.txid)[0].height for claim in penalties] == [height] * 5  # type: ignore[index]
    assert all(not want.parents for want in court.alice.wanted())
    court.mine_until_resolved()
    assert court.gain_of("alice") == worth(court, revoked) and court.gain_of("bob") == 0


def test_a_cheat_that_never_comes_leaves_nothing_behind() -> None:
    court = a_court(ANCHORS_ZERO_FEE_HTLC.name, HTLCS[:4])
    court.regtest.submit_tx(court.revoked())
    court.publish()
    assert court.alice.onchain.claims
    mine_exactly(court, parse_tx(court.bob.commitment()))
    ending = court.alice.onchain.ending
    assert ending is not None and ending.kind is Kind.REMOTE
    assert all(claim.root == ending.txid for claim in court.alice.onchain.claims)
    court.mine_until_resolved()


def test_the_second_stage_of_a_cheat_in_the_mempool_shows_its_preimage() -> None:
    court = a_court(STATIC_REMOTEKEY.name, (LIVING_OFFER,))
    # Without a delay in its HTLCs the cheater can send both stages at once; alice sleeps, and hears of both together.
    court.regtest.submit_tx(court.revoked())
    court.see_mempool()
    court.regtest.submit_tx(*htlc_txs(court, (LIVING_OFFER,)))
    court.see_mempool()
    assert court.alice.onchain.ending is None and court.alice.fate_of(LIVING_OFFER) == ["fulfilled"]


def test_a_preimage_shown_on_our_own_unconfirmed_commitment_is_learned() -> None:
    offer = Planned(0, "alice")
    court = Court(Plan(STATIC_REMOTEKEY.name, (offer,), known=(("bob", 0),)))
    court.close_by("alice")
    court.publish()
    watched = [want.outpoint.txid for _, want in wants(court) if isinstance(want, WantSpendWatch)]
    assert parse_tx(court.alice.commitment()).txid in watched
    court.mine_until_resolved()
    check_money(court, "alice", {0: "bob"})


def test_a_mutual_close_that_comes_first_ends_all_that_was_prepared() -> None:
    offer = Planned(0, "bob", expires_in=4)
    court = Court(Plan(htlcs=(offer,), feerate=253, known=(("alice", 0),), coin_sat=Sat(2_000_000)))
    court.regtest.submit_tx(parse_tx(court.bob.commitment()))
    court.publish()
    mine_exactly(court)
    assert [claim.name for claim in court.alice.onchain.claims] == [CHILD]
    coins = court.alice.coins_sat
    court.alice.inbox.append((court.address, CommitmentWithdrawn()))
    court.settle()
    assert not court.alice.onchain.claims and court.alice.coins_sat == court.plan.coin_sat > coins
    assert court.alice.node is not None and court.alice.node.state(court.address) is None


@pytest.mark.parametrize("cheats", [False, True])
def test_a_commitment_that_leaves_the_mempool_leaves_nothing_behind_while_the_channel_lives(cheats: bool) -> None:
    offer = Planned(0, "bob", expires_in=4, within=("alice", "bob", "bob_last"))
    court = Court(Plan(htlcs=(offer,), feerate=253, known=(("alice", 0),), coin_sat=Sat(2_000_000)))
    court.regtest.submit_tx(court.revoked() if cheats else parse_tx(court.bob.commitment()))
    court.publish()
    mine_exactly(court)
    assert court.alice.onchain.claims
    court.empty_mempool()
    court.see_mempool()
    assert not court.alice.onchain.claims and court.alice.coins_sat == court.plan.coin_sat
    assert court.alice.node is not None and court.alice.node.state(court.address) is None
    # And when it comes again, all is as before.
    court.regtest.submit_tx(court.revoked() if cheats else parse_tx(court.bob.commitment()))
    court.publish()
    mine_exactly(court)
    assert court.alice.onchain.claims


def test_a_commitment_that_leaves_the_mempool_is_brought_back_where_the_channel_has_failed() -> None:
    offer = Planned(0, "bob", expires_in=4)
    court = Court(Plan(htlcs=(offer,), feerate=253, known=(("alice", 0),), coin_sat=Sat(2_000_000)))
    court.regtest.submit_tx(parse_tx(court.bob.commitment()))
    court.alice.tell_published()
    court.publish()
    mine_exactly(court)
    court.empty_mempool()
    court.see_mempool()
    assert {claim.root for claim in court.alice.onchain.claims} == {
        parse_tx(host.commitment()).txid for host in (court.alice, court.bob)
    }
    court.mine_until_resolved()
    assert court.bob.fate_of(offer) == ["fulfilled"]


@both_formats
def test_a_cheat_is_the_same_after_a_restart(format: str) -> None:
    court = a_court(format, HTLCS[:4])
    court.regtest.submit_tx(court.revoked())
    court.publish()
    before = court.alice.wanted()
    court.alice.crash()
    court.settle()
    assert court.alice.wanted() == before and len(before) == 5
    cheated = cheat(court)
    court.mine_until_resolved()
    assert court.gain_of("alice") == worth(court, cheated)


def wants(court: Court) -> list[tuple[object, object]]:
    assert court.alice.node is not None
    return [(address, want) for address, want in court.alice.node.wants() if not isinstance(want, WantPublished)]


def test_penalties_follow_the_market_while_the_cheat_is_unconfirmed() -> None:
    court = a_court(ANCHORS_ZERO_FEE_HTLC.name, HTLCS[:4])
    court.regtest.submit_tx(court.revoked())
    court.publish()
    before = {claim.outpoints: claim.feerate_per_kw for claim in court.alice.onchain.claims}
    court.feerates = court.feerates.but(urgent_per_kw=FeeratePerKw(5 * court.feerates.urgent_per_kw))
    court.mine_empty()
    court.publish()
    assert court.alice.onchain.ending is None
    after = {claim.outpoints: claim.feerate_per_kw for claim in court.alice.onchain.claims}
    assert before.keys() == after.keys() and all(after[lot] > 4 * rate for lot, rate in before.items())
    assert not court.alice.failures


def test_nothing_but_penalties_is_claimed_of_a_close_that_no_block_holds() -> None:
    court = Court(Plan(ANCHORS_ZERO_FEE_HTLC.name))
    court.regtest.submit_tx(parse_tx(court.bob.commitment()))
    court.publish()
    assert court.alice.onchain.spend is not None and not court.alice.onchain.claims
