"""With every block: what has waited is replaced by what is due now.

BOLT 5, "Penalty Transactions Weight Calculation" and "Generation of HTLC Transactions": our transactions are
replaceable, and are replaced up to their deadlines. How much is due is in `deadlines`. A batch that its deadline finds
still waiting is parted: perhaps somebody we cannot see has taken one of its inputs, and holds up all others. Not one
that the wallet pays for, which would ask for a coin for each.
"""

from __future__ import annotations

from functools import partial

from fulmen.core.base.env import Env
from fulmen.core.base.machine import Step
from fulmen.core.onchain import htlc_txs, sweeps
from fulmen.core.onchain.claims import claim_all
from fulmen.core.onchain.deadlines import is_pressing, last_block_of
from fulmen.core.onchain.facts import ClaimDecided
from fulmen.core.onchain.matters import Matter, Purpose
from fulmen.core.onchain.state import Claim, Onchain
from fulmen.core.onchain.worth import may_rise


def raise_all(state: Onchain, env: Env) -> Step[Onchain]:
    """Replace each transaction that pays less than is due."""
    step = Step(state)
    spend = state.spend
    if spend is None or not state.destination:
        return step
    parts = False
    for claim in state.claims:
        lot = _waiting(state, claim)
        if not lot or not may_rise(step, spend, claim, lot, env):
            continue
        if lot[0].htlc_tx is None:
            alone = len(lot) > 1 and is_pressing(last_block_of(lot[0], env), env)
            parted = sweeps.parted(state, spend, claim, lot, env) if alone else None
            raised = parted or sweeps.raised(state, spend, claim, lot, env)
            if raised is not None:
                step.fact(ClaimDecided(raised, env.height))
                parts = parts or parted is not None
        elif not htlc_txs.pays_its_fee(spend):
            request = htlc_txs.ask_for_fee(state, lot, env)
            if request is not None:
                step.act(request)
    return step.then(partial(claim_all, env=env)) if parts else step


def _waiting(state: Onchain, claim: Claim) -> tuple[Matter, ...]:
    """The outputs that a transaction takes, if it is wanted now, in no block, and no child of an anchor."""
    lot = tuple([state.matters[outpoint] for outpoint in claim.outpoints if outpoint in state.matters])
    if len(lot) != len(claim.outpoints) or any(matter.outpoint in state.taken_by for matter in lot):
        return ()
    wanted = state.ending is not None or all(matter.punished is not None for matter in lot)
    return () if not wanted or any(matter.purpose is Purpose.ANCHOR for matter in lot) else lot
