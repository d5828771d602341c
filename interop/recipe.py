"""What it takes to have a foreign program: tools, manifests, commands, and a cache that makes it once per version.

A recipe's manifests (go.mod and go.sum, Cargo.toml and Cargo.lock …) lie in `recipes/NAME/`, so that a build is the
same everywhere. What it makes lies outside the tree, in `$XDG_CACHE_HOME/fulmen-interop/NAME-VERSION-HASH/bin`, where
the hash is that of manifests and commands: a second run finds it there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
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
VERSION = re.compile(r"\d+(?:\.\d+)+")


class NotHere(Exception):
    """A program cannot be had on this machine; says what is missing."""


@dataclass(frozen=True)
class Tool:
    """Something a build needs: a program or a file, of some version, and what brings it."""

    name: str
    packages: tuple[str, ...] = ()
    """Debian packages that bring it; the first that is to be had is taken."""
    file: str = ""
    """A file to look for instead of a program; `*` stands for one part of a path."""
    asked: tuple[str, ...] = ()
    """The command that says its version, where that matters."""
    least: str = ""
    """The oldest version that will do."""
    only: str = ""
    """The one version that will do."""
    maker: Recipe | None = None
    """What makes it where no package brings it."""

    def lacking(self) -> str:
        """What this machine lacks: "cargo", or "cargo 1.88 or later (here is 1.65.0)"; nothing when all is well."""
        wanted = f"{self.name} {self.only or self.least}".rstrip() + (" or later" if self.least else "")
        if not self._here:
            return wanted
        if not self.asked:
            return ""
        here = self._version()
        if here and (here == self.only or (self.least and _ordered(here) >= _ordered(self.least))):
            return ""
        return f"{wanted} (here is {here or 'one that does not say its version'})"

    @property
    def _here(self) -> bool:
        if self.file:
            root, _, pattern = self.file.partition("/")
            return any(Path(root or "/").glob(pattern))
        return shutil.which(self.name, path=path_with([self])) is not None

    def _version(self) -> str:
        environ = {**os.environ, "PATH": path_with([self])}
        try:
            said = subprocess.run(self.asked, capture_output=True, check=True, env=environ, timeout=60).stdout
        except (OSError, subprocess.SubprocessError):
            return ""
        found = VERSION.search(said.decode("utf-8", "replace"))
        return found.group() if found else ""


@dataclass(frozen=True)
class Recipe:
    """How to have some programs."""

    name: str
    version: str
    programs: tuple[str, ...]
    """Paths under the recipe's place in the cache that must be there at the end; absolute ones lie in the system."""
    tools: tuple[Tool, ...] = ()
    steps: tuple[tuple[str, ...], ...] = ()
    """Commands, run one after another where the manifests were copied to.

    {out}: the recipe's place in the cache; {python}: the one that runs this."""

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
        # What lies in the system is another one after each upgrade of it.
        have([tool for tool in self.tools if tool.only], self.name)
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
        environ = {**os.environ, "PATH": path_with(self.tools)}
        began = time.monotonic()
        print(f"{self.name} {self.version}: building, once ({log})", flush=True)
        with log.open("wb") as said:
            for step in self.steps:
                words = [word.format(out=self.home, jobs=os.cpu_count() or 1, python=sys.executable) for word in step]
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
        NotHere: says which are missing or too old, and what brings them.
    """
    missing = [tool for tool in tools if tool.lacking()]
    if any(tool.packages for tool in missing) and os.geteuid() == 0 and shutil.which("apt-get"):
        _apt_get("update")
        for tool in missing:
            for package in tool.packages:
                if tool.lacking():
                    print(f"{whom}: apt-get install {package}", flush=True)
                    _apt_get("install", "-y", "--no-install-recommends", package)
    for tool in missing:
        if tool.maker is not None and tool.lacking():
            tool.maker.ensure()
    wrong = [tool for tool in missing if tool.lacking()]
    if not wrong:
        return
    packages = [tool.packages[0] for tool in wrong if tool.packages]
    how = f" (on Debian and Ubuntu: sudo apt-get install -y {' '.join(packages)})" if packages else ""
    raise NotHere(f"{whom} needs {', '.join(tool.lacking() for tool in wrong)}{how}")


def path_with(tools: Sequence[Tool]) -> str:
    """Where programs are looked for: what was made for lack of a package first."""
    makers = [tool.maker for tool in tools if tool.maker is not None and tool.maker.done]
    made = [str((maker.home / program).parent) for maker in makers for program in maker.programs]
    places = [str(Path(place).expanduser()) for place in TOOL_PLACES]
    return os.pathsep.join([*made, os.environ.get("PATH", os.defpath), *places])


def _apt_get(*words: str) -> None:
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "-qq", *words], check=False, env=environ, capture_output=True, timeout=900)


def _ordered(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


@contextmanager
def _alone(key: str) -> Iterator[None]:
    """Two runs on one machine do not make the same thing twice."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _end(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:])
