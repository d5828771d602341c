"""What a process that cannot start says: one sentence, a code, no traceback, and nothing is changed."""

import json
import os

import pytest
from click.testing import CliRunner

from fulmen.api.commands.shown import ChannelUnknown
from fulmen.api.errors import INVALID_PARAMS
from fulmen.cli.exits import Exit, exit_of
from fulmen.cli.main import cli
from fulmen.core.peer.faults import NotConnected

WORDS = "abandon " * 23 + "art"


@pytest.fixture
def fulmen(tmp_path, monkeypatch):
    monkeypatch.setenv("FULMEN_PASSWORD", "correct horse")
    monkeypatch.setenv("HOME", str(tmp_path))  # where a chain is looked for, too
    monkeypatch.setenv("FULMEN_CHAIN__WAIT_S", "0")

    def run(*words, stdin=None):
        return CliRunner().invoke(cli, ["--dir", str(tmp_path), *words], input=stdin, catch_exceptions=False)

    return run


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["start"], "fulmen chain"),
        (["start", "--set", "spoon=1"], "no setting"),
        (["start", "--set", "chain.poll_s=often"], "chain.poll_s"),
        (["start", "--set", "spoon"], "NAME=VALUE"),
        (["start", "--set", "network=testnet"], "--network"),
        (["start", "--set", "data_dir=/elsewhere"], "--dir"),
        (["--network", "mainnet", "start"], "lose money"),
        (["--network", "mainnet", "init"], "lose money"),
        (["--network", "signet", "start"], "no seed here"),
        (["init", "--password-file", "/nowhere/at/all"], "password file"),
        (["start", "--password-file", "/nowhere/at/all"], "password file"),
        (["chain", "--judge", "solomon"], "solomon"),
        (["start", "--chain", "http://127.0.0.1:1", "--listen", "127.0.0.1:99999999"], "99999999"),
        (["start", "--chain", "ftp://x"], "ftp"),
        (["start", "--chain", "http://[::1", "--set", "chain.user=x"], "no URL"),
        (["start", "--chain", "http://a..b:18443"], "a..b"),
        (["chain", "--host", "300.300.300.300"], "cannot run"),
        (["chain", "--host", "a..b"], "no name of a host"),
        (["chain", "--port", "99999999"], "65535"),
    ],
)
def test_a_process_that_cannot_start_says_why_in_a_sentence(fulmen, words, says):
    ran = fulmen(*words)
    assert ran.exit_code in (Exit.REFUSED, Exit.USAGE)
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr


def test_an_empty_directory_name_is_no_place():
    ran = CliRunner().invoke(cli, ["--no-json", "--dir", "", "getinfo"])
    assert ran.exit_code == Exit.USAGE
    assert "--dir" in ran.stderr and "nothing in it" in ran.stderr


def test_mainnet_is_refused_whatever_is_accepted(fulmen):
    ran = fulmen("--network", "mainnet", "start", "--set", "accept_the_risks=true")
    assert ran.exit_code == Exit.REFUSED
    assert "lose money" in ran.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["--network", "mainnet", "start"],
        ["--network", "mainnet", "init"],
        ["--network", "signet", "start"],
        ["--network", "signet", "init", "--restore"],
        ["init", "--password-file", "/nowhere/at/all"],
        ["start", "--password-file", "/nowhere/at/all"],
        ["start", "--set", "spoon=1"],
        ["start", "--listen", "127.0.0.1:99999999"],
        ["getinfo"],
    ],
    ids=" ".join,
)
def test_who_is_refused_leaves_nothing_behind(fulmen, tmp_path, words):
    assert fulmen(*words, stdin="no words of a seed").exit_code != Exit.DONE
    assert list(tmp_path.iterdir()) == []


def test_elsewhere_than_on_regtest_no_embedded_chain_is_offered(fulmen):
    assert fulmen("--network", "signet", "init").exit_code == Exit.DONE
    ran = fulmen("--network", "signet", "start")
    assert ran.exit_code == Exit.REFUSED
    assert "chain.url" in ran.stderr
    assert "fulmen chain" not in ran.stderr


def test_without_a_terminal_a_password_has_to_be_given(fulmen, monkeypatch):
    fulmen("--network", "signet", "init")
    monkeypatch.delenv("FULMEN_PASSWORD")
    ran = fulmen("--network", "signet", "start", "--chain", "http://127.0.0.1:1")
    assert ran.exit_code == Exit.REFUSED
    assert "--password-file" in ran.stderr


def test_what_is_written_is_for_its_owner_alone(fulmen, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "umask", asked := [].append)
    fulmen("init")
    fulmen("start")
    fulmen("chain", "--judge", "solomon")
    assert asked.__self__ == [0o077] * 3


