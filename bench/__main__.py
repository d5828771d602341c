"""Run the benchmarks: `python -m bench [names] [--write]`."""

from __future__ import annotations

import argparse
import datetime
import importlib
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.field import beside
from bench.floor import measure
from bench.measure import Figure
from fulmen.core.crypto.secp256k1 import LIBRARY

SUBJECTS = ("onion", "commitment", "paths", "gossip", "payments")
PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def main(arguments: list[str]) -> int:
    """Measure the floor, then what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Figures beside the floor of this machine.")
    parser.add_argument("subjects", nargs="*", metavar="subject", help=f"any of {', '.join(SUBJECTS)}; default all")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md as well")
    asked = parser.parse_args(arguments)
    unknown = [name for name in asked.subjects if name not in SUBJECTS]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(SUBJECTS)}")
    command = " ".join(["python -m bench", *arguments])
    figures: list[Figure] = []
    print(f"{machine()}\n")
    for figure in run(asked.subjects or list(SUBJECTS)):
        figures.append(figure)
        print(line(figure), flush=True)
    if asked.write:
        PAGE.write_text(page(figures, command), encoding="utf-8")
        print(f"\nwritten to {PAGE}")
    return 0


def run(subjects: list[str]) -> Iterator[Figure]:
    """All figures, as they come."""
    floor = measure()
    yield from floor.figures()
    for name in subjects:
        yield from importlib.import_module(f"bench.{name}").run(floor)


def line(figure: Figure) -> str:
    """For a terminal."""
    floor = "" if figure.floor is None else f"floor {number(figure.floor)}  {figure.share:>6}"
    return f"{figure.subject:11} {figure.name:48} {number(figure.actual):>12} {figure.unit:5} {floor:28} {figure.note}"


def page(figures: list[Figure], command: str) -> str:
    """For docs/benchmarks.md."""
    head = [
        "# Benchmarks",
        "",
        "Made by the command below; times are CPU time, the fastest of many short repeats; disk and network are by the",
        "clock. `floor` is what the primitives of the first lines alone would take (C functions, measured",
        "in the same run), and beside it stands how much of the time that is. Ratios travel between machines, times",
        "do not.",
        "",
        f"    {command}",
        "",
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {machine()}",
        "",
        "| subject | what | actual | | floor | floor / actual | |",
        "| --- | --- | ---: | --- | ---: | ---: | --- |",
    ]
    rows = [
        f"| {figure.subject} | {figure.name} | {number(figure.actual)} | {figure.unit} | "
        f"{'' if figure.floor is None else number(figure.floor)} | {figure.share} | {figure.note} |"
        for figure in figures
    ]
    return "\n".join([*head, *rows, *beside(figures), ""])


def number(value: float) -> str:
    """Three digits that matter."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def machine() -> str:
    """What this ran on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [text.split(":", 1)[1].strip() for text in cpuinfo.read_text().splitlines() if "model name" in text]
        model = names[0] if names else model
    cores = os.cpu_count()
    return (
        f"{model}, {cores} cores, {platform.system()}, CPython {platform.python_version()}, libsecp256k1 of {LIBRARY}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
