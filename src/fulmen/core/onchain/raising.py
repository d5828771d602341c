"""Fees that rise towards a deadline and never fall: what punishes a cheater must be mined before its delay is over.

BOLT 5: penalty transactions are replaceable. They start at the urgent feerate; with each block the fee follows the
square of the time that has gone by, from there up to all that is at stake (but for dust) in the last block: cheap while
there is time, and a cheater who pays miners more than that has lost it to them.
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.machine import Step
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Sat
from fulmen.core.bitcoin.script import dust_limit
from fulmen.core.bitcoin.transaction import fee_at, parse_tx
from fulmen.core.onchain.claims import claimed_by_spend, clamped, weight_of_sweep
from fulmen.core.onchain.facts import ClaimDecided
from fulmen.core.onchain.matters import Matter, Purpose
from fulmen.core.onchain.state import Claim, Onchain

LEAST_RAISE_PER_KW = FeeratePerKw(253)
"""Less than this more per weight, and mempools do not replace (BIP 125, rule 4)."""


def raise_all(state: Onchain, env: Env) -> Step[Onchain]:
    """Replace each penalty that has waited by one with the fee that is due now."""
    step = Step(state)
    if state.ending is None or not state.destination:
        return step
    for claim in state.claims:
        matter = state.matters.get(claim.outpoint)
        if matter is None or matter.punished is None or claim.outpoint in state.taken_by:
            continue
        raised = _raised(state, matter, claim, env)
        if raised is not None:
            step.fact(ClaimDecided(raised))
    return step


def deadline_of(matter: Matter, env: Env) -> BlockHeight:
    """The height at which the cheater may take the output for good, or go on to what has such a deadline."""
    assert matter.punished is not None
    delay = matter.punished.to_self_delay
    # BOLT 5, "Revoked Transaction Close Handling", on `security_delay`: "we recommend 18 blocks".
    if matter.purpose is Purpose.PUNISH_HTLC:
        delay = min(delay, env.policy.deadlines.security_delay)
    return BlockHeight(matter.height + delay)


def fee_due(matter: Matter, destination: bytes, weight: int, env: Env) -> Sat:
    """What the penalty should pay for its place in the next block."""
    at_stake = matter.amount_sat - dust_limit(destination)
    window = max(1, deadline_of(matter, env) - matter.height)
    gone = min(window, max(0, env.height - matter.height))
    rising = at_stake * gone * gone // (window * window)
    urgent = fee_at(clamped(env.feerates.urgent_per_kw, env), weight)
    cap = fee_at(env.policy.feerates.cap_per_kw, weight)
    return Sat(max(0, min(max(urgent, rising), cap, at_stake)))


def _raised(state: Onchain, matter: Matter, claim: Claim, env: Env) -> Claim | None:
    assert state.ending is not None and matter.spend is not None
    weight = weight_of_sweep(matter.outpoint, matter.spend, state.destination)
    paid = matter.amount_sat - sum(output.amount_sat for output in parse_tx(claim.tx).outputs)
    due = fee_due(matter, state.destination, weight, env)
    if due < paid + fee_at(LEAST_RAISE_PER_KW, weight):
        return None
    return claimed_by_spend(state, state.ending, matter, due)
