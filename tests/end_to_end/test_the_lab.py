"""`fulmen lab up`: two nodes and a channel from a file, a payment with what it printed, and down; and up again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fulmen as package
from fulmen.lab.claims import is_held, pid_in
from fulmen.lab.programs import Program
from fulmen.lab.waiting import until

FILE = """
[chain]
blocks_every_s = 0

[nodes.alice]
coins_sat = 10_000_000
settings = { "policy.forward.fee_base_msat" = 7 }

[nodes.bob]
coins_sat = 0

[[channels]]
from = "alice"
to = "bob"
capacity_sat = 1_000_000
push_sat = 100_000
"""
UP_S = 120


ENVIRON = {**os.environ, "PYTHONPATH": str(Path(package.__file__).parent.parent)}
"""As if it were installed."""


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=UP_S, env=ENVIRON)


def fulmen(*words: str) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, "-m", "fulmen.cli", *words])


def answer(words: list[str]) -> dict[str, Any]:
    """What a command prints that `lab up` printed, in a terminal of its own."""
    done = run(words)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextmanager
def network(file: Path) -> Iterator[tuple[Program, dict[str, Any]]]:
    """A network that is up, and what it told."""
    program = Program("lab up", ("--no-json", "lab", "up", str(file)), file.with_suffix(".log"))
    program.launch()
    try:
        until(lambda: fulmen("lab", "show", str(file)).returncode == 0 or not program.alive, "the lab is up", UP_S)
        assert program.alive, program.last_words()
        yield program, json.loads(fulmen("lab", "show", str(file)).stdout)
    finally:
        program.stop()


def usage(told: dict[str, Any], name: str) -> list[str]:
    """The command line of a node, as it was printed, less its example."""
    words: list[str] = told["nodes"][name]["usage"][0].split()
    return words[:-1]


def pay(told: dict[str, Any], sat: int) -> str:
    made = answer([*usage(told, "bob"), "invoice", str(sat), f"for {sat}", ""])
    paid = answer([*usage(told, "alice"), "pay", made["bolt11"]])
    return str(paid["status"])


def test_a_network_comes_up_from_a_file_is_used_goes_down_and_comes_up_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "two.toml"
    file.write_text(FILE)
    home = file.with_suffix(".lab")
    with network(file) as (program, told):
        assert pay(told, 2_000) == "complete"
        [channel] = told["channels"]
        assert channel["usable"] and told["nodes"]["alice"]["id"] in program.log.read_text()
        claims = [home / f"{name}.pid" for name in ("up", "chain", "alice", "bob")]
        assert all(is_held(claim) for claim in claims)
        again = fulmen("lab", "up", str(file))
        assert again.returncode == 1 and "up already" in again.stderr
        down = fulmen("lab", "down", str(file))
        assert (down.returncode, json.loads(down.stdout)) == (0, {"stopped": ["lab up"]})
        assert not any(is_held(claim) for claim in claims)
    with network(file) as (program, later):
        assert later["channels"] == told["channels"]
        assert [node["address"] for node in later["nodes"].values()] == [n["address"] for n in told["nodes"].values()]
        assert pay(later, 3_000) == "complete"
        # Who keeps it up dies; what it leaves behind is found and stopped all the same.
        left = pid_in(home / "alice.pid")
        program.kill()
        assert left and is_held(home / "alice.pid")
        down = fulmen("lab", "down", str(file))
        assert down.returncode == 0 and set(json.loads(down.stdout)["stopped"]) == {"alice", "bob", "chain"}
        assert not list(home.glob("*.pid"))


def test_a_file_that_is_wrong_starts_nothing(tmp_path: Path) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text('[nodes.alice]\nsettings = { "policy.forward.fee" = 7 }\n')
    refused = fulmen("lab", "up", str(file))
    said = json.loads(refused.stderr)["error"]
    assert refused.returncode == 1 and said["data"]["name"] == "BadValue"
    assert said["message"].startswith("nodes.alice.settings.policy.forward.fee: ")
    file.write_text('[nodes.lisa]\nkind = "lnd"\nprogram = "/nowhere/lnd"\n')
    refused = fulmen("lab", "up", "--no-json", str(file))
    assert refused.returncode == 1 and "nodes.lisa: /nowhere/lnd is not on the path" in refused.stderr
    assert not [claim for claim in tmp_path.glob("wrong.lab/*.pid") if claim.stem != "up"]
