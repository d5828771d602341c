"""BOLT 4: an error onion goes back hop by hop, and only the origin reads it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders.vectors import vector_json

from fulmen.core.base.ids import NodeId, Secret
from fulmen.core.onion.errors import MAX_REASON_SIZE, ReturnedFailure, fail, unwrap, wrap
from fulmen.core.onion.failures import IncorrectOrUnknownPaymentDetails, decode_failure
from fulmen.core.onion.keys import AMMAG, UM, key_of
from fulmen.core.onion.sphinx import session_secrets

SECRETS = [bytes([number]) * 32 for number in range(1, 28)]


def returned(message: bytes, hop: int) -> bytes:
    """What the origin gets when this hop of `SECRETS` fails the HTLC."""
    reason = fail(SECRETS[hop], message)
    for secret in reversed(SECRETS[:hop]):
        reason = wrap(secret, reason)
    return reason


@pytest.mark.parametrize("name", ["bolt04/onion-error-test.json", "cln/onion-error-test.json"])
def test_the_published_error_is_built_and_read(name):
    vector = vector_json(name)
    hops = vector["generate"]["hops"]
    secrets = [bytes.fromhex(hop["hop_shared_secret"]) for hop in hops]
    assert [key_of(AMMAG, secret).hex() for secret in secrets] == [hop["ammag_key"] for hop in hops]
    message = bytes.fromhex(vector["generate"]["failure_message"])
    reason = fail(secrets[-1], message)
    for secret in reversed(secrets[:-1]):
        reason = wrap(secret, reason)
    assert reason.hex() == vector["errorpacket"]
    assert unwrap(secrets, reason) == ReturnedFailure(4, message)


def test_the_published_error_padded_to_1024_bytes_is_wrapped_and_read():
    (case,) = vector_json("bolt04/returning-errors.json")["cases"]
    expected = case["expected"]
    reason = bytes.fromhex(expected["raw_error_packet"])
    for hop in expected["hops"]:
        secret = bytes.fromhex(hop["shared_secret"])
        assert key_of(AMMAG, secret).hex() == hop["ammag_key"]
        reason = wrap(secret, reason)
        assert reason.hex() == hop["error_packet"]
    assert key_of(UM, bytes.fromhex(expected["hops"][0]["shared_secret"])).hex() == expected["um_key"]

    route = [NodeId(bytes.fromhex(key)) for key in case["hop_pubkeys"]]
    secrets = session_secrets(Secret(bytes.fromhex(case["session_key"])), route)
    failure = unwrap(secrets, reason)
    assert failure == ReturnedFailure(case["failing_node"], bytes.fromhex(expected["failure_message"]))
    assert failure is not None
    assert decode_failure(failure.message) == IncorrectOrUnknownPaymentDetails(100, 800_000)


def test_a_failure_longer_than_256_bytes_is_read():
    vector = vector_json("lnd/long_failure_msg.json")
    route = [NodeId(bytes.fromhex(key)) for key in vector["path"]]
    secrets = session_secrets(Secret(bytes.fromhex(vector["session_key"])), route)
    failure = unwrap(secrets, bytes.fromhex(vector["reason"]))
    assert failure is not None
    assert failure.hop == 4
    assert isinstance(decode_failure(failure.message), IncorrectOrUnknownPaymentDetails)


@settings(deadline=None)
@given(st.binary(max_size=400), st.integers(0, 26))
def test_the_origin_learns_who_failed_and_why(message, hop):
    reason = returned(message, hop)
    assert len(reason) >= 32 + 2 + 2 + 256
    assert unwrap(SECRETS, reason) == ReturnedFailure(hop, message)


def test_a_failure_changed_on_its_way_is_nobodys():
    reason = bytearray(returned(b"\x20\x02", 3))
    reason[50] ^= 1
    assert unwrap(SECRETS[:5], bytes(reason)) is None


def test_a_failure_from_beyond_the_route_is_nobodys():
    assert unwrap(SECRETS[:3], returned(b"\x20\x02", 4)) is None


def test_a_failure_made_with_the_dummy_secret_is_nobodys():
    assert unwrap([], fail(bytes(32), b"\x20\x02")) is None


@settings(deadline=None)
@given(st.binary(max_size=600))
def test_any_bytes_are_nobodys_failure(reason):
    assert unwrap(SECRETS[:4], reason) is None


def test_a_giant_reason_is_not_even_decrypted():
    assert unwrap(SECRETS[:1], fail(SECRETS[0], bytes(MAX_REASON_SIZE))) is None
