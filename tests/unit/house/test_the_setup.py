"""`scripts/setup` finds a Python that can do it, among those that cannot."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TOOLS = ("bash", "cat", "chmod", "cksum", "cp", "dirname", "env", "grep", "mkdir", "rm", "tr")
"""What the script and the Pythons of these tests use of a machine."""

PYTHON = """#!/usr/bin/env bash
case "$*" in
    "-c import sys; raise SystemExit"*) exit {suits} ;;
    *"import "*ensurepip*) exit {ensurepip} ;;
    *"import venv"*) exit 0 ;;
    *"sys.version_info"*) echo {version} ;;
    *"sys.executable"*) echo {version} ;;
    --version) echo "Python {version}.1" ;;
    "-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python && echo {version} > .venv/made-by ;;
    "-m pip --version") {pip} ;;
    *"-m pip"*) exit 0 ;;
esac
"""
"""One that knows what the script asks it, and says what it was told to."""
WITH_PIP = 'echo "pip 25.0 from somewhere"'


class Machine:
    """A checkout on a machine that has the Pythons it was given, and nothing else."""

    def __init__(self, home: Path) -> None:
        self.checkout, self.bin = home / "a checkout", home / "bin"
        for directory in (self.checkout / "scripts", self.checkout / "locks", self.bin):
            directory.mkdir(parents=True)
        shutil.copy(ROOT / "scripts" / "setup", self.checkout / "scripts" / "setup")
        (self.checkout / "locks" / "run.txt").touch()
        (self.checkout / "pyproject.toml").touch()
        for tool in TOOLS:
            where = shutil.which(tool)
            assert where is not None, tool
            (self.bin / tool).symlink_to(where)

    def has(self, version: str, *, ensurepip: bool = True, pip: bool = False, suits: bool = True) -> None:
        """There is a Python of this version."""
        file = self.bin / f"python{version}"
        made = PYTHON.format(
            version=version, ensurepip=int(not ensurepip), suits=int(not suits), pip=WITH_PIP if pip else "exit 1"
        )
        file.write_text(made)
        file.chmod(0o755)

    def set_up(self, **environ: str) -> subprocess.CompletedProcess[str]:
        """What the script says."""
        return subprocess.run(
            [self.checkout / "scripts" / "setup", "run"],
            env={"PATH": str(self.bin), "HOME": str(self.bin), **environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    @property
    def made_by(self) -> str:
        """Which Python made the environment."""
        return (self.checkout / ".venv" / "made-by").read_text().strip()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_first_python_that_suits_makes_the_environment(machine: Machine) -> None:
    machine.has("3.12")
    machine.has("3.11")
    assert machine.set_up().returncode == 0
    assert machine.made_by == "3.12"


@pytest.mark.parametrize("lacks", ["ensurepip", "suits"])
def test_one_that_cannot_make_an_environment_is_passed_over(machine: Machine, lacks: str) -> None:
    machine.has("3.13", **{lacks: False})
    machine.has("3.11")
    done = machine.set_up()
    assert done.returncode == 0, done.stderr
    assert machine.made_by == "3.11" and "sudo" not in done.stderr


def test_where_none_comes_with_ensurepip_a_pip_beside_one_serves(machine: Machine) -> None:
    machine.has("3.13", ensurepip=False)
    machine.has("3.12", ensurepip=False, pip=True)
    assert machine.set_up().returncode == 0
    assert machine.made_by == "3.12"


def test_where_none_can_the_one_command_that_helps_is_printed(machine: Machine) -> None:
    machine.has("3.13", ensurepip=False)
    machine.has("3.11", ensurepip=False)
    done = machine.set_up()
    assert done.returncode == 1
    assert [line.strip() for line in done.stderr.splitlines() if "sudo" in line] == [
        "sudo apt-get install -y python3.13-venv"
    ]
    assert not (machine.checkout / ".venv").exists()


def test_a_named_python_that_cannot_costs_no_environment_that_works(machine: Machine) -> None:
    machine.has("3.11")
    assert machine.set_up().returncode == 0
    machine.has("3.13", ensurepip=False)
    done = machine.set_up(PYTHON="python3.13")
    assert done.returncode == 1 and "python3.13-venv" in done.stderr
    assert machine.made_by == "3.11"
    assert machine.set_up().returncode == 0


def test_a_machine_without_python_is_told_what_helps(machine: Machine) -> None:
    machine.has("3.10", suits=False)
    done = machine.set_up()
    assert done.returncode == 1 and "CPython 3.11 or later" in done.stderr
