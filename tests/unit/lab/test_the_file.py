"""A network's file: what it says, what it may leave out, and what is wrong with it, by key."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from fulmen.lab.file import BadLabFile, BadValue, UnknownKey, plan_of, read

TWO = """
[nodes.alice]
[nodes.bob]
"""
CHANNEL = TWO + '[[channels]]\nfrom = "alice"\nto = "bob"\n'


def tables(text: str) -> dict[str, Any]:
    return tomllib.loads(text)


def test_what_a_file_leaves_out_has_a_default() -> None:
    plan = plan_of(tables(CHANNEL))
    assert plan.chain.kind == "embedded"
    assert [node.kind for node in plan.nodes.values()] == ["fulmen", "fulmen"]
    [channel] = plan.channels
    assert (channel.opener, channel.to, channel.capacity_sat, channel.announce) == ("alice", "bob", 2_000_000, True)


def test_what_a_file_says_is_read(tmp_path: Path) -> None:
    path = tmp_path / "net.toml"
    path.write_text(
        '[chain]\nkind = "bitcoind"\nprogram = ["/opt/bitcoind", "-debug"]\nblocks_every_s = 0\n'
        '[nodes.lisa]\nkind = "lnd"\nimage = "lightninglabs/lnd:v0.21.3-beta"\narguments = ["--accept-keysend"]\n'
        "[nodes.alice]\nport = 9735\nsettings.policy.forward.fee_base_msat = 5\n"
        '[[channels]]\nfrom = "lisa"\nto = "alice"\npush_sat = 7\nannounce = false\n'
    )
    plan = read(path)
    assert plan.chain.program == ("/opt/bitcoind", "-debug") and plan.chain.blocks_every_s == 0
    assert plan.nodes["lisa"].arguments == ("--accept-keysend",)
    assert plan.nodes["alice"].settings == {"policy": {"forward": {"fee_base_msat": 5}}}
    assert plan.channels[0].push_sat == 7 and not plan.channels[0].announce


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (TWO + "[wallet]\n", "wallet"),
        (TWO + "[chain]\nknid = 1\n", "chain.knid"),
        ("[nodes.alice]\ncoins = 1\n", "nodes.alice.coins"),
        (TWO + '[[channels]]\nform = "alice"\n', "channels[0].form"),
    ],
)
def test_a_key_that_nobody_knows_is_named(text: str, key: str) -> None:
    with pytest.raises(UnknownKey) as refused:
        plan_of(tables(text))
    assert str(refused.value).startswith(f"{key}: ")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", "nodes"),
        ("nodes = 3\n", "nodes"),
        ("chain = 3\n" + TWO, "chain"),
        ('[nodes.alice]\nkind = "eclair"\n', "nodes.alice.kind"),
        ('[nodes.alice]\ncoins_sat = "many"\n', "nodes.alice.coins_sat"),
        ("[nodes.alice]\ncoins_sat = -1\n", "nodes.alice.coins_sat"),
        ("[nodes.alice]\nport = 70000\n", "nodes.alice.port"),
        ("[nodes.Alice]\n", "nodes.Alice"),
        ("[nodes.chain]\n", "nodes.chain"),
        ("[nodes.up]\n", "nodes.up"),
        ('[nodes.alice]\nimage = "fulmen"\n', "nodes.alice.image"),
        ('[nodes.lisa]\nkind = "lnd"\nimage = "x"\nprogram = "lnd"\n', "nodes.lisa.image"),
        ('[nodes.lisa]\nkind = "lnd"\nsettings.alias = "x"\n', "nodes.lisa.settings"),
        ('[nodes.alice]\narguments = ["-v"]\n', "nodes.alice.arguments"),
        (TWO + "[chain]\nblocks_every_s = -1\n", "chain.blocks_every_s"),
        (TWO + "[chain]\nblocks_every_s = nan\n", "chain.blocks_every_s"),
        (TWO + "channels = 3\n", "nodes.bob"),
        (TWO + '[[channels]]\nfrom = "alice"\n', "channels[0]"),
        (TWO + '[[channels]]\nfrom = "alice"\nto = "carol"\n', "channels[0].to"),
        (TWO + '[[channels]]\nfrom = "alice"\nto = "alice"\n', "channels[0].to"),
        (CHANNEL + "capacity_sat = 5\n", "channels[0].capacity_sat"),
        (CHANNEL + "push_sat = 2_000_000\n", "channels[0].push_sat"),
        (CHANNEL + "capacity_sat = 200_000_000\n", "nodes.alice.coins_sat"),
    ],
)
def test_a_value_that_cannot_be_is_named_by_its_key(text: str, key: str) -> None:
    with pytest.raises(BadLabFile) as refused:
        plan_of(tables(text))
    assert str(refused.value).startswith(key), refused.value


def test_a_value_of_the_wrong_type_is_a_bad_value() -> None:
    with pytest.raises(BadValue, match=r"nodes\.alice\.port: Expected `int`, got `str`"):
        plan_of(tables('[nodes.alice]\nport = "x"\n'))


@pytest.mark.parametrize("content", [b"[nodes", b"\xff\xfe", b"x = " + b"[" * 5000])
def test_what_is_no_toml_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.toml"
    path.write_bytes(content)
    with pytest.raises(BadLabFile, match=r"net\.toml cannot be read"):
        read(path)


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadLabFile, match=r"net\.toml cannot be read"):
        read(tmp_path / "net.toml")
