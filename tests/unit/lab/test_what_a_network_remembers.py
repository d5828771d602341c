"""Ports, coins and channels of a network are the same at its next start."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from fulmen.lab.network import client_of, command_of, flat
from fulmen.lab.state import BadLabState, Opened, PortsOf, State, load, save


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    state = State({"alice": (9735,)}, {"alice": 5}, (Opened("alice", "bob", 1, "aa:0"),))
    save(tmp_path, state)
    assert load(tmp_path) == state
    assert state.outpoint("alice", "bob", 1) == "aa:0"
    assert state.outpoint("alice", "bob", 0) == ""


def test_nothing_is_remembered_at_first(tmp_path: Path) -> None:
    assert load(tmp_path) == State()


def test_what_cannot_be_read_is_not_taken_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "lab.json").write_text("{")
    with pytest.raises(BadLabState):
        load(tmp_path)


def test_ports_are_those_of_before_and_the_one_that_the_file_names() -> None:
    ports = PortsOf((1001, 1002), {1: 9735}, set())
    assert [ports.take(), ports.take()] == [1001, 9735]
    third = ports.take()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", third))
    assert ports.ports == (1001, 9735, third)


def test_no_port_is_given_twice() -> None:
    taken: set[int] = set()
    first = PortsOf((), {}, taken).take()
    assert PortsOf((first,), {}, taken).take() != first


def test_a_program_is_called_as_the_file_says(tmp_path: Path) -> None:
    assert command_of((), "", "lnd", tmp_path) == ("lnd",)
    assert command_of("/opt/lnd", "", "lnd", tmp_path) == ("/opt/lnd",)
    assert command_of(("nice", "lnd"), "", "lnd", tmp_path) == ("nice", "lnd")


def test_an_image_sees_its_own_directory_and_nothing_else(tmp_path: Path) -> None:
    command = command_of((), "lightninglabs/lnd", "lnd", tmp_path)
    assert command[:2] == ("docker", "run") and command[-1] == "lightninglabs/lnd"
    assert [word for word in command if word.startswith("--volume")] == [f"--volume={tmp_path}:{tmp_path}"]


def test_settings_of_nested_tables_have_their_full_names() -> None:
    assert dict(flat({"policy": {"forward": {"fee_base_msat": 5}}, "alias": "x"})) == {
        "policy.forward.fee_base_msat": 5,
        "alias": "x",
    }


def test_the_program_that_asks_lies_where_the_daemon_does(tmp_path: Path) -> None:
    assert client_of((), "", "lncli", tmp_path) == ("lncli",)
    assert client_of(("env", "lnd"), "", "lncli", tmp_path) == ("lncli",)
    assert client_of(str(tmp_path / "lnd"), "", "lncli", tmp_path) == ("lncli",)
    (tmp_path / "lncli").touch()
    assert client_of(str(tmp_path / "lnd"), "", "lncli", tmp_path) == (str(tmp_path / "lncli"),)
    assert client_of((), "an/image:1", "lncli", tmp_path)[-2:] == ("--entrypoint=lncli", "an/image:1")
