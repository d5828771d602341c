"""What it takes to have a foreign program: tools, manifests, commands, and a cache that makes it once per version.

A recipe's manifests (go.mod and go.sum, Cargo.toml and Cargo.lock …) lie in `recipes/NAME/`, so that a build is the
same everywhere. What it makes lies outside the tree, in `$XDG_CACHE_HOME/fulmen-interop/NAME-VERSION-HASH/bin`, where
the hash is that of manifests and commands: a second run finds it there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MANIFESTS = Path(__file__).parent / "recipes"
REQUIRED = "FULMEN_INTEROP_REQUIRED"
"""Set in the environment: what cannot be built or started is a failure."""
BUILD_S = 3000
LAST_LINES = 40
MADE = "made"
"""A file that says that all steps came to their end."""
TOOL_PLACES = ("~/.cargo/bin", "/usr/local/go/bin", "/usr/local/bin", "/usr/lib/go/bin")
"""Where tools lie that are installed and yet not on everybody's path."""


class NotHere(Exception):
    """A program cannot be had on this machine; says what is missing."""


@dataclass(frozen=True)
class Tool:
    """Something a build needs: a program or a file, and the Debian package that brings it."""

    name: str
    package: str = ""
    file: str = ""
    """A file to look for instead of a program; `*` stands for one part of a path."""

    @property
    def here(self) -> bool:
        """Whether this machine has it."""
        if self.file:
            root, _, pattern = self.file.partition("/")
            return any(Path(root or "/").glob(pattern))
        return shutil.which(self.name, path=_path()) is not None


@dataclass(frozen=True)
class Recipe:
    """How to have some programs."""

    name: str
    version: str
    programs: tuple[str, ...]
    """Paths under the recipe's place in the cache that must be there at the end; absolute ones lie in the system."""
    tools: tuple[Tool, ...] = ()
    steps: tuple[tuple[str, ...], ...] = ()
    """Commands, run one after another where the manifests were copied to. {out}: the recipe's place in the cache."""

    @property
    def manifests(self) -> Path:
        """The folder of what is committed for it; it need not be there."""
        return MANIFESTS / self.name

    @property
    def key(self) -> str:
        """Name, version, and a hash of all that decides what comes out."""
        digest = hashlib.sha256(repr(self.steps).encode())
        for path in sorted(path for path in self.manifests.rglob("*") if path.is_file() and "target" not in path.parts):
            digest.update(str(path.relative_to(self.manifests)).encode() + b"\0" + path.read_bytes())
        return f"{self.name}-{self.version}-{digest.hexdigest()[:12]}"

    @property
    def home(self) -> Path:
        """Its place in the cache."""
        return cache() / self.key

    def program(self, name: str) -> Path:
        """Where one of its programs lies."""
        [found] = [self.home / path for path in self.programs if Path(path).name == name]
        return found

    @property
    def done(self) -> bool:
        """Whether all of its programs are there, and were made to the end."""
        return all((self.home / path).exists() for path in self.programs) and (
            not self.steps or (self.home / MADE).exists()
        )

    def ensure(self) -> None:
        """Have the programs: at once when they were made before.

        Raises:
            NotHere: a tool is missing, or a step failed; with the end of what it said.
        """
        if self.done:
            return
        with _alone(self.key):
            if not self.done:
                self._make()

    def _make(self) -> None:
        have(self.tools, self.name)
        if self.done:
            return
        # Made under its last name, as some programs keep the path at which they were installed.
        work = cache() / f"{self.key}.work"
        log = cache() / f"{self.key}.log"
        for old in (work, self.home):
            shutil.rmtree(old, ignore_errors=True)
        if self.manifests.is_dir():
            shutil.copytree(self.manifests, work, ignore=shutil.ignore_patterns("target"))
        work.mkdir(parents=True, exist_ok=True)
        self.home.mkdir(parents=True)
        environ = {**os.environ, "PATH": _path()}
        began = time.monotonic()
        print(f"{self.name} {self.version}: building, once ({log})", flush=True)
        with log.open("wb") as said:
            for step in self.steps:
                words = [word.format(out=self.home, jobs=os.cpu_count() or 1) for word in step]
                try:
                    done = subprocess.run(
                        words,
                        check=False,
                        cwd=work,
                        env=environ,
                        stdin=subprocess.DEVNULL,
                        stdout=said,
                        stderr=said,
                        timeout=BUILD_S,
                    )
                except subprocess.TimeoutExpired:
                    raise NotHere(f"{self.name}: {words[0]} took more than {BUILD_S} s:\n{_end(log)}") from None
                if done.returncode:
                    raise NotHere(f"{self.name}: {' '.join(words)} ended with {done.returncode}:\n{_end(log)}")
        (self.home / MADE).touch()
        if not self.done:
            raise NotHere(f"{self.name}: its steps left no {', '.join(self.programs)}:\n{_end(log)}")
        shutil.rmtree(work, ignore_errors=True)
        print(f"{self.name} {self.version}: built in {time.monotonic() - began:.0f} s", flush=True)


def cache() -> Path:
    """Where built programs lie."""
    named = os.environ.get("FULMEN_INTEROP_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fulmen-interop"


def have(tools: Sequence[Tool], whom: str) -> None:
    """See that all tools are there; as root on Debian and Ubuntu, install those that are not.

    Raises:
        NotHere: says which are missing and what brings them.
    """
    missing = [tool for tool in tools if not tool.here]
    packages = [tool.package for tool in missing if tool.package]
    if packages and os.geteuid() == 0 and shutil.which("apt-get"):
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        print(f"{whom}: apt-get install {' '.join(packages)}", flush=True)
        for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
            subprocess.run(["apt-get", *words], check=False, env=environ, capture_output=True, timeout=900)
        missing = [tool for tool in tools if not tool.here]
    if not missing:
        return
    packages = [tool.package for tool in missing if tool.package]
    how = f" (on Debian and Ubuntu: sudo apt-get install -y {' '.join(packages)})" if packages else ""
    raise NotHere(f"{whom} needs {', '.join(tool.name for tool in missing)}{how}")


def _path() -> str:
    places = [str(Path(place).expanduser()) for place in TOOL_PLACES]
    return os.pathsep.join([os.environ.get("PATH", os.defpath), *places])


@contextmanager
def _alone(key: str) -> Iterator[None]:
    """Two runs on one machine do not make the same thing twice."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _end(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:])
