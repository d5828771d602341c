"""Closes in a fee spike that is over before the first deadline: every output has the taker that it has without one.

While it lasts, an HTLC whose preimage is known is either attempted or shown as not worth its fee now; and no preimage
known is failed upstream (law 5).
"""

from __future__ import annotations

import random

import pytest
from tests.builders.cheats import cheat, mine_exactly
from tests.builders.closes import FORMATS
from tests.builders.court import Court
from tests.builders.env import FEERATES
from tests.builders.onchain import NAMES, Host, Plan, Planned

from fulmen.core.base.env import Feerates
from fulmen.core.base.ids import OutPoint
from fulmen.core.base.units import FeeratePerKw, Sat
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.onchain.matters import Purpose

SAFE_BLOCKS = 30
"""No deadline is nearer to the close than this; a spike takes no more than half of it."""
CHEAT = "the cheat"


def a_plan(dice: random.Random) -> Plan:
    """HTLCs each way, most of them so small that a spike makes them cost more than they bring."""
    htlcs = [
        Planned(
            number,
            dice.choice(NAMES),
            dice.choice((3_000_000, 7_000_000, 9_000_000, 15_000_000, 20_000_000, 60_000_000)) + number * 1000,
            SAFE_BLOCKS + dice.randrange(4),
            ("alice", "bob", "bob_last"),
        )
        for number in range(dice.randrange(2, 6))
    ]
    other = {"alice": "bob", "bob": "alice"}
    known = tuple((other[htlc.by], htlc.id) for htlc in htlcs if dice.random() < 0.6)
    return Plan(dice.choice(FORMATS), tuple(htlcs), known=known, coin_sat=Sat(4_000_000))


def some_spikes(dice: random.Random) -> list[int]:
    """The feerate for each of the first blocks; 0 where it is as ever."""
    found = [0] * dice.randrange(3)
    for _ in range(dice.randrange(1, 3)):
        found += [dice.choice((4_000, 12_500, 40_000))] * dice.randrange(1, 5)
        found += [0] * dice.randrange(2)
    return found[: SAFE_BLOCKS // 2]


class Played:
    """One close from the first block to the end."""

    def __init__(self, plan: Plan, closer: str, spikes: list[int], dice: random.Random) -> None:
        self.court = Court(plan)
        self.shown = 0
        self._feerate(spikes[0])
        if closer == CHEAT:
            cheat(self.court)
        else:
            mine_exactly(self.court, parse_tx(self.court.hosts[closer].commitment()))
        for feerate in spikes:
            self._feerate(feerate)
            # In a spike blocks are full of what pays more.
            if feerate and dice.random() < 0.5:
                mine_exactly(self.court)
            else:
                self.court.mine()
            if dice.random() < 0.1:
                self.court.alice.crash()
                self.court.settle()
            for host in self.court.hosts.values():
                self.shown += len(host.onchain.given_up)
                check_what_is_known(host)
        self._feerate(0)
        self.court.mine_until_resolved(150)

    def _feerate(self, feerate: int) -> None:
        self.court.feerates = Feerates(*[FeeratePerKw(feerate)] * 6) if feerate else FEERATES

    @property
    def takers(self) -> dict[OutPoint, str]:
        """Who took each output of the commitment that is money."""
        root = self.court.alice.onchain.spend
        assert root is not None
        money = [m for m in root.matters if m.purpose not in (Purpose.ANCHOR, Purpose.WATCH)]
        return {matter.outpoint: self.court.taker_of(matter.outpoint) for matter in money}

    @property
    def fates(self) -> list[list[str]]:
        """What the owners of what alice offered were told."""
        return [self.court.alice.fate_of(planned) for planned in self.court.plan.htlcs if planned.by == "alice"]


def check_what_is_known(host: Host) -> None:
    """A preimage that we know leads to an attempt, or is shown as not worth it now."""
    state = host.onchain
    for matter in state.matters.values():
        if not matter.purpose.needs_preimage or state.preimage_for(matter) is None:
            continue
        if matter.ripe_at <= host.court.tip.height and matter.outpoint not in state.taken_by:
            assert matter.outpoint in state.claim_on or matter.outpoint in state.is_given_up, (host.name, matter)


@pytest.mark.parametrize("seed", range(24))
def test_a_spike_before_every_deadline_changes_no_taker_and_no_verdict(seed: int) -> None:
    dice = random.Random(seed)
    plan, spikes = a_plan(dice), some_spikes(dice)
    closer = dice.choice((*NAMES, CHEAT))
    calm = Played(plan, closer, [0] * len(spikes), random.Random(1))
    dear = Played(plan, closer, spikes, random.Random(seed))
    assert calm.takers == dear.takers
    assert "nobody" not in dear.takers.values()
    if closer != CHEAT:
        assert calm.fates == dear.fates
    assert not dear.court.alice.onchain.given_up


def test_the_spikes_of_this_law_make_some_outputs_cost_more_than_they_bring() -> None:
    htlcs = (Planned(0, "bob", 9_000_000, SAFE_BLOCKS),)
    plan = Plan(FORMATS[0], htlcs, known=(("alice", 0),), coin_sat=Sat(4_000_000))
    played = Played(plan, "alice", [12_500] * 3, random.Random(0))
    assert played.shown >= 3 and list(played.takers.values()) == ["alice"] * 2
