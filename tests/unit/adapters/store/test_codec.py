"""What is stored is read back equal, by this version and by every later one."""

from __future__ import annotations

import contextlib
import enum
import importlib
import pkgutil
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, NewType

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.vectors import vector_json

import fulmen.core
from fulmen.adapters.store import Codec, CorruptDatabase, NewerDatabase, NotStorable
from fulmen.adapters.store.names import Numbers, name_of, renamed, upcast
from fulmen.core.base.ids import RECEIVED, ChannelId, HtlcKey, OutPoint, Txid
from fulmen.core.base.machine import Address, Fact
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, Msat

Height = NewType("Height", BlockHeight)


class Shade(enum.Enum):
    DARK = "dark"
    LIGHT = "light"


class Fruit(Record):
    """A field of this type holds any of its children."""


class Apple(Fruit):
    size: BlockHeight


class Pear(Fruit):
    color: bytes


class Leaf(Record):
    amount: Msat
    key: HtlcKey | None = None


class Bush(Fruit, kw_only=True):
    """It takes its fields by name only."""

    thorns: int
    berries: tuple[Leaf, ...] = ()


class Tree(Record):
    name: str
    leaves: tuple[Leaf, ...]
    fruit: tuple[Fruit, ...] = ()
    pair: tuple[int, Leaf] | None = None
    by_key: Mapping[HtlcKey, Leaf] = msgspec.field(default_factory=dict)
    plain: dict[str, int] = msgspec.field(default_factory=dict)
    shade: Shade = Shade.DARK
    either: Leaf | OutPoint | bytes | int | None = None
    anything: Any = None
    height: Annotated[Height, "a note"] = Height(BlockHeight(0))
    ratio: float = 0.5
    sure: bool = True
    word: Literal["yes", "no"] = "yes"
    children: tuple[Tree, ...] = ()
    not_stored: ClassVar[int] = 7


keys = st.builds(
    HtlcKey,
    st.binary(min_size=32, max_size=32).map(ChannelId),
    st.just(RECEIVED),
    st.integers(0, (1 << 64) - 1),
)
leaves = st.builds(Leaf, st.integers(-(1 << 80), 1 << 300).map(Msat), st.none() | keys)
outpoints = st.builds(OutPoint, st.binary(max_size=32).map(Txid), st.integers(0, 5))
plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
anything = st.recursive(
    plain | leaves,
    lambda more: st.lists(more, max_size=3).map(tuple) | st.dictionaries(st.text(), more, max_size=3),
    max_leaves=6,
)
fruit = st.builds(Apple, st.integers(0, 9).map(BlockHeight)) | st.builds(Pear, st.binary(max_size=33))
trees = st.deferred(
    lambda: st.builds(
        Tree,
        st.text(),
        st.lists(leaves, max_size=3).map(tuple),
        fruit=st.lists(fruit, max_size=2).map(tuple),
        pair=st.none() | st.tuples(st.integers(0, 9), leaves),
        by_key=st.dictionaries(keys, leaves, max_size=2),
        plain=st.dictionaries(st.text(), st.integers(), max_size=2),
        shade=st.sampled_from(Shade),
        either=leaves | outpoints | st.binary() | st.integers() | st.none(),
        anything=anything,
        ratio=st.floats(allow_nan=False),
        sure=st.booleans(),
        children=st.lists(trees, max_size=1).map(tuple),
    )
)


@given(trees)
def test_every_value_is_read_back_equal(tree):
    numbers = Numbers()
    packed = Codec(numbers).pack(tree)
    again = Codec(Numbers(numbers.new())).unpack(packed)
    assert again == tree
    assert isinstance(again.shade, Shade)


def test_a_record_that_takes_its_fields_by_name_is_read_back():
    codec = Codec()
    for bush in (Bush(thorns=3), Bush(thorns=4, berries=(Leaf(Msat(5)),))):
        assert codec.unpack(codec.pack(bush)) == bush


def test_golden_files_of_every_version_are_read():
    for golden in vector_json("store/golden.json"):
        codec = Codec(Numbers((int(number), name) for number, name in golden["names"].items()))
        value = codec.unpack(bytes.fromhex(golden["bytes"]))
        assert repr(value) == golden["value"], golden["what"]


def test_what_is_written_now_is_what_the_golden_file_says():
    codec = Codec()
    key = HtlcKey(ChannelId(b"\x11" * 32), RECEIVED, 5)
    packed = codec.pack(Leaf(Msat(1234), key))
    golden = next(golden for golden in vector_json("store/golden.json") if golden["what"] == "a record in a record")
    assert packed.hex() == golden["bytes"]
    assert {str(number): name for number, name in codec.numbers.new()} == golden["names"]


