"""Whether an output brings more than it costs: a judgement of the moment, made anew with every block.

What is given up is given up at the feerate of now, and wanted again as soon as that falls: a spike is no reason to lose
what has time. For good is only what would not pay even at the floor that we set ourselves
(`policy.feerates.floor_per_kw`), below which we publish nothing: that alone ends a close without the output
(`resolution`), and fails an HTLC upstream early (`fates`). A mempool that asks for more than that, for however long,
keeps the close open, and the output in sight of whoever looks at the channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from fulmen.core.base.env import Env
from fulmen.core.base.machine import Step
from fulmen.core.base.outer import Notify
from fulmen.core.onchain import htlc_txs, sweeps
from fulmen.core.onchain.deadlines import floor_of
from fulmen.core.onchain.facts import OutputGivenUp, OutputWanted
from fulmen.core.onchain.matters import Matter
from fulmen.core.onchain.state import Claim, Ending, Onchain


def worth_taking(step: Step[Onchain], spend: Ending, matters: Iterable[Matter], env: Env) -> list[Matter]:
    """Those of some outputs that bring more than they cost now; what has changed since the last block is said aloud."""
    worth = []
    for matter in matters:
        wanted = is_worth(step.state, spend, matter, env)
        _say(step, matter, env, wanted=wanted)
        if wanted:
            worth.append(matter)
    return worth


def may_rise(step: Step[Onchain], spend: Ending, claim: Claim, lot: Sequence[Matter], env: Env) -> bool:
    """Whether a transaction that waits is worth more than it pays.

    It is not where the mempool takes it no longer, and asks for more than any of its outputs brings: to bid that, or as
    much of it as there is, would lose them to the miners, for no bid falls. It stays as it is until the spike is over.
    """
    rises = claim.feerate_per_kw >= floor_of(env) or any(is_worth(step.state, spend, matter, env) for matter in lot)
    for matter in lot:
        _say(step, matter, env, wanted=rises)
    return rises


def is_worth(state: Onchain, spend: Ending, matter: Matter, env: Env) -> bool:
    """Whether an output brings more than it costs at the lowest feerate that the mempool takes now."""
    if matter.htlc_tx is None:
        return sweeps.is_worth_taking(state, matter, env)
    return htlc_txs.pays_its_fee(spend) or htlc_txs.is_worth_paying(state, matter, env)


def is_given_up_for_good(state: Onchain, spend: Ending, matter: Matter, env: Env) -> bool:
    """Whether an output that is given up would not pay at our own floor either."""
    calm = replace(env, feerates=env.feerates.but(floor_per_kw=env.policy.feerates.floor_per_kw))
    return matter.outpoint in state.is_given_up and not is_worth(state, spend, matter, calm)


def _say(step: Step[Onchain], matter: Matter, env: Env, *, wanted: bool) -> None:
    if wanted is (matter.outpoint not in step.state.is_given_up):
        return
    if wanted:
        step.fact(OutputWanted(matter.outpoint))
        step.act(_notice(step.state, matter, wanted_again=f"it pays at {floor_of(env)} sat/kw"))
    else:
        why = f"{matter.amount_sat} sat cost more than they bring at {floor_of(env)} sat/kw"
        step.fact(OutputGivenUp(matter.outpoint, why))
        step.act(_notice(step.state, matter, given_up=why))


def _notice(state: Onchain, matter: Matter, **why: str) -> Notify:
    about = {"channel_id": state.channel_id.hex(), "output": str(matter.outpoint), "what": matter.purpose.value}
    return Notify("onchain", about | why)
