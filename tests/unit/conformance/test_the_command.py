"""`fulmen conformance` says what is wrong with its own command line before it plays, and keeps what it has played."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import click
import pytest
from click.testing import CliRunner, Result

from fulmen.adapters.chain.faults import SourceUnreachable
from fulmen.cli import templates
from fulmen.cli.main import cli
from fulmen.cli.templates import CommandOperator, Template
from fulmen.conformance import report
from fulmen.conformance.chain import Coins, EmbeddedChain, NodeLags
from fulmen.conformance.links import HelperFailed
from fulmen.conformance.own_node import NodeUnderTest
from fulmen.conformance.runner import Outcome, Verdict, run
from fulmen.conformance.script import Script
from fulmen.conformance.scripts import ALL

NODE = "02" + "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
PINGS = ("--ourselves", "--only", "B1-9")


def told(*words: str) -> Result:
    done = CliRunner().invoke(cli, ["--no-json", "conformance", *words])
    assert done.exception is None or isinstance(done.exception, (SystemExit, click.Abort)), done.exception
    return done


def test_a_report_that_cannot_be_written_is_said_before_anything_is_played(tmp_path: Path):
    done = told(*PINGS, "--junit", str(tmp_path / "nowhere" / "x.xml"))
    assert done.exit_code == 2 and "--junit" in done.output and "✓" not in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--synced-command", "nosuchcmd {height}"), "no program 'nosuchcmd'"),
        (("--synced-command", "true {hight}"), "{height}"),
        (("--synced-command", "true '{height}"), "cannot be read"),
        (("--synced-command", ""), "cannot be read"),
        (("--open-command", 'curl -d {"id":1} x', "--close-command", "true"), "other braces are doubled"),
        (("--open-command", "true", "--close-command", "true {0}"), "--close-command"),
    ],
)
def test_a_command_that_cannot_be_one_is_said_before_anything_is_played(words: tuple[str, ...], said: str):
    done = told("127.0.0.1:1", "--node-id", NODE, "--chain", "http://u:p@127.0.0.1:1", *words)
    assert done.exit_code == 2 and said in done.output, done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("127.0.0.1:1", "--node-id", NODE, "--synced-command", "true"), "--synced-command goes with --chain"),
        (("127.0.0.1:1", "--node-id", NODE, "--cookie", "x"), "--cookie goes with --chain"),
        (("--ourselves", "--chain", "http://u:p@127.0.0.1:1"), "--chain goes with HOST:PORT"),
        (("--ourselves", "--open-command", "true"), "--open-command goes with HOST:PORT"),
        (("--ourselves", "127.0.0.1:1"), "say one node"),
        (("--ourselves", "--only", "B1-9,B1-99"), "'B1-99'"),
    ],
)
def test_what_would_be_passed_over_is_said_before_anything_is_played(words: tuple[str, ...], said: str):
    done = told(*words)
    assert done.exit_code == 2 and said in done.output and "✓" not in done.output, done.output


@pytest.mark.parametrize("given", ["open", "close"])
def test_one_command_alone_is_used_and_what_lacks_the_other_says_so(given: str):
    lacking = {"open": "close", "close": "open"}[given]
    commands = {f"{each}s": "true" if each == given else None for each in ("open", "close")}
    subject = NodeUnderTest().subject()
    subject.can_be_told = CommandOperator(**commands).commands
    assert subject.can_be_told == (given,)
    by_command = {command: next(script for script in ALL if script.asks == (command,)) for command in ("open", "close")}
    assert run(by_command[given], subject, b"told").verdict is Verdict.PASSED
    outcome = run(by_command[lacking], subject, b"told")
    assert outcome.verdict is Verdict.NOT_RUN and f"(--{lacking}-command)" in outcome.reason
    subject.operator = None
    assert f"(--{given}-command)" in run(by_command[given], subject, b"told").reason


def test_a_chain_that_is_not_there_ends_the_run_before_it_begins():
    done = told("127.0.0.1:1", "--node-id", NODE, "--chain", "http://u:p@127.0.0.1:1")
    assert done.exit_code == 3 and "chain source" in done.output and "scripts:" not in done.output


NOT_OFFERED = "open_channel2 was negotiated"
FUNDED = "announcement_signatures of a public channel"


@pytest.mark.parametrize(("only", "code"), [(NOT_OFFERED, 3), (f"B1-9,{NOT_OFFERED}", 0)])
def test_a_run_in_which_nothing_was_played_does_not_end_well(only: str, code: int):
    done = told("--ourselves", "--only", only)
    assert done.exit_code == code and "1 not run" in done.output, done.output
    assert ("Not one script was played" in done.output) == bool(code)


def _no_coin(_coins: object, _needed: int) -> None:
    """The blocks of a long chain pay too little."""


def _gone(_chain: object, _count: int, _script_pubkey: bytes) -> None:
    raise SourceUnreachable


@pytest.mark.parametrize(
    ("place", "name", "instead"), [(Coins, "_ripe", _no_coin), (EmbeddedChain, "mine", _gone)], ids=["no coins", "gone"]
)
def test_a_chain_that_ends_before_the_scripts_does_not_end_well(
    monkeypatch: pytest.MonkeyPatch, place: type, name: str, instead: object
):
    monkeypatch.setattr(place, name, instead)
    done = told("--ourselves", "--only", f"B1-9,{FUNDED}")
    assert done.exit_code == 3 and "a fresh chain is wanted (scripts 1)" in done.output, done.output
    assert "0 failed" in done.output and "1 not run" in done.output


def _ended(script: str, verdict: Verdict, **about: bool) -> Outcome:
    return Outcome(Script(name=script, ids=("B1-6",), quotes=("q",), steps=()), verdict, **about)


def test_a_failure_is_a_failure_though_the_chain_ended_and_what_took_too_long_is_not_passed_over():
    failed, passed = _ended("a", Verdict.FAILED), _ended("b", Verdict.PASSED)
    late = _ended("c", Verdict.NOT_RUN, unfinished=True)
    assert report.unplayed([failed]) is None and report.unplayed([passed, _ended("d", Verdict.NOT_RUN)]) is None
    assert isinstance(report.unplayed([passed, late]), report.NotPlayedOut)
    assert isinstance(report.unplayed([failed, late.but(for_want_of_a_chain=True)]), report.ChainSpent)


def test_what_was_played_before_ctrl_c_is_in_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shown = []

    def say(_console: object, outcome: object) -> None:
        shown.append(outcome)
        if len(shown) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(report, "say", say)
    told(*PINGS, "--junit", str(tmp_path / "x.xml"))
    suite = ElementTree.fromstring((tmp_path / "x.xml").read_text(encoding="utf-8"))
    assert suite.get("tests") == "2" and suite.get("failures") == "0"


def test_a_node_that_reads_no_blocks_is_not_waited_for_in_vain(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(templates, "SYNC_TIMEOUT_S", 0.0)
    with pytest.raises(NodeLags):
        templates.synced("false {height}", 1.0)(7)
    templates.synced("true {height}", 1.0)(7)


def test_a_program_that_is_gone_since_is_named(tmp_path: Path):
    program = tmp_path / "synced"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o700)
    template = Template("--synced-command", f"{program} {{height}}", "height")
    program.unlink()
    with pytest.raises(HelperFailed):
        template.ends_well(height=7)
    with pytest.raises(HelperFailed):
        template.start(height=7)
