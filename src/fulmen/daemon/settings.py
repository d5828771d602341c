"""Settings: flags before environment before file before defaults; a name that nobody knows is refused by name.

A setting has one name everywhere: `policy.forward.fee_base_msat` is `--set policy.forward.fee_base_msat=5` as a flag,
`FULMEN_POLICY__FORWARD__FEE_BASE_MSAT` in the environment, and `fee_base_msat` under `[policy.forward]` in the file.
"""

from __future__ import annotations

import difflib
import math
import tomllib
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from fulmen.api.declared import why_not
from fulmen.core.base.faults import Fault, Refused
from fulmen.core.base.policy import Policy
from fulmen.core.base.record import Record
from fulmen.core.bitcoin.address import script_of
from fulmen.core.bitcoin.networks import network_named
from fulmen.core.channel.scripts import is_shutdown_script
from fulmen.core.gossip.aliases import BadAlias, alias_bytes
from fulmen.core.gossip.policy import GossipPolicy

PREFIX = "FULMEN_"
NOT_SETTINGS = (
    "FULMEN_PASSWORD",
    "FULMEN_PASSWORD_FILE",
    "FULMEN_SECP256K1",
    "FULMEN_DATA",
    "FULMEN_INTEROP_CACHE",
    "FULMEN_INTEROP_REQUIRED",
)
"""The first two unlock the seed (`adapters.keys.seedfile`), and never stand with the settings; the others are for
tests."""
PLACES = {"network": "--network or FULMEN_NETWORK", "data_dir": "--dir or FULMEN_DIR"}
"""They say which seed and which file belong to the node, so they are known before all else, and cannot change after."""


ADDRESSES = ("policy.opening.close_to",)
"""Kept as scripts and written as addresses of the network in force."""


class UnknownSetting(Refused):
    """No setting has this name."""


class BadSetting(Refused):
    """A setting has a value that it cannot have."""


class BadSettingsFile(Refused):
    """The settings file cannot be read."""


class ServerSettings(Record):
    """A bitcoind, btcd, litecoind, or the embedded chain."""

    url: str = ""
    """http://host:port."""
    user: str = ""
    password: str = ""
    cookie_file: str = ""
    """bitcoind's `.cookie`, instead of user and password."""
    certificate_file: str = ""
    """btcd's `rpc.cert`, or who signed it, where the server is asked over https; empty: the system's authorities."""
    dialect: str = "core"
    """`core`, `btcd`, `litecoind` or `embedded`: what the server understands."""


class ChainSettings(ServerSettings):
    """Where blocks come from; without a url the embedded chain's default."""

    poll_s: float = 1.0
    wait_s: int = 60
    """How long a start waits for a chain that is away."""
    old_after_s: float | None = None
    """The age of a tip that is an alarm; None: two hours, and on regtest never."""
    second: ServerSettings = ServerSettings()
    """What the first is held against, and a second way to the miners; without a url there is none."""
    apart_blocks: int = 3
    """For how many blocks the two may differ before that is an alarm."""


class LogSettings(Record):
    """What is written about what happens."""

    level: str = "info"
    json: bool | None = None
    """None: JSON unless it goes to a terminal."""


class Settings(Record):
    """All of them."""

    network: str = "regtest"
    accept_the_risks: bool = False
    """On a network whose coins are real, the node starts only with this: see `daemon.risks`."""
    data_dir: str = "~/.fulmen"
    listen: tuple[str, ...] = ("127.0.0.1:9735",)
    """host:port; none: nobody can connect to us."""
    announce: tuple[str, ...] = ()
    """host:port that our node_announcement names."""
    alias: str = ""
    chain: ChainSettings = ChainSettings()
    log: LogSettings = LogSettings()
    policy: Policy = Policy()
    gossip: GossipPolicy = GossipPolicy()


def load(flags: Mapping[str, Any], environ: Mapping[str, str], file: Path | None = None) -> Settings:
    """The settings in force.

    Args:
        flags: name -> value, as text or typed; None is not given.
        environ: the process environment; only names with our prefix are looked at.
        file: a TOML file; it need not exist unless it is not the default.

    Raises:
        UnknownSetting, BadSetting, BadSettingsFile
    """
    given: dict[str, Any] = {}
    for name, value in _from_file(file):
        given[name] = _in_its_place(name, _checked(name, value, f"in {file}"), flags, f"in {file}")
    for name, value in _from_environment(environ):
        given[name] = _in_its_place(name, _checked(name, value, "in the environment"), flags, "in the environment")
    for name, value in flags.items():
        if value is not None:
            given[name] = _checked(name, value, "as a flag")
    settings: Settings = _with(Settings(), {name: value for name, value in given.items() if name not in ADDRESSES})
    scripts = {name: _script(name, given[name], settings.network) for name in ADDRESSES if given.get(name)}
    settings = _with(settings, scripts)
    _fit_together(settings.policy)
    return settings


def names() -> tuple[str, ...]:
    """The names of all settings, in the order of their declaration."""
    return tuple(name for name, _ in _leaves(Settings, ""))


def default_file(data_dir: str, network: str) -> Path:
    """Where the settings file of a network lies."""
    return Path(data_dir).expanduser() / network / "settings.toml"


