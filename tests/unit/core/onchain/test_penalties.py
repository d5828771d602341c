"""A cheater loses everything: every output of a revoked commitment, and what he makes of them, goes to the other end.

BOLT 5, "Revoked Transaction Close Handling". Every transaction passes the mempool and the judge of an embedded chain.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.builders.cheats import (
    DEAD_OFFER,
    DEAD_RECEIVED,
    HTLCS,
    LIVING_OFFER,
    LIVING_RECEIVED,
    NEWER,
    TWINS,
    a_court,
    cheat,
    htlc_txs,
    mine_exactly,
    worth,
)
from tests.builders.closes import both_formats
from tests.builders.court import Court
from tests.builders.crashes import crash_at
from tests.builders.onchain import DELAY

from fulmen.core.bitcoin.script import dust_limit
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.node import Batch
from fulmen.core.onchain.classify import Kind
from fulmen.core.onchain.matters import Purpose
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC

OFFERS = (DEAD_OFFER, LIVING_OFFER, *TWINS)
RECEIVED = (DEAD_RECEIVED, LIVING_RECEIVED)


def fees_of_claims(court: Court) -> dict[Any, int]:
    """What alice's penalties that are not in a block would pay now."""
    state = court.alice.onchain
    return {
        outpoint: claim.fee_sat
        for claim in state.claims
        for outpoint in claim.outpoints
        if outpoint not in state.taken_by
    }


@both_formats
@pytest.mark.parametrize("number", [1, 3, 4])
def test_everything_of_a_revoked_commitment_is_taken_at_once(number: int, format: str) -> None:
    court = a_court(format)
    revoked = cheat(court, number)
    ending = court.alice.onchain.ending
    assert ending is not None and ending.kind is Kind.REVOKED
    court.mine(2)
    assert court.alice.names == sorted([Purpose.PUNISH_HTLC.value] * 7 + [Purpose.PUNISH_TO_LOCAL.value, "to_remote"])
    court.mine_until_resolved()
    assert court.gain_of("alice") == worth(court, revoked) and court.gain_of("bob") == 0
    assert not court.alice.failures
    for offer in (LIVING_OFFER, NEWER, TWINS[2]):
        assert court.alice.fate_of(offer) == ["failed"]


@both_formats
def test_a_state_without_htlcs_needs_no_memory_of_any(format: str) -> None:
    court = a_court(format, ())
    revoked = cheat(court, 0)
    court.mine_until_resolved()
    assert court.gain_of("alice") == worth(court, revoked) and court.gain_of("bob") == 0


@both_formats
def test_what_the_cheater_takes_first_is_taken_from_its_second_stage(format: str) -> None:
    court = a_court(format)
    revoked = cheat(court)
    stages = htlc_txs(court, (*OFFERS, *RECEIVED))
    mine_exactly(court, *stages)
    for living in (LIVING_OFFER, TWINS[2]):
        assert court.alice.fate_of(living) == ["fulfilled"], "the cheater showed its preimage"
    court.mine(2)
    assert court.alice.names.count(Purpose.PUNISH_SECOND_STAGE.value) == len(stages)
    assert Purpose.PUNISH_HTLC.value not in court.alice.names
    court.mine_until_resolved()
    assert court.gain_of("alice") == worth(court, revoked, *stages) and court.gain_of("bob") == 0
    assert court.alice.fate_of(LIVING_OFFER) == court.alice.fate_of(TWINS[2]) == ["fulfilled"]
    assert court.alice.fate_of(NEWER) == ["failed"]


def test_second_stages_in_one_transaction_of_the_cheater_are_all_taken() -> None:
    court = a_court(ANCHORS_ZERO_FEE_HTLC.name)
    revoked = cheat(court)
    joined = (*htlc_txs(court, OFFERS, joined=True), *htlc_txs(court, RECEIVED, joined=True))
    assert len(joined) == 2
    mine_exactly(court, *joined)
    court.mine_until_resolved()
    assert court.gain_of("alice") == worth(court, revoked, *joined) and court.gain_of("bob") == 0


