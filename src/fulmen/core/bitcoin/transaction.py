"""Transactions: the value, its bytes, its names and its weight. BIP 141, BIP 144.

`Tx` is frozen, so what is computed from it once (txid, serialisation, sighash midstates) is kept with it.
"""

from __future__ import annotations

from functools import cached_property
from hashlib import sha256
from struct import Struct

from fulmen.core.base.faults import Malformed
from fulmen.core.base.ids import OutPoint, Txid
from fulmen.core.base.record import Record
from fulmen.core.base.units import MAX_MONEY_SAT, FeeratePerKw, Sat, Weight, fee_for_weight
from fulmen.core.bitcoin.cursor import Cursor, compact_size, with_length

SEQUENCE_FINAL = 0xFFFFFFFF
SEQUENCE_RBF = 0xFFFFFFFD
"""The locktime counts, and the transaction signals that it may be replaced (BIP 125)."""
NULL_OUTPOINT = OutPoint(Txid(bytes(32)), 0xFFFFFFFF)
"""What the one input of a coinbase names."""
MAX_TX_BYTES = 4_000_000
"""A transaction lives in a block of at most 4,000,000 weight units, of which every byte takes at least one."""
WITNESS_SCALE = 4
INCREMENTAL_PER_KW = FeeratePerKw(253)
"""What a replacement pays more, at least, for its own relay (BIP 125, rule 4, at 1 sat/vB, rounded up)."""

_U32 = Struct("<I").pack
_U64 = Struct("<Q").pack


class TxTooLarge(Malformed):
    """More bytes than any block can hold."""


class TxWithoutInputs(Malformed):
    """A transaction has no input."""


class TxWithoutOutputs(Malformed):
    """A transaction has no output."""


class TxFlagUnknown(Malformed):
    """The flag after the segwit marker is not 1 (BIP 144)."""


class WitnessSuperfluous(Malformed):
    """A transaction is serialised with witnesses, and all of them are empty (BIP 144)."""


class AmountOutOfRange(Malformed):
    """An output has more satoshis than there will ever be."""


class TxIn(Record):
    """What a transaction spends, and why it may."""

    outpoint: OutPoint
    script_sig: bytes = b""
    sequence: int = SEQUENCE_RBF
    witness: tuple[bytes, ...] = ()


class TxOut(Record):
    """An amount, and who may spend it."""

    amount_sat: Sat
    script_pubkey: bytes

    def serialize(self) -> bytes:
        """8 bytes amount, then the script after its length."""
        return _U64(self.amount_sat) + with_length(self.script_pubkey)


