"""The commitment transaction of either end, and what its HTLC transactions sign.

Source: BOLT 3, "Commitment Transaction", "Trimmed Outputs", "HTLC-Timeout and HTLC-Success Transactions" and
"Commitment Transaction Construction".
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from functools import cached_property
from hashlib import sha256
from operator import itemgetter
from struct import Struct
from typing import Protocol

from fulmen.core.base.faults import InvariantBroken
from fulmen.core.base.ids import HtlcKey, OutPoint, PaymentHash, Point, Txid
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Msat, Sat
from fulmen.core.bitcoin.script import P2A, p2wpkh, p2wsh
from fulmen.core.bitcoin.sighash import SIGHASH_ALL, sighash_segwit_v0
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut
from fulmen.core.crypto.hashes import hash160, sha256d
from fulmen.core.transactions.formats import ANCHOR_SAT, SHARED_ANCHOR_MAX_SAT, Anchors, Format
from fulmen.core.transactions.keys import CommitmentKeys
from fulmen.core.transactions.numbers import locktime_and_sequence
from fulmen.core.transactions.scripts import (
    HtlcScripts,
    anchor_script,
    funding_script,
    to_local_script,
    to_remote_script,
)
from fulmen.core.transactions.weights import (
    htlc_success_fee,
    htlc_timeout_fee,
    offered_threshold,
    opener_cost,
    received_threshold,
)

_U32 = Struct("<I").pack
_U64 = Struct("<Q").pack


class CommitmentUnbalanced(InvariantBroken):
    """Balances and HTLCs do not add up to the funding amount (law 4)."""


class AnchorsUnpaid(InvariantBroken):
    """The opener has less than its anchors cost: such a transaction would spend more than there is."""


class HtlcTerms(Protocol):
    """What a commitment has to know of an HTLC; `fulmen.core.commitments.htlcs.Htlc` is one."""

    @property
    def key(self) -> HtlcKey: ...
    @property
    def amount_msat(self) -> Msat: ...
    @property
    def payment_hash(self) -> PaymentHash: ...
    @property
    def cltv_expiry(self) -> BlockHeight: ...


class CommitmentShape(Record):
    """What all commitments of one owner over one funding share."""

    format: Format
    funding: OutPoint
    funding_sat: Sat
    owner_is_opener: bool
    """The opener pays fee and anchors."""
    to_self_delay: int
    """How many blocks the owner waits for its own money: the value that the other end set."""
    dust_limit_sat: Sat
    """The owner's."""
    obscuring_factor: int
    """`numbers.obscuring_factor` of the channel."""


class Role(enum.Enum):
    """What an output of a commitment is for."""

    TO_LOCAL = "to_local"
    """The owner's balance."""
    TO_REMOTE = "to_remote"
    """The other end's balance."""
    LOCAL_ANCHOR = "local_anchor"
    REMOTE_ANCHOR = "remote_anchor"
    SHARED_ANCHOR = "shared_anchor"
    OFFERED_HTLC = "offered_htlc"
    """By the owner."""
    RECEIVED_HTLC = "received_htlc"
    """By the owner."""


class CommitmentOutput(Record):
    """One output, by what it is for."""

    role: Role
    vout: int
    amount_sat: Sat
    script_pubkey: bytes
    witness_script: bytes
    """Empty for P2WPKH and for the shared anchor."""
    key: HtlcKey | None = None
    cltv_expiry: BlockHeight = BlockHeight(0)
    payment_hash: PaymentHash = PaymentHash(b"")


