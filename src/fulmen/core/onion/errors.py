"""Error onions: a failure message on its way back to the origin.

Before encryption a return packet is HMAC 32, failure_len 2, failuremsg, pad_len 2, pad. What a failure message says
is the subject of `failures`; here it is bytes.

BOLT 4, "Returning Errors".
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from fulmen.core.base.record import Record
from fulmen.core.crypto.ciphers import chacha20_xor
from fulmen.core.crypto.hashes import hmac_sha256
from fulmen.core.onion.keys import AMMAG, UM, key_of

PADDED_SIZE = 256
"""failure_len + pad_len of what we send."""
MAX_REASON_SIZE = 32768
"""Longer return packets are nobody's: a message of 65535 bytes would not fit into update_fail_htlc further up."""
ROUNDS = 27
"""The longest route that a packet has room for: the origin always decrypts this often."""
DUMMY_SECRET = bytes(32)
"""The rounds beyond the route use this, so that the time taken does not tell how long the route is."""

_HMAC_SIZE = 32


class ReturnedFailure(Record):
    """Who failed the payment, as its place in the route (0 is the first hop), and the failure message it sent."""

    hop: int
    message: bytes


def fail(shared_secret: bytes, message: bytes) -> bytes:
    """The return packet of the node where the failure is: the `reason` of our update_fail_htlc.

    Source: BOLT 4, "Erring node".
    """
    # BOLT 4: "SHOULD set `pad` such that the `failure_len` plus `pad_len` is equal to 256."
    pad = bytes(max(0, PADDED_SIZE - len(message)))
    body = len(message).to_bytes(2, "big") + message + len(pad).to_bytes(2, "big") + pad
    return wrap(shared_secret, hmac_sha256(key_of(UM, shared_secret), body) + body)


def wrap(shared_secret: bytes, reason: bytes) -> bytes:
    """Our layer on a return packet from further down the route.

    Source: BOLT 4, "Transformation of the return packet".
    """
    return chacha20_xor(key_of(AMMAG, shared_secret), reason)


def unwrap(shared_secrets: Sequence[bytes], reason: bytes) -> ReturnedFailure | None:
    """What the origin reads in a return packet, or None when no node of the route can have written it.

    Source: BOLT 4, "Origin node".
    """
    if len(reason) > MAX_REASON_SIZE:
        return None
    found: ReturnedFailure | None = None
    packet = reason
    # BOLT 4: "SHOULD continue decrypting, until the loop has been repeated 27 times"
    for hop in range(max(ROUNDS, len(shared_secrets))):
        secret = shared_secrets[hop] if hop < len(shared_secrets) else DUMMY_SECRET
        packet = chacha20_xor(key_of(AMMAG, secret), packet)
        expected = hmac_sha256(key_of(UM, secret), packet[_HMAC_SIZE:])
        authentic = hmac.compare_digest(expected, packet[:_HMAC_SIZE])
        if authentic and found is None and hop < len(shared_secrets):
            length = int.from_bytes(packet[_HMAC_SIZE : _HMAC_SIZE + 2], "big")
            found = ReturnedFailure(hop, packet[_HMAC_SIZE + 2 : _HMAC_SIZE + 2 + length])
    return found