class Tx(Record, dict=True):
    """A transaction."""

    version: int
    """As unsigned 32 bits."""
    inputs: tuple[TxIn, ...]
    outputs: tuple[TxOut, ...]
    locktime: int = 0

    @cached_property
    def txid(self) -> Txid:
        """SHA-256d without witnesses, internal byte order."""
        return Txid(sha256(sha256(self.base).digest()).digest())

    @cached_property
    def wtxid(self) -> bytes:
        """SHA-256d with witnesses, internal byte order (BIP 141)."""
        return sha256(sha256(self.serialize()).digest()).digest() if self.has_witness else self.txid

    @property
    def has_witness(self) -> bool:
        """True if some input has a witness."""
        return any(i.witness for i in self.inputs)

    @property
    def is_coinbase(self) -> bool:
        """True for the transaction that mints a block's reward."""
        return len(self.inputs) == 1 and self.inputs[0].outpoint == NULL_OUTPOINT

    @cached_property
    def base(self) -> bytes:
        """The serialisation without witnesses: what the txid hashes."""
        return b"".join((_U32(self.version), self._body, _U32(self.locktime)))

    def serialize(self) -> bytes:
        """The bytes as they travel: with witnesses if there are any (BIP 144)."""
        return self._full

    @cached_property
    def weight(self) -> Weight:
        """Weight units: three times the size without witnesses plus the whole size (BIP 141)."""
        return Weight((WITNESS_SCALE - 1) * len(self.base) + len(self._full))

    @property
    def vsize(self) -> int:
        """Virtual bytes: a quarter of the weight, rounded up."""
        return -(-self.weight // WITNESS_SCALE)

    @cached_property
    def sha_prevouts(self) -> bytes:
        """SHA-256 of all outpoints: a midstate of BIP 143 (hashed once more) and BIP 341."""
        return sha256(b"".join([i.outpoint.txid + _U32(i.outpoint.vout) for i in self.inputs])).digest()

    @cached_property
    def sha_sequences(self) -> bytes:
        """SHA-256 of all sequences: a midstate of BIP 143 (hashed once more) and BIP 341."""
        return sha256(b"".join([_U32(i.sequence) for i in self.inputs])).digest()

    @cached_property
    def sha_outputs(self) -> bytes:
        """SHA-256 of all outputs: a midstate of BIP 143 (hashed once more) and BIP 341."""
        return sha256(self._outputs).digest()

    def outpoint(self, vout: int) -> OutPoint:
        """The name of one of its outputs."""
        return OutPoint(self.txid, vout)

    def find(self, output: TxOut) -> int | None:
        """The index of the first output with this amount and script, or None."""
        return next((vout for vout, candidate in enumerate(self.outputs) if candidate == output), None)

    def with_witness(self, index: int, *witness: bytes) -> Tx:
        """The same transaction with the witness of one input put in."""
        spent = self.inputs[index].but(witness=witness)
        return Tx(self.version, (*self.inputs[:index], spent, *self.inputs[index + 1 :]), self.outputs, self.locktime)

    @cached_property
    def _body(self) -> bytes:
        parts = [compact_size(len(self.inputs))]
        for i in self.inputs:
            parts += (i.outpoint.txid, _U32(i.outpoint.vout), with_length(i.script_sig), _U32(i.sequence))
        parts += (compact_size(len(self.outputs)), self._outputs)
        return b"".join(parts)

    @cached_property
    def _outputs(self) -> bytes:
        return b"".join([_U64(o.amount_sat) + with_length(o.script_pubkey) for o in self.outputs])

    @cached_property
    def _full(self) -> bytes:
        if not self.has_witness:
            return self.base
        parts = [_U32(self.version), b"\x00\x01", self._body]
        for i in self.inputs:
            parts.append(compact_size(len(i.witness)))
            parts += [with_length(item) for item in i.witness]
        parts.append(_U32(self.locktime))
        return b"".join(parts)


def parse_tx(data: bytes) -> Tx:
    """Read a transaction; the bytes must be exactly one.

    Raises:
        Malformed: by the name of what is wrong.
    """
    if len(data) > MAX_TX_BYTES:
        raise TxTooLarge(bytes=len(data))
    cursor = Cursor(data)
    tx = read_tx(cursor)
    cursor.finish()
    return tx


def parse_unlawful_tx(data: bytes) -> Tx:
    """Read whatever has the form of a transaction, for those who must say which rule it breaks.

    It may have no outputs, or neither inputs nor outputs, and amounts beyond all the money there is (as unsigned 64
    bits). What has outputs and no inputs cannot be told from a broken one with witnesses, and is refused.

    Raises:
        Malformed: it has not the form.
    """
    if len(data) > MAX_TX_BYTES:
        raise TxTooLarge(bytes=len(data))
    cursor = Cursor(data)
    tx = read_tx(cursor, lawful=False)
    cursor.finish()
    return tx


def read_tx(cursor: Cursor, *, lawful: bool = True) -> Tx:
    """Read one transaction and leave the cursor behind it.

    Args:
        lawful: refuse what no rule allows, see `parse_unlawful_tx`.

    Raises:
        Malformed: by the name of what is wrong.
    """
    version = cursor.u32()
    inputs = _read_inputs(cursor)
    with_witnesses = not inputs
    if with_witnesses:
        flag = cursor.u8()
        if flag == 0:
            if lawful:
                raise TxWithoutInputs
            return Tx(version, (), (), cursor.u32())
        if flag != 1:
            raise TxFlagUnknown(flag=flag)
        inputs = _read_inputs(cursor)
        if not inputs:
            raise TxWithoutInputs
    outputs = _read_outputs(cursor, lawful=lawful)
    if lawful and not outputs:
        raise TxWithoutOutputs
    if with_witnesses:
        witnesses = [_read_witness(cursor) for _ in inputs]
        if not any(witnesses):
            raise WitnessSuperfluous
        inputs = [
            TxIn(i.outpoint, i.script_sig, i.sequence, witness) for i, witness in zip(inputs, witnesses, strict=True)
        ]
    return Tx(version, tuple(inputs), outputs, cursor.u32())


def fee_of(tx: Tx, spent_sat: Sat) -> Sat:
    """What a transaction that spends this much in all leaves to the miner."""
    return Sat(spent_sat - sum(o.amount_sat for o in tx.outputs))


def fee_at(feerate_per_kw: FeeratePerKw, weight: int) -> Sat:
    """The fee of our own transactions: rounded up, so that the feerate is never below what was asked."""
    floor = fee_for_weight(feerate_per_kw, Weight(weight))
    return Sat(floor + (feerate_per_kw * weight % 1000 > 0))


def _read_inputs(cursor: Cursor) -> list[TxIn]:
    return [
        TxIn(OutPoint(Txid(cursor.take(32)), cursor.u32()), cursor.string(), cursor.u32())
        for _ in range(cursor.count(41))
    ]


def _read_outputs(cursor: Cursor, *, lawful: bool) -> tuple[TxOut, ...]:
    return tuple([_read_output(cursor, lawful) for _ in range(cursor.count(9))])


def _read_output(cursor: Cursor, lawful: bool) -> TxOut:
    amount = cursor.u64()
    if lawful and amount > MAX_MONEY_SAT:
        raise AmountOutOfRange(amount_sat=amount)
    return TxOut(Sat(amount), cursor.string())


def _read_witness(cursor: Cursor) -> tuple[bytes, ...]:
    return tuple([cursor.string() for _ in range(cursor.count(1))])
