"""`make run`: what it tells a person to type works, and Ctrl-C ends it."""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENVIRON = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}


def typed(alias, *words):
    """Run what an alias stands for, with the tests' own Python."""
    home = shlex.split(alias)[-1]
    command = [sys.executable, "-m", "fulmen.cli", "--dir", home, "--json", *words]
    return json.loads(subprocess.run(command, env=ENVIRON, capture_output=True, check=True, timeout=60).stdout)


def ended(playground):
    """Ctrl-C; what it says then. A playground that does not hear it ends by SIGTERM, and the test fails."""
    playground.send_signal(signal.SIGINT)
    try:
        return playground.communicate(timeout=90)[0]
    except subprocess.TimeoutExpired:
        playground.terminate()
        raise


# As a script's background starts its programs.
DEAF_TO_CTRL_C = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")


def test_its_aliases_pay_an_invoice_over_a_neighbour_and_ctrl_c_ends_it():
    command = [*DEAF_TO_CTRL_C, sys.executable, "-m", "demo.playground"]
    with subprocess.Popen(command, cwd=ROOT, env=ENVIRON, stdout=subprocess.PIPE, text=True) as playground:
        try:
            aliases, closes = {}, []
            for line in playground.stdout:
                if line.strip().startswith("alias "):
                    name, _, meaning = shlex.split(line)[1].partition("=")
                    aliases[name] = meaning
                if line.strip().startswith("fulmen close "):
                    closes = line.split()[1:3]
                if "Ctrl-C" in line:
                    break
            invoice = typed(aliases["bookshop"], "invoice", "5k", "tea", "a cup of tea")["bolt11"]
            paid = typed(aliases["fulmen"], "pay", invoice)
            closed = typed(aliases["fulmen"], *closes)
        finally:
            ending = ended(playground)
    assert (paid["status"], paid["amount_msat"]) == ("complete", 5_000_000)
    assert closed["type"] == "mutual"
    assert playground.returncode == 0, ending
