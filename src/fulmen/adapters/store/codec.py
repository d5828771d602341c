"""Facts, states and cold rows as compact bytes, and back.

A record is `[number of its type, field, field …]` in msgpack. What a field looks like follows from its declared type,
compiled once for each class; a union is told apart by what stands on disk. Nothing is written that is not declared,
and no default is left out, so that changing one changes no stored value. Nothing is read that is not declared either:
a damaged byte becomes a CorruptDatabase here, not a wrong value in the core.
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from inspect import Parameter, signature
from operator import contains
from typing import Any, NamedTuple

import msgspec
from msgspec.msgpack import Ext

from fulmen.adapters.store.faults import CorruptDatabase, NewerDatabase, NotStorable
from fulmen.adapters.store.names import Numbers, Types, Upcast, name_of, upcasts, version_of

Convert = Callable[[Any], Any]

_EXT_RECORD, _EXT_TUPLE, _EXT_MAPPING, _EXT_INTEGER = 1, 2, 3, 4
_encode = msgspec.msgpack.Encoder().encode
_values_of = msgspec.structs.astuple


class Form(NamedTuple):
    """How values of a declared type stand on disk; None converts nothing. `kinds`: what msgpack makes of them.

    `from_disk` gets only what is of such a kind, and refuses (ValueError, LookupError) what is no such value.
    """

    to_disk: Convert | None
    from_disk: Convert | None
    kinds: tuple[str, ...]

    @property
    def classes(self) -> Classes:
        """What its kinds are in Python."""
        if self.kinds == ("any",):
            return _ALL
        return frozenset(cls for kind in self.kinds for cls in _CLASSES[kind])


class Shape(NamedTuple):
    """How one class stands on disk."""

    number: int
    cls: type
    to_disk: tuple[tuple[int, Convert], ...]
    from_disk: tuple[tuple[int, Convert], ...]
    classes: tuple[Classes, ...]
    keywords: tuple[str, ...] | None
    """The fields' names where the class takes them by name only; None where their order is enough."""


