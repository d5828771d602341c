"""Where a node finds its chain."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fulmen.adapters.chain.faults import SourceUnreachable
from fulmen.adapters.chain.rpc_client import EndpointUnreadable
from fulmen.core.base.ids import NodeId
from fulmen.core.gossip.addresses import address_of
from fulmen.daemon.chain_away import ChainNotRunning, NoChain
from fulmen.daemon.connections import BadAddress
from fulmen.daemon.run import chain_endpoint, options_of, reach_chain, second_source
from fulmen.daemon.settings import load


def a_chain(home: Path, port: int) -> None:
    (home / "chain").mkdir(parents=True)
    (home / "chain" / "port").write_text(str(port))
    (home / "chain" / ".cookie").write_text("me:secret")


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


def test_a_chain_that_was_stopped_is_no_chain(home: Path) -> None:
    a_chain(home / "mine", 1001)
    (home / "mine" / "chain" / ".cookie").unlink()
    with pytest.raises(NoChain):
        chain_endpoint(load({"data_dir": str(home / "mine")}, {}))


def test_an_embedded_chain_that_was_killed_is_missed_by_name(home: Path) -> None:
    a_chain(home / "mine", 1)
    with pytest.raises(ChainNotRunning, match="fulmen chain"):
        asyncio.run(reach_chain(load({"data_dir": str(home / "mine")}, {})))
    with pytest.raises(SourceUnreachable):
        asyncio.run(reach_chain(load({"chain.url": "http://127.0.0.1:1"}, {})))


def test_what_is_set_wins(home: Path) -> None:
    a_chain(home / ".fulmen", 1002)
    assert chain_endpoint(load({"chain.url": "http://127.0.0.1:1003"}, {})).port == 1003


def test_no_chain_is_said_with_where_it_was_looked_for(home: Path) -> None:
    with pytest.raises(NoChain, match="fulmen chain") as refused:
        chain_endpoint(load({"data_dir": str(home / "mine")}, {}))
    assert str(home / "mine" / "chain") in refused.value.details["looked_in"]


def test_a_second_source_is_there_when_it_is_named() -> None:
    assert second_source(load({}, {})) is None
    named = {"chain.second.url": "http://127.0.0.1:1004", "chain.second.dialect": "btcd"}
    second = second_source(load(named, {}))
    assert second is not None and second.name == "btcd"
    with pytest.raises(EndpointUnreadable):
        second_source(load({"chain.second.url": "nonsense"}, {}))


def test_the_age_of_a_tip_is_an_alarm_where_blocks_are_found_by_others(home: Path) -> None:
    def old_after(given: dict[str, str]) -> float | None:
        return options_of(load(given, {}), NODE_ID, home).chain_old_after_s

    assert old_after({"network": "signet"}) == 7200
    assert old_after({}) is None and old_after({"network": "litecoin-regtest"}) is None
    assert old_after({"chain.old_after_s": "60"}) == 60 == old_after({"network": "signet", "chain.old_after_s": "60"})


def test_forwards_wait_where_coins_are_real(home: Path) -> None:
    def delay(given: dict[str, str]) -> int | None:
        return options_of(load(given, {}), NODE_ID, home).policy.relay.max_delay_ms

    assert (delay({"network": "bitcoin"}), delay({"network": "signet"}), delay({})) == (200, 0, 0)
    assert delay({"policy.relay.max_delay_ms": "30"}) == 30
    assert delay({"network": "bitcoin", "policy.relay.max_delay_ms": "0"}) == 0


NODE_ID = NodeId(b"\x02" * 33)


def test_what_is_to_be_announced_reaches_the_node(home: Path) -> None:
    settings = load({"announce": "203.0.113.7:9735, node.example:9736"}, {})
    announced = options_of(settings, NODE_ID, home).announce
    assert announced == (address_of("203.0.113.7", 9735), address_of("node.example", 9736))


@pytest.mark.parametrize("password", ["s3cret:p/x", "a#b", "%41?", "p@q"])
def test_any_password_reaches_the_server_as_it_is(password: str) -> None:
    given = {"chain.url": "http://127.0.0.1:1", "chain.user": "u/:", "chain.password": password}
    endpoint = chain_endpoint(load(given, {}))
    assert (endpoint.user, endpoint.password, endpoint.host, endpoint.port) == ("u/:", password, "127.0.0.1", 1)


@pytest.mark.parametrize("url", ["http://[::1", "http://u:s3cret:p/x@127.0.0.1:1/", "http://u:s3cret#p@127.0.0.1:1/"])
def test_what_is_no_url_is_refused_without_a_word_of_it(url: str) -> None:
    with pytest.raises(EndpointUnreadable) as refused:
        chain_endpoint(load({"chain.url": url, "chain.user": "x"}, {}))
    assert "s3cret" not in f"{refused.value} {refused.value.details}"


def test_what_is_no_address_is_not_announced(home: Path) -> None:
    with pytest.raises(BadAddress):
        options_of(load({"announce": "203.0.113.7:0"}, {}), NODE_ID, home)


def test_a_server_with_a_certificate_of_its_own_can_be_named(tmp_path):
    given = {"chain.url": "https://127.0.0.1:18334", "chain.user": "u", "chain.certificate_file": str(tmp_path / "pem")}
    endpoint = chain_endpoint(load(given, {}))
    assert (endpoint.tls, endpoint.certificate, endpoint.user) == (True, tmp_path / "pem", "u")
    assert chain_endpoint(load({"chain.url": "https://127.0.0.1:18334"}, {})).certificate is None
