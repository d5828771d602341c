"""How every stored type stands on disk: a sample of each, made from its declaration alone, and the file that pins them.

`tests/vectors/store/forms.txt` has one line per sample: the type's name with its version, the bytes in hex, and the
names behind the numbers in them, in order; and one line per enumeration with the values that its members have on disk.
`docs/stored-forms.md` says what to do when a line no longer holds.
"""

from __future__ import annotations

import enum
import importlib
import pkgutil
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
from tests.builders.vectors import ROOT
from tests.builders.wallets import ACCOUNTS

import fulmen.core
from fulmen.adapters.store.codec import Codec
from fulmen.adapters.store.faults import StoreFault
from fulmen.adapters.store.names import Numbers, name_of, version_of
from fulmen.core.base.machine import Fact, Kept
from fulmen.core.base.record import Record
from fulmen.core.node.machines import mounts

FILE = ROOT / "store" / "forms.txt"
NEVER_STORED = ("opening",)
"""Machines all of whose facts pass."""
LONGEST_KEY = bytes(66)


class Line(NamedTuple):
    """One sample. Of a type that has had several forms, the last line is the form that is written now."""

    name: str
    packed: str
    names: str

    @property
    def text(self) -> str:
        return " ".join(self)


# ---- the file --------------------------------------------------------------------------------------------------------


def read_lines() -> list[Line]:
    """What the file says."""
    return [Line(*line.split(" ", 2)) for line in FILE.read_text(encoding="utf-8").splitlines()]


def current_lines() -> list[Line]:
    """What it should say, less what was once written and is still read."""
    found, enums = _closure(stored_types())
    lines = [line_of(cls) for cls in found]
    values = [
        Line(f"enum:{cls.__module__}.{cls.__name__}", _joined(cls.__members__), _joined(one.value for one in cls))
        for cls in enums
    ]
    return sorted(lines + values)


def line_of(cls: type[Any]) -> Line:
    """The line of one type."""
    numbers = Numbers()
    packed = Codec(numbers).pack(sample(cls))
    return Line(versioned(cls), packed.hex(), ",".join(name for _, name in numbers.new()))


def versioned(cls: type[Any]) -> str:
    """The name under which a type is written now."""
    version = version_of(name_of(cls))
    return name_of(cls) if version == 1 else f"{name_of(cls)}@{version}"


def value_of(line: Line) -> Any:
    """What the code of now reads from a line."""
    return Codec(Numbers(enumerate(line.names.split(","), start=1))).unpack(bytes.fromhex(line.packed))


def newest(lines: Iterable[Line]) -> dict[str, Line]:
    """The last line of each name."""
    return {line.name: line for line in lines}


def differences(stored: Iterable[Line], current: Iterable[Line]) -> list[str]:
    """What is wrong with the file, in words."""
    before, now = newest(stored), newest(current)
    missing = [f"{name} has no line" for name in now if name not in before]
    changed = [name for name in now if before.get(name, now[name]) != now[name]]
    return missing + [f"{name} stands otherwise on disk than before" for name in changed]


def renewed(stored: Iterable[Line], current: Iterable[Line]) -> list[Line]:
    """The file with a line for each form that is new. Earlier forms stay, for there is data on disk that has them."""
    stored = [*stored]
    return sorted([*stored, *(line for line in current if line not in stored)], key=lambda line: line.name)


def write_lines(lines: Iterable[Line]) -> None:
    """Make the file say this."""
    FILE.write_text("".join(line.text + "\n" for line in lines), encoding="utf-8")


def unreadable(lines: Iterable[Line]) -> list[str]:
    """What the code of now cannot read, in words. Of enumerations the last line says what it can."""
    lines = [*lines]
    last = newest(lines)
    found = []
    for line in lines:
        if line.name.startswith("enum:"):
            gone = [value for value in line.names.split(",") if value not in last[line.name].names.split(",")]
            found += [f"{line.name}: the value {value} is gone" for value in gone]
            continue
        try:
            value_of(line)
        except StoreFault as fault:
            found.append(f"{line.name}: {fault}")
    return found


def _joined(values: Iterable[Any]) -> str:
    return ",".join(map(str, values))


# ---- what is stored --------------------------------------------------------------------------------------------------


def stored_types() -> list[type[Any]]:
    """All durable facts, all rows that machines keep, and the states of all machines, by name."""
    for module in pkgutil.walk_packages(fulmen.core.__path__, "fulmen.core."):
        if module.name.rpartition(".")[2] != "compiled":  # needs an extra that may not be installed
            importlib.import_module(module.name)
    found: list[type[Any]] = [cls for cls in ours(Fact) if not cls.passing]
    found += ours(Kept)
    found += [type(mount.initial(LONGEST_KEY)) for mount in mounts(ACCOUNTS) if mount.kind not in NEVER_STORED]
    return sorted(dict.fromkeys(found), key=name_of)


