"""`python -m interop.conformance [lnd] [ldk] [--only WORDS] [--write]`: play, tell, and write the page.

Ends with 0 when all that was not kept has its reason in `deviations.py`, and with 1 when something has none, was
not played to its end, or when a peer is not there.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from fulmen.conformance.report import summary, text_of
from fulmen.conformance.runner import Outcome, Verdict
from fulmen.conformance.script import Mine, Script
from fulmen.conformance.scripts import ALL
from interop.columns import PEERS, Column
from interop.conformance.deviations import reason_of
from interop.conformance.page import page
from interop.conformance.stage import Stage
from interop.recipe import NotHere

PAGE = Path(__file__).parents[2] / "docs" / "conformance-others.md"
KEYS = ("lnd", "ldk")
MANY_BLOCKS = 500


def main(arguments: list[str]) -> int:
    """Play all scripts with each peer that was asked for."""
    parser = argparse.ArgumentParser(prog="python -m interop.conformance", description="our scripts, their nodes")
    columns = {column.key: column for column in PEERS if column.key in KEYS}
    parser.add_argument("peers", nargs="*", metavar="peer", help="by default lnd and ldk")
    parser.add_argument("--only", default="", help="only scripts with one of these ids or words, parted by commas")
    parser.add_argument("--patience", type=float, default=1.0, help="how many times as long answers may take")
    parser.add_argument("--trace", action="store_true", help="show all that was said in what was not kept")
    parser.add_argument("--write", action="store_true", help="write their parts of docs/conformance-others.md anew")
    wanted = parser.parse_args(arguments)
    if unknown := [key for key in wanted.peers if key not in columns]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(columns)}")
    if wanted.write and wanted.only:
        parser.error("the page is of all scripts")
    scripts = [script for script in ALL if _is_wanted(script, wanted.only)]
    told: dict[Column, list[Outcome]] = {}
    well = True
    for key in wanted.peers or columns:
        column = columns[key]
        try:
            for recipe in column.recipes:
                recipe.ensure()
        except NotHere as why:
            print(f"not run: {key}: {why}")
            well = False
            continue
        started = time.monotonic()
        told[column] = _played(Stage(column, wanted.patience), scripts, trace=wanted.trace)
        print(f"{column.title}: {summary(told[column])}, in {time.monotonic() - started:.0f} s", flush=True)
        well = well and not _unexplained(column.key, told[column])
        if wanted.write:
            before = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
            PAGE.write_text(page(before, {column: told[column]}), encoding="utf-8")
    return 0 if well else 1


def _played(stage: Stage, scripts: Sequence[Script], *, trace: bool) -> list[Outcome]:
    """One script after another; what fails without a known reason gets a second try, on daemons of its own."""
    outcomes: dict[str, Outcome] = {}
    key = stage.column.key
    with stage:
        for script in sorted(scripts, key=_mines_many):
            if _mines_many(script):
                # Each channel that a node remembers makes it slower at reading blocks.
                stage.renew()
            outcome = outcomes[script.name] = stage.play(script)
            if _is_open(key, outcome):
                _say(key, outcome, trace=trace)
        again = [outcome.script for outcome in outcomes.values() if _is_open(key, outcome)]
        if again:
            stage.renew()
        for script in again:
            outcome = outcomes[script.name] = stage.play(script)
            print(f"second try: {outcome.verdict.value}: {script.name}: {outcome.reason}", flush=True)
    return [outcomes[script.name] for script in scripts]


def _mines_many(script: Script) -> bool:
    return any(isinstance(step, Mine) and step.blocks > MANY_BLOCKS for step in script.steps)


def _is_open(key: str, outcome: Outcome) -> bool:
    """Not kept, and nobody knows why; or not to be judged, because nothing of the kind is taken."""
    not_kept = outcome.refuses_good or outcome.verdict in (Verdict.FAILED, Verdict.WARNED)
    return not_kept and not reason_of(key, outcome.script)


def _unexplained(key: str, outcomes: Sequence[Outcome]) -> bool:
    """Whether somebody has to look; says where."""
    found = False
    for outcome in outcomes:
        if _is_open(key, outcome) or outcome.unfinished:
            found = True
            print(f"to look into: {outcome.script.name}: {outcome.reason}")
        elif outcome.verdict is Verdict.PASSED and reason_of(key, outcome.script):
            found = True
            print(f"kept, though listed among the deviations: {outcome.script.name}")
    return found


def _is_wanted(script: Script, only: str) -> bool:
    words = [word.strip().lower() for word in only.split(",") if word.strip()]
    return not words or any(word in map(str.lower, script.ids) or word in script.name.lower() for word in words)


def _say(key: str, outcome: Outcome, *, trace: bool) -> None:
    print(
        f"{key}: {outcome.verdict.value} ({outcome.seconds:.0f} s): {outcome.script.name}: {outcome.reason}", flush=True
    )
    if trace:
        print("".join(f"    {text_of(line)[:200]}\n" for line in outcome.trace), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
