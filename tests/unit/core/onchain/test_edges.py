"""Small things on which a close hangs: what samples of mutants showed to be untested."""

from __future__ import annotations

import pytest
from tests.builders.closes import both_formats, closed, either
from tests.builders.onchain import Plan, Planned

from fulmen.core.base.ids import ChannelId, OutPoint, Txid
from fulmen.core.base.outer import OutputSpent
from fulmen.core.base.units import Sat
from fulmen.core.onchain.deadlines import budget_of
from fulmen.core.onchain.htlc_txs import outpoint_of, ref_of
from fulmen.core.onchain.machine import MOUNT, ChainSaidNonsense
from fulmen.core.onchain.state import initial

HTLCS = (Planned(0, "alice", expires_in=3), Planned(1, "bob"), Planned(2, "bob", expires_in=12))


@both_formats
@either
def test_our_own_transactions_in_the_mempool_contest_nothing(closer: str, format: str) -> None:
    """Else each look into the mempool would part our batches and raise their fees."""
    court = closed(closer, Plan(format, HTLCS, known=(("alice", 1), ("alice", 2))))
    for _ in range(4):
        court.publish()
        court.see_mempool()
        assert not court.alice.onchain.is_contested
        court.mine()
    court.mine_until_resolved()


@both_formats
def test_a_transaction_of_the_chain_that_nobody_can_read_has_a_name(format: str) -> None:
    court = closed("alice", Plan(format, HTLCS))
    state = court.alice.onchain
    outpoint = next(iter(state.matters))
    with pytest.raises(ChainSaidNonsense):
        MOUNT.decide(state, OutputSpent(outpoint, b"\x00\x01", court.tip), court.env("alice"))
    other = OutputSpent(OutPoint(Txid(b"z" * 32), 7), b"\x00\x01", court.tip)
    assert not MOUNT.decide(state, other, court.env("alice")).facts


@both_formats
def test_what_is_taken_may_cost_half_of_it(format: str) -> None:
    court = closed("bob", Plan(format, HTLCS))
    env = court.env("alice")
    matter = next(iter(court.alice.onchain.matters.values()))
    assert budget_of(matter.but(amount_sat=Sat(1001)), b"\x00\x14" + bytes(20), env) == 500
    assert matter.punished is None


def test_the_name_of_a_request_to_the_wallet_gives_its_output_back() -> None:
    state = initial(ChannelId(b"c" * 32))
    for vout in (0, 1, 255, 256, (1 << 32) - 1):
        outpoint = OutPoint(Txid(bytes(range(32))), vout)
        assert outpoint_of(ref_of(state, outpoint)) == outpoint