@both_formats
def test_a_second_stage_that_comes_while_penalties_wait_takes_only_its_own(format: str) -> None:
    court = a_court(format)
    revoked = cheat(court)
    court.publish()
    stages = htlc_txs(court, (LIVING_OFFER, DEAD_RECEIVED))
    mine_exactly(court, *stages)
    court.mine(2)
    names = court.alice.names
    assert names.count(Purpose.PUNISH_SECOND_STAGE.value) == 2
    court.mine_until_resolved()
    assert court.gain_of("alice") == worth(court, revoked, *stages) and court.gain_of("bob") == 0


@both_formats
def test_a_crash_at_any_commit_point_of_a_penalty_changes_nothing(format: str) -> None:
    expected, points = _punished(a_court(format, HTLCS[:5]))
    assert points >= 5
    for point in range(1, points + 1):
        for written in (True, False):
            court = a_court(format, HTLCS[:5])
            crash_at(court.alice.disk, court.alice.crash, point, written)
            assert _punished(court)[0] == expected, f"crashed at {point}, written: {written}"


def _punished(court: Court) -> tuple[dict[str, Any], int]:
    points = 0
    disk, before_done = court.alice.disk, court.alice.disk.before_done

    def count(batch: Batch) -> None:
        nonlocal points
        points += 1
        before_done(batch)

    disk.before_done = count
    cheat(court)
    mine_exactly(court, *htlc_txs(court, (LIVING_OFFER, DEAD_RECEIVED)))
    court.mine_until_resolved()
    gains = {name: court.gain_of(name) for name in ("alice", "bob")}
    return {"gains": gains, "fates": [court.alice.fate_of(offer) for offer in (LIVING_OFFER, NEWER)]}, points


@both_formats
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_reorg_of_the_cheat_or_of_its_penalty_is_punished_again(depth: int, format: str) -> None:
    court = a_court(format)
    revoked = cheat(court)
    stages = htlc_txs(court, (LIVING_OFFER,))
    mine_exactly(court, *stages)
    court.mine()
    court.rewind(depth)
    court.empty_mempool()
    if depth == 3:
        assert court.alice.onchain.ending is None
        court.regtest.submit_tx(revoked)
    court.mine_until_resolved()
    # With a depth of 1 the second stage stays; deeper, the penalty is first this time.
    assert court.gain_of("alice") == worth(court, revoked, *(stages if depth == 1 else ()))
    assert court.gain_of("bob") == 0
    assert court.alice.fate_of(LIVING_OFFER) == ["fulfilled"], "a preimage once seen stays known"


@both_formats
def test_fees_of_penalties_rise_to_the_deadline_and_never_fall(format: str) -> None:
    court = a_court(format, HTLCS[:4])
    cheat(court)
    court.publish()
    before = fees_of_claims(court)
    started = dict(before)
    for _ in range(DELAY):
        mine_exactly(court)
        court.publish()
        assert not court.alice.failures, "each replaces the one before"
        after = fees_of_claims(court)
        assert all(after[outpoint] >= fee for outpoint, fee in before.items())
        before = after
    state = court.alice.onchain
    for outpoint, fee in before.items():
        matter = state.matters[outpoint]
        if matter.purpose is Purpose.TO_REMOTE:
            assert fee == started[outpoint], "this one has no deadline"
        else:
            cap = court.policy.feerates.cap_per_kw
            left = dust_limit(state.destination)
            weight = parse_tx(state.claim_on[outpoint].tx).weight
            assert fee == matter.amount_sat - left or fee >= cap * weight // 1000


@both_formats
def test_penalties_weigh_at_most_what_the_bolt_expects(format: str) -> None:
    court = a_court(format)
    cheat(court)
    court.mine(2)
    csv = 3 if "anchors" in format else 0
    expected = {Purpose.PUNISH_TO_LOCAL.value: (145, 160), Purpose.PUNISH_HTLC.value: (230, 249 + csv)}
    seen = []
    for txid, name in court.alice.published.items():
        found = court.regtest.txs.get(txid)
        if found is not None and name in expected:
            tx = court.regtest.chain.block(found[0]).txs[found[1]]
            least, most = expected[name]
            assert least < 1 + sum(1 + len(item) for item in tx.inputs[0].witness) <= most
            seen.append(name)
    assert len(seen) == 8
