import json
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import ANY

import pytest
from click.testing import CliRunner
from tests.builders.handle import RunningNode, an_invoice_of
from tests.builders.served import served

from fulmen.api.client import RpcClient
from fulmen.api.errors import NotBuiltYet, RpcError
from fulmen.api.registry import REGISTRY
from fulmen.cli import settings
from fulmen.cli.exits import Exit
from fulmen.cli.main import PROCESSES, cli
from fulmen.cli.verbs import MAX_LINE

ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
GENERATOR = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
SOURCE = Path(__file__).parents[3] / "src"


@pytest.fixture
def node(tmp_path):
    with served(tmp_path / "regtest", RunningNode()) as node:
        yield node


@pytest.fixture
def fulmen(tmp_path):
    def run(*words, stdin=None):
        return CliRunner().invoke(cli, ["--dir", str(tmp_path), *words], input=stdin, catch_exceptions=False)

    return run


def test_a_piped_answer_is_json(node, fulmen):
    ran = fulmen("getinfo")
    assert ran.exit_code == Exit.DONE
    assert json.loads(ran.stdout)["alias"] == "told"


def test_a_person_gets_a_table(node, fulmen):
    ran = fulmen("getinfo", "--no-json")
    assert "told" in ran.stdout
    assert not ran.stdout.startswith("{")


def test_parameters_may_be_words_or_options(node, fulmen):
    fulmen("mine", "2")
    fulmen("mine", "--blocks", "2")
    assert node.chain_control.told == [("mine", 2, None)] * 2


def test_what_is_no_invoice_is_said_before_anything_is_tried(node, fulmen):
    ran = fulmen("pay", "lnbcrt1nonsense", "--no-json")
    assert ran.exit_code == Exit.USAGE
    assert "attempt" not in ran.stdout
    assert ran.stderr.startswith("Error: ")


def test_an_amount_is_written_as_people_write_it(node, fulmen):
    fulmen("faucet", ADDRESS, "5k")
    assert node.chain_control.told == [("faucet", ADDRESS, 5000)]


def test_a_minus_reads_many_and_answers_a_line_for_each(node, fulmen):
    ran = fulmen("mine", "-", stdin="1\n\n2\nspoon\n3\n")
    answers = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [len(one["hashes"]) if "hashes" in one else one["error"]["code"] for one in answers] == [1, 2, -32602, 3]
    assert ran.exit_code == Exit.USAGE


def test_who_stops_waiting_while_many_are_paid_is_told_what_goes_on(node, fulmen, monkeypatch):
    def interrupted(*_told, **_said):
        raise KeyboardInterrupt

    monkeypatch.setattr(RpcClient, "call", interrupted)
    ran = fulmen("pay", "-", stdin=an_invoice_of("bob", node.now))
    assert ran.exit_code == Exit.UNKNOWN_OUTCOME
    assert "fulmen listpays" in ran.stderr


@pytest.mark.parametrize(
    ("verb", "option"), [("pay", "--maxfee "), ("invoice", "--amount-msat "), ("withdraw", "--satoshi ")]
)
def test_the_help_of_an_amount_says_what_a_number_alone_is(fulmen, verb, option):
    shown = " ".join(fulmen(verb, "--help").stdout.partition(option)[2].partition("  --")[0].split())
    assert shown.endswith("a number alone is in sat")


def test_many_lines_without_a_node_each_say_so(fulmen):
    ran = fulmen("mine", "-", stdin="1\n2\n")
    assert [json.loads(line)["error"]["data"]["name"] for line in ran.stdout.splitlines()] == ["NodeUnreachable"] * 2
    assert ran.exit_code == Exit.UNREACHABLE


def test_no_node_is_one_sentence_and_what_to_do(fulmen):
    ran = fulmen("getinfo", "--no-json")
    assert ran.exit_code == Exit.UNREACHABLE
    assert ran.stderr.startswith("Error: No node answers")
    assert "fulmen start" in ran.stderr


def test_an_error_is_json_where_the_answer_would_be(fulmen):
    ran = fulmen("getinfo")
    assert json.loads(ran.stderr)["error"]["data"]["name"] == "NodeUnreachable"
    assert ran.stdout == ""


@pytest.mark.parametrize(
    "words",
    [
        ["mine", "many"],
        ["mine", "-1"],
        ["mine", "0"],
        ["mine", "1", "a", "b"],
        ["mine", "1", "--blocks", "2"],
        ["mine", "-", "-"],
        ["pay"],
        ["pay", "x", "--amount-msat", "much"],
        ["invoice", "1", "label", "x" * 70_000],
        ["fly"],
        ["newaddr", "--addresstype", "p2pkh"],
        ["faucet", "addr", "1" + "0" * 5000],
        ["mine", "1" * 5000],
        ["--network", "moon", "getinfo"],
        ["signmessage", "\udcff"],
    ],
)
def test_what_is_written_wrongly_is_told_without_a_node(fulmen, words):
    ran = fulmen(*words, stdin="")
    assert ran.exit_code == Exit.USAGE
    assert ran.stderr
    assert "Traceback" not in ran.stderr


