"""From outputs that are ours and ripe to transactions that take them: which ones together, and which never.

BOLT 5: all outputs "MUST be spent"; what costs more than it brings now is given up by name (`worth`). Outputs share a
transaction only when they share their fate: what nobody but us can ever spend; HTLCs of one sort with one deadline, as
long as that is far; what a cheater cannot reach yet. An output whose deadline is near, or that somebody else was seen
to spend, is taken alone, and so is every HTLC of a revoked commitment. The transaction is durable, so that the same one
is published with every block and after every restart. One that lost an input to a reorg may still be in a mempool with
all its parents: the first that takes any of its other inputs pays for it as well.
"""

from __future__ import annotations

from collections.abc import Iterator

from fulmen.core.base.env import Env
from fulmen.core.base.funds import AskScript, DetachFee
from fulmen.core.base.machine import Action, Address, Step, Tell
from fulmen.core.onchain import htlc_txs, sweeps
from fulmen.core.onchain.deadlines import is_pressing, last_block_of
from fulmen.core.onchain.facts import ClaimDecided
from fulmen.core.onchain.htlc_txs import WALLET
from fulmen.core.onchain.matters import Matter, Purpose
from fulmen.core.onchain.state import Ending, Onchain
from fulmen.core.onchain.worth import worth_taking

_ONLY_OURS = (Purpose.TO_LOCAL, Purpose.TO_REMOTE, Purpose.SECOND_STAGE)
_WHILE_THERE_IS_TIME = (
    Purpose.HTLC_TIMEOUT,
    Purpose.HTLC_SUCCESS,
    Purpose.TAKE_BACK,
    Purpose.CLAIM,
    Purpose.PUNISH_TO_LOCAL,
    Purpose.PUNISH_SECOND_STAGE,
)


def claim_all(state: Onchain, env: Env) -> Step[Onchain]:
    """Decide how to take every output that is ours, ripe, and not decided yet; what presses most comes first."""
    step = Step(state)
    spend = state.spend
    if spend is None:
        return step
    wanted = [matter for matter in state.matters.values() if _is_due(state, matter, env)]
    if wanted and not state.destination:
        # The answer comes in the same batch, and with it we come here again.
        return step.act(Tell(WALLET, AskScript(b"onchain" + state.channel_id, Address("onchain", state.channel_id))))
    lots = list(lots_of(state, spend, worth_taking(step, spend, wanted, env), env))
    older = [claim for claim in state.claims if not state.can_be(claim)]
    asking = sum(lot[0].htlc_tx is not None for lot in lots)
    for lot in lots:
        asking -= lot[0].htlc_tx is not None
        if lot[0].htlc_tx is not None:
            _claim_htlcs(step, spend, lot, env, asking)
            continue
        conflicts = [claim for claim in older if any(matter.outpoint in claim.outpoints for matter in lot)]
        claim = sweeps.sweep(step.state, spend, lot, env, conflicts)
        step.fact(ClaimDecided(claim, env.height))
        if sweeps.makes_room(step.state, claim, lot, conflicts):
            older = [other for other in older if other not in conflicts]
    return step


def lots_of(state: Onchain, spend: Ending, matters: list[Matter], env: Env) -> Iterator[tuple[Matter, ...]]:
    """Outputs that are safe in one transaction, in the order of their deadlines, large amounts first."""
    lots: dict[tuple[object, ...], list[Matter]] = {}
    for matter in sorted(matters, key=lambda matter: -matter.amount_sat):
        lots.setdefault(_fate_of(state, spend, matter, env), []).append(matter)
    ordered = sorted(lots.values(), key=lambda lot: last_block_of(lot[0], env) or float("inf"))
    most = max(1, env.policy.sweep.most_inputs)
    for lot in ordered:
        for first in range(0, len(lot), most):
            yield tuple(lot[first : first + most])


def detach(wallet_ref: bytes) -> Tell:
    """Give the wallet back what it lent to a transaction that can no longer be."""
    return Tell(WALLET, DetachFee(wallet_ref))


def voided(before: Onchain, after: Onchain) -> tuple[Action, ...]:
    """Give the wallet back what it lent to transactions that have gone from our state."""
    kept = dict.fromkeys(claim.wallet_ref for claim in after.claims)
    return tuple([detach(c.wallet_ref) for c in before.claims if c.wallet_ref and c.wallet_ref not in kept])


def _fate_of(state: Onchain, spend: Ending, matter: Matter, env: Env) -> tuple[object, ...]:
    """What outputs of one transaction have in common; what has to be alone is like no other."""
    alone = (matter.outpoint,)
    if matter.outpoint in state.is_contested:
        return alone
    if matter.purpose in _ONLY_OURS:
        return ("ours",)
    last_block = last_block_of(matter, env)
    if matter.purpose not in _WHILE_THERE_IS_TIME or is_pressing(last_block, env):
        return alone
    if matter.htlc_tx is not None:
        return alone if htlc_txs.pays_its_fee(spend) else (matter.purpose, last_block, matter.htlc_tx.tx.locktime)
    return ("penalty" if matter.punished is not None else matter.purpose, last_block)


def _is_due(state: Onchain, matter: Matter, env: Env) -> bool:
    if matter.purpose in (Purpose.WATCH, Purpose.ANCHOR) or env.height < matter.ripe_at:
        return False
    # Of what is only in the mempool, nothing but a penalty may follow at once.
    if state.ending is None and matter.punished is None:
        return False
    if matter.outpoint in state.taken_by or matter.outpoint in state.claim_on:
        return False
    return not matter.purpose.needs_preimage or state.preimage_for(matter) is not None


def _claim_htlcs(step: Step[Onchain], spend: Ending, lot: tuple[Matter, ...], env: Env, alongside: int) -> None:
    """Decide on HTLC transactions, or ask the wallet to pay for them, as for so many more that come after them."""
    if htlc_txs.pays_its_fee(spend):
        step.fact(ClaimDecided(htlc_txs.as_it_is(step.state, spend, lot[0]), env.height))
    else:
        request = htlc_txs.ask_for_fee(step.state, lot, env, alongside)
        assert request is not None, "nothing has been paid for it"
        step.act(request)
