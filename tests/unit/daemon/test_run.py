"""Where a node finds its chain."""

from __future__ import annotations

from pathlib import Path

import pytest

from fulmen.daemon.run import NoChain, chain_endpoint
from fulmen.daemon.settings import load


def a_chain(home: Path, port: int) -> None:
    (home / "chain").mkdir(parents=True)
    (home / "chain" / "port").write_text(str(port))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_the_embedded_chain_beside_the_data_comes_first(home: Path) -> None:
    a_chain(home / "mine", 1001)
    a_chain(home / ".fulmen", 1002)
    assert chain_endpoint(load({"data_dir": str(home / "mine")}, {})).port == 1001


def test_a_node_elsewhere_is_on_the_chain_of_this_user(home: Path) -> None:
    a_chain(home / ".fulmen", 1002)
    assert chain_endpoint(load({"data_dir": str(home / "mine")}, {})).port == 1002


def test_what_is_set_wins(home: Path) -> None:
    a_chain(home / ".fulmen", 1002)
    assert chain_endpoint(load({"chain.url": "http://127.0.0.1:1003"}, {})).port == 1003


def test_no_chain_is_said_with_where_it_was_looked_for(home: Path) -> None:
    with pytest.raises(NoChain, match="fulmen chain") as refused:
        chain_endpoint(load({"data_dir": str(home / "mine")}, {}))
    assert str(home / "mine" / "chain") in refused.value.details["looked_in"]
