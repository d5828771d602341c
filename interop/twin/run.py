"""Runs: chapters of cases over lanes, and what a difference is cut down to."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from interop.twin import wire
from interop.twin.blocks import START
from interop.twin.plan import chapter_of, make_case
from interop.twin.play import COINS_CALL, Difference, Stage, begin, play
from interop.twin.sides import SideFailed, start_core, start_ours
from interop.twin.steps import Case, told

COINS_COMPARED = 20
"""After so many cases the whole set of coins is compared."""
SHRINK_S = 120.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be played."""

    core: Path
    seed: int
    judges: tuple[str, ...] = ("kernel", "btclib")
    families: tuple[str, ...] = ()
    shrink: bool = True


@dataclass(slots=True)
class Outcome:
    """What came of some cases."""

    families: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    """What Core said, each as often as it said it."""
    asked: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        """Take in what came of others."""
        self.families += other.families
        self.reasons += other.reasons
        self.asked += other.asked
        self.failures += other.failures


def run(plan: Plan, numbers: Sequence[int], lanes: int) -> Outcome:
    """Play cases by number, each chapter from its first one given, on so many lanes at once."""
    chapters: dict[int, list[int]] = {}
    for number in numbers:
        chapters.setdefault(chapter_of(number), []).append(number)
    outcome = Outcome(failures=_wire(plan))
    if lanes < 2 or len(chapters) < 2:
        for chosen in chapters.values():
            outcome.add(_chapter(plan, chosen))
        return outcome
    with ProcessPoolExecutor(lanes) as pool:
        for done in pool.map(_chapter, [plan] * len(chapters), chapters.values()):
            outcome.add(done)
    return outcome


def open_stage(plan: Plan) -> Stage:
    """All sides, on the common chain.

    Raises:
        SideFailed: one does not start, or they part on the common chain already.
    """
    stage = Stage([])
    try:
        stage.sides.append(start_core(plan.core))
        stage.sides += [start_ours(judge) for judge in plan.judges]
        if found := begin(stage, START):
            raise SideFailed(f"the common chain is not common: {found[0]}")
    except BaseException:
        close_stage(stage)
        raise
    return stage


def close_stage(stage: Stage) -> None:
    """End all sides."""
    for side in stage.sides:
        side.stop()


def _wire(plan: Plan) -> list[str]:
    """Requests as bytes, put to all sides once."""
    stage = open_stage(plan)
    try:
        core, *others = stage.sides
        return [
            f"{body}\n    core   {expected}\n    {side.name:6} {found}"
            for body in wire.BODIES
            for expected in [wire.put(core, body)]
            for side in others
            if (found := wire.put(side, body)) != expected
        ]
    finally:
        close_stage(stage)


def _chapter(plan: Plan, numbers: Sequence[int]) -> Outcome:
    outcome = Outcome()
    stage = open_stage(plan)
    try:
        for number in numbers:
            case = make_case(plan.seed, number, stage.world(), plan.families)
            outcome.families[case.family] += 1
            found = _differences(stage, case, compare_coins=number % COINS_COMPARED == COINS_COMPARED - 1)
            if found:
                outcome.failures.append(_report(plan, case, found, numbers[0]))
                outcome.asked += stage.asked
                outcome.reasons += stage.reasons
                close_stage(stage)
                stage.sides.clear()
                # The others of the chapter go on from a fresh chain.
                stage = open_stage(plan)
    finally:
        close_stage(stage)
    outcome.asked += stage.asked
    outcome.reasons += stage.reasons
    return outcome


def _differences(stage: Stage, case: Case, *, compare_coins: bool = True) -> list[Difference]:
    try:
        return play(stage, case) or (list(stage.both([COINS_CALL])) if compare_coins else [])
    except SideFailed as why:
        return [Difference(("", []), "", "", why)]


def _report(plan: Plan, case: Case, found: list[Difference], first: int) -> str:
    lines = [f"--seed {plan.seed} --case {case.number} ({case.family}), the chapter began with {first}"]
    if plan.shrink:
        small, again = _shrunk(plan, case)
        if again:
            case, found = small, again
            lines.append("  cut down, on the common chain alone:")
        else:
            lines.append("  does not differ alone; it needs the cases before it (--before):")
    lines += [f"  {told(step)}" for step in case.steps]
    lines += [f"  {difference}" for difference in found[:3]]
    return "\n".join(lines)


def _shrunk(plan: Plan, case: Case) -> tuple[Case, list[Difference]]:
    """The case with as few steps as still differ when it is played alone; no differences if it does not."""
    until = time.monotonic() + SHRINK_S
    found = _alone(plan, case)
    at = len(case.steps) - 1
    while found and at >= 0 and time.monotonic() < until:
        smaller = replace(case, steps=(*case.steps[:at], *case.steps[at + 1 :]))
        if again := _alone(plan, smaller):
            case, found = smaller, again
        at -= 1
    return case, found


def _alone(plan: Plan, case: Case) -> list[Difference]:
    stage = open_stage(plan)
    try:
        return _differences(stage, case)
    finally:
        close_stage(stage)
