"""The plugin that turns one pytest session into hundreds: for each mistake a forked process runs the tests that matter.

The parent collects once and never runs a test. A child has a limit on its processor time and on its memory, so a
mistake that loops is killed too; such deaths are counted apart.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from mutants.copies import passes_in_a_copy
from mutants.cover import Cover
from mutants.mutations import Mutation
from mutants.swap import CannotSwap, put_in_place

ROOT = Path(__file__).parent.parent
CORE = ROOT / "src" / "fulmen" / "core"
MEASURED = ROOT / ".mutants" / "cover.pickle"

KILLED, SURVIVED, TIMEOUT, UNREACHED, UNFIT = "killed", "survived", "timeout", "unreached", "unfit"

_DIED_OF = {0: SURVIVED, 1: KILLED, 3: UNFIT}
MEMORY_BYTES = 6 << 30
COPY_S = 900
"""How long the tests may take in a copy."""


@dataclass(frozen=True)
class Mutant:
    """A mistake, and where."""

    package: str
    file: str
    """Below the package."""
    mutation: Mutation

    @property
    def module(self) -> str:
        return f"fulmen.core.{self.package}.{self.file.removesuffix('.py').replace('/', '.')}"

    @property
    def path(self) -> str:
        return str(CORE / self.package / self.file)


@dataclass(frozen=True)
class Passed:
    """What the traced run of one test said."""

    version: str
    """Digest of its file and of the core: it is measured again when either changes."""
    good: bool
    cpu_s: float
    lines: frozenset[tuple[str, int]]
    calls: frozenset[tuple[str, int]]


class Harness:
    """Runs instead of pytest's own loop."""

    def __init__(
        self,
        packages: tuple[str, ...],
        mutants: Iterator[Mutant],
        slowest_s: float,
        budget_s: float,
        found: Callable[[Mutant, str, int], bool],
    ) -> None:
        """Try mutants until `found(mutant, verdict, tests)` says that it has enough.

        Args:
            slowest_s: a test that takes longer (traced) is left out.
            budget_s: how much time (traced) of tests one mutant may cost; the quickest tests go first.
        """
        self._packages, self._mutants, self._found = packages, mutants, found
        self._slowest_s, self._budget_s = slowest_s, budget_s

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Measure what is not measured, then one child for each mutant."""
        if session.testsfailed:
            raise session.Interrupted("a test file does not import")
        items = {item.nodeid: item for item in session.items}
        cover = self._measure(items)
        good = {name: passed for name, passed in cover.items() if passed.good and passed.cpu_s <= self._slowest_s}
        bad = sorted(name for name, passed in cover.items() if not passed.good)
        print(f"\n{len(items)} tests, {len(good)} of them quick enough; left out because they fail: {bad}", flush=True)
        for mutant in self._mutants:
            chosen = self._choose(mutant, good)
            tests = [items[name] for name in chosen]
            limit_s = 10 + 3 * sum(good[name].cpu_s for name in chosen)
            verdict = _in_child(partial(_try, mutant, tests), limit_s) if tests else UNREACHED
            if verdict == SURVIVED and mutant.mutation.constant is not None:
                verdict = _second_opinion(mutant, chosen)
            if self._found(mutant, verdict, len(tests)):
                break
        return True

    def _choose(self, mutant: Mutant, cover: dict[str, Passed]) -> list[str]:
        over = [name for name, passed in cover.items() if _reaches(name, passed, mutant)]
        # Those of the package itself first, then the quickest.
        over.sort(key=lambda name: (f"/{mutant.package}/" not in name, cover[name].cpu_s, name))
        chosen: list[str] = []
        spent = 0.0
        for name in over:
            spent += cover[name].cpu_s
            if chosen and spent > self._budget_s:
                break
            chosen.append(name)
        return chosen

    def _measure(self, items: dict[str, pytest.Item]) -> dict[str, Passed]:
        kept: dict[str, Passed] = pickle.loads(MEASURED.read_bytes()) if MEASURED.exists() else {}
        core = _digest(sorted(CORE.rglob("*.py")))
        versions = {name: f"{core}-{_digest([item.path])}" for name, item in items.items()}
        missing = [item for name, item in items.items() if name not in kept or kept[name].version != versions[name]]
        if missing:
            print(f"\nmeasuring {len(missing)} tests", flush=True)
            MEASURED.parent.mkdir(exist_ok=True)
            _in_child(lambda: _write_cover(missing, kept, versions, self._packages), 3600)
            kept = pickle.loads(MEASURED.read_bytes())
        return {name: kept[name] for name in items}


def _second_opinion(mutant: Mutant, tests: list[str]) -> str:
    passes = passes_in_a_copy(ROOT, Path(mutant.path), mutant.mutation, tests, COPY_S)
    return TIMEOUT if passes is None else SURVIVED if passes else KILLED


def _reaches(name: str, passed: Passed, mutant: Mutant) -> bool:
    constant = mutant.mutation.constant
    if constant is None:
        return (mutant.path, mutant.mutation.line) in passed.lines
    # A test may look at the constant itself.
    read_by = {str(ROOT / name.split("::")[0]), *(path for path, _ in passed.calls)}
    return mutant.path in read_by or any(constant in _text(path) for path in read_by)


_TEXTS: dict[str, str] = {}


def _text(path: str) -> str:
    if path not in _TEXTS:
        _TEXTS[path] = Path(path).read_text()
    return _TEXTS[path]


def _digest(paths: list[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


# -- in the child -----------------------------------------------------------------------------------------------------


def _in_child(do: Callable[[], int], cpu_s: float) -> str:
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _quiet(cpu_s)
            code = do()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return TIMEOUT if os.WTERMSIG(status) in {signal.SIGXCPU, signal.SIGKILL, signal.SIGALRM} else KILLED
    return _DIED_OF.get(os.WEXITSTATUS(status), KILLED)


def _quiet(cpu_s: float) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_s) + 1, int(cpu_s) + 5))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.alarm(int(cpu_s) * 30)


class _Watcher:
    """Hears how each test went."""

    def __init__(self, at_once: bool) -> None:
        self._at_once, self.failed = at_once, False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            if self._at_once:
                os._exit(1)
            self.failed = True


def _run(item: pytest.Item, following: pytest.Item | None) -> None:
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)


def _try(mutant: Mutant, tests: list[pytest.Item]) -> int:
    try:
        put_in_place(sys.modules[mutant.module], mutant.mutation)
    except CannotSwap:
        return 3
    tests[0].config.pluginmanager.register(_Watcher(at_once=True))
    for position, item in enumerate(tests):
        _run(item, tests[position + 1] if position + 1 < len(tests) else None)
    return 0


def _write_cover(
    tests: list[pytest.Item], kept: dict[str, Passed], versions: dict[str, str], packages: tuple[str, ...]
) -> int:
    watcher = _Watcher(at_once=False)
    tests[0].config.pluginmanager.register(watcher)
    same: dict[tuple[str, int], tuple[str, int]] = {}

    def one(places: set[tuple[str, int]]) -> frozenset[tuple[str, int]]:
        return frozenset(same.setdefault(place, place) for place in places)

    for position, item in enumerate(tests):
        watcher.failed = False
        with Cover(CORE, packages) as cover:
            _run(item, tests[position + 1] if position + 1 < len(tests) else None)
        good = not watcher.failed
        kept[item.nodeid] = Passed(versions[item.nodeid], good, cover.cpu_s, one(cover.lines), one(cover.calls))
    MEASURED.write_bytes(pickle.dumps(kept))
    return 0
