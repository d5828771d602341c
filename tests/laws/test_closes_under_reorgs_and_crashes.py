"""Closes under any order of blocks, reorgs, crashes and late preimages: all money has an owner in the end (law 4).

A preimage known is never failed upstream (law 5); each HTLC has one verdict (law 10), and its verdict agrees with
where its money went, but for a preimage that was seen in a block or a mempool that is no more.
"""

from __future__ import annotations

import random

import pytest
from tests.builders.court import Court
from tests.builders.onchain import DEADLINES, NAMES, Plan, Planned

from fulmen.core.commitments.building import build
from fulmen.core.commitments.commitment import LOCAL
from fulmen.core.transactions.commitment import Role
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC, STATIC_REMOTEKEY

FORMATS = (ANCHORS_ZERO_FEE_HTLC.name, STATIC_REMOTEKEY.name)
EVERYWHERE = ("alice", "bob", "bob_next")


def a_plan(dice: random.Random) -> Plan:
    """Some HTLCs each way, some of them in some commitments only, some with one hash."""
    htlcs: list[Planned] = []
    for number in range(dice.randrange(1, 7)):
        by = dice.choice(NAMES)
        twins = [htlc.id for htlc in htlcs if htlc.by == by and htlc.same_hash_as is None]
        htlcs.append(
            Planned(
                number,
                by,
                dice.choice((300_000, 1_500_000, 20_000_000, 20_000_000 + number * 1_000)),
                dice.randrange(3, 15),
                dice.choice((EVERYWHERE, EVERYWHERE, EVERYWHERE, ("alice", "bob"), ("bob_next",))),
                dice.choice(twins) if twins and dice.random() < 0.3 else None,
            )
        )
    other = {"alice": "bob", "bob": "alice"}
    known = tuple((other[htlc.by], htlc.id) for htlc in htlcs if dice.random() < 0.3)
    return Plan(dice.choice(FORMATS), tuple(htlcs), bob_has_next=True, known=known)


@pytest.mark.parametrize("seed", range(30))
def test_all_money_has_an_owner_in_the_end(seed: int) -> None:
    dice = random.Random(seed)
    court = Court(a_plan(dice))
    closer = dice.choice(NAMES)
    court.close_by(closer)
    court.mine()
    closed_at = court.tip.height
    for _ in range(dice.randrange(30)):
        draw = dice.random()
        if draw < 0.6:
            court.mine(dice.randrange(1, 3))
        elif draw < 0.7:
            # Not deeper than we call safe, and never below the close: its rivals have tests of their own.
            most = min(DEADLINES.reorg_safe_depth - 1, court.tip.height - closed_at)
            if most > 0:
                court.rewind(dice.randrange(1, most + 1))
                court.mine(most + 1)
        elif draw < 0.85:
            dice.choice(list(court.hosts.values())).crash()
            court.settle()
        elif court.plan.htlcs:
            planned = dice.choice(court.plan.htlcs)
            court.claim(court.other(planned.by), planned)
    court.mine_until_resolved(150)
    check_fates(court)
    check_outputs(court, closer)


def check_fates(court: Court) -> None:
    for planned in court.plan.htlcs:
        fate = court.hosts[planned.by].fate_of(planned)
        assert fate in (["fulfilled"], ["failed"]), (planned, fate)


def check_outputs(court: Court, closer: str) -> None:
    """Every output that is worth taking is in one wallet, and fees explain the rest."""
    commitment = build(court.view(closer, LOCAL))
    gains = {name: court.gain_of(name) for name in NAMES}
    anchors = [output for output in commitment.outputs if output.role in (Role.LOCAL_ANCHOR, Role.REMOTE_ANCHOR)]
    shared = sum(output.amount_sat for output in commitment.outputs if output not in anchors)
    lifted = sum(a.amount_sat for a in anchors if court.taker_of(commitment.tx.outpoint(a.vout)) != "nobody")
    given_up = {
        given.outpoint: court.hosts[name].onchain.matters[given.outpoint].amount_sat
        for name in NAMES
        for given in court.hosts[name].onchain.given_up
    }
    assert sum(gains.values()) + sum(given_up.values()) == shared + lifted
