"""Keys of one commitment from basepoints and its per-commitment point, and their private counterparts.

Source: BOLT 3, "Key Derivation".
"""

from __future__ import annotations

from functools import lru_cache

from fulmen.core.base.env import Basepoints
from fulmen.core.base.ids import Point, Secret
from fulmen.core.base.record import Record
from fulmen.core.crypto.hashes import sha256
from fulmen.core.crypto.secp256k1 import add_tweak, combine, multiply, point_of, secret_add, secret_multiply


class CommitmentKeys(Record):
    """All public keys that stand in one commitment and its HTLC transactions, seen from its owner."""

    per_commitment_point: Point
    revocationpubkey: Point
    """The other end's, once it knows the per-commitment secret."""
    owner_delayedpubkey: Point
    owner_htlcpubkey: Point
    other_htlcpubkey: Point
    other_paymentpubkey: Point
    """The BOLT's `remotepubkey`: the other end's payment_basepoint, untouched."""
    owner_funding_pubkey: Point
    other_funding_pubkey: Point


@lru_cache(maxsize=4096)
def commitment_keys(owner: Basepoints, other: Basepoints, per_commitment_point: Point) -> CommitmentKeys:
    """The keys of the owner's commitment with this per-commitment point (the owner's).

    Kept, because a commitment's keys are asked for when it is signed, when it is checked and when it is spent, and
    take some 140 us.

    Raises:
        NotAPoint: one of the points is none.
    """
    return CommitmentKeys(
        per_commitment_point=per_commitment_point,
        revocationpubkey=derive_revocation_pubkey(other.revocation_basepoint, per_commitment_point),
        owner_delayedpubkey=derive_pubkey(owner.delayed_payment_basepoint, per_commitment_point),
        owner_htlcpubkey=derive_pubkey(owner.htlc_basepoint, per_commitment_point),
        other_htlcpubkey=derive_pubkey(other.htlc_basepoint, per_commitment_point),
        other_paymentpubkey=other.payment_basepoint,
        owner_funding_pubkey=owner.funding_pubkey,
        other_funding_pubkey=other.funding_pubkey,
    )


def derive_pubkey(basepoint: Point, per_commitment_point: Point) -> Point:
    """`pubkey = basepoint + SHA256(per_commitment_point || basepoint) * G`"""
    return add_tweak(basepoint, sha256(per_commitment_point + basepoint))


def derive_secret(basepoint_secret: Secret, per_commitment_point: Point) -> Secret:
    """`privkey = basepoint_secret + SHA256(per_commitment_point || basepoint)`"""
    return secret_add(basepoint_secret, sha256(per_commitment_point + point_of(basepoint_secret)))


def derive_revocation_pubkey(revocation_basepoint: Point, per_commitment_point: Point) -> Point:
    """`revocation_basepoint * SHA256(revocation_basepoint || per_commitment_point)
    + per_commitment_point * SHA256(per_commitment_point || revocation_basepoint)`
    """
    return combine(
        multiply(revocation_basepoint, sha256(revocation_basepoint + per_commitment_point)),
        multiply(per_commitment_point, sha256(per_commitment_point + revocation_basepoint)),
    )


def derive_revocation_secret(revocation_basepoint_secret: Secret, per_commitment_secret: Secret) -> Secret:
    """The private key of `derive_revocation_pubkey`: one end's basepoint secret and the other's revealed secret."""
    basepoint, point = point_of(revocation_basepoint_secret), point_of(per_commitment_secret)
    return secret_add(
        secret_multiply(revocation_basepoint_secret, sha256(basepoint + point)),
        secret_multiply(per_commitment_secret, sha256(point + basepoint)),
    )
