"""Messages on the wire: what we write is read back, and what we cannot read has a name."""

import json
import lzma
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders.messages import POINTS, messages
from tests.builders.vectors import ROOT, vector_json

from fulmen.core.base.faults import Malformed
from fulmen.core.base.record import Record
from fulmen.core.wire import UnknownMessage, decode, encode, name_of, type_of
from fulmen.core.wire.declare import KINDS
from fulmen.core.wire.faults import (
    LengthOutOfBounds,
    MessageTooLong,
    TlvLengthMismatch,
    TooShort,
    Unencodable,
    UnknownEvenTlv,
)
from fulmen.core.wire.messages.opening import ChannelReady, OpenChannel2
from fulmen.core.wire.messages.setup import Init, Ping
from fulmen.core.wire.messages.updates import CommitmentSigned, UpdateAddHtlc

AN_ADD = UpdateAddHtlc(b"\1" * 32, 7, 1000, b"\2" * 32, 800_000, bytes(1366))


@given(messages())
def test_every_message_survives_the_wire(message: Record) -> None:
    assert decode(encode(message)) == message


@given(messages(), st.data())
def test_a_message_that_is_cut_short_is_refused_by_name_or_read_as_a_shorter_one(
    message: Record, data: st.DataObject
) -> None:
    frame = encode(message)
    cut = frame[: data.draw(st.integers(0, len(frame) - 1))]
    try:
        shorter = decode(cut)
    except Malformed:
        return
    assert encode(shorter) == cut


@settings(max_examples=300)
@given(st.sampled_from(sorted(KINDS)), st.binary(max_size=300))
def test_bytes_of_no_meaning_are_refused_by_name_or_come_back_the_same(number: int, payload: bytes) -> None:
    frame = number.to_bytes(2, "big") + payload
    try:
        message = decode(frame)
    except Malformed:
        return
    assert encode(message) == frame


def test_every_message_of_bolts_1_2_4_and_7_is_declared() -> None:
    # 16-19 setup … 513 onion_message: the numbers of the specification, gaps and all.
    expected = [1, 2, 7, 9, 16, 17, 18, 19, *range(32, 37), *range(38, 42), *range(64, 75), 77, 80, 81]
    expected += [127, 128, *range(130, 137), *range(256, 260), *range(261, 266), 513]
    assert sorted(KINDS) == expected


def test_every_message_stands_in_the_range_of_its_room() -> None:
    # BOLT 1, "Lightning Message Format": set-up and control below 32, then channels, commitments, routing from 256.
    ranges = {1: range(32), 2: range(32, 256), 4: range(256, 32768), 7: range(256, 512)}
    for number, kind in KINDS.items():
        assert number in ranges[kind.bolt] or kind.name == "stfu", kind.name


SAMPLE = ROOT / "wire" / "cln_fuzz_messages.jsonl.xz"
WHOLE = Path(os.environ.get("FULMEN_DATA", ROOT.parents[2] / "shared" / "data"))
WHOLE = WHOLE / "vectors" / "wire" / "cln_fuzz_messages_sample.jsonl.xz"


@pytest.mark.parametrize(("corpus", "least"), [(SAMPLE, 60), (WHOLE, 350)], ids=["the sample", "the whole"])
def test_what_decodes_of_a_fuzz_corpus_encodes_to_the_same_bytes(corpus: Path, least: int) -> None:
    if not corpus.exists():
        pytest.skip(f"FULMEN_DATA names no directory with {corpus.name}: only the sample was read")
    decoded = 0
    for row in lzma.decompress(corpus.read_bytes()).decode().splitlines():
        frame = bytes.fromhex(json.loads(row)["hex"])
        try:
            message = decode(frame)
        except Malformed:
            continue
        decoded += 1
        assert encode(message) == frame
    assert decoded >= least


