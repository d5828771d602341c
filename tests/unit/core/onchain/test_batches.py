"""What shares a transaction and what never does; and what happens when somebody takes one input of a batch."""

from __future__ import annotations

import pytest
from tests.builders.cheats import HTLCS, a_court, cheat, htlc_txs, mine_exactly, worth
from tests.builders.closes import both_formats, check_money, closed, either
from tests.builders.court import Court
from tests.builders.onchain import Host, Plan, Planned

from fulmen.core.base.policy import SweepPolicy
from fulmen.core.base.units import CltvDelta, FeeratePerKw, Sat
from fulmen.core.bitcoin.transaction import Tx, parse_tx
from fulmen.core.onchain.matters import Purpose
from fulmen.core.onchain.state import Claim
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC

ANCHORS = ANCHORS_ZERO_FEE_HTLC.name
RICH = Sat(2_000_000)
FAR = 40
OFFERS = (
    Planned(0, "alice", 40_000_000, expires_in=3),
    Planned(1, "alice", 50_000_000, expires_in=3),
    Planned(2, "alice", 60_000_000, expires_in=3),
)
RECEIVED = (
    Planned(0, "bob", 40_000_000, expires_in=FAR),
    Planned(1, "bob", 50_000_000, expires_in=FAR),
    Planned(2, "bob", 60_000_000, expires_in=FAR + 1),
)
KNOWN = tuple(("alice", planned.id) for planned in RECEIVED)


def batches(host: Host) -> list[tuple[str, int]]:
    """Its transactions that are in no block: what each is and how much it takes."""
    state = host.onchain
    waiting = [claim for claim in state.claims if not any(o in state.taken_by for o in claim.outpoints)]
    return sorted((claim.name, len(claim.outpoints)) for claim in waiting)


def the_batch(host: Host) -> Claim:
    [claim] = [claim for claim in host.onchain.claims if len(claim.outpoints) > 1]
    return claim


@both_formats
@either
def test_htlcs_of_one_deadline_that_is_far_are_claimed_together(closer: str, format: str) -> None:
    court = closed(closer, Plan(format, RECEIVED, known=KNOWN, coin_sat=RICH))
    if closer == "bob":
        assert (Purpose.CLAIM.value, 2) in batches(court.alice) and (Purpose.CLAIM.value, 1) in batches(court.alice)
    elif format == ANCHORS:
        assert batches(court.alice) == [(Purpose.HTLC_SUCCESS.value, 1), (Purpose.HTLC_SUCCESS.value, 2)]
    else:
        assert batches(court.alice) == [(Purpose.HTLC_SUCCESS.value, 1)] * 3, "the peer has signed each whole"
    court.mine_until_resolved()
    assert not court.alice.failures
    check_money(court, closer, {0: "alice", 1: "alice", 2: "alice"})


@both_formats
@either
def test_htlcs_of_one_expiry_are_taken_back_together(closer: str, format: str) -> None:
    court = closed(closer, Plan(format, OFFERS, coin_sat=RICH))
    court.mine(3)
    names = [name for name in court.alice.names if "HTLC" in name]
    assert len(names) == (3 if format != ANCHORS and closer == "alice" else 1)
    court.mine_until_resolved()
    check_money(court, closer, {0: "alice", 1: "alice", 2: "alice"})


def test_htlcs_whose_deadline_is_near_are_claimed_each_alone() -> None:
    near = tuple(Planned(n, "bob", 40_000_000, expires_in=15) for n in range(3))
    court = closed("bob", Plan(ANCHORS, near, known=tuple(("alice", n) for n in range(3))))
    assert batches(court.alice) == [(Purpose.CLAIM.value, 1)] * 3 + [(Purpose.TO_REMOTE.value, 1)]


@both_formats
def test_what_only_we_can_spend_is_swept_together(format: str) -> None:
    court = closed("alice", Plan(format, RECEIVED, known=KNOWN, coin_sat=RICH))
    court.mine(10)
    assert court.alice.names.count(Purpose.SECOND_STAGE.value) == 1, "three second stages of one block"
    court.mine_until_resolved()
    check_money(court, "alice", {0: "alice", 1: "alice", 2: "alice"})


