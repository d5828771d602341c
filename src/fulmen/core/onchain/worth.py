"""Whether an output brings more than it costs: a judgement of the moment, made anew with every block.

What is given up is given up at the feerate of now, and wanted again as soon as that falls: a spike is no reason to lose
what has time. For good is only what would not pay even at the floor that we set ourselves
(`policy.feerates.floor_per_kw`), below which we publish nothing: that alone ends a close without the output
(`resolution`), and fails an HTLC upstream early (`fates`). A mempool that asks for more than that, for however long,
keeps the close open, and the output in sight of whoever looks at the channel.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from fulmen.core.base.env import Env
from fulmen.core.base.machine import Step
from fulmen.core.base.outer import Notify
from fulmen.core.onchain import htlc_txs, sweeps
from fulmen.core.onchain.deadlines import floor_of
from fulmen.core.onchain.facts import OutputGivenUp, OutputWanted
from fulmen.core.onchain.matters import Matter
from fulmen.core.onchain.state import Ending, Onchain


def worth_taking(step: Step[Onchain], spend: Ending, matters: Iterable[Matter], env: Env) -> list[Matter]:
    """Those of some outputs that bring more than they cost now; what has changed since the last block is said aloud."""
    worth = []
    for matter in matters:
        given_up = matter.outpoint in step.state.is_given_up
        if is_worth(step.state, spend, matter, env):
            worth.append(matter)
            if given_up:
                step.fact(OutputWanted(matter.outpoint))
                step.act(_notice(step.state, matter, wanted_again=f"it pays at {floor_of(env)} sat/kw"))
        elif not given_up:
            why = f"{matter.amount_sat} sat cost more than they bring at {floor_of(env)} sat/kw"
            step.fact(OutputGivenUp(matter.outpoint, why))
            step.act(_notice(step.state, matter, given_up=why))
    return worth


def is_worth(state: Onchain, spend: Ending, matter: Matter, env: Env) -> bool:
    """Whether an output brings more than it costs at the lowest feerate that the mempool takes now."""
    if matter.htlc_tx is None:
        return sweeps.is_worth_taking(state, matter, env)
    return htlc_txs.pays_its_fee(spend) or htlc_txs.is_worth_paying(state, matter, env)


def is_given_up_for_good(state: Onchain, spend: Ending, matter: Matter, env: Env) -> bool:
    """Whether an output that is given up would not pay at our own floor either."""
    calm = replace(env, feerates=env.feerates.but(floor_per_kw=env.policy.feerates.floor_per_kw))
    return matter.outpoint in state.is_given_up and not is_worth(state, spend, matter, calm)


def _notice(state: Onchain, matter: Matter, **why: str) -> Notify:
    about = {"channel_id": state.channel_id.hex(), "output": str(matter.outpoint), "what": matter.purpose.value}
    return Notify("onchain", about | why)
