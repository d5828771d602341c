"""Sphinx: build an onion for a route, and take one layer off.

A packet is version 1 byte (0), ephemeral key 33, hop payloads 1300 (another length for onion messages), HMAC 32.
What stands inside a hop's payload is the subject of `payload`; here it is bytes.

BOLT 4, "Packet Construction", "Onion Decryption" and "Filler Generation".
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from fulmen.core.base.faults import Malformed
from fulmen.core.base.ids import NodeId, Point, Secret
from fulmen.core.base.record import Record
from fulmen.core.crypto.ciphers import chacha20_stream
from fulmen.core.crypto.hashes import hmac_sha256, sha256
from fulmen.core.crypto.secp256k1 import ecdh, is_point, multiply, point_of, secret_multiply
from fulmen.core.onion.keys import MU, PAD, RHO, blinding_factor, key_of

PAYLOADS_SIZE = 1300
"""Bytes of hop payloads in the onion of a payment."""
PACKET_SIZE = 1 + 33 + PAYLOADS_SIZE + 32
HMAC_SIZE = 32
NO_HMAC = bytes(HMAC_SIZE)
"""An all-zero HMAC tells a node that it is the final one."""

INVALID_ONION_VERSION = 0xC004
INVALID_ONION_HMAC = 0xC005
INVALID_ONION_KEY = 0xC006


class BadOnion(Malformed):
    """The packet is not for us, or nobody can read it: answered by `update_fail_malformed_htlc`."""

    def __init__(self, failure_code: int, packet: bytes) -> None:
        super().__init__("bad onion", failure_code=f"{failure_code:04x}")
        self.failure_code = failure_code
        self.sha256_of_onion = sha256(packet)


class PayloadUnreadable(Malformed):
    """The layer is authentic, and the payload in it breaks a rule: answered by `invalid_onion_payload`.

    `type` and `offset` say where, as `invalid_onion_payload` reports them.
    """

    def __init__(self, message: str, type: int = 0, offset: int = 0) -> None:
        super().__init__(message, type=type, offset=offset)
        self.type = type
        self.offset = offset


class RouteTooLong(Malformed):
    """The payloads of a route do not fit into one packet."""


class OnionHop(Record):
    """One node of a route and what it is told."""

    node_id: NodeId
    payload: bytes


class Onion(Record):
    """A built packet, and the secret shared with each hop, which the way back needs."""

    packet: bytes
    shared_secrets: tuple[bytes, ...]


class Peeled(Record):
    """One layer taken off: our payload, and what the next node gets (None when we are the final node)."""

    payload: bytes
    next_packet: bytes | None


def build_onion(
    session_key: Secret, hops: Sequence[OnionHop], associated_data: bytes, size: int = PAYLOADS_SIZE
) -> Onion:
    """The packet for the first hop of a route.

    Args:
        session_key: 32 bytes, fresh for each packet.
        hops: the route in order, payloads without their length.
        associated_data: the payment_hash, 32 bytes; empty for an onion message.
        size: bytes of hop payloads.

    Raises:
        RouteTooLong: the payloads do not fit.

    Source: BOLT 4, "Packet Construction".
    """
    frames = [bigsize_length(len(hop.payload)) + hop.payload for hop in hops]
    room = sum(map(len, frames)) + HMAC_SIZE * len(frames)
    if room > size or not frames:
        raise RouteTooLong("the payloads of this route do not fit into an onion", bytes=room, room=size)
    first_key = point_of(session_key)
    shared_secrets = _shared_secrets(session_key, first_key, [hop.node_id for hop in hops])

    # Each node shifts its own frame out and obfuscates what comes in at the end: the filler is what the last node
    # will find there. One stream per hop serves both the filler and the obfuscation of the payloads.
    streams = [
        chacha20_stream(key_of(RHO, secret), size + len(frame) + HMAC_SIZE)
        for secret, frame in zip(shared_secrets, frames, strict=True)
    ]
    filler = b""
    for stream, frame in zip(streams[:-1], frames[:-1], strict=True):
        start = size - len(filler)
        filler = _xor(filler + bytes(len(frame) + HMAC_SIZE), stream[start:])

    payloads = chacha20_stream(key_of(PAD, session_key), size)
    next_hmac = NO_HMAC
    last = len(frames) - 1
    for index in range(last, -1, -1):
        frame = frames[index] + next_hmac
        payloads = _xor(frame + payloads[: size - len(frame)], streams[index][:size])
        if index == last and filler:
            payloads = payloads[: size - len(filler)] + filler
        next_hmac = hmac_sha256(key_of(MU, shared_secrets[index]), payloads + associated_data)
    return Onion(b"\x00" + first_key + payloads + next_hmac, shared_secrets)


def session_secrets(session_key: Secret, route: Sequence[NodeId]) -> tuple[bytes, ...]:
    """The secret shared with each node of a route, from the session key alone."""
    return _shared_secrets(session_key, point_of(session_key), route)


def ephemeral_key(packet: bytes) -> Point:
    """The key in a packet; its ECDH with our node key is the shared secret.

    Raises:
        BadOnion: version or key is wrong.
    """
    # BOLT 4: "if `version` is not 0: MUST abort processing the packet and fail."
    if not packet or packet[0] != 0:
        raise BadOnion(INVALID_ONION_VERSION, packet)
    point = Point(packet[1:34])
    # BOLT 4: "if `public_key` is not a valid pubkey: MUST abort processing the packet and fail."
    if not is_point(point):
        raise BadOnion(INVALID_ONION_KEY, packet)
    return point


def peel(packet: bytes, shared_secret: bytes, associated_data: bytes) -> Peeled:
    """Take our layer off an onion.

    Args:
        packet: 1366 bytes for a payment: version 1, ephemeral key 33, hop payloads 1300, HMAC 32.
        shared_secret: 32 bytes, the ECDH of our node key and `ephemeral_key(packet)`.
        associated_data: the payment_hash, 32 bytes; empty for an onion message.

    Raises:
        BadOnion: the HMAC is wrong.
        PayloadUnreadable: the length in front of our payload is wrong.

    Source: BOLT 4, "Onion Decryption".
    """
    payloads = packet[34:-HMAC_SIZE]
    size = len(payloads)
    expected = hmac_sha256(key_of(MU, shared_secret), payloads + associated_data)
    # BOLT 4: "MUST use a constant time comparison of the computed HMAC and `hmac`."
    if len(packet) < 34 + HMAC_SIZE or not hmac.compare_digest(expected, packet[-HMAC_SIZE:]):
        raise BadOnion(INVALID_ONION_HMAC, packet)
    stream = chacha20_stream(key_of(RHO, shared_secret), 2 * size)
    unwrapped = _xor(payloads + bytes(size), stream)

    start, length = _frame(unwrapped)
    # BOLT 4: "If the `payload_length` is less than two: MUST abort processing the packet and fail."
    if length < 2:
        raise PayloadUnreadable("payload lengths below 2 are reserved")
    end = start + length
    rest = end + HMAC_SIZE
    # BOLT 4: "If `unwrapped_payloads` is smaller than `hop_payloads`: MUST abort processing the packet and fail."
    if rest > size:
        raise PayloadUnreadable("the payload is longer than the packet")
    payload, next_hmac = unwrapped[start:end], unwrapped[end:rest]
    if next_hmac == NO_HMAC:
        return Peeled(payload, None)
    public_key = Point(packet[1:34])
    next_key = multiply(public_key, blinding_factor(public_key, shared_secret))
    return Peeled(payload, b"\x00" + next_key + unwrapped[rest : rest + size] + next_hmac)


def bigsize_length(length: int) -> bytes:
    """The length in front of a payload, as a bigsize; a packet has no room for more than two bytes' worth."""
    return bytes((length,)) if length < 0xFD else b"\xfd" + length.to_bytes(2, "big")


