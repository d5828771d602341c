"""A process is found by its claim while it lives, and by nobody afterwards."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fulmen.lab.claims import Claim, StillRuns, end, is_held, pid_in
from fulmen.lab.programs import Process

SLEEPS = (sys.executable, "-c", "import signal; signal.pause()")
DEAF = (
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); print('deaf', flush=True); signal.pause()",
)


def test_a_claim_names_its_process_and_falls_with_it(tmp_path: Path) -> None:
    process = Process("sleeper", SLEEPS, tmp_path / "log")
    process.claim = tmp_path / "sleeper.pid"
    process.launch()
    assert is_held(process.claim) and pid_in(process.claim) == process.pid
    process.kill()
    # The number is still there, and says nothing.
    assert pid_in(process.claim) == process.pid and not is_held(process.claim)


def test_nobody_claims_what_is_claimed(tmp_path: Path) -> None:
    process = Process("sleeper", SLEEPS, tmp_path / "log")
    process.claim = tmp_path / "sleeper.pid"
    process.launch()
    try:
        with pytest.raises(StillRuns, match=str(process.pid)):
            Claim.taken(process.claim)
    finally:
        process.kill()


def test_who_is_ended_is_gone_also_when_he_does_not_listen(tmp_path: Path) -> None:
    process = Process("deaf", DEAF, tmp_path / "log")
    process.claim = tmp_path / "deaf.pid"
    process.launch()
    process.line_with("deaf")
    assert end(process.claim, 0.2)
    assert not process.alive and not process.claim.exists()


def test_a_stale_claim_ends_nobody(tmp_path: Path) -> None:
    stale = tmp_path / "stale.pid"
    stale.write_text("1")
    assert not end(stale)
    assert not stale.exists()
