"""What a key holder is asked to give. Requests are data; no key stands in them, and none comes back but by its purpose.

Signatures are made again on retransmission, not stored, so every request can be answered from itself alone.
"""

from __future__ import annotations

from fulmen.core.base.ids import Point, Preimage, Secret, Signature
from fulmen.core.base.outer import SignRequest
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.accounts import KeyPath
from fulmen.core.commitments.view import CommitmentView
from fulmen.core.transactions.commitment import CommitmentOutput
from fulmen.core.transactions.spending import Spend


class SignCommitment(SignRequest):
    """The peer's commitment transaction and its HTLC transactions: `commitment_signed`, `funding_created/signed`."""

    view: CommitmentView
    with_htlcs: bool = True
    """Whether the message carries HTLC signatures as well: `commitment_signed` does."""


class RevealSecret(SignRequest):
    """The per-commitment secret of one of our revoked commitments: `revoke_and_ack`."""

    key_index: int
    number: int


class SignClosing(SignRequest):
    """Our half of a mutual close: the transaction spends the funding output and pays only to shutdown scripts."""

    key_index: int
    tx: bytes
    """Serialised, without witness."""
    funding_sat: Sat
    local_funding_pubkey: Point
    remote_funding_pubkey: Point
    payout: bytes = b""
    """The script of our `shutdown`: where our share goes."""
    path: KeyPath | None = None
    """The key of our wallet behind it, where it is one."""
    highest_fee_sat: Sat = Sat(0)
    """The most that we have agreed to pay as its opener."""


class SignFundingSpend(SignRequest):
    """Our latest commitment transaction, to be published: the witness gets both signatures over the funding output."""

    view: CommitmentView


class SignMutualClose(SignRequest):
    """A mutual close that both signed, to be published: the witness gets our signature beside the peer's."""

    closing: SignClosing
    peer_signature: Signature


class SignSpend(SignRequest):
    """One input of a transaction that takes an output of a commitment, or of an HTLC transaction, for ourselves.

    `spend` says which of the channel's keys signs. `per_commitment_point` is of the side that owns the commitment; the
    payment and the funding key need none.
    """

    key_index: int
    per_commitment_point: Point
    spend: Spend
    index: int = 0
    """Which input of the transaction it is."""
    per_commitment_secret: Secret | None = None
    """The peer's, of a commitment that it has revoked: for the revocation key."""


class SignHtlcTx(SignRequest):
    """The input of an HTLC-success or HTLC-timeout transaction of our own commitment: both signatures go in."""

    key_index: int
    per_commitment_point: Point
    format: str
    htlc: CommitmentOutput
    peer_signature: Signature
    payment_preimage: Preimage | None = None
    """For HTLC-success."""
    index: int = 0
