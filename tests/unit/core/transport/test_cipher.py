import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.vectors import vector_json

from fulmen.core.transport.cipher import MAX_FRAME_LENGTH, MAX_MESSAGE_LENGTH, Opener, Sealer
from fulmen.core.transport.faults import FrameMacMismatch, MessageTooLong

STREAM = vector_json("bolt08/transport.json")["message_stream"][0]
CK, SK, MESSAGE = (bytes.fromhex(STREAM[name]) for name in ("ck", "sk", "message"))


def chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    at = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(at)]


def test_the_stream_is_the_one_bolt_8_prints_across_two_key_rotations():
    sealer, opener = Sealer(SK, CK), Opener(SK, CK)
    frames = [sealer.seal(MESSAGE) for _ in range(STREAM["messages_sent"])]
    for output in STREAM["expected"]["outputs"]:
        assert frames[output["index"]].hex() == output["bytes"]
    assert len(STREAM["expected"]["outputs"]) == 6
    assert opener.feed(b"".join(frames)) == [MESSAGE] * STREAM["messages_sent"]


@given(st.lists(st.binary(max_size=300), max_size=8), st.lists(st.integers(0, 3000), max_size=12))
def test_any_chunking_gives_the_same_messages(messages, cuts):
    sealer, opener = Sealer(SK, CK), Opener(SK, CK)
    stream = b"".join(map(sealer.seal, messages))
    assert [message for chunk in chunks(stream, cuts) for message in opener.feed(chunk)] == messages


def test_byte_by_byte_across_a_key_rotation():
    sealer, opener = Sealer(SK, CK), Opener(SK, CK)
    messages = [number.to_bytes(2, "big") for number in range(1100)]
    stream = b"".join(map(sealer.seal, messages))
    assert [message for at in range(len(stream)) for message in opener.feed(stream[at : at + 1])] == messages


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=4), st.data())
def test_a_flipped_bit_is_refused_and_nothing_can_be_read_after_it(messages, data):
    sealer, opener = Sealer(SK, CK), Opener(SK, CK)
    stream = bytearray(b"".join(map(sealer.seal, messages)))
    bit = data.draw(st.integers(0, len(stream) * 8 - 1))
    stream[bit >> 3] ^= 1 << (bit & 7)
    seen = []
    with pytest.raises(FrameMacMismatch):
        for byte in stream:
            seen += opener.feed(bytes((byte,)))
    assert seen == messages[: len(seen)] and len(seen) < len(messages)
    with pytest.raises(FrameMacMismatch):
        opener.feed(Sealer(SK, CK).seal(b"again"))


def test_a_message_has_at_most_65535_bytes():
    sealer = Sealer(SK, CK)
    with pytest.raises(MessageTooLong):
        sealer.seal(bytes(MAX_MESSAGE_LENGTH + 1))
    frame = sealer.seal(bytes(MAX_MESSAGE_LENGTH))
    assert len(frame) == MAX_FRAME_LENGTH == 65569
    assert Opener(SK, CK).feed(frame) == [bytes(MAX_MESSAGE_LENGTH)]


def test_a_replayed_frame_is_refused():
    frame = Sealer(SK, CK).seal(b"once")
    opener = Opener(SK, CK)
    assert opener.feed(frame) == [b"once"]
    with pytest.raises(FrameMacMismatch):
        opener.feed(frame)
