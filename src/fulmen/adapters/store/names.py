"""Stable names of stored types, and the short numbers that stand for them in one database.

A name is `room.Class`, with `@version` from the second version on: renaming a file changes nothing, renaming a class
needs `renamed`. The database keeps its own table of numbers, so that a row spends one or two bytes on a type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fulmen.adapters.store.faults import CorruptDatabase, NotStorable
from fulmen.core.base.record import Record

Upcast = Callable[[list[Any]], list[Any]]
"""The fields of a record as they stand on disk, from one version to the next."""

_UPCASTS: dict[str, list[Upcast]] = {}
_RENAMED: dict[str, str] = {}


def upcast(name: str, to: int) -> Callable[[Upcast], Upcast]:
    """Declare how the stored fields of a type (`room.Class`) become those of version `to`; the first version is 1.

    A field added at the end with a default needs none.
    """

    def declare(function: Upcast) -> Upcast:
        steps = _UPCASTS.setdefault(name, [])
        if to != len(steps) + 2:
            raise TypeError(f"the next version of {name} is {len(steps) + 2}, not {to}")
        steps.append(function)
        return function

    return declare


def renamed(old: str, new: str) -> None:
    """A stored type has another name now."""
    _RENAMED[old] = new


def version_of(name: str) -> int:
    """The version that is written."""
    return len(_UPCASTS.get(name, ())) + 1


def upcasts(name: str, version: int) -> tuple[Upcast, ...]:
    """The steps from a stored version to the one that is written."""
    return tuple(_UPCASTS.get(name, ())[version - 1 :])


def name_of(cls: type) -> str:
    """`room.Class`: the package under `core` or `services` (elsewhere the module's own name), and the class."""
    parts = cls.__module__.split(".")
    if parts[0] == "fulmen":
        room = next(part for part in (*parts[1:], cls.__module__) if part not in ("core", "services"))
    else:
        room = parts[-1]
    return f"{room}.{cls.__name__}"


class Types:
    """All Records that are imported, by their stable names."""

    def __init__(self) -> None:
        self._by_name: dict[str, list[type]] = {}
        self._known = 0

    def find(self, name: str) -> type:
        """The class of a stored name.

        Raises:
            CorruptDatabase: there is none.
            NotStorable: there are two.
        """
        name = _RENAMED.get(name, name)
        found = self._by_name.get(name)
        if found is None:
            self._scan()
            found = self._by_name.get(name)
        if not found:
            raise CorruptDatabase("a stored type is not known here", type=name)
        if len(found) > 1:
            raise NotStorable(f"two types have the name {name}: {found}")
        return found[0]

    def _scan(self) -> None:
        self._by_name = {}
        for cls in _subclasses(Record):
            self._by_name.setdefault(name_of(cls), []).append(cls)


def _subclasses(cls: type[Record]) -> Iterator[type[Record]]:
    children: list[type[Record]] = cls.__subclasses__()
    for child in children:
        yield child
        yield from _subclasses(child)


class Numbers:
    """Names and their numbers in one database. A name gets the next number when it is first written."""

    def __init__(self, known: Iterable[tuple[int, str]] = ()) -> None:
        self._number: dict[str, int] = {}
        self._name: dict[int, str] = {}
        self._new: list[tuple[int, str]] = []
        for number, name in known:
            self._number[name] = number
            self._name[number] = name

    def of(self, name: str) -> int:
        """The number of a name, a new one if it has none."""
        number = self._number.get(name)
        if number is None:
            number = self._number[name] = len(self._number) + 1
            self._name[number] = name
            self._new.append((number, name))
        return number

    def known(self, name: str) -> int | None:
        """The number of a name, or None if nothing was ever stored under it."""
        return self._number.get(name)

    def name(self, number: int) -> str:
        """The name behind a number.

        Raises:
            CorruptDatabase: no name has it.
        """
        try:
            return self._name[number]
        except (KeyError, TypeError):
            raise CorruptDatabase("a stored number names no type", number=number) from None

    def new(self) -> list[tuple[int, str]]:
        """Names given since the last call: they belong into the same transaction as the rows that use them."""
        new, self._new = self._new, []
        return new
