"""The keys that a shared secret gives, and how an ephemeral key moves from hop to hop.

BOLT 4, "Key Generation" and "Blinding Ephemeral Onion Keys".
"""

from __future__ import annotations

from fulmen.core.base.ids import Point
from fulmen.core.crypto.hashes import hmac_sha256, sha256

RHO = b"rho"
MU = b"mu"
UM = b"um"
PAD = b"pad"
AMMAG = b"ammag"


def key_of(key_type: bytes, secret: bytes) -> bytes:
    """The 32-byte key of one type: HMAC-SHA256 with the type's name as key and the secret as message."""
    return hmac_sha256(key_type, secret)


def blinding_factor(ephemeral_key: Point, shared_secret: bytes) -> bytes:
    """What an ephemeral key is multiplied by before the next hop sees it: 32 bytes."""
    return sha256(ephemeral_key + shared_secret)
