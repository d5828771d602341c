"""The TOML file of a network: which nodes there are, and which channels between them.

    [chain]
    kind = "embedded"          # or "bitcoind"

    [nodes.alice]
    coins_sat = 100_000_000

    [nodes.lisa]
    kind = "lnd"

    [[channels]]
    from = "alice"
    to = "lisa"
    capacity_sat = 2_000_000

`docs/lab.md` says what each key means. Whatever is wrong is named by its key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import msgspec.inspect

from fulmen.core.base.faults import Refused
from fulmen.core.base.record import Record

T = TypeVar("T", bound=Record)

NAME = re.compile(r"[a-z][a-z0-9_-]{0,30}")
CHAIN = "chain"
"""A directory and a claim of this name are the chain's."""
MOST_NODES = 100
MOST_CHANNELS = 1000
MOST_COINS_SAT = 4_000_000_000
"""Less than a block of the first hundred pays."""
LEAST_CAPACITY_SAT = 20_000
FEES_SAT = 50_000
"""What one opening may cost, with what is kept back for its close."""


class BadLabFile(Refused):
    """The file cannot be read."""


class UnknownKey(BadLabFile):
    """No key has this name."""


class BadValue(BadLabFile):
    """A key has a value that it cannot have."""


class ChainPlan(Record):
    """Where blocks come from."""

    kind: Literal["embedded", "bitcoind"] = "embedded"
    program: str | tuple[str, ...] = ()
    """How it is called, up to where its own arguments begin; without it, by its name on the path."""
    image: str = ""
    """Run in this image by docker instead."""
    port: int = 0
    """Of its RPC; 0 takes a free one, and the same one ever after."""
    blocks_every_s: float = 20.0
    """A block is found so often; 0: only when somebody asks for one."""


class NodePlan(Record):
    """One node."""

    kind: Literal["fulmen", "lnd", "ldk"] = "fulmen"
    program: str | tuple[str, ...] = ()
    image: str = ""
    port: int = 0
    """Where other nodes connect."""
    coins_sat: int = 100_000_000
    settings: dict[str, Any] = msgspec.field(default_factory=dict)
    """Of a fulmen node, as in settings.toml."""
    arguments: tuple[str, ...] = ()
    """More of them, for an LND."""


class ChannelPlan(Record):
    """One channel."""

    opener: str = msgspec.field(name="from")
    to: str
    capacity_sat: int = 2_000_000
    push_sat: int = 0
    announce: bool = True


class LabPlan(Record):
    """All of it."""

    chain: ChainPlan
    nodes: dict[str, NodePlan]
    channels: tuple[ChannelPlan, ...]


def read(path: Path) -> LabPlan:
    """What a file asks for.

    Raises:
        BadLabFile, UnknownKey, BadValue: with the key.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadLabFile(f"the file {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return plan_of(content)


def plan_of(content: Mapping[str, Any]) -> LabPlan:
    """What the tables of a file ask for.

    Raises:
        UnknownKey, BadValue: with the key.
    """
    for key in content:
        if key not in ("chain", "nodes", "channels"):
            raise UnknownKey(f"{key}: there is no such table; there are chain, nodes and channels")
    chain = _converted(content.get("chain", {}), ChainPlan, "chain")
    _check_program(chain.program, chain.image, "chain")
    if not 0 <= chain.blocks_every_s <= 1_000_000:
        raise _bad("chain.blocks_every_s", "must be seconds, or 0")
    _check_port(chain.port, "chain.port")
    nodes = content.get("nodes", {})
    if not isinstance(nodes, dict) or not nodes:
        raise _bad("nodes", "there must be a table for each node, and one at least: [nodes.alice]")
    if len(nodes) > MOST_NODES:
        raise _bad("nodes", f"there may be {MOST_NODES} at most")
    plans = {name: _node(name, table) for name, table in nodes.items()}
    rows = content.get("channels", [])
    if not isinstance(rows, list) or len(rows) > MOST_CHANNELS:
        raise _bad("channels", f"must be a list of tables, [[channels]], {MOST_CHANNELS} at most")
    channels = tuple([_channel(at, row, plans) for at, row in enumerate(rows)])
    for name, node in plans.items():
        needed = sum(each.capacity_sat + FEES_SAT for each in channels if each.opener == name)
        if node.coins_sat < needed:
            raise _bad(f"nodes.{name}.coins_sat", f"its channels and their fees take {needed}")
    return LabPlan(chain, plans, channels)


def _node(name: str, table: object) -> NodePlan:
    key = f"nodes.{name}"
    if not NAME.fullmatch(name) or name in (CHAIN, "up"):
        raise _bad(key, "a name begins with a small letter and has small letters, digits, - and _, up to 31")
    node = _converted(table, NodePlan, key)
    _check_program(node.program, node.image, key)
    if node.image and node.kind == "fulmen":
        raise _bad(f"{key}.image", "a fulmen node runs here: say program")
    if not 0 <= node.coins_sat <= MOST_COINS_SAT:
        raise _bad(f"{key}.coins_sat", f"must be from 0 to {MOST_COINS_SAT}")
    if node.settings and node.kind != "fulmen":
        raise _bad(f"{key}.settings", "only a fulmen node has settings")
    if node.arguments and node.kind != "lnd":
        raise _bad(f"{key}.arguments", "only an lnd takes arguments")
    _check_port(node.port, f"{key}.port")
    return node


def _channel(at: int, row: object, nodes: Mapping[str, NodePlan]) -> ChannelPlan:
    key = f"channels[{at}]"
    channel = _converted(row, ChannelPlan, key)
    for end, name in (("from", channel.opener), ("to", channel.to)):
        if name not in nodes:
            raise _bad(f"{key}.{end}", f"there is no node {name!r}")
    if channel.opener == channel.to:
        raise _bad(f"{key}.to", "a channel has two ends")
    if channel.capacity_sat < LEAST_CAPACITY_SAT:
        raise _bad(f"{key}.capacity_sat", f"must be {LEAST_CAPACITY_SAT} at least")
    if not 0 <= channel.push_sat <= channel.capacity_sat // 10 * 9:
        raise _bad(f"{key}.push_sat", "must be from 0 to nine tenths of the capacity")
    return channel


def _check_program(program: str | tuple[str, ...], image: str, key: str) -> None:
    if program and image:
        raise _bad(f"{key}.image", "there is a program, too: which one is it to be?")


def _check_port(port: int, key: str) -> None:
    if not 0 <= port < 65_536:
        raise _bad(key, "must be a port, or 0")


def _converted(table: object, kind: type[T], key: str) -> T:
    """A table as a Record."""
    shape = msgspec.inspect.type_info(kind)
    assert isinstance(shape, msgspec.inspect.StructType)
    known = {field.encode_name for field in shape.fields}
    if isinstance(table, dict):
        for name in table:
            if name not in known:
                raise UnknownKey(f"{key}.{name}: there is no such key; there are {', '.join(sorted(known))}")
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        why, _, where = str(error).partition(" - at `$")
        raise _bad(f"{key}{where.rstrip('`')}", why) from error


def _bad(key: str, why: str) -> BadValue:
    return BadValue(f"{key}: {why}")
