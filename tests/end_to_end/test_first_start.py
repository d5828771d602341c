"""`fulmen start` on a terminal: nobody is asked for a password that nobody chose, and whoever chose one is."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.builders.line import Line

import fulmen

CHOSEN = "correct horse"


@contextmanager
def started(line: Line, home: Path) -> Iterator[int]:
    """A node that begins on a terminal of its own; it is told to stop like by Ctrl-C."""
    chain = line.stage.chain
    command = [sys.executable, "-m", "fulmen.cli", "--dir", str(home), "start", "--listen", "127.0.0.1:0"]
    command += ["--set", f"chain.url={chain.url}", "--set", f"chain.cookie_file={chain.cookie_file}"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("FULMEN_")}
    environ["PYTHONPATH"] = str(Path(fulmen.__file__).parent.parent)
    here, there = pty.openpty()
    node = subprocess.Popen(command, stdin=there, stdout=there, stderr=there, env=environ, start_new_session=True)
    os.close(there)
    try:
        yield here
        os.kill(node.pid, signal.SIGINT)
        assert node.wait(60) == 0
    finally:
        node.kill()
        node.wait(60)
        os.close(here)


def read_until(terminal: int, *words: bytes) -> bytes:
    """What it says until one of these words comes."""
    said = b""
    while not any(word in said for word in words):
        said += os.read(terminal, 4096)
    return said


@pytest.fixture
def home(line: Line, request: pytest.FixtureRequest) -> Path:
    """A directory whose name is short enough for a socket."""
    path = line.stage.directory / request.node.name[-12:]
    path.mkdir(mode=0o700)
    return path


def test_the_first_start_asks_nothing_and_neither_does_the_second(line: Line, home: Path) -> None:
    for _ in range(2):
        with started(line, home) as terminal:
            said = read_until(terminal, b"getinfo", b"assword")
            assert b"assword" not in said and f"fulmen --dir {home} getinfo".encode() in said


def test_a_password_that_was_chosen_is_asked_for(line: Line, home: Path) -> None:
    command = [sys.executable, "-m", "fulmen.cli", "--dir", str(home), "init"]
    environ = {**os.environ, "FULMEN_PASSWORD": CHOSEN, "PYTHONPATH": str(Path(fulmen.__file__).parent.parent)}
    subprocess.run(command, env=environ, check=True, capture_output=True, timeout=60)
    with started(line, home) as terminal:
        assert b"Password of the seed" in read_until(terminal, b" is up", b"Password of the seed:")
        os.write(terminal, CHOSEN.encode() + b"\n")
        read_until(terminal, b" is up")
