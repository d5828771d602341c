"""Try the tests on small mistakes: `python -m mutants PACKAGE [--count 200] [--seed 1] [--again | --at PLACE ...]`."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from mutants.harness import CORE, KILLED, ROOT, SURVIVED, TIMEOUT, UNFIT, UNREACHED, Harness, Mutant
from mutants.mutations import mutations
from mutants.rate import wilson

PACKAGES = ("channel", "commitments", "onchain", "transactions")
UNITS = (*PACKAGES, "signer", "switch", "wallet")
TESTS = (*(f"tests/unit/core/{name}" for name in UNITS), "tests/laws")
SLOW = ("tests/laws/test_a_killed_process_comes_right.py", "tests/laws/test_the_toy_keeps_the_laws.py")
"""They start processes of their own, in which there would be no mistake, or run other machines."""


def main(arguments: list[str]) -> int:
    """Run, and print what survived."""
    parser = argparse.ArgumentParser(prog="python -m mutants", description=__doc__)
    parser.add_argument("package", choices=PACKAGES)
    parser.add_argument("--count", type=int, default=200, help="how many mutants; default 200")
    parser.add_argument("--seed", type=int, default=1, help="which sample; default 1")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--again", action="store_true", help="only those that survived last time")
    which.add_argument("--at", nargs="+", metavar="FILE:LINE[:COLUMN]", help="only those there; no sample counts them")
    parser.add_argument("--tests", nargs="+", default=TESTS, help="files or folders; default: all that may pass there")
    parser.add_argument("--slowest", type=float, default=15, help="leave out tests that take more traced seconds")
    parser.add_argument("--budget", type=float, default=40, help="traced seconds of tests for one mutant")
    asked = parser.parse_args(arguments)
    everything = list(all_mutants(asked.package))
    random.Random(asked.seed).shuffle(everything)
    if asked.at:
        everything = [mutant for mutant in everything if any(_stands_at(mutant, place) for place in asked.at)]
        book = Book(ROOT / ".mutants" / f"{asked.package}-at.jsonl", len(everything))
        book.burn()
    else:
        book = Book(ROOT / ".mutants" / f"{asked.package}-{asked.seed}.jsonl", asked.count)
    if asked.again:
        wanted = [mutant for mutant in everything if book.verdict(mutant) in {SURVIVED, UNREACHED}]
    else:
        wanted = [mutant for mutant in everything if book.verdict(mutant) is None]
    if asked.again or not book.full:
        # The same examples each time, and no search for the smallest: a mutant is dead or it is not.
        settings.register_profile(
            "mutants",
            deadline=None,
            derandomize=True,
            database=None,
            print_blob=False,
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
        )
        harness = Harness(PACKAGES, iter(wanted), asked.slowest, asked.budget, book.note)
        options = [
            "-q",
            "-s",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            "-W",
            "ignore::pytest.PytestAssertRewriteWarning",
            "-o",
            "timeout=0",
            "-m",
            "not soak",
            "--hypothesis-profile=mutants",
            *(f"--ignore={path}" for path in SLOW),
        ]
        pytest.main([*options, *asked.tests], plugins=[harness])
    print(book.report(asked.package, len(everything)))
    return 0


def all_mutants(package: str) -> Iterator[Mutant]:
    """Every mistake that the package can be given."""
    folder = CORE / package
    for path in sorted(folder.rglob("*.py")):
        for mutation in mutations(path.read_text(encoding="utf-8")):
            yield Mutant(package, str(path.relative_to(folder)), mutation)


class Book:
    """What became of each mutant, kept in a file, so that a run can go on where it was stopped."""

    def __init__(self, path: Path, count: int) -> None:
        self._path, self._count = path, count
        self._rows: dict[str, dict[str, str | int]] = {}
        if path.exists():
            for row in map(json.loads, path.read_text().splitlines()):
                self._rows[row["name"]] = row

    def burn(self) -> None:
        """Forget everything."""
        self._path.unlink(missing_ok=True)
        self._rows.clear()

    @property
    def full(self) -> bool:
        return self._tried() >= self._count

    def verdict(self, mutant: Mutant) -> str | None:
        row = self._rows.get(_name(mutant))
        return None if row is None else str(row["verdict"])

    def note(self, mutant: Mutant, verdict: str, tests: int) -> bool:
        """Write it down; whether that is enough."""
        again = _name(mutant) in self._rows
        row: dict[str, str | int] = {"name": _name(mutant), "verdict": verdict, "tests": tests}
        self._rows[_name(mutant)] = row
        self._path.parent.mkdir(exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{self._tried():4} {verdict:9} {tests:4} tests  {_name(mutant)}", flush=True)
        return not again and self.full

    def report(self, package: str, of: int) -> str:
        """The rate and the survivors, in Markdown."""
        dead = self._with(KILLED) + self._with(TIMEOUT)
        low, high = wilson(dead, self._tried())
        lines = [
            f"{package}: {self._tried()} of {of} mutants tried, {dead} killed ({self._with(TIMEOUT)} of them by the"
            f" time limit), {100 * dead / max(1, self._tried()):.1f} % [{100 * low:.1f}, {100 * high:.1f}];"
            f" {self._with(UNREACHED)} on lines that no test passes.",
        ]
        lines += [
            f"* {row['name']} ({row['verdict']})"
            for row in sorted(self._rows.values(), key=lambda row: str(row["name"]))
            if row["verdict"] in {SURVIVED, UNREACHED}
        ]
        return "\n".join(lines)

    def _tried(self) -> int:
        return sum(row["verdict"] != UNFIT for row in self._rows.values())

    def _with(self, verdict: str) -> int:
        return sum(row["verdict"] == verdict for row in self._rows.values())


def _stands_at(mutant: Mutant, place: str) -> bool:
    return f"{mutant.file}:{mutant.mutation.line}:{mutant.mutation.column}:".startswith(f"{place}:")


def _name(mutant: Mutant) -> str:
    return f"{mutant.package}/{mutant.file}:{mutant.mutation.line}:{mutant.mutation.column} {mutant.mutation.what}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