def test_what_cannot_be_done_yet_has_a_code_of_its_own(node, fulmen):
    node.refuse_all(NotBuiltYet("Later."))
    ran = fulmen("newaddr")
    assert ran.exit_code == Exit.NOT_BUILT_YET


def test_a_refusal_of_the_node_is_told_in_its_words(node, fulmen):
    node.chain_control = None
    ran = fulmen("mine", "--no-json")
    assert ran.exit_code == Exit.REFUSED
    assert "cannot be told" in ran.stderr


def test_a_line_that_is_too_long_is_one_wrong_line(fulmen):
    long = b"a" * (MAX_LINE + 7)
    ran = fulmen("decode", "-", stdin=long + long + b"\nspoon\n" + long)
    words = [json.loads(line)["error"]["message"] for line in ran.stdout.splitlines()]
    assert [f"at most {MAX_LINE} bytes" in said for said in words] == [True, False, True]
    assert ran.exit_code == 2


def test_a_stream_of_junk_harms_nobody(node, fulmen):
    ran = fulmen("decode", "-", stdin=b"\xff\xfe\x00junk\nlnbc1\n")
    assert len(ran.stdout.splitlines()) == 2
    assert all("error" in json.loads(line) for line in ran.stdout.splitlines())


@pytest.mark.parametrize("command", list(REGISTRY), ids=lambda command: command.name)
def test_every_verb_has_help(fulmen, command):
    ran = fulmen(command.name, "--help")
    assert ran.exit_code == Exit.DONE
    assert command.help in ran.stdout


@pytest.mark.parametrize("words", [("getinfo",), ("conformance", "--list")], ids=lambda words: words[0])
def test_how_it_is_told_may_be_said_before_and_behind_the_verb(node, fulmen, words):
    for before, behind in ((("--json",), ()), ((), ("--json",)), (("--no-json",), ("--json",))):
        json.loads(fulmen(*before, *words, *behind).stdout)
    assert not fulmen("--json", *words, "--no-json").stdout.startswith("{")


def test_the_words_of_a_new_seed_can_be_told_to_a_program(fulmen, monkeypatch):
    monkeypatch.setenv("FULMEN_PASSWORD", "a good one")
    told = json.loads(fulmen("init", "--json").stdout)
    assert len(told["words"].split()) == 24
    assert Path(told["seed"]).exists()


def test_a_node_that_cannot_be_held_against_the_bolts_is_told_as_other_errors_are(fulmen):
    ran = fulmen("conformance", "127.0.0.1:1", "--node-id", GENERATOR, "--json")
    assert ran.exit_code == Exit.UNREACHABLE
    assert json.loads(ran.stderr)["error"]["data"]["name"] == "CannotConnect"


def test_the_schema_is_told_without_a_node(fulmen):
    assert set(json.loads(fulmen("schema").stdout)["commands"]) == {command.name for command in REGISTRY}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_learns_to_complete(fulmen, shell):
    ran = fulmen("completion", shell)
    assert "_FULMEN_COMPLETE" in ran.stdout


def test_every_exit_code_is_explained(fulmen):
    told = fulmen("exits").stdout
    for code in Exit:
        assert f"| {code.value} |" in told


def test_the_network_is_part_of_the_path(tmp_path):
    where = settings.Settings(home=tmp_path, network="signet", json=False)
    assert where.directory == tmp_path / "signet"


def test_codes_of_the_node_become_exit_codes():
    from fulmen.cli.exits import exit_of

    assert exit_of(RpcError("", code=205), "pay") is Exit.PAYMENT_FAILED
    assert exit_of(RpcError("", code=200)) is Exit.UNKNOWN_OUTCOME
    assert exit_of(RpcError("")) is Exit.REFUSED


def test_asking_a_node_does_not_load_a_node():
    code = "import sys, fulmen.cli.main; print([m for m in sys.modules if m.startswith(('fulmen.daemon', 'btclib.'))])"
    here = {**os.environ, "PYTHONPATH": str(SOURCE)}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=here)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("process", sorted(PROCESSES))
def test_the_processes_have_help_too(fulmen, process):
    assert process in fulmen("--help").stdout
    assert fulmen(process, "--help").exit_code == Exit.DONE


def test_a_payment_without_a_way_fails_for_good_and_says_what_to_look_at(node, fulmen):
    text = an_invoice_of("bob", node.now)
    for form in ("--json", "--no-json"):
        ran = fulmen("pay", text, form)
        assert ran.exit_code == Exit.PAYMENT_FAILED
    assert "fulmen listpeerchannels" in ran.stderr
    (line,) = fulmen("pay", "-", stdin=text).stdout.splitlines()
    assert json.loads(line)["error"]["data"] == {"name": "NoRouteFound", "payment_hash": ANY, "attempts": 0}
    assert json.loads(fulmen("listpays", text).stdout)["pays"][0]["status"] == "failed"