@pytest.mark.parametrize(
    ("verb", "code", "name", "says"),
    [
        ("up", Exit.REFUSED, "BadLabFile", "The file nowhere.toml cannot be read: No such file or directory."),
        ("down", Exit.REFUSED, "NoSuchLab", "There is neither such a file"),
        ("show", Exit.UNREACHABLE, "LabAway", "This network is not up, or not yet."),
    ],
)
def test_a_network_of_which_nothing_is_there_is_missed_as_other_errors_are(
    fulmen, tmp_path, monkeypatch, verb, code, name, says
):
    monkeypatch.chdir(tmp_path)
    ran = fulmen("lab", verb, "nowhere.toml")
    error = json.loads(ran.stderr)["error"]
    assert (ran.exit_code, error["data"]["name"]) == (code, name)
    assert error["message"].startswith(says)
    assert list(tmp_path.iterdir()) == []


def test_a_seed_is_never_overwritten(fulmen, tmp_path):
    assert fulmen("init").exit_code == Exit.DONE
    before = (tmp_path / "regtest" / "seed").read_bytes()
    for again in (fulmen("init"), fulmen("init", "--restore", stdin=WORDS)):
        assert again.exit_code == Exit.REFUSED
        assert "Nothing was changed" in again.stderr
    assert (tmp_path / "regtest" / "seed").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--json", "mine", "--spoons"], "No such option"),
        (["mine", "--spoons", "--json"], "No such option"),
        (["mine", "1", "--spoons"], "No such option"),
        (["fly"], "No such command"),
        (["--spoons", "getinfo"], "No such option"),
        (["--network", "moon", "getinfo"], "moon"),
        (["newaddr", "--addresstype", "p2pkh"], "p2tr"),
        (["mine", "--blocks"], "blocks"),
        (["start", "--set", "spoon"], "NAME=VALUE"),
        (["chain", "--port", "-1"], "65535"),
        (["lab", "fly"], "No such command"),
        (["conformance", "--only"], "only"),
        (["mine", "-1"], "'-1' is a negative number, and `mine` takes none"),
        (["faucet", "addr", "-0.5btc"], "'-0.5btc' is a negative number, and `faucet` takes none"),
        (["-5", "getinfo"], "'-5' is a negative number, and `fulmen` takes none"),
        (["faucet", "addr", "--satoshi", "-5k"], "'-5k' is a negative amount"),
        (["mine", "--blocks", "-1"], "at least 1"),
        ([], "Missing command"),
        (["lab"], "Missing command"),
    ],
)
def test_what_the_command_line_refuses_is_json_where_the_answer_would_be(fulmen, words, says):
    ran = fulmen(*words)
    assert ran.exit_code == Exit.USAGE
    error = json.loads(ran.stderr)["error"]
    assert (error["code"], error["data"]["name"]) == (INVALID_PARAMS, "BadParameter")
    assert says in error["message"]
    assert ran.stdout == ""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--no-json", "mine", "--spoons"], "No such option"),
        (["--json", "mine", "--spoons", "--no-json"], "No such option"),
        (["mine", "--no-json", "-1"], "Error: '-1' is a negative number, and `mine` takes none."),
        (["--no-json", "fly"], "No such command"),
        (["--no-json"], "Missing command"),
        (["--no-json", "lab"], "Commands:"),
    ],
)
def test_people_are_told_in_words_how_it_is_written(fulmen, words, says):
    ran = fulmen(*words)
    assert ran.exit_code == Exit.USAGE
    assert "Usage: " in ran.stderr
    assert says in ran.stderr


def test_what_comes_after_two_minus_signs_is_no_option(fulmen):
    """Not even one that asks for JSON; a word that begins with a minus sign can be said behind them."""
    ran = fulmen("--no-json", "mine", "--spoons", "--", "--json")
    assert "Usage: " in ran.stderr
    assert "at least 1" in fulmen("mine", "--", "-1").stderr


@pytest.mark.parametrize("words", ["", "abandon", "abandon " * 24, "spoon " * 24, WORDS + " art", "\x00", "é" * 5000])
def test_words_that_are_no_seed_are_refused(fulmen, tmp_path, words):
    ran = fulmen("init", "--restore", stdin=words)
    assert ran.exit_code == Exit.REFUSED
    assert json.loads(ran.stderr)["error"]["message"]
    assert fulmen("init", "--restore", "--no-json", stdin=words).stderr.startswith("Error: ")
    assert not (tmp_path / "regtest" / "seed").exists()


def test_a_wrong_password_opens_nothing(fulmen, monkeypatch):
    fulmen("init")
    monkeypatch.setenv("FULMEN_PASSWORD", "wrong horse")
    ran = fulmen("start")
    assert ran.exit_code == Exit.REFUSED
    assert "password does not open" in ran.stderr


