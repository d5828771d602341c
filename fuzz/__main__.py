"""Run targets: `python -m fuzz [names] [--seconds 20 | --runs 1000000] [--jobs 2]`."""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fuzz.target import Target
from fuzz.targets import ROOMS, TARGETS

ROOT = Path(__file__).parent.parent
CORPORA = ROOT / ".fuzz"
ONE_INPUT_S = 20
MEMORY_MB = 3000


@dataclass(frozen=True)
class Report:
    """How one target went."""

    name: str
    executions: int
    seconds: float
    good: bool
    text: str


def main(arguments: list[str]) -> int:
    """1 if anything was found."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Every door, under any bytes.")
    parser.add_argument("names", nargs="*", metavar="target", help=f"any of {', '.join(TARGETS)}; default all")
    parser.add_argument("--seconds", type=int, default=20, help="for each target; default 20")
    parser.add_argument("--runs", type=int, help="so many executions instead")
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time; default 1")
    parser.add_argument("--seed", type=int, default=1, help="libFuzzer's; default 1")
    asked = parser.parse_args(arguments)
    unknown = [name for name in asked.names if name not in TARGETS]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    names = asked.names or list(TARGETS)
    if importlib.util.find_spec("atheris") is None:
        print("NOT FUZZED: atheris has no wheel for this Python and machine. The seeds of each target were played:")
        print(*(f"  {name}: {played(TARGETS[name])} inputs" for name in names), sep="\n")
        return 0
    limits = [f"-runs={asked.runs}"] if asked.runs else [f"-max_total_time={asked.seconds}"]
    with ThreadPoolExecutor(asked.jobs) as pool:
        reports = []
        for report in pool.map(lambda name: fuzzed(TARGETS[name], [*limits, f"-seed={asked.seed}"]), names):
            print(line(report), flush=True)
            reports.append(report)
    bad = [report for report in reports if not report.good]
    for report in bad:
        print(f"\n--- {report.name}\n{report.text}")
    print(
        f"{len(reports)} targets, {sum(report.executions for report in reports)} executions, {len(bad)} with a finding"
    )
    return 1 if bad else 0


def played(target: Target) -> int:
    """Run every seed, without libFuzzer; how many there were."""
    seeds = [*target.seeds()]
    for seed in seeds:
        target.run(seed)
    return len(seeds)


def fuzzed(target: Target, options: list[str]) -> Report:
    """Run one target in a process of its own. Its corpus and its findings lie in `.fuzz/`."""
    corpus = CORPORA / target.name
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds():
        (corpus / hashlib.sha1(seed).hexdigest()).write_bytes(seed)
    command = [sys.executable, "-m", "fuzz.one", ROOMS[target.name], target.name, *options, f"-timeout={ONE_INPUT_S}"]
    command += [f"-rss_limit_mb={MEMORY_MB}", f"-artifact_prefix={CORPORA / target.name}-", "-print_final_stats=1"]
    begun = time.monotonic()
    ran = subprocess.run(
        [*command, str(corpus)], cwd=ROOT, capture_output=True, text=True, errors="replace", check=False
    )
    said = ran.stdout + ran.stderr
    executions = re.findall(r"^(?:stat::number_of_executed_units:|#)\s*(\d+)", said, re.MULTILINE)
    count = max(map(int, executions), default=0)
    return Report(target.name, count, time.monotonic() - begun, ran.returncode == 0 and count > 0, said[-6000:])


def line(report: Report) -> str:
    """For a terminal."""
    verdict = "nothing found" if report.good else "FINDING"
    return f"{report.name:20} {report.executions:>9} executions in {report.seconds:7.1f} s  {verdict}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
