"""BOLT 4: onions are built as published, and each hop finds its payload and passes on the next packet."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders.vectors import vector_json

from fulmen.core.base.ids import NodeId, Secret
from fulmen.core.crypto.secp256k1 import ecdh, point_of
from fulmen.core.onion.sphinx import (
    INVALID_ONION_HMAC,
    INVALID_ONION_KEY,
    INVALID_ONION_VERSION,
    PACKET_SIZE,
    BadOnion,
    OnionHop,
    PayloadUnreadable,
    RouteTooLong,
    build_onion,
    ephemeral_key,
    peel,
    session_secrets,
)

SESSION_KEY = Secret(b"\x41" * 32)
HASH = b"\x42" * 32
NODE_KEYS = [Secret(bytes([number]) * 32) for number in range(1, 28)]
NODES = [NodeId(point_of(key)) for key in NODE_KEYS]


def without_length(payload: str) -> bytes:
    raw = bytes.fromhex(payload)
    return raw[3:] if raw[0] == 0xFD else raw[1:]


def peeled(packet: bytes, key: Secret, associated_data: bytes = HASH):
    return peel(packet, ecdh(key, ephemeral_key(packet)), associated_data)


def a_route(*payloads: bytes) -> list[OnionHop]:
    return [OnionHop(node, payload) for node, payload in zip(NODES, payloads, strict=False)]


@pytest.mark.parametrize("name", ["bolt04/onion-test.json", "lightning-onion/onion-test.json"])
def test_the_published_onion_is_built_and_peeled(name):
    vector = vector_json(name)
    given_ = vector["generate"]
    hops = [OnionHop(NodeId(bytes.fromhex(hop["pubkey"])), without_length(hop["payload"])) for hop in given_["hops"]]
    associated_data = bytes.fromhex(given_["associated_data"])
    onion = build_onion(Secret(bytes.fromhex(given_["session_key"])), hops, associated_data)
    assert onion.packet.hex() == vector["onion"]

    packet: bytes | None = onion.packet
    for key, hop, secret in zip(vector["decode"], hops, onion.shared_secrets, strict=True):
        assert packet is not None
        assert ecdh(Secret(bytes.fromhex(key)), ephemeral_key(packet)) == secret
        layer = peel(packet, secret, associated_data)
        assert layer.payload == hop.payload
        packet = layer.next_packet
    assert packet is None


@settings(deadline=None, max_examples=40)
@given(st.lists(st.binary(min_size=2, max_size=300), min_size=1, max_size=27))
def test_every_route_that_fits_is_read_hop_by_hop(payloads):
    hops = a_route(*payloads)
    try:
        onion = build_onion(SESSION_KEY, hops, HASH)
    except RouteTooLong:
        assert sum(len(payload) + (33 if len(payload) < 253 else 35) for payload in payloads) > 1300
        return
    packet: bytes | None = onion.packet
    for key, hop in zip(NODE_KEYS, hops, strict=False):
        assert packet is not None
        assert len(packet) == PACKET_SIZE
        layer = peeled(packet, key)
        assert layer.payload == hop.payload
        packet = layer.next_packet
    assert packet is None


def test_a_payload_as_long_as_the_whole_packet_fits_and_one_byte_more_does_not():
    onion = build_onion(SESSION_KEY, a_route(bytes(1300 - 32 - 3)), HASH)
    assert peeled(onion.packet, NODE_KEYS[0]).payload == bytes(1265)
    with pytest.raises(RouteTooLong):
        build_onion(SESSION_KEY, a_route(bytes(1266)), HASH)


def test_a_route_without_hops_is_refused():
    with pytest.raises(RouteTooLong):
        build_onion(SESSION_KEY, [], HASH)


def test_the_secrets_follow_from_the_session_key_alone():
    onion = build_onion(SESSION_KEY, a_route(b"ab", b"cd", b"ef"), HASH)
    assert session_secrets(SESSION_KEY, NODES[:3]) == onion.shared_secrets


def test_an_onion_message_has_its_own_size_and_no_associated_data():
    onion = build_onion(SESSION_KEY, a_route(b"ab", b"c" * 2000), b"", size=32768)
    assert len(onion.packet) == 32834
    layer = peeled(onion.packet, NODE_KEYS[0], b"")
    assert layer.next_packet is not None
    assert peeled(layer.next_packet, NODE_KEYS[1], b"").payload == b"c" * 2000


def test_a_higher_version_is_reported_with_the_hash_of_the_onion():
    packet = b"\x01" + build_onion(SESSION_KEY, a_route(b"ab"), HASH).packet[1:]
    with pytest.raises(BadOnion) as caught:
        ephemeral_key(packet)
    assert caught.value.failure_code == INVALID_ONION_VERSION
    assert len(caught.value.sha256_of_onion) == 32


def test_a_key_that_is_no_point_is_reported():
    packet = build_onion(SESSION_KEY, a_route(b"ab"), HASH).packet
    with pytest.raises(BadOnion) as caught:
        ephemeral_key(packet[:1] + b"\x05" + packet[2:])
    assert caught.value.failure_code == INVALID_ONION_KEY


@pytest.mark.parametrize("at", [34, 700, 1333, 1334, 1365])
def test_a_changed_bit_breaks_the_hmac(at):
    packet = bytearray(build_onion(SESSION_KEY, a_route(b"ab"), HASH).packet)
    packet[at] ^= 1
    with pytest.raises(BadOnion) as caught:
        peeled(bytes(packet), NODE_KEYS[0])
    assert caught.value.failure_code == INVALID_ONION_HMAC


def test_an_onion_does_not_serve_another_payment():
    packet = build_onion(SESSION_KEY, a_route(b"ab"), HASH).packet
    with pytest.raises(BadOnion):
        peeled(packet, NODE_KEYS[0], b"\x43" * 32)


@pytest.mark.parametrize("payload", [b"", b"x"])
def test_the_reserved_payload_lengths_are_unreadable(payload):
    packet = build_onion(SESSION_KEY, a_route(payload), HASH).packet
    with pytest.raises(PayloadUnreadable):
        peeled(packet, NODE_KEYS[0])


@settings(deadline=None)
@given(st.binary(max_size=1500))
def test_any_bytes_are_refused_by_name(packet):
    with pytest.raises(BadOnion):
        peeled(packet, NODE_KEYS[0])