@pytest.mark.parametrize(
    "words", [["init"], ["start"], ["--network", "signet", "init"], ["--no-json", "init"]], ids=" ".join
)
def test_a_password_that_is_no_text_is_refused_in_words_and_not_repeated(fulmen, tmp_path, monkeypatch, words):
    monkeypatch.setenv("FULMEN_PASSWORD", "correct\udcffhorse")
    ran = fulmen(*words)
    assert ran.exit_code == Exit.REFUSED
    assert "The password is no UTF-8 text" in ran.stderr
    assert "correct" not in ran.output
    assert list(tmp_path.iterdir()) == []


def test_a_place_whose_name_is_no_text_is_told_in_json_with_replacement_characters(fulmen, tmp_path):
    place = f"{tmp_path}/\udcff"
    away = fulmen("--dir", place, "getinfo")
    assert away.exit_code == Exit.UNREACHABLE
    assert f"{tmp_path}/\ufffd/regtest" in json.loads(away.stderr)["error"]["message"]
    each = fulmen("--dir", place, "decode", "-", stdin="lnbcrt1\n")
    assert each.exit_code == Exit.UNREACHABLE
    assert "\ufffd" in json.loads(each.stdout)["error"]["message"]
    made = fulmen("--dir", place, "init")
    assert made.exit_code == Exit.DONE
    told = json.loads(made.stdout)
    assert told["seed"] == f"{tmp_path}/\ufffd/regtest/seed" and len(told["words"].split()) == 24
    assert "\ufffd" in json.loads(fulmen("--dir", place, "init").stderr)["error"]["message"]


@pytest.mark.parametrize("nothing", [ChannelUnknown("No channel of ours is called 1x1x1."), NotConnected()])
def test_what_is_not_there_has_an_exit_code_of_its_own(nothing):
    assert exit_of(nothing) is Exit.NOT_FOUND


def test_no_other_seed_is_made_where_a_node_lost_its_own(fulmen, tmp_path):
    (tmp_path / "regtest").mkdir()
    (tmp_path / "regtest" / "journal.sqlite").touch()
    ran = fulmen("start")
    assert ran.exit_code == Exit.REFUSED
    assert "no seed" in ran.stderr
    assert not (tmp_path / "regtest" / "seed").exists()


@pytest.mark.parametrize("network", ["regtest", "litecoin-regtest"])
def test_a_node_whose_coins_come_out_of_nothing_gets_a_seed_by_itself(fulmen, tmp_path, network):
    # Port 1 answers to nobody: the node has a seed by then.
    fulmen("--network", network, "start", "--chain", "http://127.0.0.1:1")
    assert (tmp_path / network / "seed").exists()


def test_a_node_on_a_network_of_strangers_gets_no_seed_by_itself(fulmen, tmp_path):
    ran = fulmen("--network", "signet", "start")
    assert ran.exit_code == Exit.REFUSED
    assert not (tmp_path / "signet" / "seed").exists()


@pytest.mark.parametrize(("name", "value"), [("NETWORK", "testnet"), ("DATA_DIR", "/elsewhere")])
def test_a_node_never_has_its_seed_in_one_place_and_the_rest_in_another(fulmen, tmp_path, monkeypatch, name, value):
    """A seed of regtest, locked by a password that everybody knows, would hold coins of a public network."""
    (tmp_path / "regtest").mkdir()
    (tmp_path / "regtest" / "settings.toml").write_text(f'{name.lower()} = "{value}"')
    in_the_file = fulmen("start")
    (tmp_path / "regtest" / "settings.toml").unlink()
    if name == "DATA_DIR":
        monkeypatch.setenv(f"FULMEN_{name}", value)
        in_the_environment = fulmen("start")
        assert in_the_environment.exit_code == Exit.REFUSED and "--dir" in in_the_environment.stderr
    assert in_the_file.exit_code == Exit.REFUSED
    assert ("--dir" if name == "DATA_DIR" else "--network") in in_the_file.stderr
    assert [each.name for each in (tmp_path / "regtest").iterdir()] == []


def test_a_place_that_says_the_same_again_is_no_contradiction(fulmen, tmp_path):
    (tmp_path / "regtest").mkdir()
    (tmp_path / "regtest" / "settings.toml").write_text(f'network = "regtest"\ndata_dir = "{tmp_path}"')
    ran = fulmen("start", "--chain", "http://127.0.0.1:1", "--listen", "127.0.0.1:99999999")
    assert "99999999" in ran.stderr


def test_a_chain_whose_directory_cannot_be_made_says_so(tmp_path):
    (tmp_path / "file").touch()
    ran = CliRunner().invoke(cli, ["--dir", str(tmp_path / "file" / "below"), "chain"], catch_exceptions=False)
    assert ran.exit_code == Exit.REFUSED and "cannot run" in ran.stderr


def test_words_that_are_no_text_are_refused_by_name(fulmen, tmp_path):
    ran = fulmen("--network", "signet", "init", "--restore", stdin=b"\xff\xfe abandon\n")
    assert ran.exit_code == Exit.REFUSED and "Traceback" not in ran.stderr
    assert not (tmp_path / "signet" / "seed").exists()
