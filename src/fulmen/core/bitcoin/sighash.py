"""What a signature of an input signs: segwit v0 (BIP 143), taproot (BIP 341, BIP 342) and legacy.

The hashes over all inputs or outputs are kept with the `Tx`, so many inputs cost one pass.
"""

from __future__ import annotations

from hashlib import sha256
from struct import Struct

from fulmen.core.base.faults import Malformed
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.cursor import compact_size, with_length
from fulmen.core.bitcoin.opcodes import OP_CODESEPARATOR
from fulmen.core.bitcoin.script import PushTruncated, parts_of
from fulmen.core.bitcoin.transaction import Tx, TxOut

SIGHASH_DEFAULT = 0x00
"""Taproot only: like ALL, and the signature is 64 bytes."""
SIGHASH_ALL = 0x01
SIGHASH_NONE = 0x02
SIGHASH_SINGLE = 0x03
SIGHASH_ANYONECANPAY = 0x80

_U32 = Struct("<I").pack
_U64 = Struct("<Q").pack
_ZERO = bytes(32)
_TAG = sha256(b"TapSighash").digest()
_TAPROOT_TYPES = (0x00, 0x01, 0x02, 0x03, 0x81, 0x82, 0x83)


class SighashTypeUnknown(Malformed):
    """Taproot knows only seven sighash types (BIP 341)."""


class SighashSingleWithoutOutput(Malformed):
    """SIGHASH_SINGLE, and there is no output with the input's index."""


def sighash_segwit_v0(
    tx: Tx, index: int, script_code: bytes, amount_sat: Sat, sighash_type: int = SIGHASH_ALL
) -> bytes:
    """The digest that an ECDSA signature of a P2WPKH or P2WSH input signs.

    Args:
        script_code: the witness script; for P2WPKH the P2PKH script of the same hash.
        amount_sat: of the output that is spent.

    Source: BIP 143, "Specification".
    """
    base = sighash_type & 0x1F
    anyone_can_pay = sighash_type & SIGHASH_ANYONECANPAY
    every_output = base not in (SIGHASH_NONE, SIGHASH_SINGLE)
    if every_output:
        hash_outputs = sha256(tx.sha_outputs).digest()
    elif base == SIGHASH_SINGLE and index < len(tx.outputs):
        hash_outputs = _sha256d(tx.outputs[index].serialize())
    else:
        hash_outputs = _ZERO
    spent = tx.inputs[index]
    return _sha256d(
        b"".join(
            (
                _U32(tx.version),
                _ZERO if anyone_can_pay else sha256(tx.sha_prevouts).digest(),
                sha256(tx.sha_sequences).digest() if every_output and not anyone_can_pay else _ZERO,
                spent.outpoint.txid,
                _U32(spent.outpoint.vout),
                with_length(script_code),
                _U64(amount_sat),
                _U32(spent.sequence),
                hash_outputs,
                _U32(tx.locktime),
                _U32(sighash_type),
            )
        )
    )


