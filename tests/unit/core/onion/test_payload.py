"""BOLT 4: payloads are TLV streams, and what is wrong with one is reported by type and offset."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulmen.core.onion.payload import Payload, PaymentData, decode_payload, encode_payload
from fulmen.core.onion.sphinx import PayloadUnreadable

u64 = st.integers(0, (1 << 64) - 1)
payloads = st.builds(
    Payload,
    amt_to_forward=st.none() | u64,
    outgoing_cltv_value=st.none() | st.integers(0, (1 << 32) - 1),
    short_channel_id=st.none() | u64,
    payment_data=st.none() | st.builds(PaymentData, st.binary(min_size=32, max_size=32), u64),
    encrypted_recipient_data=st.none() | st.binary(max_size=20),
    current_path_key=st.none() | st.binary(min_size=33, max_size=33),
    payment_metadata=st.none() | st.binary(max_size=20),
    total_amount_msat=st.none() | u64,
    unknown=st.dictionaries(
        st.integers(0, 1 << 40).map(lambda number: number * 2 + 1), st.binary(max_size=8), max_size=3
    ).map(lambda unknown: tuple(sorted(unknown.items()))),
)


@given(payloads)
def test_every_payload_survives_the_wire(payload):
    assert decode_payload(encode_payload(payload)) == payload


def test_the_payloads_of_the_published_onion_are_read():
    assert decode_payload(bytes.fromhex("02023a98040205dc06080000000000000001")) == Payload(15000, 1500, 1)
    final = decode_payload(
        bytes.fromhex("02022710040203e8082224a33562c54507a9334e79f0dc4f17d407e6d7c61f0e2f3d0d38599502f617042710")
    )
    assert final.payment_data == PaymentData(
        bytes.fromhex("24a33562c54507a9334e79f0dc4f17d407e6d7c61f0e2f3d0d38599502f61704"), 10000
    )
    assert final.terms() == (10000, 1000)


@pytest.mark.parametrize(
    ("raw", "type", "offset"),
    [
        ("0a", 0, 1),
        ("02030102", 2, 0),
        ("040102020101", 2, 0),
        ("02020001", 2, 2),
        ("0405ffffffffff", 4, 2),
        ("060100", 6, 2),
        ("08020000", 8, 2),
        ("0c0102", 12, 2),
        ("02010114011e", 20, 5),
    ],
)
def test_what_is_wrong_is_named_by_type_and_offset(raw, type, offset):
    with pytest.raises(PayloadUnreadable) as caught:
        decode_payload(bytes.fromhex(raw))
    assert (caught.value.type, caught.value.offset) == (type, offset)


def test_what_is_missing_is_named_by_its_type():
    with pytest.raises(PayloadUnreadable) as caught:
        Payload(outgoing_cltv_value=1).terms()
    assert caught.value.type == 2
    with pytest.raises(PayloadUnreadable) as caught:
        Payload(amt_to_forward=1).terms()
    assert caught.value.type == 4
    with pytest.raises(PayloadUnreadable) as caught:
        Payload(1, 1).next_channel()
    assert caught.value.type == 6


@given(st.binary(max_size=120))
def test_any_bytes_are_a_payload_or_refused_by_name(raw):
    try:
        payload = decode_payload(raw)
    except PayloadUnreadable:
        return
    assert decode_payload(encode_payload(payload)) == payload
