"""From one seed to all keys of a node but the wallet's (those are BIP 84 and 86 accounts).

Each channel's keys come from its key index, so that nothing but the seed and the index is needed to have them again;
and the one that its balance on the peer's commitments is paid to is one of a few, so that the seed alone finds it.
"""

from __future__ import annotations

from fulmen.core.base.env import Basepoints
from fulmen.core.base.ids import Secret
from fulmen.core.crypto.hashes import hkdf_sha256
from fulmen.core.crypto.secp256k1 import is_secret, point_of
from fulmen.core.signer.signing import ChannelSecrets

PAYMENT_KEYS = 1 << 14
"""How many payment keys there are; channels with equal key indexes modulo this have the same one."""
_SALT = b"fulmen keys v1"


def derive(seed: bytes, purpose: str) -> Secret:
    """A private key for one purpose (HKDF-SHA256, RFC 5869)."""
    for attempt in range(256):
        candidate = hkdf_sha256(_SALT, seed, f"{purpose}/{attempt}".encode(), 32)
        if is_secret(candidate):
            return Secret(candidate)
    raise AssertionError("a number above the group's order 256 times in a row")


def channel_secrets(seed: bytes, key_index: int) -> ChannelSecrets:
    """The secrets of one channel."""
    funding, revocation, delayed, htlc, per_commitment_seed = (
        derive(seed, f"channel/{key_index}/{name}")
        for name in ("funding", "revocation", "delayed", "htlc", "per_commitment_seed")
    )
    payment = payment_secret(seed, key_index)
    return ChannelSecrets(funding, revocation, payment, delayed, htlc, per_commitment_seed)


def payment_secret(seed: bytes, key_index: int) -> Secret:
    """What our balance on the peer's commitments of this channel is paid to (BOLT 3, "`remotepubkey` Derivation")."""
    return derive(seed, f"payment/{key_index % PAYMENT_KEYS}")


def basepoints_of(secrets: ChannelSecrets) -> Basepoints:
    """The public half."""
    return Basepoints(
        point_of(secrets.funding),
        point_of(secrets.revocation),
        point_of(secrets.payment),
        point_of(secrets.delayed),
        point_of(secrets.htlc),
    )