def sighash_taproot(
    tx: Tx,
    index: int,
    spent: tuple[TxOut, ...],
    sighash_type: int = SIGHASH_DEFAULT,
    leaf_hash: bytes | None = None,
    annex: bytes | None = None,
    codeseparator: int = 0xFFFFFFFF,
) -> bytes:
    """The digest that a Schnorr signature of a taproot input signs.

    Args:
        spent: the outputs that all inputs spend, in their order.
        leaf_hash: for a script path spend, the 32-byte tapleaf hash; None for the key path.
        annex: with its first byte 0x50.
        codeseparator: the position of the last executed OP_CODESEPARATOR (BIP 342).

    Raises:
        SighashTypeUnknown, SighashSingleWithoutOutput: the digest does not exist.

    Source: BIP 341, "Common signature message"; BIP 342, "Common Signature Message Extension".
    """
    if sighash_type not in _TAPROOT_TYPES:
        raise SighashTypeUnknown(sighash_type=sighash_type)
    base = sighash_type & 3
    anyone_can_pay = sighash_type & SIGHASH_ANYONECANPAY
    parts = [b"\x00", bytes((sighash_type,)), _U32(tx.version), _U32(tx.locktime)]
    if not anyone_can_pay:
        parts += (
            tx.sha_prevouts,
            sha256(b"".join([_U64(o.amount_sat) for o in spent])).digest(),
            sha256(b"".join([with_length(o.script_pubkey) for o in spent])).digest(),
            tx.sha_sequences,
        )
    if base not in (SIGHASH_NONE, SIGHASH_SINGLE):
        parts.append(tx.sha_outputs)
    parts.append(bytes(((2 if leaf_hash is not None else 0) + (annex is not None),)))
    if anyone_can_pay:
        this = tx.inputs[index]
        parts += (this.outpoint.txid, _U32(this.outpoint.vout), spent[index].serialize(), _U32(this.sequence))
    else:
        parts.append(_U32(index))
    if annex is not None:
        parts.append(sha256(with_length(annex)).digest())
    if base == SIGHASH_SINGLE:
        if index >= len(tx.outputs):
            raise SighashSingleWithoutOutput(index=index, outputs=len(tx.outputs))
        parts.append(sha256(tx.outputs[index].serialize()).digest())
    if leaf_hash is not None:
        parts += (leaf_hash, b"\x00", _U32(codeseparator))
    return sha256(_TAG + _TAG + b"".join(parts)).digest()


def sighash_legacy(tx: Tx, index: int, script_code: bytes, sighash_type: int = SIGHASH_ALL) -> bytes:
    """The digest that a signature of a pre-segwit input signs.

    Its oddities are consensus: without a matching output SIGHASH_SINGLE signs the number 1, and OP_CODESEPARATOR is
    left out of the script.

    Source: Bitcoin Core, SignatureHash.
    """
    base = sighash_type & 0x1F
    if base == SIGHASH_SINGLE and index >= len(tx.outputs):
        return b"\x01" + bytes(31)
    script = _without_codeseparators(script_code)
    parts = [_U32(tx.version)]
    others = range(index, index + 1) if sighash_type & SIGHASH_ANYONECANPAY else range(len(tx.inputs))
    parts.append(compact_size(len(others)))
    for i in others:
        this = tx.inputs[i]
        keeps_sequence = i == index or base not in (SIGHASH_NONE, SIGHASH_SINGLE)
        parts += (
            this.outpoint.txid,
            _U32(this.outpoint.vout),
            with_length(script if i == index else b""),
            _U32(this.sequence if keeps_sequence else 0),
        )
    if base == SIGHASH_NONE:
        parts.append(b"\x00")
    elif base == SIGHASH_SINGLE:
        blank = b"\xff" * 8 + b"\x00"
        parts += (compact_size(index + 1), blank * index, tx.outputs[index].serialize())
    else:
        parts += (compact_size(len(tx.outputs)), *[o.serialize() for o in tx.outputs])
    parts += (_U32(tx.locktime), _U32(sighash_type & 0xFFFFFFFF))
    return _sha256d(b"".join(parts))


def _sha256d(data: bytes) -> bytes:
    return sha256(sha256(data).digest()).digest()


def _without_codeseparators(script: bytes) -> bytes:
    if OP_CODESEPARATOR not in script:
        return script
    kept = bytearray()
    at = 0
    try:
        for opcode, pushed in parts_of(script):
            length = 1 if pushed is None else _push_size(opcode, pushed)
            if opcode != OP_CODESEPARATOR[0]:
                kept += script[at : at + length]
            at += length
    except PushTruncated:
        kept += script[at:]  # what cannot be read stays as it is
    return bytes(kept)


def _push_size(opcode: int, pushed: bytes) -> int:
    prefix = 1 + (1 << (opcode - 0x4C) if opcode >= 0x4C else 0)
    return prefix + len(pushed)
