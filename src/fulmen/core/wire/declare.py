"""Declarations of what stands on the wire, compiled once per class into straight-line readers and writers.

A class lists its fields in the order of the wire: first those that are always there, then the TLVs in increasing order
(`Annotated[X | None, Tlv(3)] = None`), last `unknown: UnknownTlvs = ()`. A class that ends in `extra: bytes = b""`
instead keeps whatever follows its fields as it came: signed gossip, whose signatures cover what we do not know.

    @message(130, bolt=2, section="update_fulfill_htlc")
    class UpdateFulfillHtlc(Record): ...
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from fulmen.core.base.record import Record
from fulmen.core.wire.codecs import NATURAL, Codec, Fixed, Flag
from fulmen.core.wire.faults import TlvLengthMismatch, TooShort, Unencodable, UnknownEvenTlv
from fulmen.core.wire.tlv import UnknownTlvs, split_tlvs, write_tlv

R = TypeVar("R", bound=Record)
Reader = Callable[[bytes, int, int], tuple[Any, int]]
Writer = Callable[[Any], bytes]


@dataclass(frozen=True)
class Tlv:
    """Marks a field as the TLV of this number; `codec` where the field's type does not say how it is encoded."""

    number: int
    codec: Codec | None = None


@dataclass(frozen=True)
class TlvField:
    """One TLV of a class: which field it fills, and how."""

    name: str
    number: int
    codec: Codec
    default: bool | None
    """What the field holds where the TLV is not there."""


@dataclass(frozen=True)
class Layout:
    """How a class stands on the wire."""

    fields: tuple[tuple[str, Codec], ...]
    tlvs: tuple[TlvField, ...]
    tail: str
    """What follows: "unknown" (a TLV stream), "extra" (raw bytes) or "" (nothing may)."""


@dataclass(frozen=True)
class MessageKind:
    """A declared message: its number, its name in the BOLTs and where it stands there."""

    number: int
    name: str
    bolt: int
    cls: type[Record]
    read: Reader
    write: Writer


KINDS: dict[int, MessageKind] = {}
"""Every declared message by its number."""
KIND_OF: dict[type[Record], MessageKind] = {}


def message(number: int, *, bolt: int, section: str) -> Callable[[type[R]], type[R]]:
    """Declare a message: `section` is its name in the BOLTs and the heading it stands under."""

    def declare(cls: type[R]) -> type[R]:
        if number in KINDS:
            raise TypeError(f"message {number} is declared twice")
        read, write = compile_record(cls)
        KINDS[number] = KIND_OF[cls] = MessageKind(number, section, bolt, cls, read, write)
        return cls

    return declare


class RecordCodec(Codec):
    """A Record inside another: BOLT's subtypes, and TLVs with several fields."""

    def __init__(self, cls: type[Record]) -> None:
        self.cls = cls
        self._read, self._write = compile_record(cls)

    def read(self, data: bytes, at: int, end: int) -> tuple[Any, int]:
        return self._read(data, at, end)

    def write(self, value: Any) -> bytes:
        return self._write(value)


class TlvStream(RecordCodec):
    """A whole TLV stream as one Record whose fields are all TLVs (onion payloads, offers)."""

    def decode(self, data: bytes) -> Any:
        """The Record from exactly these bytes.

        Raises:
            Malformed: in one of the ways that `fulmen.core.wire.faults` names.
        """
        return self.read(data, 0, len(data))[0]

    def encode(self, value: Any) -> bytes:
        """The bytes of the stream, in increasing order of types."""
        return self.write(value)


def layout_of(cls: type[Record]) -> Layout:
    """Read a class's declaration."""
    hints = get_type_hints(cls, include_extras=True)
    fields: list[tuple[str, Codec]] = []
    tlvs: list[TlvField] = []
    tail = ""
    for name in cls.__struct_fields__:
        if name in ("unknown", "extra"):
            tail = name
            continue
        marker = next((mark for mark in getattr(hints[name], "__metadata__", ()) if isinstance(mark, Tlv)), None)
        if tail or (tlvs and marker is None):
            raise TypeError(f"{cls.__name__}.{name} stands after what ends the fields")
        if marker is None:
            fields.append((name, codec_of(hints[name])))
        else:
            if tlvs and tlvs[-1].number >= marker.number:
                raise TypeError(f"{cls.__name__}.{name}: TLVs are declared in increasing order")
            codec = marker.codec or codec_of(_without_none(get_args(hints[name])[0]))
            tlvs.append(TlvField(name, marker.number, codec, False if isinstance(codec, Flag) else None))
    if tlvs and tail != "unknown":
        raise TypeError(f"{cls.__name__} has TLVs but nowhere to keep unknown ones")
    return Layout(tuple(fields), tuple(tlvs), tail)


def codec_of(hint: Any) -> Codec:
    """The codec that a type hint names or implies."""
    for mark in getattr(hint, "__metadata__", ()):
        if isinstance(mark, Codec):
            return mark
    if get_origin(hint) is Annotated:
        return codec_of(get_args(hint)[0])
    if hint in NATURAL:
        return NATURAL[hint]
    if isinstance(hint, type) and issubclass(hint, Record):
        return RecordCodec(hint)
    raise TypeError(f"no codec for {hint}")


def compile_record(cls: type[Record]) -> tuple[Reader, Writer]:
    """Make the reader and the writer of a class.

    The reader takes (bytes, start, end) and gives (record, where it ended); the writer gives the bytes.
    """
    layout = layout_of(cls)
    names: dict[str, Any] = {
        "cls": cls,
        "TooShort": TooShort,
        "Unencodable": Unencodable,
        "struct_error": struct.error,
        "read_tail": _tail_reader(cls, layout),
        "write_tail": _tail_writer(layout),
    }
    source = "\n".join([*_reader_source(layout, names), *_writer_source(layout, names)])
    exec(compile(source, f"<wire {cls.__name__}>", "exec"), names)
    return names["read"], names["write"]


