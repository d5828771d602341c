"""`python -m interop.twin`: put thousands of cases to Bitcoin Core and to the embedded chain, and compare."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from fulmen.regtest.judge import BTCLIB, KERNEL
from fulmen.regtest.judges import kernel_installed
from interop.chains.core import CORE
from interop.recipe import REQUIRED, NotHere
from interop.twin.families import FAMILIES
from interop.twin.plan import first_of_chapter
from interop.twin.record import KEPT, record
from interop.twin.run import Outcome, Plan, run
from interop.twin.sides import SideFailed

WITHOUT_KERNEL = "the kernel's judge is not played: py-bitcoinkernel has wheels for Python 3.11 to 3.13"


def main(arguments: list[str]) -> int:
    """0 when both say the same of everything."""
    options = _options(arguments)
    judges = tuple(options.judges.split(","))
    if KERNEL not in judges:
        print(WITHOUT_KERNEL, file=sys.stderr)
        if os.environ.get(REQUIRED):
            return 1
    try:
        core = options.core or _built()
    except NotHere as why:
        print(f"not run: {why}", file=sys.stderr)
        return 1 if os.environ.get(REQUIRED) else 0
    plan = Plan(core, options.seed, judges, tuple(options.family), not options.whole)
    began = time.monotonic()
    try:
        if options.record:
            record(plan, options.cases, KEPT)
            print(f"{options.cases} cases with Core's answers in {KEPT}")
            return 0
        if options.case is None:
            numbers = range(options.first, options.first + options.cases)
        else:
            first = first_of_chapter(options.case) if options.before else options.case
            numbers = range(first, options.case + 1)
        outcome = run(plan, numbers, options.lanes)
    except SideFailed as why:
        print(why, file=sys.stderr)
        return 1
    print(told(outcome, time.monotonic() - began, plan))
    return 1 if outcome.failures else 0


def told(outcome: Outcome, seconds: float, plan: Plan) -> str:
    """A run in words."""
    lines = [*outcome.failures]
    lines.append("families: " + ", ".join(f"{name} {count}" for name, count in sorted(outcome.families.items())))
    lines.append("Core said:")
    lines += [f"  {count:6} {reason}" for reason, count in outcome.reasons.most_common()]
    cases = sum(outcome.families.values())
    lines.append(
        f"{cases} cases of seed {plan.seed}, {outcome.asked} calls to each side in {seconds:.0f} s, "
        f"judged by {' and '.join(plan.judges)}: {len(outcome.failures)} differ"
    )
    return "\n".join(lines)


def _built() -> Path:
    """The lab's bitcoind, built now if it was not before."""
    CORE.ensure()
    return CORE.program("bitcoind")


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m interop.twin", description=__doc__)
    parser.add_argument("--core", type=Path, help="the bitcoind to ask (default: the lab's own)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--case", type=int, help="this one alone ...")
    parser.add_argument("--before", action="store_true", help="... or after those of its chapter")
    parser.add_argument("--family", action="append", default=[], choices=list(FAMILIES))
    parser.add_argument(
        "--judges",
        default=f"{KERNEL},{BTCLIB}" if kernel_installed() else BTCLIB,
        help="the judges of the embedded chains",
    )
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--whole", action="store_true", help="do not cut differences down")
    parser.add_argument("--record", action="store_true", help="keep the cases with Core's answers for the tests")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
