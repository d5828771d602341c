"""What the key holder computes for each request, given the secrets it keeps. Pure: keys come in as arguments."""

from __future__ import annotations

from fulmen.core.base.faults import Refused
from fulmen.core.base.ids import Point, Secret, Signature
from fulmen.core.base.record import Record
from fulmen.core.bitcoin.transaction import Tx, parse_tx
from fulmen.core.commitments.building import build
from fulmen.core.commitments.commitment import LOCAL, REMOTE
from fulmen.core.commitments.view import CommitmentView
from fulmen.core.crypto.secp256k1 import point_of, sign_ecdsa
from fulmen.core.signer.requests import SignClosing, SignHtlcTx, SignSpend
from fulmen.core.transactions.commitment import CommitmentTx
from fulmen.core.transactions.formats import format_named
from fulmen.core.transactions.funding import funding_digest, funding_witness
from fulmen.core.transactions.keys import derive_revocation_secret, derive_secret
from fulmen.core.transactions.scripts import anchor_script
from fulmen.core.transactions.spending import Signer, htlc_tx_witness, owner_htlc_digest


class WillNotSign(Refused):
    """The request asks for what would lose money; whoever asks is broken."""


class ChannelSecrets(Record):
    """The secret half of one channel's keys. It never leaves the key holder, and is never printed."""

    funding: Secret
    revocation: Secret
    payment: Secret
    delayed: Secret
    htlc: Secret
    per_commitment_seed: Secret

    def __repr__(self) -> str:
        return "ChannelSecrets(…)"


def sign_commitment(
    view: CommitmentView, secrets: ChannelSecrets, built: CommitmentTx | None = None
) -> tuple[Signature, tuple[Signature, ...]]:
    """Our signatures on the peer's commitment transaction and, in the order of its outputs, its HTLC transactions.

    Args:
        built: what `build` makes of the view, for who has it already.

    Raises:
        WillNotSign: it is not the peer's commitment.
    """
    if view.side is not REMOTE:
        raise WillNotSign("our own commitment is signed only to be published")
    commitment = build(view) if built is None else built
    signature = sign_ecdsa(secrets.funding, commitment.digest)
    if not commitment.htlcs:
        return signature, ()
    htlc_secret = derive_secret(secrets.htlc, view.per_commitment_point)
    return signature, tuple(sign_ecdsa(htlc_secret, digest) for digest in commitment.htlc_digests())


def sign_our_commitment(view: CommitmentView, secrets: ChannelSecrets) -> Tx:
    """Our commitment transaction with both signatures over the funding output, ready to be published.

    Raises:
        WillNotSign: it is not ours, or the peer never signed it.
    """
    peer_signature = view.funding.peer_signature
    if view.side is not LOCAL or not peer_signature:
        raise WillNotSign("only our own commitment that the peer signed can be published")
    commitment = build(view)
    local, remote = view.params.local.basepoints.funding_pubkey, view.params.remote.basepoints.funding_pubkey
    ours = sign_ecdsa(secrets.funding, commitment.digest)
    return _with_witness(commitment.tx, funding_witness(local, ours, remote, peer_signature))


def sign_closing(closing: SignClosing, secrets: ChannelSecrets) -> Signature:
    """Our half of a mutual close."""
    local, remote = closing.local_funding_pubkey, closing.remote_funding_pubkey
    return sign_ecdsa(secrets.funding, funding_digest(parse_tx(closing.tx), local, remote, closing.funding_sat))


def sign_mutual_close(closing: SignClosing, peer_signature: Signature, secrets: ChannelSecrets) -> Tx:
    """The closing transaction with both signatures, ready to be published."""
    local: Point = closing.local_funding_pubkey
    witness = funding_witness(local, sign_closing(closing, secrets), closing.remote_funding_pubkey, peer_signature)
    return _with_witness(parse_tx(closing.tx), witness)


def sign_spend(request: SignSpend, tx: Tx, secrets: ChannelSecrets) -> Tx:
    """The transaction with the witness of one input that takes an output for ourselves.

    Raises:
        WillNotSign: there is no such input, or the key is not for this output.
    """
    if not 0 <= request.index < len(tx.inputs):
        raise WillNotSign("there is no such input", index=request.index)
    spend = request.spend
    if spend.signer is Signer.NOBODY:
        return tx.with_witness(request.index, *spend.witness(None))
    secret = _spending_secret(request, secrets)
    signature = sign_ecdsa(secret, spend.digest(tx, request.index))
    return tx.with_witness(request.index, *spend.witness(signature))


def _spending_secret(request: SignSpend, secrets: ChannelSecrets) -> Secret:
    spend, per_commitment_point = request.spend, request.per_commitment_point
    if spend.signer is Signer.PAYMENT:
        return secrets.payment
    if spend.signer is Signer.DELAYED_PAYMENT:
        return derive_secret(secrets.delayed, per_commitment_point)
    if spend.signer is Signer.HTLC:
        return derive_secret(secrets.htlc, per_commitment_point)
    # Whose per-commitment secret is known to us has revoked; of a commitment of ours nobody asks for it here.
    if spend.signer is Signer.REVOCATION and request.per_commitment_secret is not None:
        return derive_revocation_secret(secrets.revocation, request.per_commitment_secret)
    # The funding key moves all of the channel's money: on its own it signs for our anchor and for nothing else.
    if spend.signer is Signer.FUNDING and spend.script_code == anchor_script(point_of(secrets.funding)):
        return secrets.funding
    raise WillNotSign("no key of ours is for this output", signer=spend.signer.value)


def sign_htlc_tx(request: SignHtlcTx, tx: Tx, secrets: ChannelSecrets) -> Tx:
    """The HTLC transaction with both signatures and, for HTLC-success, the preimage.

    BOLT 5: "The local signature MUST use `SIGHASH_ALL`, otherwise anyone can attach additional inputs and outputs to
    the tx."

    Raises:
        WillNotSign: there is no such input, or the peer never signed.
    """
    if not 0 <= request.index < len(tx.inputs) or not request.peer_signature:
        raise WillNotSign("an HTLC transaction needs its input and the peer's signature", index=request.index)
    secret = derive_secret(secrets.htlc, request.per_commitment_point)
    ours = sign_ecdsa(secret, owner_htlc_digest(request.htlc, tx, request.index))
    witness = htlc_tx_witness(
        format_named(request.format), request.htlc, request.peer_signature, ours, request.payment_preimage
    )
    return tx.with_witness(request.index, *witness)


def _with_witness(tx: Tx, witness: tuple[bytes, ...]) -> Tx:
    return tx.but(inputs=(tx.inputs[0].but(witness=witness),))