class CommitmentTx(Record, dict=True):
    """A commitment transaction without signatures, with all that is needed to sign, check and spend it."""

    shape: CommitmentShape
    number: int
    keys: CommitmentKeys
    feerate_per_kw: FeeratePerKw
    tx: Tx
    outputs: tuple[CommitmentOutput, ...]
    """By index."""
    trimmed: tuple[HtlcKey, ...]
    """HTLCs too small for an output; their amount is fee. In the order in which they were given."""

    @cached_property
    def htlcs(self) -> tuple[CommitmentOutput, ...]:
        """The outputs of HTLCs, in the order in which `commitment_signed` carries their signatures."""
        return tuple([o for o in self.outputs if o.key is not None])

    @property
    def txid(self) -> Txid:
        """The name of the transaction, which no signature changes."""
        return self.tx.txid

    @property
    def fee_sat(self) -> Sat:
        """What the miner gets: base fee, trimmed HTLCs, dust balances and fractions of satoshis."""
        return Sat(self.shape.funding_sat - sum([o.amount_sat for o in self.outputs]))

    @property
    def funding_script(self) -> bytes:
        """The witness script of the output that this spends."""
        return funding_script(self.keys.owner_funding_pubkey, self.keys.other_funding_pubkey)

    @cached_property
    def digest(self) -> bytes:
        """What both ends sign with their funding keys."""
        return sighash_segwit_v0(self.tx, 0, self.funding_script, self.shape.funding_sat, SIGHASH_ALL)

    @cached_property
    def second_stage_script(self) -> bytes:
        """The witness script of the one output of every HTLC transaction (the same as in `to_local`)."""
        return to_local_script(self.keys.revocationpubkey, self.shape.to_self_delay, self.keys.owner_delayedpubkey)

    def output(self, role: Role) -> CommitmentOutput | None:
        """The one output of a role that is not an HTLC's, or None if it does not exist."""
        return next((o for o in self.outputs if o.role is role), None)

    def htlc_output(self, key: HtlcKey) -> CommitmentOutput | None:
        """The output of an HTLC, or None if it is trimmed or not in this commitment."""
        return next((o for o in self.outputs if o.key == key), None)

    def htlc_tx(self, htlc: CommitmentOutput) -> Tx:
        """HTLC-timeout for an HTLC that the owner offered, HTLC-success for one that it received; unsigned."""
        format = self.shape.format
        offered = htlc.role is Role.OFFERED_HTLC
        fee = htlc_timeout_fee if offered else htlc_success_fee
        return Tx(
            format.version,
            (TxIn(OutPoint(self.txid, htlc.vout), b"", format.htlc_sequence),),
            (TxOut(Sat(htlc.amount_sat - fee(format, self.feerate_per_kw)), p2wsh(self.second_stage_script)),),
            htlc.cltv_expiry if offered else 0,
        )

    def htlc_digests(self) -> list[bytes]:
        """What the other end signs with its HTLC key for each of `htlcs`, in that order.

        The same as `sighash_segwit_v0` of each `htlc_tx`, with the parts that they share computed once: a commitment
        may have hundreds.

        Source: BIP 143; BOLT 3, "HTLC-Timeout and HTLC-Success Transactions".
        """
        format = self.shape.format
        version, sequence = _U32(format.version), _U32(format.htlc_sequence)
        sighash_type = _U32(format.htlc_sighash_type)
        signs_all = format.htlc_sighash_type == SIGHASH_ALL
        hash_sequence = sha256d(sequence) if signs_all else bytes(32)
        hash_prevouts = bytes(32)
        pays_to = b"\x22" + p2wsh(self.second_stage_script)
        timeout_fee = htlc_timeout_fee(format, self.feerate_per_kw)
        success_fee = htlc_success_fee(format, self.feerate_per_kw)
        txid = self.txid
        hashes_of_outputs: dict[int, bytes] = {}
        digests = []
        for htlc in self.htlcs:
            offered = htlc.role is Role.OFFERED_HTLC
            outpoint = txid + _U32(htlc.vout)
            if signs_all:
                hash_prevouts = sha256(sha256(outpoint).digest()).digest()
            paid_sat = htlc.amount_sat - (timeout_fee if offered else success_fee)
            hash_outputs = hashes_of_outputs.get(paid_sat)
            if hash_outputs is None:
                hash_outputs = sha256(sha256(_U64(paid_sat) + pays_to).digest()).digest()
                hashes_of_outputs[paid_sat] = hash_outputs
            preimage = b"".join(
                (
                    version,
                    hash_prevouts,
                    hash_sequence,
                    outpoint,
                    bytes((len(htlc.witness_script),)),  # at most 142 bytes
                    htlc.witness_script,
                    _U64(htlc.amount_sat),
                    sequence,
                    hash_outputs,
                    _U32(htlc.cltv_expiry if offered else 0),
                    sighash_type,
                )
            )
            digests.append(sha256(sha256(preimage).digest()).digest())
        return digests


