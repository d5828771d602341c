"""Playing scripts: how each ended, and everything that was said.

A script passes when its last step is done. It fails when the node says something else than is expected, says nothing
in time, or sends what cannot be right. The trace shows what happened before. A refusal counts only of a node that takes
what is right: that is seen to first.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Iterable

from fulmen.adapters.chain.faults import ChainSourceFault
from fulmen.conformance.chain import NoCoins, NodeLags
from fulmen.conformance.channel import NodeIsWrong
from fulmen.conformance.hearing import Unsuited
from fulmen.conformance.links import HelperFailed, LinkClosed, Subject
from fulmen.conformance.play import Play
from fulmen.conformance.script import (
    Level,
    Script,
)
from fulmen.conformance.talking import Line, ScriptFailed, TookTooLong
from fulmen.core.base.faults import Fault
from fulmen.core.base.record import Record
from fulmen.core.crypto.hashes import sha256

LIMIT_S = 300.0
"""How long one script may take, waits and all."""


class Verdict(enum.Enum):
    """How a script ended."""

    PASSED = "passed"
    FAILED = "failed"
    WARNED = "warning"
    """It failed, and what it holds the node to is a SHOULD."""
    NOT_RUN = "not run"


class Outcome(Record):
    """How one script ended, and why."""

    script: Script
    verdict: Verdict
    reason: str = ""
    trace: tuple[Line, ...] = ()
    seconds: float = 0.0
    unfinished: bool = False
    """It was begun, and could not be played to its end; counts as not run."""
    refuses_good: bool = False
    """It was not run because the node does not take what is right, either."""
    for_want_of_a_chain: bool = False
    """It was not played to its end because the chain had no coins left for it, or did not do what it was asked."""


def run_all(
    scripts: Iterable[Script],
    subject: Subject,
    seed: bytes,
    done: Callable[[Outcome], None] = lambda _outcome: None,
    limit_s: float = LIMIT_S,
) -> list[Outcome]:
    """Play scripts one after another; `done` hears of each."""
    outcomes: list[Outcome] = []
    for script in scripts:
        outcome = run(script, subject, seed, limit_s)
        outcomes.append(outcome)
        done(outcome)
    return outcomes


def run(script: Script, subject: Subject, seed: bytes, limit_s: float = LIMIT_S) -> Outcome:
    """Play one script. Its fake peers have keys of their own, made from the seed and the script's name.

    Args:
        limit_s: what is not played to its end by then counts as not run.
    """
    reason = _why_not_run(script, subject)
    if reason:
        return Outcome(script, Verdict.NOT_RUN, reason)
    if script.good is not None and (untold := _refusing_good(script, script.good, subject, seed, limit_s)) is not None:
        return untold
    outcome = _played(script, subject, seed, limit_s)
    if outcome.verdict is not Verdict.NOT_RUN:
        subject.played[script.name] = "" if outcome.verdict is Verdict.PASSED else outcome.reason
    return outcome


def _refusing_good(script: Script, good: Script, subject: Subject, seed: bytes, limit_s: float) -> Outcome | None:
    """How a script ends whose good twin the node does not pass; None when it passes. The twin is played once."""
    if good.name not in subject.played:
        twin = run(good, subject, seed, limit_s)
        if good.name not in subject.played:
            reason = f"{good.name}: {twin.reason}"
            return twin.but(script=script, reason=reason)
    why = subject.played[good.name]
    if not why:
        return None
    return Outcome(script, Verdict.NOT_RUN, f"it refuses what is right, too: {good.name}: {why}", refuses_good=True)


def _played(script: Script, subject: Subject, seed: bytes, limit_s: float) -> Outcome:
    started = time.monotonic()
    play = Play(script, subject, sha256(seed + script.name.encode()), started + limit_s)
    verdict, reason, unfinished, chainless = Verdict.PASSED, "", False, False
    failed = Verdict.FAILED if script.level is Level.MUST else Verdict.WARNED
    try:
        play.perform()
    except Unsuited as unsuited:
        verdict, reason = Verdict.NOT_RUN, str(unsuited)
    except TookTooLong:
        verdict, reason, unfinished = Verdict.NOT_RUN, f"{play.at}: not played to its end within {limit_s:g} s", True
    except (NodeLags, NoCoins, ChainSourceFault, HelperFailed) as around:
        # None of it is the node's doing, or nobody can know.
        verdict, reason, unfinished = Verdict.NOT_RUN, f"{play.at}: {around.name}: {around}", True
        chainless = isinstance(around, (NoCoins, ChainSourceFault))
    except (ScriptFailed, NodeIsWrong) as failure:
        verdict, reason = failed, f"{play.at}: {failure}"
    except LinkClosed as closed:
        verdict, reason = failed, f"{play.at}: {closed}"
    except Fault as fault:
        verdict, reason = failed, f"{play.at}: {fault.name}: {fault}"
    finally:
        play.clear()
    seconds = time.monotonic() - started
    return Outcome(
        script, verdict, reason, tuple(play.trace), seconds, unfinished=unfinished, for_want_of_a_chain=chainless
    )


def _why_not_run(script: Script, subject: Subject) -> str:
    if script.needs_chain and subject.coins is None:
        return "needs a chain (--chain)"
    told = () if subject.operator is None else subject.can_be_told
    if missing := [f"--{command}-command" for command in script.asks if command not in told]:
        return f"needs somebody who tells the node what to do ({', '.join(missing)})"
    return ""
