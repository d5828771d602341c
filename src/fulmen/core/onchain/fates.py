"""What becomes of the HTLCs that we offered: paid as soon as a preimage is seen, dead only when that is certain.

BOLT 5, "HTLC Output Handling": "MUST extract the payment preimage from the transaction input witness"; "once the
resolving transaction has reached reasonable depth: MUST fail the corresponding incoming HTLC (if any)"; likewise for an
HTLC without an output, "once the commitment transaction has reached reasonable depth".
"""

from __future__ import annotations

from collections.abc import Iterator

from fulmen.core.base.env import Env
from fulmen.core.base.ids import OFFERED, HtlcKey, OutPoint, Preimage
from fulmen.core.base.machine import Step, Tell
from fulmen.core.base.outer import Block
from fulmen.core.base.units import BlockHeight, sat_floor
from fulmen.core.bitcoin.transaction import Tx
from fulmen.core.commitments.close import OfferOwner
from fulmen.core.commitments.htlcs import Failed, Fulfilled
from fulmen.core.crypto.hashes import sha256
from fulmen.core.onchain.classify import Kind
from fulmen.core.onchain.deadlines import back_by
from fulmen.core.onchain.facts import OfferedHtlcDead, OfferedPreimageSeen
from fulmen.core.onchain.state import Ending, Onchain
from fulmen.core.onchain.worth import is_given_up_for_good

_UNREADABLE = (Kind.BEYOND, Kind.UNKNOWN)


def learn_preimages(state: Onchain, tx: Tx) -> Step[Onchain]:
    """Find the preimages that a transaction shows, and tell the owners of all HTLCs that they pay.

    A preimage is looked for among the HTLCs of every commitment that is not revoked, whichever is in the block: once
    it is known, none of those with its hash may fail any more (law 5).
    """
    step = Step(state)
    ending = state.spend
    if ending is None:
        return step
    shown = {sha256(item): Preimage(item) for spent in tx.inputs for item in spent.witness if len(item) == 32}
    owners = {owner.key: owner for owner in ending.close.owners}
    for key, htlc in ending.htlcs.items():
        preimage = shown.get(htlc.payment_hash) if key.direction is OFFERED else None
        if preimage is None or key in state.fulfilled:
            continue
        step.fact(OfferedPreimageSeen(key, preimage))
        if key in owners:
            step.act(Tell(owners[key].owner, Fulfilled(owners[key].ref, key, preimage)))
    return step


def tell_dead(state: Onchain, env: Env) -> Step[Onchain]:
    """Tell the owners of HTLCs that can no longer be paid downstream."""
    step = Step(state)
    ending = state.ending
    if ending is None or not is_deep(ending.block, env.policy.deadlines.reorg_safe_depth, env):
        return step
    outputs = _outputs_of(state, ending)
    for owner in undecided(state, ending):
        if all(_is_dead(state, ending, owner.key, outpoint, env) for outpoint in outputs.get(owner.key, ())):
            step.fact(OfferedHtlcDead(owner.key))
            step.act(Tell(owner.owner, Failed(owner.ref, owner.key, on_chain=True)))
    return step


def undecided(state: Onchain, ending: Ending) -> list[OfferOwner]:
    """The owners who have not been told yet what became of their HTLC."""
    told = dict.fromkeys((*state.fulfilled, *state.failed))
    return [owner for owner in ending.close.owners if owner.key not in told]


def is_deep(block: Block, depth: int, env: Env) -> bool:
    """Whether a block has at least this many confirmations, its own included."""
    return env.height - block.height + 1 >= depth


def _outputs_of(state: Onchain, ending: Ending) -> dict[HtlcKey, list[OutPoint]]:
    """The outputs through which each offered HTLC may still be paid. Where we cannot read scripts, amounts decide."""
    outputs: dict[HtlcKey, list[OutPoint]] = {}
    if ending.kind in _UNREADABLE:
        for key, outpoint in _by_amount(ending):
            outputs.setdefault(key, []).append(outpoint)
        return outputs
    for matter in state.matters.values():
        if matter.key is not None:
            outputs.setdefault(matter.key, []).append(matter.outpoint)
    return outputs


def _by_amount(ending: Ending) -> Iterator[tuple[HtlcKey, OutPoint]]:
    for key, htlc in ending.htlcs.items():
        for matter in ending.matters:
            if matter.output is None and matter.amount_sat == sat_floor(htlc.amount_msat):
                yield key, matter.outpoint


def _is_dead(state: Onchain, ending: Ending, key: HtlcKey, outpoint: OutPoint, env: Env) -> bool:
    """Whether an output of an HTLC that we offered can no longer show a preimage.

    An output that is not worth its fee stays unspent: some blocks after its expiry it counts as taken back, for less
    is lost if it is claimed after all than would be by not failing upstream (law 10, the policy for the uneconomic).
    What would be worth it at our own floor waits for the end of the spike, as long as upstream has all its time left.
    """
    depth = env.policy.deadlines.reorg_safe_depth
    taken = state.taken_by.get(outpoint)
    if taken is not None:
        return is_deep(taken.block, depth, env)
    htlc = ending.htlcs.get(key)
    if htlc is None or outpoint not in state.is_given_up or env.height < BlockHeight(htlc.cltv_expiry + depth):
        return False
    for_good = is_given_up_for_good(state, ending, state.matters[outpoint], env)
    return for_good or env.height >= back_by(htlc.cltv_expiry, env)
