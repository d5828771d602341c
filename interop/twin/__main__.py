"""`python -m interop.twin`: run, replay, shrink, record."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from interop.twin.blocks import CASES_PER_CHAPTER, START
from interop.twin.families import FAMILIES
from interop.twin.plan import make_case
from interop.twin.play import COINS_CALL, Difference, Stage, begin, play
from interop.twin.sides import SideFailed, start_core, start_ours
from interop.twin.steps import told


def main() -> int:
    options = _options()
    core = Path(options.core)
    families = tuple(options.family)
    numbers = [options.case] if options.case is not None else range(options.first, options.first + options.cases)
    seen: Counter[str] = Counter()
    failed = 0
    began = time.monotonic()
    stage: Stage | None = None
    try:
        for number in numbers:
            if stage is None or number % CASES_PER_CHAPTER == 0:
                if stage is not None:
                    _stop(stage)
                stage = Stage([start_core(core), *[start_ours(judge) for judge in options.judges.split(",")]])
                if found := begin(stage, START):
                    print("the common chain:", *found, sep="\n")
                    return 1
            case = make_case(options.seed, number, stage.world(), families)
            if options.verbose:
                print(number, case.family, flush=True)
            seen[case.family] += 1
            try:
                found = play(stage, case)
            except SideFailed as why:
                found = [Difference(("", []), "", "", why)]
            if not found and number % 20 == 19:
                found = [*stage.both([COINS_CALL])]
            if found:
                failed += 1
                print(f"--seed {options.seed} --case {number} ({case.family})", *map(told, case.steps), sep="\n  ")
                print("  differs:", *found[:3], sep="\n  ", flush=True)
                _stop(stage)
                stage = None
                if failed >= options.most:
                    break
    finally:
        if stage is not None:
            _stop(stage)
    print(f"{sum(seen.values())} cases in {time.monotonic() - began:.0f} s, {failed} differ")
    print(", ".join(f"{name} {count}" for name, count in sorted(seen.items())))
    return 1 if failed else 0


def _stop(stage: Stage) -> None:
    for side in stage.sides:
        side.stop()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m interop.twin", description=__doc__)
    parser.add_argument("--core", default="bitcoind", help="the bitcoind to ask")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--case", type=int, help="this one alone")
    parser.add_argument("--family", action="append", default=[], choices=list(FAMILIES))
    parser.add_argument("--judges", default="kernel,btclib")
    parser.add_argument("--most", type=int, default=10, help="stop after so many that differ")
    parser.add_argument("--verbose", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