class Moved(Record):
    """Its first version had whole satoshis, its second a name that it has no more."""

    amount_msat: Msat
    note: str = "none"


upcast("test_codec.Moved", to=2)(lambda fields: [fields[0] * 1000])
upcast("test_codec.Moved", to=3)(lambda fields: [fields[0], *fields[2:]])
renamed("test_codec.OldName", "test_codec.Moved")


def test_a_newer_version_of_a_record_is_refused_by_name():
    with pytest.raises(NewerDatabase):
        Codec(Numbers([(1, "test_codec.Moved@4")])).unpack(bytes.fromhex("920105"))
    with pytest.raises(NewerDatabase):
        Codec(Numbers([(1, "test_codec.Leaf")])).unpack(bytes.fromhex("940105c006"))


def test_what_is_read_in_an_old_version_is_written_in_the_new_one():
    numbers = Numbers([(1, "test_codec.OldName")])
    codec = Codec(numbers)
    value = codec.unpack(bytes.fromhex("920105"))
    assert value == Moved(Msat(5000))
    assert codec.unpack(codec.pack(value)) == value
    assert numbers.new() == [(2, "test_codec.Moved@3")]


@given(st.binary(max_size=80))
def test_bytes_that_nobody_wrote_are_a_corrupt_database(data):
    codec = Codec(Numbers([(1, "test_codec.Tree"), (2, "test_codec.Leaf"), (3, "no.Such")]))
    with contextlib.suppress(CorruptDatabase, NewerDatabase):
        codec.unpack(data)


@pytest.mark.parametrize(
    "raw",
    [
        [3, [5, None]],  # a name that is a number
        ["x", [5, None]],  # a record's fields where a list of records belongs
        ["x", 5],
        ["x", [], [], [1, [2, 3, None], 3]],  # three where there are two
        ["x", [], [], None, [], [["a", "b"]]],
        ["x", [], [], None, [], [], "green"],
        ["x", [], [], None, [], [], "dark", "text"],  # none of the union's kinds
        ["x", [], [], None, [], [], "dark", None, [1]],  # a list that does not say what it is
        ["x", [], [], None, [], [], "dark", None, float("nan")],
        ["x", [], [], None, [], [], "dark", None, None, "high"],
        ["x", [], [], None, [], [], "dark", None, None, 0, float("nan")],
        ["x", [], [], None, [], [], "dark", None, None, 0, 0.5, 1],
        ["x", [], [], None, [], [], "dark", None, None, 0, 0.5, True, "maybe"],
        [msgspec.msgpack.Ext(2, b"\x80"), []],  # a tuple of a map, found by fuzzing: it was taken for a name
    ],
)
def test_a_damaged_field_is_no_value_of_its_type(raw):
    codec = Codec(Numbers([(1, "test_codec.Tree"), (2, "test_codec.Leaf")]))
    assert isinstance(codec.unpack(codec.pack_raw([1, "x", []])), Tree)
    with pytest.raises(CorruptDatabase):
        codec.unpack(codec.pack_raw([1, *raw]))


def test_a_field_without_a_form_is_refused_by_name():
    class WithSet(Record):
        members: frozenset[int]

    class Twofold(Record):
        either: tuple[int, ...] | Leaf

    for cls, value in ((WithSet, frozenset()), (Twofold, ())):
        with pytest.raises(NotStorable, match=cls.__name__):
            Codec().pack(cls(value))
    with pytest.raises(NotStorable):
        Codec().pack(Tree("x", (), anything=object()))


def every_durable_fact() -> list[type]:
    for module in pkgutil.walk_packages(fulmen.core.__path__, "fulmen.core."):
        if module.name.rpartition(".")[2] != "compiled":  # needs an extra that may not be installed
            importlib.import_module(module.name)
    found, todo = [], [Fact]
    while todo:
        cls = todo.pop()
        todo.extend(cls.__subclasses__())
        if cls is not Fact and cls.__module__.startswith("fulmen.") and not cls.passing:
            found.append(cls)
    return sorted(found, key=name_of)


def test_every_durable_fact_of_the_core_can_be_stored_under_a_name_of_its_own():
    facts = every_durable_fact()
    codec = Codec()
    for cls in facts:
        codec.compiled(cls)
    names = [name_of(cls) for cls in facts]
    assert len(names) == len(dict.fromkeys(names))
    assert "node.Frozen" in names


def test_addresses_survive():
    codec = Codec()
    assert codec.unpack(codec.pack(Address("link", b"x"))) == Address("link", b"x")
