"""A program in a process of its own: started, frozen, killed and stopped, with all that it says in a log file.

The demo, the benchmarks, the tests and the lab start their daemons with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import fulmen
from fulmen.lab.claims import Claim
from fulmen.lab.waiting import Deviation, until

START_S = 60.0
"""A machine with two slow cores starts all five at once."""
STOP_S = 40.0
"""And stops them at once; who takes longer is killed, and that is an error."""
LAST_LINES = 12


class Process:
    """One process of any program, which may live several times; Ctrl-C has to end it.

    With a `claim`, another process of ours can find it and stop it (`fulmen.lab.claims`).
    """

    claim: Path | None = None

    def __init__(self, name: str, command: Sequence[str], log: Path, environ: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._command = tuple(command)
        self._environ = None if environ is None else dict(environ)
        self.log = log
        self._read = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = False

    @property
    def pid(self) -> int:
        """Of the process that runs, or ran last."""
        return 0 if self._process is None else self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Start it, and do not wait."""
        self._asked = False
        self._read = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log, ExitStack() as held:
            claim = None if self.claim is None else held.enter_context(Claim.taken(self.claim))
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environ,
                pass_fds=() if claim is None else (claim.descriptor,),
                # Ctrl-C is for whoever directs the play: the players are told to stop one by one.
                start_new_session=True,
            )
            if claim is not None:
                claim.write(self._process.pid)

    def line_with(self, words: str) -> str:
        """The first line since the start that holds these words.

        Raises:
            Deviation: it died, or said nothing like that in time.
        """
        return until(lambda: self._find(words), f"{self.name} says {words!r}", START_S)

    def _find(self, words: str) -> str | None:
        with self.log.open("rb") as log:
            log.seek(self._read)
            said = log.read().decode("utf-8", "replace")
        # The last piece may be half a line.
        for line in said.split("\n")[:-1]:
            if words in line:
                return line
        self.check_alive()
        return None

    def check_alive(self) -> None:
        """See that it runs.

        Raises:
            Deviation: it has ended; with its last words.
        """
        if not self.alive:
            raise Deviation(f"{self.name} ended with code {self._code()}:\n{self.last_words()}")

    def kill(self) -> None:
        """`kill -9`: no goodbye, no flush."""
        self.send_signal(signal.SIGKILL)
        self._wait(STOP_S)

    def freeze(self) -> None:
        """Let it stand still with all its connections open."""
        self.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.send_signal(signal.SIGCONT)

    def ask_to_stop(self) -> None:
        """Ctrl-C once, and do not wait."""
        if not self._asked:
            self._asked = True
            self.send_signal(signal.SIGCONT)
            self.send_signal(signal.SIGINT)

    def stop(self) -> int:
        """Ctrl-C; gives the exit code."""
        self.ask_to_stop()
        if not self._wait(STOP_S):
            self.kill()
            raise Deviation(f"{self.name} did not stop within {STOP_S:g} s:\n{self.last_words()}")
        return self._code()

    def last_words(self) -> str:
        """The end of its log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:])

    def send_signal(self, number: signal.Signals) -> None:
        """To a process that runs; to one that has ended, nothing."""
        if self.alive and self._process is not None:
            self._process.send_signal(number)

    def _wait(self, seconds: float) -> bool:
        if self._process is None:
            return True
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _code(self) -> int:
        return -1 if self._process is None or self._process.returncode is None else self._process.returncode


class Program(Process):
    """One process of `fulmen`; `front` is the module that takes its words."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path, front: str = "fulmen.cli") -> None:
        # The same fulmen as ours, wherever it lies.
        environ = plain_environ()
        home = str(Path(fulmen.__file__).parent.parent)
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, [home, environ.get("PYTHONPATH", "")]))
        super().__init__(name, [sys.executable, "-m", front, *arguments], log, environ)


def plain_environ() -> dict[str, str]:
    """The environment for a fulmen of its own: nothing of the caller's settings leaks in."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FULMEN_")}


def ourselves() -> Sequence[str]:
    """How a person calls this fulmen."""
    beside = Path(sys.executable).with_name("fulmen")
    return (str(beside),) if beside.exists() else (sys.executable, "-m", "fulmen.cli")