def build_commitment(
    shape: CommitmentShape,
    number: int,
    keys: CommitmentKeys,
    to_owner_msat: Msat,
    to_other_msat: Msat,
    offered: Sequence[HtlcTerms],
    received: Sequence[HtlcTerms],
    feerate_per_kw: FeeratePerKw,
) -> CommitmentTx:
    """The commitment transaction with this number.

    Args:
        to_owner_msat, to_other_msat: balances before fee and anchors.
        offered: HTLCs that the owner offered.
        received: HTLCs that the owner received.

    Raises:
        CommitmentUnbalanced: the amounts do not add up to the funding.
        AnchorsUnpaid: the opener cannot pay for the anchors; the channel should not have let it come to this.
        NumberOutOfRange: the number has more than 48 bits.

    Source: BOLT 3, "Commitment Transaction Construction".
    """
    format, dust = shape.format, shape.dust_limit_sat
    if format.anchors is Anchors.SHARED:
        feerate_per_kw = FeeratePerKw(0)
    rows, trimmed, htlcs_msat = _htlc_rows(shape, keys, offered, received, feerate_per_kw)
    if to_owner_msat < 0 or to_other_msat < 0 or to_owner_msat + to_other_msat + htlcs_msat != shape.funding_sat * 1000:
        raise CommitmentUnbalanced(
            funding_sat=shape.funding_sat,
            to_owner_msat=to_owner_msat,
            to_other_msat=to_other_msat,
            htlcs_msat=htlcs_msat,
        )
    untrimmed = len(rows)
    # BOLT 3: "The amounts for each output MUST be rounded down to whole satoshis."
    to_owner_sat, to_other_sat = to_owner_msat // 1000, to_other_msat // 1000
    # BOLT 3: "MUST be subtracted from the `to_local` or `to_remote` outputs". If the opener cannot pay all of it, it
    # pays what it has.
    cost = opener_cost(format, feerate_per_kw, untrimmed)
    if shape.owner_is_opener:
        to_owner_sat = max(0, to_owner_sat - cost)
    else:
        to_other_sat = max(0, to_other_sat - cost)

    # BOLT 3: "if the amount of the commitment transaction `to_local` output would be less than `dust_limit_satoshis`
    # set by the transaction owner: MUST NOT contain that output."
    has_owner, has_other = to_owner_sat >= dust, to_other_sat >= dust
    if has_owner:
        script = to_local_script(keys.revocationpubkey, shape.to_self_delay, keys.owner_delayedpubkey)
        rows.append(_row(Role.TO_LOCAL, to_owner_sat, p2wsh(script), script))
    if has_other:
        rows.append(_row(Role.TO_REMOTE, to_other_sat, *_to_remote(format, keys.other_paymentpubkey)))
    rows += _anchor_rows(shape, keys, has_owner or untrimmed > 0, has_other or untrimmed > 0, rows)
    if sum([row[0] for row in rows]) > shape.funding_sat:
        raise AnchorsUnpaid(funding_sat=shape.funding_sat, to_owner_sat=to_owner_sat, to_other_sat=to_other_sat)
    rows.sort(key=_ORDER)

    locktime, sequence = locktime_and_sequence(number, shape.obscuring_factor)
    tx = Tx(
        format.version,
        (TxIn(shape.funding, b"", sequence),),
        tuple([TxOut(Sat(row[0]), row[1]) for row in rows]),
        locktime,
    )
    outputs = [
        CommitmentOutput(role, vout, Sat(amount), script_pubkey, script)
        if htlc is None
        else CommitmentOutput(
            role, vout, Sat(amount), script_pubkey, script, htlc.key, htlc.cltv_expiry, htlc.payment_hash
        )
        for vout, (amount, script_pubkey, _, _, role, script, htlc) in enumerate(rows)
    ]
    return CommitmentTx(shape, number, keys, feerate_per_kw, tx, tuple(outputs), tuple(trimmed))


