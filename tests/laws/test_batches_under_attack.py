"""Whatever the peer takes, in which order, in mempool or block: nothing else of a batch is lost, and no bid falls.

Fees and the market move, blocks come empty, blocks are undone, nodes crash, and preimages come late. At the end every
satoshi has its owner (law 4) and every HTLC one verdict (law 10).
"""

from __future__ import annotations

import random

import pytest
from tests.builders.cheats import (
    HTLCS,
    LONG_DELAY,
    a_court,
    cheat,
    htlc_txs,
    mine_exactly,
    stages_in_blocks,
    worth,
)
from tests.builders.court import Court
from tests.builders.env import FEERATES
from tests.builders.onchain import DEADLINES, DELAY, NAMES, Plan, Planned
from tests.laws.test_closes_under_reorgs_and_crashes import check_fates, check_outputs

from fulmen.core.base.ids import OutPoint
from fulmen.core.base.units import CltvDelta, FeeratePerKw, Sat
from fulmen.core.bitcoin.transaction import Tx
from fulmen.core.commitments.building import build
from fulmen.core.onchain.matters import Purpose
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC, STATIC_REMOTEKEY

FORMATS = (ANCHORS_ZERO_FEE_HTLC.name, STATIC_REMOTEKEY.name)
ONLY_OURS = (Purpose.TO_LOCAL, Purpose.TO_REMOTE, Purpose.SECOND_STAGE)
PENALTIES = (Purpose.PUNISH_TO_LOCAL, Purpose.PUNISH_SECOND_STAGE)


class Watcher:
    """Holds every state of alice's against the laws of a sweeper."""

    def __init__(self, court: Court) -> None:
        self.court = court
        self.bids: dict[OutPoint, int] = {}
        self.largest = 0

    def look(self) -> None:
        state = self.court.alice.onchain
        taken: list[OutPoint] = []
        for claim in state.claims:
            taken += claim.outpoints
            self.largest = max(self.largest, len(claim.outpoints))
            for outpoint in claim.outpoints:
                assert claim.feerate_per_kw >= self.bids.get(outpoint, 0), "a bid fell"
                self.bids[outpoint] = claim.feerate_per_kw
            lot = [state.matters[outpoint] for outpoint in claim.outpoints if outpoint in state.matters]
            if len(lot) > 1:
                purposes = dict.fromkeys(matter.purpose for matter in lot)
                assert (
                    len(purposes) == 1 or all(p in ONLY_OURS for p in purposes) or all(p in PENALTIES for p in purposes)
                )
                assert not any(matter.outpoint in state.is_contested for matter in lot)
        assert len(taken) == len(dict.fromkeys(taken)), "two transactions of ours take one output"


def a_close(dice: random.Random) -> Court:
    offers = [Planned(n, "alice", 30_000_000 + n * 1_000, dice.choice((3, 3, 3, 5))) for n in range(4)]
    received = [Planned(10 + n, "bob", 30_000_000 + n * 1_000, dice.choice((22, 22, 26))) for n in range(4)]
    known = tuple(("alice", planned.id) for planned in received if dice.random() < 0.6)
    plan = Plan(dice.choice(FORMATS), (*offers, *received), known=known, coin_sat=Sat(4_000_000))
    court = Court(plan)
    deadlines = court.policy.deadlines.but(security_delay=CltvDelta(3))
    court.policy = court.policy.but(deadlines=deadlines)
    return court


@pytest.mark.parametrize("seed", range(16))
def test_no_order_of_spends_loses_anything(seed: int) -> None:
    dice = random.Random(seed)
    court, watcher = a_close(dice), None
    closer = dice.choice(NAMES)
    court.close_by(closer)
    court.mine()
    watcher, closed_at = Watcher(court), court.tip.height
    for _ in range(30):
        draw = dice.random()
        planned = dice.choice(court.plan.htlcs)
        if draw < 0.35:
            court.publish()
            mine_exactly(court)
        elif draw < 0.5:
            court.mine()
        elif draw < 0.7:
            # Whoever received it learns the preimage, in time or not, and takes it if it still can.
            court.claim(court.other(planned.by), planned)
            court.publish()
        elif draw < 0.8:
            scale = dice.choice((1, 2, 5))
            rates = {
                name: FeeratePerKw(scale * rate) for name, rate in (("closing_per_kw", 1000), ("urgent_per_kw", 2000))
            }
            court.feerates = FEERATES.but(**rates)
        elif draw < 0.9:
            court.alice.crash()
            court.settle()
        else:
            most = min(DEADLINES.reorg_safe_depth - 1, court.tip.height - closed_at)
            if most > 0:
                court.rewind(most)
                court.mine(most + 1)
        watcher.look()
    court.mine_until_resolved(150)
    check_fates(court)
    check_outputs(court, closer)


