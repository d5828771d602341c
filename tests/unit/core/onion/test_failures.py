"""BOLT 4: each failure code has its name and its exact bytes; any bytes give some failure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulmen.core.onion import failures as f

SHA = bytes(range(32))
UPDATE = b"u" * 136

ENCODED = [
    (f.TemporaryNodeFailure(), "2002", "temporary_node_failure"),
    (f.PermanentNodeFailure(), "6002", "permanent_node_failure"),
    (f.RequiredNodeFeatureMissing(), "6003", "required_node_feature_missing"),
    (f.InvalidOnionVersion(SHA), "c004" + SHA.hex(), "invalid_onion_version"),
    (f.InvalidOnionHmac(SHA), "c005" + SHA.hex(), "invalid_onion_hmac"),
    (f.InvalidOnionKey(SHA), "c006" + SHA.hex(), "invalid_onion_key"),
    (f.InvalidOnionBlinding(SHA), "c018" + SHA.hex(), "invalid_onion_blinding"),
    (f.TemporaryChannelFailure(), "10070000", "temporary_channel_failure"),
    (f.TemporaryChannelFailure(UPDATE), "10070088" + UPDATE.hex(), "temporary_channel_failure"),
    (f.PermanentChannelFailure(), "4008", "permanent_channel_failure"),
    (f.RequiredChannelFeatureMissing(), "4009", "required_channel_feature_missing"),
    (f.UnknownNextPeer(), "400a", "unknown_next_peer"),
    (f.AmountBelowMinimum(1), "100b00000000000000010000", "amount_below_minimum"),
    (f.FeeInsufficient(1000), "100c00000000000003e80000", "fee_insufficient"),
    (f.IncorrectCltvExpiry(800_000), "100d000c35000000", "incorrect_cltv_expiry"),
    (f.ExpiryTooSoon(), "100e0000", "expiry_too_soon"),
    (f.IncorrectOrUnknownPaymentDetails(100, 800_000), "400f0000000000000064000c3500", None),
    (f.FinalIncorrectCltvExpiry(800_000), "0012000c3500", "final_incorrect_cltv_expiry"),
    (f.FinalIncorrectHtlcAmount(100), "00130000000000000064", "final_incorrect_htlc_amount"),
    (f.ChannelDisabled(), "101400000000", "channel_disabled"),
    (f.ExpiryTooFar(), "0015", "expiry_too_far"),
    (f.InvalidOnionPayload(2, 17), "4016020011", "invalid_onion_payload"),
    (f.InvalidOnionPayload(65537, 17), "4016fe000100010011", "invalid_onion_payload"),
    (f.InvalidOnionPayload(1 << 40, 17), "4016ff00000100000000000011", "invalid_onion_payload"),
    (f.MppTimeout(), "0017", "mpp_timeout"),
]


@pytest.mark.parametrize(("failure", "encoded", "name"), ENCODED)
def test_every_failure_has_its_bytes_and_its_name(failure, encoded, name):
    assert f.encode_failure(failure).hex() == encoded
    assert f.decode_failure(bytes.fromhex(encoded)) == failure
    assert failure.name == (name or "incorrect_or_unknown_payment_details")


def test_all_22_codes_are_there():
    assert len({type(failure) for failure, _encoded, _name in ENCODED}) == 22


@pytest.mark.parametrize(("failure", "encoded", "name"), ENCODED)
def test_more_bytes_behind_a_failure_are_ignored(failure, encoded, name):
    assert f.decode_failure(bytes.fromhex(encoded) + b"\xfd\x84\xd1\x02ab") == failure


def test_a_channel_update_with_its_type_in_front_loses_it():
    raw = bytes.fromhex("1007008a0102") + UPDATE
    assert f.decode_failure(raw) == f.TemporaryChannelFailure(UPDATE)


def test_a_missing_or_cut_channel_update_is_none():
    assert f.decode_failure(bytes.fromhex("1007")) == f.TemporaryChannelFailure()
    assert f.decode_failure(bytes.fromhex("10070088aabb")) == f.TemporaryChannelFailure()


def test_a_known_code_with_too_little_data_keeps_its_code():
    failure = f.decode_failure(bytes.fromhex("400f0064"))
    assert failure == f.OtherFailure(0x400F, b"\x00\x64")
    assert failure.name == "incorrect_or_unknown_payment_details"
    assert f.code_of(failure) & f.PERM


def test_an_unknown_code_keeps_its_flags():
    failure = f.decode_failure(bytes.fromhex("600101"))
    assert failure == f.OtherFailure(0x6001, b"\x01")
    assert failure.name == "unknown_failure_6001"
    assert f.encode_failure(failure).hex() == "600101"


def test_a_malformed_htlc_becomes_the_failure_its_code_names():
    assert f.bad_onion(0xC005, SHA) == f.InvalidOnionHmac(SHA)
    assert f.bad_onion(0xC0FF, SHA) == f.OtherFailure(0xC0FF, SHA)
    assert f.bad_onion(0x1007, SHA) == f.OtherFailure(0x1007, SHA)


@given(st.binary(max_size=200))
def test_any_bytes_are_some_failure(message):
    f.decode_failure(message)