_Row = tuple[int, bytes, int, int, Role, bytes, HtlcTerms | None]
"""Amount, script_pubkey, cltv_expiry and HTLC id, by which outputs are sorted; then role, witness script, HTLC."""

# BOLT 3: "first according to their value, smallest first", "followed by `scriptpubkey`", "finally, for HTLC outputs, in
# increasing `cltv_expiry` order". What is equal in all of them goes by id, so that the order is ours alone to choose
# and yet always the same.
_ORDER = itemgetter(0, 1, 2, 3)


def _htlc_rows(
    shape: CommitmentShape,
    keys: CommitmentKeys,
    offered: Sequence[HtlcTerms],
    received: Sequence[HtlcTerms],
    feerate_per_kw: FeeratePerKw,
) -> tuple[list[_Row], list[HtlcKey], int]:
    """The rows of untrimmed HTLCs, the keys of trimmed ones, and the sum of all in msat."""
    if not offered and not received:
        return [], [], 0
    format, dust = shape.format, shape.dust_limit_sat
    scripts = HtlcScripts(keys.revocationpubkey, keys.owner_htlcpubkey, keys.other_htlcpubkey, format.csv)
    rows: list[_Row] = []
    trimmed: list[HtlcKey] = []
    total_msat = 0
    threshold = offered_threshold(format, feerate_per_kw, dust)
    for htlc in offered:
        total_msat += htlc.amount_msat
        amount_sat = htlc.amount_msat // 1000
        # BOLT 3: "if the HTLC amount minus the HTLC-timeout fee would be less than `dust_limit_satoshis` set by the
        # transaction owner: MUST NOT contain that output."
        if amount_sat < threshold:
            trimmed.append(htlc.key)
            continue
        script = scripts.offered(htlc.payment_hash)
        rows.append((amount_sat, p2wsh(script), htlc.cltv_expiry, htlc.key.id, Role.OFFERED_HTLC, script, htlc))
    threshold = received_threshold(format, feerate_per_kw, dust)
    for htlc in received:
        total_msat += htlc.amount_msat
        amount_sat = htlc.amount_msat // 1000
        if amount_sat < threshold:
            trimmed.append(htlc.key)
            continue
        script = scripts.received(htlc.payment_hash, htlc.cltv_expiry)
        rows.append((amount_sat, p2wsh(script), htlc.cltv_expiry, htlc.key.id, Role.RECEIVED_HTLC, script, htlc))
    return rows, trimmed, total_msat


def _row(role: Role, amount_sat: int, script_pubkey: bytes, witness_script: bytes) -> _Row:
    return amount_sat, script_pubkey, 0, 0, role, witness_script, None


def _to_remote(format: Format, paymentpubkey: Point) -> tuple[bytes, bytes]:
    """script_pubkey and witness script of the other end's balance."""
    if format.csv:
        script = to_remote_script(paymentpubkey, format.csv)
        return p2wsh(script), script
    return p2wpkh(hash160(paymentpubkey)), b""


def _anchor_rows(
    shape: CommitmentShape, keys: CommitmentKeys, owner_has_some: bool, other_has_some: bool, rows: list[_Row]
) -> list[_Row]:
    anchors = shape.format.anchors
    if anchors is Anchors.SHARED:
        # What is trimmed or a fraction goes into the anchor, up to its limit; the rest is fee.
        left_sat = shape.funding_sat - sum([row[0] for row in rows])
        return [_row(Role.SHARED_ANCHOR, min(SHARED_ANCHOR_MAX_SAT, left_sat), P2A, b"")]
    if anchors is Anchors.NONE:
        return []
    found = []
    # BOLT 3: "if `to_local` exists or there are untrimmed HTLCs, add a `to_local_anchor` output"
    if owner_has_some:
        script = anchor_script(keys.owner_funding_pubkey)
        found.append(_row(Role.LOCAL_ANCHOR, ANCHOR_SAT, p2wsh(script), script))
    # BOLT 3: "if `to_remote` exists or there are untrimmed HTLCs, add a `to_remote_anchor` output"
    if other_has_some:
        script = anchor_script(keys.other_funding_pubkey)
        found.append(_row(Role.REMOTE_ANCHOR, ANCHOR_SAT, p2wsh(script), script))
    return found
