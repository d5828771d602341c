"""When all is over: every output that matters is taken, given up for good or expired, a hundred blocks deep.

BOLT 5, "General Nomenclature": "Outputs that are *resolved* are considered *irrevocably resolved* once the remote's
*resolving* transaction is included in a block at least 100 deep, on the most-work blockchain."
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.ids import RECEIVED
from fulmen.core.base.machine import Address, Step, Story, Tell, to_channel
from fulmen.core.base.units import BlockHeight
from fulmen.core.commitments.close import ChannelResolved
from fulmen.core.commitments.htlcs import HtlcRemoved, circuit_address
from fulmen.core.onchain.claims import detach
from fulmen.core.onchain.facts import AllResolved
from fulmen.core.onchain.fates import is_deep, undecided
from fulmen.core.onchain.matters import Matter, Purpose
from fulmen.core.onchain.state import Ending, Onchain
from fulmen.core.onchain.worth import is_given_up_for_good


def resolve(state: Onchain, env: Env) -> Step[Onchain]:
    """Tell the channel, and the circuits of what it had received, when nothing is left to do."""
    step = Step(state)
    ending = state.ending
    depth = env.policy.deadlines.resolved_depth
    if ending is None or not is_deep(ending.block, depth, env) or undecided(state, ending):
        return step
    if not all(_is_resolved(state, ending, matter, env) for matter in state.matters.values()):
        return step
    step.fact(AllResolved())
    unused = [
        claim for claim in state.claims if claim.wallet_ref and not any(o in state.taken_by for o in claim.outpoints)
    ]
    step.act(*(detach(claim.wallet_ref) for claim in unused))
    for key in ending.htlcs:
        if key.direction is RECEIVED:
            step.act(Tell(circuit_address(key), HtlcRemoved(key)))
    about: dict[str, str | int] = {"kind": ending.kind.value}
    left_sat = sum(matter.amount_sat for matter in state.matters.values() if matter.outpoint in state.is_given_up)
    if left_sat:
        about["left_sat"] = left_sat
    step.act(Story(Address("channel", state.channel_id), "resolved on the chain", about))
    return step.act(to_channel(state.channel_id, ChannelResolved()))


def _is_resolved(state: Onchain, ending: Ending, matter: Matter, env: Env) -> bool:
    """Whether nothing can be done about an output any more, or ever for its worth.

    What is given up at the feerate of now keeps the close open until it is taken. What would not pay at our own floor
    either stays where it is: an HTLC is over some blocks after its expiry, all else with the close.
    """
    depth = env.policy.deadlines.resolved_depth
    if matter.purpose in (Purpose.WATCH, Purpose.ANCHOR):
        return True
    taken = state.taken_by.get(matter.outpoint)
    if taken is not None:
        return is_deep(taken.block, depth, env)
    if matter.purpose.needs_preimage and state.preimage_for(matter) is None:
        # BOLT 5: "If it's NOT otherwise resolved, once the HTLC output has expired, it is considered *irrevocably
        # resolved*."
        assert matter.output is not None
        return env.height >= BlockHeight(matter.output.cltv_expiry + depth)
    expired = matter.output is None or env.height >= BlockHeight(matter.output.cltv_expiry + depth)
    return expired and is_given_up_for_good(state, ending, matter, env)
