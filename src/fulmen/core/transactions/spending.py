"""How each output can be spent: what the input must say, who signs, and what the witness is.

Every way but one needs a single signature, so it is a value, `Spend`: sequence, locktime, script code, who signs, and
what follows the signature. The HTLC transactions need two signatures; they stand at the end.

Source: BOLT 3, "Commitment Transaction Outputs" and "HTLC-Timeout and HTLC-Success Transactions"; weights as in
BOLT 5, "Appendix A: Expected Weights", with signatures of 73 bytes.
"""

from __future__ import annotations

import enum

from fulmen.core.base.ids import OutPoint, Point, Preimage, Signature
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, Sat, Weight
from fulmen.core.bitcoin.cursor import compact_size
from fulmen.core.bitcoin.script import P2A, p2pkh, p2wpkh, p2wsh
from fulmen.core.bitcoin.sighash import SIGHASH_ALL, sighash_segwit_v0
from fulmen.core.bitcoin.transaction import SEQUENCE_RBF, Tx, TxIn, TxOut
from fulmen.core.crypto.hashes import hash160
from fulmen.core.crypto.secp256k1 import signature_to_der
from fulmen.core.transactions.commitment import CommitmentOutput, Role
from fulmen.core.transactions.formats import Format

MAX_SIGNATURE_LENGTH = 73
"""A DER signature and its sighash byte, at most (low S makes it 72; the BOLTs count 73)."""
INPUT_WEIGHT = Weight(4 * 41)
"""An input without its witness."""
ANCHOR_OPEN_TO_ALL_CSV = 16


class Signer(enum.Enum):
    """Which of the spending end's channel keys signs."""

    FUNDING = "funding"
    PAYMENT = "payment"
    """The payment_basepoint's secret, untouched."""
    DELAYED_PAYMENT = "delayed_payment"
    HTLC = "htlc"
    REVOCATION = "revocation"
    """Of the revocation_basepoint's secret and the revealed per-commitment secret."""
    NOBODY = "nobody"


class Spend(Record):
    """One way to spend one output."""

    amount_sat: Sat
    script_pubkey: bytes
    script_code: bytes
    """What the signature commits to (BIP 143)."""
    signer: Signer
    rest: tuple[bytes, ...]
    """The witness behind the signature."""
    sequence: int = SEQUENCE_RBF
    """nSequence of the input; below 0x10000 the number of blocks it waits."""
    locktime: BlockHeight = BlockHeight(0)
    """The least nLockTime of the spending transaction."""

    @property
    def weight(self) -> Weight:
        """Of the whole input with the longest signature."""
        items = self.rest if self.signer is Signer.NOBODY else (bytes(MAX_SIGNATURE_LENGTH), *self.rest)
        return Weight(INPUT_WEIGHT + len(compact_size(len(items))) + sum(len(_sized(item)) for item in items))

    def input(self, outpoint: OutPoint) -> TxIn:
        """The input that spends this way, without its witness."""
        return TxIn(outpoint, b"", self.sequence)

    def digest(self, tx: Tx, index: int) -> bytes:
        """What has to be signed for this input of a transaction, with SIGHASH_ALL."""
        return sighash_segwit_v0(tx, index, self.script_code, self.amount_sat, SIGHASH_ALL)

    def witness(self, signature: Signature | None) -> tuple[bytes, ...]:
        """The finished witness; there is no signature only where nobody signs."""
        if self.signer is Signer.NOBODY or signature is None:
            return self.rest
        return (witness_signature(signature), *self.rest)


def witness_signature(signature: Signature, sighash_type: int = SIGHASH_ALL) -> bytes:
    """A compact signature as a witness carries it: DER and the sighash byte.

    Raises:
        NotASignature: a half is not below the order of the curve.
    """
    return signature_to_der(signature) + bytes((sighash_type,))


def spend_to_local(output: CommitmentOutput, to_self_delay: int) -> Spend:
    """The owner takes its balance, once the delay is over."""
    return _delayed(output.amount_sat, output.witness_script, to_self_delay)


def punish_to_local(output: CommitmentOutput) -> Spend:
    """The other end takes the balance of a revoked commitment's owner."""
    return _penalty(output.amount_sat, output.witness_script)


def spend_to_remote(output: CommitmentOutput, paymentpubkey: Point, csv: int) -> Spend:
    """The other end takes its balance: at once, or with option_anchors one block after the commitment."""
    if not output.witness_script:
        return spend_p2wpkh(output.amount_sat, paymentpubkey, Signer.PAYMENT)
    return _single(output, Signer.PAYMENT, (), sequence=csv)


def spend_p2wpkh(amount_sat: Sat, pubkey: Point, signer: Signer) -> Spend:
    """A plain pay-to-witness-pubkey-hash output."""
    pubkey_hash = hash160(pubkey)
    return Spend(amount_sat, p2wpkh(pubkey_hash), p2pkh(pubkey_hash), signer, (pubkey,))