def test_a_batch_is_no_larger_than_we_want() -> None:
    court = Court(Plan(ANCHORS, OFFERS, coin_sat=RICH))
    court.policy = court.policy.but(sweep=SweepPolicy(most_inputs=2))
    court.close_by("bob")
    court.mine(3)
    assert (
        batches(court.alice) == [(Purpose.TAKE_BACK.value, 1), (Purpose.TAKE_BACK.value, 2)]
        or [name for name in court.alice.names if "HTLC" in name] == [Purpose.TAKE_BACK.value] * 2
    )


@pytest.mark.parametrize("closer", ["alice", "bob"])
@pytest.mark.parametrize("in_a_block", [False, True])
def test_when_one_input_is_taken_the_others_go_on_at_once_and_for_no_less(closer: str, in_a_block: bool) -> None:
    court = closed(closer, Plan(ANCHORS, OFFERS, coin_sat=RICH))
    while not any(len(claim.outpoints) == 3 for claim in court.alice.onchain.claims):
        mine_exactly(court)
    court.publish()
    before = the_batch(court.alice)
    assert court.regtest.pool.get(before.txid) is not None
    # The market falls; what was bid stays. Bob knows one preimage after all, and pays more than the whole batch does.
    court.feerates = court.feerates.but(closing_per_kw=FeeratePerKw(253), urgent_per_kw=FeeratePerKw(253))
    rival = claim_of_bob(court, OFFERS[1], 40_000)
    if in_a_block:
        mine_exactly(court, rival)
    else:
        court.regtest.submit_tx(rival)
        court.see_mempool()
    assert court.alice.fate_of(OFFERS[1]) == ["fulfilled"]
    after = the_batch(court.alice)
    assert len(after.outpoints) == 2 and after.feerate_per_kw >= before.feerate_per_kw
    court.publish()
    assert court.regtest.pool.get(after.txid) is not None
    court.mine_until_resolved()
    assert court.alice.fate_of(OFFERS[0]) == court.alice.fate_of(OFFERS[2]) == ["failed"]
    gone = court.regtest.txs.get(rival.txid) is not None
    assert gone
    assert court.gain_of("alice") == worth_of(court, closer)


def test_a_batch_that_its_deadline_finds_waiting_is_parted() -> None:
    """Somebody may have taken one of its inputs where we cannot see it, and hold up all others."""
    court = closed("bob", Plan(ANCHORS, RECEIVED[:2], known=KNOWN[:2], coin_sat=RICH))
    before = the_batch(court.alice)
    first = court.expiry(RECEIVED[0]) - court.policy.deadlines.security_delay
    while court.tip.height < first:
        court.publish()
        mine_exactly(court)
    court.publish()
    claims = [court.alice.onchain.claim_on[outpoint] for outpoint in before.outpoints]
    assert [len(claim.outpoints) for claim in claims] == [1, 1]
    assert all(court.regtest.pool.get(claim.txid) is not None for claim in claims) and not court.alice.failures
    assert min(claim.feerate_per_kw for claim in claims) >= before.feerate_per_kw
    # The other input is gone, and nothing has happened to this one.
    mine_exactly(court, *[parse_tx(court.alice._complete(w)) for w in court.alice.wanted() if w.tx == claims[1].tx])
    court.mine_until_resolved()
    check_money(court, "bob", {0: "alice", 1: "alice"})


@pytest.mark.parametrize("restarts", [False, True])
def test_a_preimage_that_was_in_the_mempool_once_is_kept_though_its_transaction_is_cycled_out(restarts: bool) -> None:
    """Replacement cycling: bob shows the preimage, and replaces his own claim by something else before it is mined."""
    court = closed("bob", Plan(ANCHORS, OFFERS[:1], coin_sat=RICH))
    mine_exactly(court)
    mine_exactly(court)
    court.publish()
    ours = [claim.txid for claim in court.alice.onchain.claims if claim.name == Purpose.TAKE_BACK.value]
    court.regtest.submit_tx(claim_of_bob(court, OFFERS[0], 20_000))
    assert court.regtest.pool.get(ours[0]) is None
    court.see_mempool()
    court.empty_mempool()
    if restarts:
        court.alice.crash()
        court.settle()
    court.alice.publish()
    assert court.regtest.pool.get(ours[0]) is not None, "ours takes the place that was made free"
    assert court.alice.fate_of(OFFERS[0]) == ["fulfilled"]
    court.mine_until_resolved()
    assert court.alice.fate_of(OFFERS[0]) == ["fulfilled"]
    [htlc] = [o for o, matter in court.alice.onchain.matters.items() if matter.purpose is Purpose.TAKE_BACK]
    check_money(court, "bob", {0: court.taker_of(htlc)})