@pytest.mark.parametrize("seed", range(8))
def test_a_cheater_saves_nothing_whatever_he_takes_first(seed: int) -> None:
    dice = random.Random(seed)
    court = a_court(dice.choice(FORMATS), HTLCS[:8])
    deadlines = court.policy.deadlines.but(security_delay=CltvDelta(dice.choice((2, 18))))
    court.policy = court.policy.but(deadlines=deadlines)
    revoked, watcher = cheat(court), Watcher(court)
    held = [planned for planned in HTLCS[:8] if "bob_last" in planned.within]
    stages = []
    while held:
        count = dice.randrange(len(held) + 1)
        first, held = held[:count], held[count:]
        if dice.random() < 0.5:
            court.publish()
        txs = htlc_txs(court, first)
        mine_exactly(court, *txs)
        stages += txs
        watcher.look()
        if dice.random() < 0.3:
            court.alice.crash()
            court.settle()
        if dice.random() < 0.2:
            break
    court.mine_until_resolved()
    watcher.look()
    assert court.gain_of("alice") == worth(court, revoked, *stages) and court.gain_of("bob") == 0


HELD = tuple(planned for planned in HTLCS[:8] if "bob_last" in planned.within)


class Reorganised:
    """A cheat whose HTLC transactions come and go with blocks, in other company each time."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.format = dice.choice(FORMATS)
        self.court = a_court(self.format, HTLCS[:8], dice.choice((LONG_DELAY, LONG_DELAY, DELAY)))
        self.revoked, self.watcher = cheat(self.court), Watcher(self.court)
        self.cheated_at = self.court.tip.height
        view = build(self.court._commitment("bob", "bob_last", 4))
        self.output_of = {output.key.id: view.tx.outpoint(output.vout) for output in view.htlcs if output.key}

    def play(self) -> None:
        for _ in range(10):
            draw = self.dice.random()
            if draw < 0.4:
                self.stages()
            elif draw < 0.7:
                self.reorg()
            elif draw < 0.85:
                mine_exactly(self.court)
            elif draw < 0.92:
                scale = self.dice.choice((1, 3))
                rates = FeeratePerKw(1000 * scale), FeeratePerKw(2000 * scale)
                self.court.feerates = FEERATES.but(closing_per_kw=rates[0], urgent_per_kw=rates[1])
            else:
                self.court.alice.crash()
                self.court.settle()
            self.watcher.look()
        self.court.mine_until_resolved(LONG_DELAY + 40)
        self.watcher.look()
        stages = stages_in_blocks(self.court, self.revoked)
        assert self.court.gain_of("alice") == worth(self.court, self.revoked, *stages)
        assert self.court.gain_of("bob") == 0

    def stages(self) -> None:
        """Some of those that nobody has taken yet; in this format several of one kind may share a transaction."""
        free = [p for p in HELD if self.court.regtest.txs.spender(self.output_of[p.id]) is None]
        chosen = self.dice.sample(free, self.dice.randrange(len(free) + 1))
        txs: list[Tx] = []
        for name in NAMES:
            own = [planned for planned in chosen if planned.by == name]
            joined = bool(own) and self.format == ANCHORS_ZERO_FEE_HTLC.name and self.dice.random() < 0.5
            txs += htlc_txs(self.court, own, joined=joined)
        if self.dice.random() < 0.3:
            self.court.publish()
        mine_exactly(self.court, *txs)

    def reorg(self) -> None:
        """Blocks go, perhaps for good; as many come, and not with the same in them."""
        count = self.dice.randrange(min(3, self.court.tip.height - self.cheated_at) + 1)
        if not count:
            return
        self.court.rewind(count)
        if self.dice.random() < 0.7:
            self.court.empty_mempool()
        for _ in range(count):
            if self.dice.random() < 0.3:
                self.court.mine()
            elif self.dice.random() < 0.6:
                self.stages()
            else:
                mine_exactly(self.court)


@pytest.mark.parametrize("seed", range(8))
def test_no_reorg_saves_a_cheater_anything(seed: int) -> None:
    Reorganised(random.Random(seed)).play()


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(8, 200))
def test_no_more_reorgs_save_a_cheater_anything(seed: int) -> None:
    Reorganised(random.Random(seed)).play()