def spend_anchor(output: CommitmentOutput) -> Spend:
    """The end that an anchor belongs to spends it to raise the commitment's fee; anyone spends a shared one."""
    if output.role is Role.SHARED_ANCHOR:
        return Spend(output.amount_sat, P2A, b"", Signer.NOBODY, ())
    return _single(output, Signer.FUNDING, ())


def sweep_anchor(output: CommitmentOutput) -> Spend:
    """Anyone picks up a forgotten anchor, 16 blocks after the commitment."""
    return Spend(
        output.amount_sat,
        output.script_pubkey,
        output.witness_script,
        Signer.NOBODY,
        (b"", output.witness_script),
        ANCHOR_OPEN_TO_ALL_CSV,
    )


def claim_offered_htlc(output: CommitmentOutput, preimage: Preimage, csv: int) -> Spend:
    """The other end takes an HTLC that the owner offered, with the preimage."""
    return _single(output, Signer.HTLC, (preimage,), sequence=csv or SEQUENCE_RBF)


def take_back_received_htlc(output: CommitmentOutput, csv: int) -> Spend:
    """The other end takes back an HTLC that the owner received, after its expiry."""
    return _single(output, Signer.HTLC, (b"",), sequence=csv or SEQUENCE_RBF, locktime=output.cltv_expiry)


def punish_htlc(output: CommitmentOutput, revocationpubkey: Point) -> Spend:
    """The other end takes any HTLC of a revoked commitment."""
    return _single(output, Signer.REVOCATION, (revocationpubkey,))


def spend_second_stage(amount_sat: Sat, second_stage_script: bytes, to_self_delay: int) -> Spend:
    """The owner takes the output of its HTLC transaction, once the delay is over."""
    return _delayed(amount_sat, second_stage_script, to_self_delay)


def punish_second_stage(amount_sat: Sat, second_stage_script: bytes) -> Spend:
    """The other end takes the output of an HTLC transaction on a revoked commitment."""
    return _penalty(amount_sat, second_stage_script)


def owner_htlc_digest(htlc: CommitmentOutput, tx: Tx, index: int = 0) -> bytes:
    """What the owner signs for its HTLC transaction, which may have got more inputs and outputs: SIGHASH_ALL."""
    return sighash_segwit_v0(tx, index, htlc.witness_script, htlc.amount_sat, SIGHASH_ALL)


def htlc_tx_witness(
    format: Format,
    htlc: CommitmentOutput,
    other_signature: Signature,
    owner_signature: Signature,
    preimage: Preimage | None = None,
) -> tuple[bytes, ...]:
    """`0 <remotehtlcsig> <localhtlcsig> <payment_preimage>` for HTLC-success, `<>` at its place for HTLC-timeout."""
    return (
        b"",
        witness_signature(other_signature, format.htlc_sighash_type),
        witness_signature(owner_signature),
        preimage or b"",
        htlc.witness_script,
    )


def htlc_tx_input_weight(htlc: CommitmentOutput) -> Weight:
    """Of the input of an HTLC transaction, with the longest signatures."""
    preimage = b"" if htlc.role is Role.OFFERED_HTLC else bytes(32)
    items = (b"", bytes(MAX_SIGNATURE_LENGTH), bytes(MAX_SIGNATURE_LENGTH), preimage, htlc.witness_script)
    return Weight(INPUT_WEIGHT + 1 + sum(len(_sized(item)) for item in items))


def sweep_tx(spends: tuple[tuple[OutPoint, Spend], ...], outputs: tuple[TxOut, ...], version: int = 2) -> Tx:
    """One transaction, still without witnesses, that spends all of these; its locktime is the latest they ask for."""
    return Tx(
        version,
        tuple(spend.input(outpoint) for outpoint, spend in spends),
        outputs,
        max((spend.locktime for _, spend in spends), default=0),
    )


def _single(
    output: CommitmentOutput,
    signer: Signer,
    between: tuple[bytes, ...],
    sequence: int = SEQUENCE_RBF,
    locktime: BlockHeight = BlockHeight(0),  # noqa: B008 - a plain number
) -> Spend:
    rest = (*between, output.witness_script)
    return Spend(output.amount_sat, output.script_pubkey, output.witness_script, signer, rest, sequence, locktime)


def _delayed(amount_sat: Sat, script: bytes, to_self_delay: int) -> Spend:
    return Spend(amount_sat, p2wsh(script), script, Signer.DELAYED_PAYMENT, (b"", script), to_self_delay)


def _penalty(amount_sat: Sat, script: bytes) -> Spend:
    return Spend(amount_sat, p2wsh(script), script, Signer.REVOCATION, (b"\x01", script))


def _sized(item: bytes) -> bytes:
    return compact_size(len(item)) + item