class Codec:
    """One database's way of writing values: its numbers, and the shapes of all types met so far."""

    def __init__(self, numbers: Numbers | None = None) -> None:
        self.numbers = numbers if numbers is not None else Numbers()
        self._types = Types()
        self._shapes: dict[type, Shape] = {}
        self._read: dict[int, tuple[Shape, tuple[Upcast, ...]]] = {}
        self._decode = msgspec.msgpack.Decoder(ext_hook=self._from_ext).decode

    def pack(self, value: Any) -> bytes:
        """A record, or a plain value that contains records.

        Raises:
            NotStorable: a type in it cannot be stored.
        """
        raw = self._any_to_disk(value) if not isinstance(value, msgspec.Struct) else self.record_to_disk(value)
        return self.pack_raw(raw)

    def unpack(self, data: bytes) -> Any:
        """What `pack` was given: a record.

        Raises:
            CorruptDatabase: these bytes were not written by `pack`.
            NewerDatabase: they were, by a newer version.
        """
        try:
            raw = self._decode(data)
            return self.record_from_disk(raw) if isinstance(raw, list) else raw
        except (msgspec.MsgspecError, TypeError, ValueError, KeyError, IndexError, RecursionError) as error:
            raise CorruptDatabase("a stored value cannot be read", why=str(error)) from error

    def pack_raw(self, raw: Any) -> bytes:
        """What `record_to_disk` gave, as bytes."""
        try:
            return _encode(raw)
        except OverflowError:  # an integer of more than 64 bits
            return _encode(_widened(raw))

    def unpack_raw(self, data: bytes) -> Any:
        """The reverse of `pack_raw`.

        Raises:
            CorruptDatabase: these are no such bytes.
        """
        try:
            return self._decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise CorruptDatabase("a stored value cannot be read", why=str(error)) from error

    def record_to_disk(self, record: Any) -> list[Any]:
        """`[number, field …]`, ready for msgpack."""
        shape = self._shapes.get(type(record)) or self._compile(type(record))
        raw = [shape.number, *_values_of(record)]
        for index, convert in shape.to_disk:
            raw[index] = convert(raw[index])
        return raw

    def record_from_disk(self, raw: list[Any]) -> Any:
        """The record of `[number, field …]`.

        Raises:
            CorruptDatabase, NewerDatabase, TypeError, ValueError, LookupError: it is none that we can read.
        """
        number = raw[0]
        known = self._read.get(number)
        shape, steps = known if known is not None else self._compile_reading(number)
        fields = raw[1:]
        for step in steps:
            fields = step(fields)
        if len(fields) > len(shape.classes):
            raise NewerDatabase("a stored record has fields that are not known here", type=name_of(shape.cls))
        if not all(map(contains, shape.classes, map(type, fields))):
            raise ValueError(f"{name_of(shape.cls)} of {', '.join(type(field).__name__ for field in fields)}")
        for index, convert in shape.from_disk:
            if index <= len(fields):
                fields[index - 1] = convert(fields[index - 1])
        if shape.keywords is not None:
            return shape.cls(**dict(zip(shape.keywords, fields, strict=False)))
        return shape.cls(*fields)

    def compiled(self, cls: type) -> Shape:
        """How a class stands on disk, and with it every type that its fields name.

        Raises:
            NotStorable: it has no form on disk.
        """
        return self._shapes.get(cls) or self._compile(cls)

    # ---- compiling -----------------------------------------------------------------------------

    def _compile(self, cls: type) -> Shape:
        name = name_of(cls)
        version = version_of(name)
        shape = self._shape(cls, self.numbers.of(name if version == 1 else f"{name}@{version}"))
        self._shapes[cls] = shape
        return shape

    def _compile_reading(self, number: int) -> tuple[Shape, tuple[Upcast, ...]]:
        name, _, written = self.numbers.name(number).partition("@")
        version = int(written) if written else 1
        cls = self._types.find(name)
        current = name_of(cls)
        if version > version_of(current):
            raise NewerDatabase("a newer version wrote this", type=name, version=version)
        known = (self._shape(cls, number), upcasts(current, version))
        self._read[number] = known
        return known

    def _shape(self, cls: type, number: int) -> Shape:
        if not issubclass(cls, msgspec.Struct):
            raise NotStorable(f"{cls} is no Record")
        try:
            hints = _hints_of(cls)
        except NameError as error:
            raise NotStorable(f"{name_of(cls)}: {error}") from error
        to_disk: list[tuple[int, Convert]] = []
        from_disk: list[tuple[int, Convert]] = []
        classes: list[Classes] = []
        for index, field in enumerate(cls.__struct_fields__, start=1):
            try:
                form = self._form(hints[field])
            except NotStorable as fault:
                raise NotStorable(f"{name_of(cls)}.{field}: {fault}") from None
            if form.to_disk is not None:
                to_disk.append((index, form.to_disk))
            if form.from_disk is not None:
                from_disk.append((index, form.from_disk))
            classes.append(form.classes)
        names = cls.__struct_fields__
        return Shape(number, cls, tuple(to_disk), tuple(from_disk), tuple(classes), names if _by_name(cls) else None)

    def _form(self, declared: Any) -> Form:
        while hasattr(declared, "__supertype__"):  # NewType
            declared = declared.__supertype__
        origin, arguments = typing.get_origin(declared), typing.get_args(declared)
        if origin is typing.Annotated:
            return self._form(arguments[0])
        if declared is Any or declared is object or isinstance(declared, typing.TypeVar):
            return Form(self._any_to_disk, _anything, ("any",))
        if declared in _PLAIN:
            return Form(None, _number if declared is float else None, _PLAIN[declared])
        if origin is typing.Union or origin is types.UnionType:
            return self._union(tuple(self._form(argument) for argument in arguments))
        if origin is typing.Literal:
            kinds = tuple(dict.fromkeys(kind for value in arguments for kind in _PLAIN.get(type(value), ("none",))))
            return Form(None, _one_of(arguments), kinds)
        if origin is tuple:
            return self._tuple(arguments)
        if origin in (list, dict) or (isinstance(origin, type) and issubclass(origin, Mapping)):
            return self._many(origin, arguments)
        if isinstance(declared, type):
            if issubclass(declared, msgspec.Struct):
                return Form(self.record_to_disk, self.record_from_disk, ("list",))
            if issubclass(declared, enum.Enum):
                kinds = tuple(dict.fromkeys(kind for member in declared for kind in _PLAIN[type(member.value)]))
                return Form(lambda member: member.value, declared, kinds)
        raise NotStorable(f"{declared} has no form on disk")

    def _tuple(self, arguments: tuple[Any, ...]) -> Form:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            to_disk, from_disk = self._form(arguments[0]).to_disk, _each(self._form(arguments[0]))
            return Form(
                None if to_disk is None else lambda items: [to_disk(item) for item in items],
                lambda items: tuple(from_disk(items)),
                ("list",),
            )
        forms = [self._form(argument) for argument in arguments]
        each = [_each(form) for form in forms]
        return Form(
            lambda items: [_convert(form.to_disk, item) for form, item in zip(forms, items, strict=True)],
            lambda items: tuple([one for form, item in zip(each, items, strict=True) for one in form([item])]),
            ("list",),
        )

    def _many(self, origin: type, arguments: tuple[Any, ...]) -> Form:
        forms = [self._form(argument) for argument in arguments]
        if origin is list:
            (of,) = forms
            return Form(
                lambda items: [_convert(of.to_disk, item) for item in items],
                _each(of),
                ("list",),
            )
        keys, values = forms
        return Form(
            lambda items: [[_convert(keys.to_disk, k), _convert(values.to_disk, v)] for k, v in items.items()],
            _pairs(_each(keys), _each(values)),
            ("list",),
        )

    def _union(self, forms: tuple[Form, ...]) -> Form:
        """Told apart by what msgpack makes of the values; all Records are one, since each says what it is."""
        by_kind: dict[str, Form] = {}
        for form in forms:
            if form.kinds == ("any",):
                return form
            for kind in form.kinds:
                other = by_kind.setdefault(kind, form)
                if (other.to_disk, other.from_disk) != (form.to_disk, form.from_disk):
                    raise NotStorable("two members of a union look the same on disk")
        converting = {kind: form for kind, form in by_kind.items() if form.to_disk or form.from_disk}
        if not converting:
            return Form(None, None, tuple(by_kind))
        if set(converting) == {"list"}:  # by far the most: a record, or None
            to_disk, from_disk, _ = converting["list"]
            return Form(
                to_disk and (lambda value: to_disk(value) if isinstance(value, _LISTS) else value),
                from_disk and (lambda raw: from_disk(raw) if type(raw) is list else raw),
                tuple(by_kind),
            )
        from_kind = {kind: form.from_disk for kind, form in converting.items() if form.from_disk}
        to_kind = {kind: form.to_disk for kind, form in converting.items() if form.to_disk}
        return Form(
            lambda value: _convert(to_kind.get(_kind(value)), value),
            lambda raw: _convert(from_kind.get(_kind(raw)), raw),
            tuple(by_kind),
        )

    # ---- fields of any type --------------------------------------------------------------------

    def _any_to_disk(self, value: Any) -> Any:
        if value is None or isinstance(value, (bool, int, float, str, bytes)):
            return value.value if isinstance(value, enum.Enum) else value
        if isinstance(value, msgspec.Struct):
            return Ext(_EXT_RECORD, self.pack_raw(self.record_to_disk(value)))
        if isinstance(value, (tuple, list)):
            return Ext(_EXT_TUPLE, self.pack_raw([self._any_to_disk(item) for item in value]))
        if isinstance(value, Mapping):
            pairs = [[self._any_to_disk(key), self._any_to_disk(item)] for key, item in value.items()]
            return Ext(_EXT_MAPPING, self.pack_raw(pairs))
        raise NotStorable(f"{type(value)} has no form on disk")

    def _from_ext(self, code: int, data: memoryview) -> Any:
        if code == _EXT_INTEGER:
            return int.from_bytes(data, "big", signed=True)
        raw = self._decode(data)
        if type(raw) is not list:
            raise ValueError(f"{type(raw).__name__} instead of a list")
        if code == _EXT_RECORD:
            return self.record_from_disk(raw)
        if code == _EXT_TUPLE:
            return tuple([_anything(item) for item in raw])
        if code == _EXT_MAPPING:
            return _pairs(_each_of_any, _each_of_any)(raw)
        raise ValueError(f"extension {code} is not ours")


