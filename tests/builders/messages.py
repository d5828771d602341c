"""Messages made from their declarations: every kind, every field, with and without TLVs."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

from fulmen.core.base.record import Record
from fulmen.core.crypto.secp256k1 import point_of
from fulmen.core.wire import codecs
from fulmen.core.wire.codecs import Codec
from fulmen.core.wire.declare import KINDS, RecordCodec, layout_of

POINTS = [point_of(number.to_bytes(32, "big")) for number in range(1, 40)]
SIGNED = "bhiq"


def values(codec: Codec) -> st.SearchStrategy[Any]:
    """Values that a codec can write."""
    if isinstance(codec, codecs.PointCodec):
        return st.sampled_from(POINTS)
    if isinstance(codec, codecs.Fixed):
        bits = 8 * codec.size
        if codec.is_bytes:
            return st.binary(min_size=min(codec.size, 64), max_size=min(codec.size, 64)).map(
                lambda seed: (seed * (codec.size // max(len(seed), 1) + 1))[: codec.size]
            )
        if codec.letters in SIGNED:
            return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1)
        return st.integers(0, (1 << bits) - 1)
    if isinstance(codec, codecs.Sized | codecs.Rest):
        return st.binary(max_size=80)
    if isinstance(codec, codecs.Text):
        return st.text(max_size=20)
    if isinstance(codec, codecs.Counted):
        return st.lists(values(codec.element), max_size=5).map(tuple)
    if isinstance(codec, codecs.Every):
        few, many = (0, 5) if codec.count is None else (codec.count, codec.count)
        return st.lists(values(codec.element), min_size=few, max_size=many).map(tuple)
    if isinstance(codec, codecs.BigSize):
        return st.integers(0, (1 << 64) - 1)
    if isinstance(codec, codecs.Truncated):
        return st.integers(0, (1 << 8 * codec.width) - 1)
    if isinstance(codec, codecs.Flag):
        return st.just(True)
    if isinstance(codec, codecs.SciddirOrPubkey):
        short = st.tuples(st.integers(0, 1), st.binary(min_size=8, max_size=8)).map(lambda p: bytes([p[0]]) + p[1])
        return short | st.sampled_from(POINTS)
    assert isinstance(codec, RecordCodec)
    return records(codec.cls)


@cache  # to make a strategy takes longer than to draw from it
def records(cls: type[Record]) -> st.SearchStrategy[Any]:
    """Instances of a declared class."""
    layout = layout_of(cls)
    parts: dict[str, st.SearchStrategy[Any]] = {name: values(codec) for name, codec in layout.fields}
    for tlv in layout.tlvs:
        parts[tlv.name] = st.just(tlv.default) | values(tlv.codec)
    if layout.tail == "extra":
        parts["extra"] = st.binary(max_size=30)
    elif layout.tail:
        taken = [tlv.number for tlv in layout.tlvs]
        odd = st.integers(0, 70_000).map(lambda n: 2 * n + 1).filter(lambda n: n not in taken)
        parts["unknown"] = st.dictionaries(odd, st.binary(max_size=20), max_size=3).map(
            lambda d: tuple(sorted(d.items()))
        )
    return st.builds(cls, **parts)


def messages() -> st.SearchStrategy[Any]:
    """Any message that is declared."""
    return st.sampled_from([KINDS[number] for number in sorted(KINDS)]).flatmap(lambda kind: records(kind.cls))