def _shared_secrets(session_key: Secret, first_key: Point, route: Sequence[NodeId]) -> tuple[bytes, ...]:
    """Source: BOLT 4, "Packet Construction"; `first_key` is the session key's point."""
    secrets: list[bytes] = []
    secret, key = session_key, first_key
    for index, node_id in enumerate(route):
        if index:
            secret = secret_multiply(secret, blinding_factor(key, secrets[-1]))
            key = point_of(secret) if index < len(route) - 1 else key
        secrets.append(ecdh(secret, Point(node_id)))
    return tuple(secrets)


def _frame(unwrapped: bytes) -> tuple[int, int]:
    """Where the payload starts, and its length."""
    if not unwrapped:
        raise PayloadUnreadable("the packet has no payloads")
    first = unwrapped[0]
    if first < 0xFD:
        return 1, first
    length = int.from_bytes(unwrapped[1:3], "big")
    if first != 0xFD or length < 0xFD:
        raise PayloadUnreadable("the payload's length is no minimal bigsize within the packet")
    return 3, length


def _xor(data: bytes, stream: bytes) -> bytes:
    """As many bytes as the data has."""
    size = len(data)
    return (int.from_bytes(data, "little") ^ int.from_bytes(stream[:size], "little")).to_bytes(size, "little")