_LISTS = (msgspec.Struct, tuple, list, Mapping)
_PLAIN: dict[Any, tuple[str, ...]] = {
    int: ("int",),
    bool: ("bool",),
    float: ("float", "int"),
    str: ("str",),
    bytes: ("bytes",),
    None: ("none",),
    type(None): ("none",),
}
_KINDS: dict[type, str] = {cls: kinds[0] for cls, kinds in _PLAIN.items() if cls is not None} | {list: "list"}
_CLASSES: dict[str, tuple[type, ...]] = {kind: (cls,) for cls, kind in _KINDS.items()} | {"int": (int, bool)}


class _All:
    """Has every class: for fields of any type."""

    def __contains__(self, cls: object) -> bool:
        return True

    def issuperset(self, classes: Iterable[type]) -> bool:
        return True


_ALL = _All()
Classes = frozenset[type] | _All


@cache  # to evaluate them takes longer than all the rest of a shape, and every store asks again
def _hints_of(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


@cache
def _by_name(cls: type) -> bool:
    """Whether any of its fields is taken by name only."""
    return any(parameter.kind is Parameter.KEYWORD_ONLY for parameter in signature(cls).parameters.values())


def _kind(value: Any) -> str:
    kind = _KINDS.get(type(value))
    if kind is None:
        kind = _kind(value.value) if isinstance(value, enum.Enum) else "list"
    return kind


def _each(form: Form) -> Convert:
    """A list of values of one declared type, from disk."""
    classes, from_disk = form.classes, form.from_disk

    def convert(raw: list[Any]) -> list[Any]:
        if not classes.issuperset(map(type, raw)):
            raise ValueError(f"{', '.join(type(item).__name__ for item in raw)} instead of {form.kinds}")
        return raw if from_disk is None else [from_disk(item) for item in raw]

    return convert


def _pairs(each_key: Convert, each_value: Convert) -> Convert:
    """A mapping, from disk: a list of lists of two."""

    def convert(raw: list[Any]) -> dict[Any, Any]:
        if any(type(pair) is not list for pair in raw):
            raise ValueError("a mapping that is not made of pairs")
        return dict(
            zip(each_key([key for key, _ in raw]), each_value([value for _, value in raw]), strict=True),
        )

    return convert


def _number(raw: Any) -> Any:
    """Nothing of ours is not a number."""
    if raw != raw:
        raise ValueError("not a number")
    return raw


def _one_of(values: tuple[Any, ...]) -> Convert:
    def check(raw: Any) -> Any:
        if raw not in values:
            raise ValueError(f"none of {values}")
        return raw

    return check


def _anything(raw: Any) -> Any:
    """What `_any_to_disk` made: a list says there what it is, and never stands bare."""
    if type(raw) is float:
        return _number(raw)
    if type(raw) is list:
        raise ValueError("a list that does not say what it is")
    if type(raw) is dict:
        return {_anything(key): _anything(item) for key, item in raw.items()}
    return raw


_each_of_any = _each(Form(None, _anything, ("any",)))


def _convert(convert: Convert | None, value: Any) -> Any:
    return value if convert is None else convert(value)


def _widened(raw: Any) -> Any:
    """The same with integers beyond 64 bits in two's complement as extensions."""
    if isinstance(raw, (list, tuple)):
        return [_widened(item) for item in raw]
    if isinstance(raw, int) and not -(1 << 63) <= raw < 1 << 64:
        return Ext(_EXT_INTEGER, raw.to_bytes(raw.bit_length() // 8 + 1, "big", signed=True))
    return raw
