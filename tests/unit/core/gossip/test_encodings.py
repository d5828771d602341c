"""The arrays in queries, against the published messages of BOLT 7."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.vectors import vector_json

from fulmen.core.base.ids import scid_text
from fulmen.core.gossip.encodings import (
    decode_flags,
    decode_scids,
    decode_timestamps,
    encode_flags,
    encode_scids,
    encode_timestamps,
)
from fulmen.core.gossip.faults import BadArray, UnknownEncoding
from fulmen.core.wire import decode, encode
from fulmen.core.wire.messages.gossip import QueryChannelRange, QueryShortChannelIds, ReplyChannelRange

CASES = vector_json("bolt07/extended-queries.json")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['msg']['type']} {len(case['hex'])}")
def test_published_queries_are_read_and_written_back(case: dict) -> None:
    frame, msg = bytes.fromhex(case["hex"]), case["msg"]
    message = decode(frame)
    assert encode(message) == frame
    assert message.chain_hash.hex() == msg["chainHash"]
    if isinstance(message, QueryChannelRange):
        assert (message.first_blocknum, message.number_of_blocks) == (msg["firstBlockNum"], msg["numberOfBlocks"])
        wanted = {"WANT_TIMESTAMPS | WANT_CHECKSUMS": 3}
        assert message.query_option == next((wanted[record] for record in msg["tlvStream"]["records"]), None)
        return
    scids = msg["shortChannelIds"]
    if scids["encoding"] == "COMPRESSED_ZLIB":
        # BOLT 7: "this encoding MUST NOT be used"; the published values are older than that.
        with pytest.raises(UnknownEncoding):
            decode_scids(message.encoded_short_ids)
        return
    decoded = decode_scids(message.encoded_short_ids)
    assert [scid_text(scid) for scid in decoded] == scids["array"]
    assert encode_scids(decoded) == message.encoded_short_ids
    if isinstance(message, ReplyChannelRange) and "timestamps" in msg:
        if msg["timestamps"]["encoding"] == "COMPRESSED_ZLIB":
            with pytest.raises(UnknownEncoding):
                decode_timestamps(message.timestamps, len(decoded))
        else:
            pairs = [(t["timestamp1"], t["timestamp2"]) for t in msg["timestamps"]["timestamps"]]
            assert decode_timestamps(message.timestamps, len(decoded)) == tuple(t for pair in pairs for t in pair)
        sums = [(c["checksum1"], c["checksum2"]) for c in msg["checksums"]["checksums"]]
        assert message.checksums == tuple(c for pair in sums for c in pair)
    if isinstance(message, QueryShortChannelIds) and message.query_flags is not None and message.query_flags[0] == 0:
        assert len(decode_flags(message.query_flags, len(decoded))) == len(decoded)


@given(st.lists(st.integers(0, (1 << 64) - 1)), st.lists(st.integers(0, 31)), st.lists(st.integers(0, (1 << 32) - 1)))
def test_arrays_survive_their_encoding(scids: list[int], flags: list[int], stamps: list[int]) -> None:
    assert decode_scids(encode_scids(scids)) == tuple(scids)
    assert decode_flags(encode_flags(flags), len(flags)) == tuple(flags)
    even = stamps + stamps
    assert decode_timestamps(encode_timestamps(even), len(stamps)) == tuple(even)


def test_arrays_of_another_length_or_encoding_are_refused() -> None:
    for data in (b"", b"\x01" + bytes(8)):
        with pytest.raises(UnknownEncoding):
            decode_scids(data)
    with pytest.raises(BadArray):
        decode_scids(bytes(8))
    for flags in (b"\0\1", b"\0\1\1\1", b"\0\1\xfd", b"\0\1\xfd\0\1"):
        with pytest.raises(BadArray):
            decode_flags(flags, 2)
    with pytest.raises(BadArray):
        decode_timestamps(bytes(10), 1)
