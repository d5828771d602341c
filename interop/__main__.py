"""`python -m interop`: build, play, report."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections import Counter

from interop.columns import COLUMNS, Column
from interop.play import LANES, play
from interop.recipe import REQUIRED, NotHere, Recipe, cache
from interop.report import PAGE, page
from interop.results import Cell, Outcome, Outcomes, Verdict, cells_of

MOST_HASTE = 4
"""What comes right only alone may be the machine's haste; more than so much of it in a run is a fault."""


def main(arguments: list[str]) -> int:
    """What the command line asks for; its exit code."""
    wanted = _read(arguments)
    columns = tuple(column for column in COLUMNS if not wanted.peer or column.key in wanted.peer)
    cells = [cell for cell in cells_of(columns) if all(word.lower() in str(cell).lower() for word in wanted.only)]
    if not cells:
        print(f"no scenario has all of these words in its name: {' '.join(wanted.only)}")
        return 2
    if wanted.list:
        for cell in cells:
            print(cell if cell.playable else f"{cell} (not a feature of it)")
        return 0
    began = time.monotonic()
    missing = _build([column for column in columns if any(cell.column is column for cell in cells)])
    built = time.monotonic()
    if wanted.build:
        return 1 if missing else 0
    outcomes: Outcomes = {}
    to_play: list[Cell] = []
    for cell in cells:
        if not cell.playable:
            outcomes[cell.key] = Outcome(Verdict.NO_FEATURE)
        elif cell.column.key in missing:
            outcomes[cell.key] = Outcome(Verdict.NOT_RUN, words=missing[cell.column.key])
        else:
            to_play.append(cell)
    outcomes |= play(to_play, _tell, wanted.lanes)
    counts = Counter(outcome.verdict for outcome in outcomes.values())
    print()
    for key, words in missing.items():
        print(f"not run: {key}: {words.splitlines()[0]}")
    for cell in cells:
        if outcomes[cell.key].verdict in (Verdict.FAILED, Verdict.SECOND_TRY):
            print(f"{outcomes[cell.key].verdict.value}: {cell}")
    shown = ", ".join(f"{counts[verdict]} {verdict.name.lower().replace('_', ' ')}" for verdict in Verdict)
    print(f"{shown}; played in {time.monotonic() - built:.0f} s, built in {built - began:.0f} s")
    if wanted.write:
        PAGE.write_text(page(outcomes), encoding="utf-8")
    failed = counts[Verdict.FAILED] + (counts[Verdict.NOT_RUN] if wanted.required else 0)
    return 1 if failed or counts[Verdict.SECOND_TRY] > MOST_HASTE else 0


def _read(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m interop", description="fulmen against what others wrote")
    keys = [column.key for column in COLUMNS]
    parser.add_argument("only", nargs="*", help="only scenarios whose name has all of these words in it")
    parser.add_argument("--peer", action="append", choices=keys, help="only this column; may be said again")
    parser.add_argument("--lanes", type=int, default=LANES, help="how many are played side by side")
    parser.add_argument("--list", action="store_true", help="say what would be played")
    parser.add_argument("--build", action="store_true", help=f"only build what is needed (into {cache()})")
    parser.add_argument("--write", action="store_true", help="write docs/interop.md")
    parser.add_argument(
        "--required",
        action="store_true",
        default=bool(os.environ.get(REQUIRED)),
        help=f"what cannot be built or started is a failure (or set {REQUIRED})",
    )
    return parser.parse_args(arguments)


def _build(columns: list[Column]) -> dict[str, str]:
    """Have all programs; column key -> why it cannot be played."""
    wrong: dict[Recipe, str] = {}
    for recipe in dict.fromkeys(recipe for column in columns for recipe in column.recipes):
        try:
            recipe.ensure()
        except NotHere as why:
            wrong[recipe] = str(why)
            print(why, flush=True)
    return {
        column.key: next(wrong[recipe] for recipe in column.recipes if recipe in wrong)
        for column in columns
        if any(recipe in wrong for recipe in column.recipes)
    }


def _tell(cell: Cell, outcome: Outcome) -> None:
    print(f"{outcome.verdict.value:10} {outcome.seconds:5.1f} s  {cell}", flush=True)
    if outcome.words:
        print("    " + outcome.words.replace("\n", "\n    "), flush=True)


if __name__ == "__main__":
    # Whoever is told to end lets the lanes stop their daemons first.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