def ours(parent: type[Any]) -> list[type[Any]]:
    """All that is declared below a class in the core, by name."""
    found, todo = [], list(parent.__subclasses__())
    while todo:
        cls = todo.pop()
        todo.extend(cls.__subclasses__())
        if cls.__module__.startswith("fulmen.core."):
            found.append(cls)
    return sorted(dict.fromkeys(found), key=name_of)


def _closure(roots: Iterable[type[Any]]) -> tuple[list[type[Any]], list[type[enum.Enum]]]:
    """The types, and all Records and enumerations that their fields name."""
    found: dict[type[Any], None] = {}
    enums: dict[type[enum.Enum], None] = {}
    todo = list(roots)
    while todo:
        cls = todo.pop()
        if issubclass(cls, enum.Enum):
            enums[cls] = None
        elif cls not in found:
            found[cls] = None
            for hint in typing.get_type_hints(cls).values():
                todo += [named for one in _named(hint) for named in _concrete(one)]
    return [*found], [*enums]


def _named(declared: Any) -> Iterator[type[Any]]:
    declared = _plain(declared)
    if isinstance(declared, type) and issubclass(declared, (msgspec.Struct, enum.Enum)):
        yield declared
    for argument in typing.get_args(declared):
        if typing.get_origin(declared) is not typing.Literal:
            yield from _named(argument)


def _concrete(cls: type[Any]) -> list[type[Any]]:
    """What may stand where this class is declared: itself, or what is below it."""
    if cls is Record or issubclass(cls, enum.Enum):
        return [] if cls is Record else [cls]
    return ours(cls) or [cls]


# ---- samples ---------------------------------------------------------------------------------------------------------


def sample(cls: type[Any], within: tuple[type[Any], ...] = ()) -> Any:
    """A value of a Record, the same in every run; nothing in it is empty that can be full."""
    hints = typing.get_type_hints(cls)
    inside = (*within, cls)
    return cls(**{field: _value(hints[field], f"{name_of(cls)}.{field}", inside) for field in cls.__struct_fields__})


def _value(declared: Any, path: str, within: tuple[type[Any], ...]) -> Any:
    declared = _plain(declared)
    origin, arguments = typing.get_origin(declared), typing.get_args(declared)
    digest = sha256(path.encode()).digest()
    if origin is typing.Union or origin is types.UnionType:
        return _first([_plain(argument) for argument in arguments], path, within)
    if origin is typing.Literal:
        return arguments[0]
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_values(arguments[0], path, within))
    if origin is tuple:
        return tuple(_value(argument, f"{path}.{place}", within) for place, argument in enumerate(arguments))
    if origin is list:
        return _values(arguments[0], path, within)
    if declared is dict or origin is dict or (isinstance(origin, type) and issubclass(origin, Mapping)):
        keys, values = arguments or (str, int)
        return {_value(keys, f"{path}.key", within): _value(values, f"{path}.value", within)}
    if declared in (Any, object) or isinstance(declared, typing.TypeVar):
        return 7
    if isinstance(declared, type) and issubclass(declared, enum.Enum):
        return [*declared][-1]
    if isinstance(declared, type) and issubclass(declared, msgspec.Struct):
        return _values(declared, path, within)[0]
    plain = {bool: True, int: 300 + digest[0], float: 0.5, str: path, bytes: digest[:4], type(None): None, None: None}
    return plain[declared]


def _values(declared: Any, path: str, within: tuple[type[Any], ...]) -> list[Any]:
    """One value; of a class with others below it one of each; none where a type holds itself."""
    declared = _plain(declared)
    if isinstance(declared, type) and issubclass(declared, msgspec.Struct):
        return [sample(cls, within) for cls in _concrete(declared) if cls not in within]
    return [_value(declared, path, within)]


def _first(members: list[Any], path: str, within: tuple[type[Any], ...]) -> Any:
    """The first member of a union that a value can be made of; None, where it may be, comes last."""
    for member in sorted(members, key=lambda one: one is type(None)):
        if isinstance(member, type) and issubclass(member, msgspec.Struct):
            for value in _values(member, path, within):
                return value
        else:
            return _value(member, path, within)
    raise TypeError(f"{path}: no sample can be made of {members}")


def _plain(declared: Any) -> Any:
    """A declared type less its new names and annotations."""
    while hasattr(declared, "__supertype__") or typing.get_origin(declared) is typing.Annotated:
        declared = getattr(declared, "__supertype__", None) or typing.get_args(declared)[0]
    return declared
