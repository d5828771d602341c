"""BOLT 1's fundamental types, against its appendices."""

from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.vectors import vector_json

from fulmen.core.base.faults import Malformed
from fulmen.core.base.ids import Point, ShortChannelId, scid_text
from fulmen.core.base.record import Record
from fulmen.core.wire import codecs
from fulmen.core.wire.bigsize import read_bigsize, write_bigsize
from fulmen.core.wire.codecs import U64, u16, u64
from fulmen.core.wire.declare import Tlv, TlvStream
from fulmen.core.wire.faults import NotMinimal, NotUtf8, TooShort, Unencodable
from fulmen.core.wire.tlv import UnknownTlvs, join_tlvs, split_tlvs

BIGSIZE = vector_json("bolt01/bigsize.json")
SIGNED = vector_json("bolt01/signed-integers.json")["cases"]
TLVS = vector_json("bolt01/tlv-streams.json")["cases"]


@pytest.mark.parametrize("case", BIGSIZE["decode"], ids=lambda case: case["name"])
def test_bigsize_is_read_as_published(case: dict) -> None:
    data = bytes.fromhex(case["bytes"])
    if "expected_failure" in case:
        with pytest.raises(NotMinimal if "canonical" in case["expected_failure"] else TooShort):
            read_bigsize(data, 0, len(data))
    else:
        assert read_bigsize(data, 0, len(data)) == (case["expected"]["value"], len(data))


@given(st.integers(0, (1 << 64) - 1))
def test_every_bigsize_reads_back(value: int) -> None:
    data = write_bigsize(value)
    assert read_bigsize(data, 0, len(data)) == (value, len(data))


def test_a_bigsize_has_bounds() -> None:
    for value in (-1, 1 << 64):
        with pytest.raises(Unencodable):
            write_bigsize(value)


@pytest.mark.parametrize("case", SIGNED, ids=lambda case: f"{case['type']} {case['value']}")
def test_signed_integers_are_twos_complement(case: dict) -> None:
    codec = getattr(codecs, case["type"].upper())
    data = bytes.fromhex(case["expected"]["bytes"])
    assert codec.write(case["value"]) == data
    assert codec.read(data, 0, len(data)) == (case["value"], len(data))


class Three(Record):
    """Appendix B's tlv3."""

    node_id: Point
    amount_msat_1: u64
    amount_msat_2: u64


class N1(Record):
    """Appendix B's namespace n1."""

    tlv1: Annotated[int | None, Tlv(1, codecs.TU64)] = None
    tlv2: Annotated[ShortChannelId | None, Tlv(2, U64)] = None
    tlv3: Annotated[Three | None, Tlv(3)] = None
    tlv4: Annotated[u16 | None, Tlv(254)] = None
    unknown: UnknownTlvs = ()


class N2(Record):
    """Appendix B's namespace n2."""

    tlv1: Annotated[int | None, Tlv(0, codecs.TU64)] = None
    tlv2: Annotated[int | None, Tlv(11, codecs.TU32)] = None
    unknown: UnknownTlvs = ()


STREAMS = {"n1": TlvStream(N1), "n2": TlvStream(N2)}


@pytest.mark.parametrize("case", TLVS, ids=lambda case: case["stream"][:40] or "empty")
def test_tlv_streams_are_read_or_refused_as_published(case: dict) -> None:
    data = bytes.fromhex(case["stream"])
    for namespace in case["namespaces"]:
        stream = STREAMS[namespace]
        if "expected_failure" in case:
            with pytest.raises(Malformed):
                stream.decode(data)
        else:
            assert stream.encode(stream.decode(data)) == data


def test_known_tlvs_have_the_published_values() -> None:
    read = STREAMS["n1"].decode
    assert read(bytes.fromhex("010101")).tlv1 == 1
    assert scid_text(read(bytes.fromhex("02080000000000000226")).tlv2) == "0x0x550"
    assert read(bytes.fromhex("fd00fe020226")).tlv4 == 550
    assert read(b"") == N1()


def test_appending_an_invalid_stream_makes_a_valid_one_invalid() -> None:
    valid = [bytes.fromhex(case["stream"]) for case in TLVS if "expected_failure" not in case]
    invalid = [
        bytes.fromhex(case["stream"]) for case in TLVS if "expected_failure" in case and "n1" in case["namespaces"]
    ]
    for first in valid:
        for second in invalid:
            with pytest.raises(Malformed):
                STREAMS["n1"].decode(first + second)


@given(st.dictionaries(st.integers(0, (1 << 64) - 1), st.binary(max_size=300), max_size=6))
def test_every_stream_in_order_is_cut_back_into_its_records(records: dict[int, bytes]) -> None:
    data = join_tlvs(sorted(records.items()))
    assert {number: data[start:stop] for number, start, stop in split_tlvs(data)} == records


def test_text_is_utf8() -> None:
    assert codecs.TEXT.read("łąka".encode(), 0, 6) == ("łąka", 6)
    with pytest.raises(NotUtf8):
        codecs.TEXT.read(b"\xff\xfe", 0, 2)


def test_a_truncated_integer_fits_its_width() -> None:
    with pytest.raises(Unencodable):
        codecs.TU16.write(0x10000)
    assert codecs.TU16.write(0) == b""


def test_a_node_is_named_by_channel_side_or_key() -> None:
    side = b"\1" + bytes(8)
    assert codecs.SCIDDIR_OR_PUBKEY.read(side, 0, 9) == (side, 9)
    for short in (b"", side[:-1], b"\2" + bytes(20)):
        with pytest.raises(TooShort):
            codecs.SCIDDIR_OR_PUBKEY.read(short, 0, len(short))