def _runs(layout: Layout) -> list[list[tuple[str, Codec]]]:
    """The fields, with neighbours of fixed width together."""
    runs: list[list[tuple[str, Codec]]] = []
    for name, codec in layout.fields:
        if runs and isinstance(codec, Fixed) and isinstance(runs[-1][0][1], Fixed):
            runs[-1].append((name, codec))
        else:
            runs.append([(name, codec)])
    return runs


def _reader_source(layout: Layout, names: dict[str, Any]) -> list[str]:
    lines = ["def read(data, at, end):"]
    for number, run in enumerate(_runs(layout)):
        if not isinstance(run[0][1], Fixed):
            ((name, codec),) = run
            names[f"read_{number}"] = codec.read
            lines.append(f"    f_{name}, at = read_{number}(data, at, end)")
            continue
        packed = struct.Struct(">" + "".join(codec.letters for _, codec in run if isinstance(codec, Fixed)))
        names[f"unpack_{number}"] = packed.unpack_from
        lines += [
            f"    if at + {packed.size} > end:",
            "        raise TooShort(at=at)",
            f"    {''.join(f'f_{name}, ' for name, _ in run)}= unpack_{number}(data, at)",
            f"    at += {packed.size}",
        ]
        for name, codec in run:
            if isinstance(codec, Fixed) and type(codec).check is not Fixed.check:
                names[f"check_{name}"] = codec.check
                lines.append(f"    check_{name}(f_{name})")
    values = ", ".join(f"f_{name}" for name, _ in layout.fields)
    if layout.tail:
        lines += [
            "    if at < end:",
            f"        return cls({values}{', ' if values else ''}*read_tail(data, at, end)), end",
        ]
    lines.append(f"    return cls({values}), at")
    return lines


def _writer_source(layout: Layout, names: dict[str, Any]) -> list[str]:
    lines = ["def write(record):"]
    parts: list[str] = []
    widths: list[str] = []
    for number, run in enumerate(_runs(layout)):
        for name, _ in run:
            lines.append(f"    f_{name} = record.{name}")
        if not isinstance(run[0][1], Fixed):
            ((name, codec),) = run
            names[f"write_{number}"] = codec.write
            parts.append(f"write_{number}(f_{name})")
            continue
        names[f"pack_{number}"] = struct.Struct(
            ">" + "".join(codec.letters for _, codec in run if isinstance(codec, Fixed))
        ).pack
        # struct would cut or pad bytes of another length without a word.
        widths += [
            f"len(f_{name}) != {codec.size}" for name, codec in run if isinstance(codec, Fixed) and codec.is_bytes
        ]
        parts.append(f"pack_{number}({', '.join(f'f_{name}' for name, _ in run)})")
    if widths:
        lines += [f"    if {' or '.join(widths)}:", "        raise Unencodable(record=cls.__name__)"]
    lines += [
        "    try:",
        f"        packed = {' + '.join(parts) or repr(b'')}",
        "    except struct_error as error:",
        "        raise Unencodable(record=cls.__name__) from error",
    ]
    if layout.tail == "extra":
        lines.append("    return packed + record.extra")
    elif layout.tail:
        present = [f"record.{tlv.name} is not {tlv.default!r}" for tlv in layout.tlvs]
        lines += [
            f"    if {' or '.join([*present, 'record.unknown'])}:",
            "        return packed + write_tail(record)",
            "    return packed",
        ]
    else:
        lines.append("    return packed")
    return lines


def _tail_reader(cls: type[Record], layout: Layout) -> Callable[[bytes, int, int], list[Any]]:
    """What follows the fields: the values of the TLVs, then the unknown ones; or the raw bytes."""
    if layout.tail == "extra":
        return lambda data, at, end: [data[at:end]]
    places = {tlv.number: (place, tlv.codec.read) for place, tlv in enumerate(layout.tlvs)}
    defaults = [tlv.default for tlv in layout.tlvs]

    def read_tail(data: bytes, at: int, end: int) -> list[Any]:
        values: list[Any] = [*defaults]
        unknown: list[tuple[int, bytes]] = []
        for number, start, stop in split_tlvs(data, at, end):
            known = places.get(number)
            if known is not None:
                place, read = known
                values[place], reached = read(data, start, stop)
                # BOLT 1: "if `length` is not exactly equal to that required ...: MUST fail to parse the `tlv_stream`"
                if reached != stop:
                    raise TlvLengthMismatch(type=number, length=stop - start)
            elif number & 1:
                unknown.append((number, data[start:stop]))
            else:
                # BOLT 1: "if `type` is even: MUST fail to parse the `tlv_stream`"
                raise UnknownEvenTlv(type=number)
        values.append(tuple(unknown))
        return values

    return read_tail


def _tail_writer(layout: Layout) -> Writer:
    def write_tail(record: Any) -> bytes:
        records = [
            (tlv.number, tlv.codec.write(value))
            for tlv in layout.tlvs
            if (value := getattr(record, tlv.name)) is not tlv.default
        ]
        unknown: UnknownTlvs = record.unknown
        if unknown:
            records = sorted([*records, *unknown])
        return b"".join(write_tlv(number, value) for number, value in records)

    return write_tail


def _without_none(hint: Any) -> Any:
    """X of `X | None`."""
    if get_origin(hint) in (Union, UnionType):
        (hint,) = (part for part in get_args(hint) if part is not NoneType)
    return hint
