"""Answers that cannot be written, and processes that were started without a standard stream: never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.builders.handle import RunningNode
from tests.builders.served import served

from fulmen.cli.exits import Exit

SOURCE = Path(__file__).parents[3] / "src"
FULL = Path("/dev/full")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with served(tmp_path / "regtest", RunningNode()):
        yield tmp_path


def run(home: Path, words: str) -> subprocess.CompletedProcess[str]:
    """What a shell makes of `fulmen --dir HOME` and these words."""
    line = f'exec "{sys.executable}" -m fulmen.cli --dir "{home}" {words}'
    environ = {**os.environ, "PYTHONPATH": str(SOURCE), "FULMEN_PASSWORD": "correct horse"}
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=environ, timeout=60, check=False)


@pytest.mark.skipif(not FULL.exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("words", ["getinfo > /dev/full", "--no-json help > /dev/full", "mine - <<< 1 > /dev/full"])
def test_an_answer_that_a_full_disk_has_no_room_for_is_said_to_be_lost(home: Path, words: str) -> None:
    done = run(home, words)
    assert done.returncode == Exit.UNKNOWN_OUTCOME
    assert done.stderr.startswith("Error: The answer could not be written: No space left on device.")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(not FULL.exists(), reason="needs a device that is always full")
def test_a_refusal_that_nobody_can_hear_keeps_its_code(home: Path) -> None:
    assert run(home, "fly 2> /dev/full").returncode == Exit.USAGE
    assert run(home, "close 1x1x1 2> /dev/full").returncode == Exit.NOT_FOUND


def test_a_reader_who_has_enough_is_no_error_to_speak_of(home: Path) -> None:
    done = run(home, "--no-json getinfo > >(exec true)")
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("fly 2>&-", Exit.USAGE),
        ("decode - <&-", Exit.DONE),
        ("init --restore <&-", Exit.REFUSED),
        ("getinfo <&- >&- 2>&-", Exit.DONE),
    ],
)
def test_who_was_started_without_a_stream_goes_on_without_it(home: Path, words: str, code: Exit) -> None:
    done = run(home, words)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
