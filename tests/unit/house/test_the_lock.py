"""The committed locks install on every machine we promise, and name none of ours."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LOCKS = sorted((ROOT / "locks").glob("*.txt"))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_pinned_wheel_has_hashes(lock):
    blocks = re.split(r"\n(?=[a-z])", lock.read_text())
    for block in blocks:
        assert re.match(r"[a-z0-9-]+==\S+", block), block
        assert "--hash=sha256:" in block, block


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_no_host_and_no_path_stands_in_a_lock(lock):
    assert not re.search(r"https?:|--index|--find-links|file:", lock.read_text())


def test_what_runs_a_node_has_the_same_versions_in_both_locks():
    run, dev = (
        set(re.findall(r"^[a-z0-9-]+==\S+", (ROOT / "locks" / f"{name}.txt").read_text(), re.M))
        for name in ("run", "dev")
    )
    assert run <= dev