def test_second_stages_of_a_cheater_are_taken_together_while_he_has_to_wait_long() -> None:
    court = a_court(ANCHORS, HTLCS[:4])
    # The delay of the channel is short; what presses is shorter here.
    deadlines = court.policy.deadlines.but(security_delay=CltvDelta(2))
    court.policy = court.policy.but(deadlines=deadlines)
    revoked = cheat(court)
    stages = htlc_txs(court, HTLCS[:4])
    mine_exactly(court, *stages)
    together = [claim for claim in court.alice.onchain.claims if claim.name == Purpose.PUNISH_SECOND_STAGE.value]
    assert [len(claim.outpoints) for claim in together] == [4]
    court.mine_until_resolved()
    assert court.gain_of("alice") == worth(court, revoked, *stages) and court.gain_of("bob") == 0


# -- bob's own way ----------------------------------------------------------------------------------------------------


def claim_of_bob(court: Court, planned: Planned, fee_sat: int) -> Tx:
    """Bob's transaction that takes an HTLC with its preimage, on whichever commitment is in a block."""
    court.claim("bob", planned)
    [claim] = [claim for claim in court.bob.onchain.claims if claim.name in ("received HTLC", "HTLC-success")]
    if claim.name == "received HTLC":
        tx = parse_tx(claim.tx)
        [output] = tx.outputs
        dearer = tx.but(outputs=(output.but(amount_sat=Sat(planned.amount_msat // 1000 - fee_sat)),))
        [want] = [want for want in court.bob.wanted() if want.name == claim.name]
        return parse_tx(court.keys["bob"].complete(want.but(tx=dearer.serialize())))
    [want] = [want for want in court.bob.wanted() if want.name == claim.name]
    tx = parse_tx(want.tx)
    first, change = tx.outputs
    dearer = tx.but(outputs=(first, change.but(amount_sat=Sat(change.amount_sat - fee_sat))))
    return parse_tx(court.keys["bob"].complete(want.but(tx=dearer.serialize())))


def worth_of(court: Court, closer: str) -> int:
    """What alice has in the end when bob took the second of her offers."""
    kept = 600_000 - 50_000
    # She opened the channel, and pays the commitment's fee and both anchors.
    commitment = parse_tx(court.hosts[closer].commitment())
    fee = 1_000_000 - sum(output.amount_sat for output in commitment.outputs)
    return (
        kept
        - fee
        - 660
        + sum(
            output.amount_sat
            for vout, output in enumerate(commitment.outputs)
            if output.amount_sat == 330 and court.taker_of(commitment.outpoint(vout)) == "alice"
        )
    )


def test_htlcs_that_must_be_alone_are_all_in_one_block_though_the_wallet_has_fewer_coins() -> None:
    """One of its four is split first: each hangs on the split alone, so that raising one fee moves no other."""
    near = tuple(Planned(n, "bob", 40_000_000, expires_in=15) for n in range(7))
    court = closed("alice", Plan(ANCHORS, near, known=tuple(("alice", n) for n in range(7)), coin_sat=RICH))
    assert batches(court.alice) == [(Purpose.HTLC_SUCCESS.value, 1)] * 7
    before = court.tip.height
    court.mine()
    assert batches(court.alice) == []
    taken = [each.block.height for each in court.alice.onchain.taken]
    assert taken == [before + 1] * 7
    assert not court.alice.failures
    court.mine_until_resolved()
    check_money(court, "alice", dict.fromkeys(range(7), "alice"))
