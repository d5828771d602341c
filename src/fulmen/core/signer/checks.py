"""What must hold of a peer's signature before its message is decided: pure data that anybody can compute.

BOLT 2: every peer signature has to be valid and low-S; a high-S one is refused like a wrong one (CVE-2020-26895).
"""

from __future__ import annotations

from collections.abc import Iterator

from fulmen.core.base.ids import Point, Secret, Signature
from fulmen.core.base.mount import Check
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.commitments.building import build
from fulmen.core.commitments.view import CommitmentView
from fulmen.core.crypto.secp256k1 import is_secret, point_of, verify_many
from fulmen.core.signer.requests import SignClosing
from fulmen.core.transactions.commitment import CommitmentTx
from fulmen.core.transactions.funding import funding_digest

Triple = tuple[bytes, bytes, bytes]
"""A public key, a digest, a signature: what `verify_many` takes."""


class CheckCommitment(Check):
    """The peer's signatures on our commitment transaction and, in the order of its outputs, its HTLC transactions."""

    view: CommitmentView
    signature: Signature
    htlc_signatures: tuple[Signature, ...] = ()

    def holds(self) -> bool:
        """Whether there is a signature for each output of an HTLC, and every one is good."""
        commitment = build(self.view)
        if len(commitment.htlcs) != len(self.htlc_signatures):
            return False
        return all(verify_many(self._triples(commitment)))

    def disputed(self) -> bytes:
        """The transaction of the first signature that is wrong; the commitment's, where only their number is."""
        commitment = build(self.view)
        verdicts = verify_many(self._triples(commitment))
        if verdicts[0] and not all(verdicts):
            return commitment.htlc_tx(commitment.htlcs[verdicts.index(False) - 1]).serialize()
        return commitment.tx.serialize()

    def _triples(self, commitment: CommitmentTx) -> Iterator[Triple]:
        yield commitment.keys.other_funding_pubkey, commitment.digest, self.signature
        if self.htlc_signatures:
            key = commitment.keys.other_htlcpubkey
            for digest, signature in zip(commitment.htlc_digests(), self.htlc_signatures, strict=False):
                yield key, digest, signature


class CheckRevocation(Check):
    """The secret is the one behind the per-commitment point of a commitment that the peer revokes."""

    key_index: int
    number: int
    point: Point
    secret: Secret

    def holds(self) -> bool:
        """Whether it is a valid secret key that generates the point."""
        return is_secret(self.secret) and point_of(self.secret) == self.point


class CheckClosing(Check):
    """The peer's signature fits one of these closing transactions."""

    variants: tuple[SignClosing, ...]
    signature: Signature

    def holds(self) -> bool:
        """Whether it fits at least one."""
        return any(verify_many(self._triple(variant) for variant in self.variants))

    def disputed(self) -> bytes:
        """The transaction that we would have signed; empty where there is none at this fee."""
        return self.variants[0].tx if self.variants else b""

    def _triple(self, closing: SignClosing) -> Triple:
        local, remote = closing.local_funding_pubkey, closing.remote_funding_pubkey
        return remote, funding_digest(parse_tx(closing.tx), local, remote, closing.funding_sat), self.signature


def disputed(check: Check) -> bytes:
    """The transaction, serialised and unsigned, that the wrong signature of a check was to fit; empty without one."""
    return check.disputed() if isinstance(check, CheckCommitment | CheckClosing) else b""