@pytest.mark.parametrize("case", vector_json("bolt01/message-extension.json")["cases"], ids=lambda case: case["name"])
def test_a_message_may_end_in_an_extension(case: dict) -> None:
    frame = bytes.fromhex(case["message"])
    if "expected_failure" in case:
        with pytest.raises(Malformed):
            decode(frame)
        return
    extension = tuple((tlv["type"], bytes.fromhex(tlv["value"])) for tlv in case["expected"]["extension"])
    assert decode(frame) == Init(b"", b"", unknown=extension)
    assert encode(decode(frame)) == frame


def test_an_unknown_message_is_kept_whole_and_says_whether_it_may_be_ignored() -> None:
    odd = decode(bytes.fromhex("9415aabb"))
    assert odd == UnknownMessage(37909, b"\xaa\xbb")
    assert not odd.must_be_understood
    assert decode(bytes.fromhex("9414")).must_be_understood
    assert encode(odd) == bytes.fromhex("9415aabb")
    assert type_of(odd) == 37909


def test_a_frame_is_two_bytes_at_least_and_65535_at_most() -> None:
    with pytest.raises(TooShort):
        decode(b"\0")
    with pytest.raises(MessageTooLong):
        decode(b"\x80\x01" + bytes(65534))
    with pytest.raises(Unencodable):
        encode(Ping(0, bytes(65535)))


def test_a_fault_says_which_message_it_was() -> None:
    with pytest.raises(TooShort) as caught:
        decode(encode(AN_ADD)[:-1])
    assert caught.value.details["message"] == "update_add_htlc"


def test_more_signatures_announced_than_there_are_bytes_cost_nothing() -> None:
    frame = encode(CommitmentSigned(b"\1" * 32, b"\2" * 64, ()))[:-2] + b"\xff\xff"
    with pytest.raises(LengthOutOfBounds):
        decode(frame)


def test_a_point_off_the_curve_is_refused() -> None:
    frame = encode(ChannelReady(b"\1" * 32, POINTS[0]))
    with pytest.raises(Malformed, match="not a point"):
        decode(frame.replace(POINTS[0], b"\x05" + POINTS[0][1:]))


def test_a_flag_is_there_or_not() -> None:
    frame = encode(AN_ADD) + bytes.fromhex("0200")
    with pytest.raises(UnknownEvenTlv):
        decode(frame)
    opening = _an_open_channel2(require_confirmed_inputs=True)
    assert encode(opening).endswith(bytes.fromhex("0200"))
    with pytest.raises(TlvLengthMismatch):
        decode(encode(opening)[:-1] + b"\1\0")


def test_a_value_of_the_wrong_width_never_leaves() -> None:
    with pytest.raises(Unencodable):
        encode(AN_ADD.but(payment_hash=b"\1" * 31))
    with pytest.raises(Unencodable):
        encode(AN_ADD.but(amount_msat=-1))
    with pytest.raises(Unencodable):
        encode(CommitmentSigned(b"\1" * 32, b"\2" * 64, (b"\3" * 63,)))


def test_names_are_those_of_the_bolts() -> None:
    assert name_of(AN_ADD) == "update_add_htlc"
    assert type_of(AN_ADD) == 128


def _an_open_channel2(**changes: object) -> OpenChannel2:
    opening = OpenChannel2(
        chain_hash=bytes(32),
        temporary_channel_id=bytes(32),
        funding_feerate_perkw=1000,
        commitment_feerate_perkw=1000,
        funding_satoshis=100_000,
        dust_limit_satoshis=354,
        max_htlc_value_in_flight_msat=1,
        htlc_minimum_msat=1,
        to_self_delay=144,
        max_accepted_htlcs=483,
        locktime=0,
        funding_pubkey=POINTS[0],
        revocation_basepoint=POINTS[1],
        payment_basepoint=POINTS[2],
        delayed_payment_basepoint=POINTS[3],
        htlc_basepoint=POINTS[4],
        first_per_commitment_point=POINTS[5],
        second_per_commitment_point=POINTS[6],
        channel_flags=0,
    )
    return opening.but(**changes)