# ---- sources ------------------------------------------------------------------------------------


def _from_file(file: Path | None) -> Iterator[tuple[str, Any]]:
    if file is None:
        return
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadSettingsFile(path=str(file), why=str(error)) from error
    yield from _flat(content, "")


def _flat(table: Mapping[str, Any], before: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping) and before.count(".") < 8:
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and variable not in NOT_SETTINGS:
            yield variable.removeprefix(PREFIX).replace("__", ".").lower(), environ[variable]


# ---- values -------------------------------------------------------------------------------------


def _leaves(record: type[Record], before: str) -> Iterator[tuple[str, Any]]:
    hints = typing.get_type_hints(record, include_extras=True)
    for field in record.__struct_fields__:
        declared = hints[field]
        if isinstance(declared, type) and issubclass(declared, Record):
            yield from _leaves(declared, f"{before}{field}.")
        else:
            yield f"{before}{field}", declared


_TYPES: dict[str, Any] = dict(_leaves(Settings, "")) | dict.fromkeys(ADDRESSES, str)


def _checked(name: str, value: Any, where: str) -> Any:
    """The value in the setting's own type."""
    if name not in _TYPES:
        close = difflib.get_close_matches(name, _TYPES, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UnknownSetting(f"there is no setting {name[:80]!r}{hint}", where=where)
    declared = _TYPES[name]
    many = typing.get_origin(declared) is tuple
    if isinstance(value, str) and many:
        value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, str) and value == "" and declared is not str:
        value = None
    try:
        if value is not None and _is_bytes(declared):  # node ids and the like are written in hex
            value = [bytes.fromhex(part) for part in value] if many else bytes.fromhex(value)
        converted = msgspec.convert(value, declared, strict=not isinstance(value, (str, list)))
        _sane(name, converted)
        return converted
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        raise BadSetting(f"{name} cannot be {str(value)[:80]!r}", where=where, why=why_not(error, declared)) from error


def _in_its_place(name: str, value: Any, flags: Mapping[str, Any], where: str) -> Any:
    """A value that names no other network or directory than the one that is in use already.

    Raises:
        BadSetting: a seed would be looked for in one place, and the journal kept in another.
    """
    chosen = flags.get(name)
    if name in PLACES and chosen is not None and Path(value).expanduser() != Path(chosen).expanduser():
        raise BadSetting(f"{name} is {str(chosen)[:80]!r} already", where=where, why=f"it is said by {PLACES[name]}")
    return value


def _sane(name: str, value: Any) -> None:
    """No number among the settings means anything below zero, and no time can be nothing.

    Raises:
        ValueError: in words.
    """
    if isinstance(value, float) and not 0 < value < math.inf:
        raise ValueError("it must be more than 0")
    if isinstance(value, int) and value < 0:
        raise ValueError("it must not be below 0")
    if name == "alias":
        try:
            alias_bytes(value)
        except BadAlias:
            raise ValueError("an alias has up to 32 bytes of UTF-8, all of which can be seen") from None


def _fit_together(policy: Policy) -> None:
    """Refuse deadlines that are no good beside each other: of the money that is forwarded, some would be lost.

    Raises:
        BadSetting
    """
    deadlines, forward = policy.deadlines, policy.forward
    # What we offered is taken back after its expiry, so deep that it stays so, before what we received has to be gone.
    least = deadlines.offered_grace + deadlines.reorg_safe_depth + deadlines.fulfilled_deadline
    if deadlines.cltv_expiry_delta < least:
        name, value, why = "policy.deadlines.cltv_expiry_delta", deadlines.cltv_expiry_delta, "the deadlines beside it"
    elif forward.cltv_expiry_delta < deadlines.cltv_expiry_delta:
        least = deadlines.cltv_expiry_delta
        name, value, why = "policy.forward.cltv_expiry_delta", forward.cltv_expiry_delta, "policy.deadlines has it so"
    else:
        return
    raise BadSetting(f"{name} cannot be {value}", why=f"it must be at least {least}, for {why}")


def _script(name: str, address: str, network: str) -> bytes:
    """What an address stands for, if a mutual close may pay to it."""
    try:
        script = script_of(address, network_named(network))
    except Fault as why:
        raise BadSetting(f"{name} cannot be {address[:128]!r}", why=str(why)) from why
    if not is_shutdown_script(script, anysegwit=True):
        raise BadSetting(f"{name} cannot be {address[:128]!r}", why="a mutual close pays to a segwit address")
    return script


def _is_bytes(declared: Any) -> bool:
    while hasattr(declared, "__supertype__"):
        declared = declared.__supertype__
    return declared is bytes or any(_is_bytes(argument) for argument in typing.get_args(declared))


def _with(record: Any, given: Mapping[str, Any]) -> Any:
    """A record with dotted names replaced, level by level."""
    here: dict[str, Any] = {}
    below: dict[str, dict[str, Any]] = {}
    for name, value in given.items():
        field, dot, rest = name.partition(".")
        if dot:
            below.setdefault(field, {})[rest] = value
        else:
            here[field] = value
    for field, values in below.items():
        here[field] = _with(getattr(record, field), values)
    return record.but(**here) if here else record
