"""Coins of every kind that regtest can hold, and how each is spent: rightly, or in one named wrong way.

All keys are fixed, so a transaction is its recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fulmen.core.base.ids import OutPoint, Secret
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin import script
from fulmen.core.bitcoin.opcodes import OP_1, OP_1NEGATE, OP_CHECKSIG, OP_DROP, OP_NOP10, OP_RESERVED
from fulmen.core.bitcoin.script import multisig, nulldata, p2pkh, p2sh, p2wpkh, p2wsh, push
from fulmen.core.bitcoin.sighash import SIGHASH_ALL, sighash_legacy, sighash_segwit_v0, sighash_taproot
from fulmen.core.bitcoin.taproot import Leaf, control_block, output_script, output_secret
from fulmen.core.bitcoin.transaction import SEQUENCE_RBF, Tx, TxIn, TxOut
from fulmen.core.crypto.hashes import hash160, sha256
from fulmen.core.crypto.secp256k1 import point_of, sign_ecdsa, sign_schnorr, signature_to_der

SECRET = Secret(sha256(b"fulmen twin"))
POINT = point_of(SECRET)
KEY_HASH = hash160(POINT)
XONLY = bytes(POINT[1:])
OTHER = point_of(Secret(sha256(b"fulmen twin, other")))

FREE = OP_1
"""A script that anybody may satisfy with nothing."""
DROPPING = OP_DROP + OP_1
"""A script that takes one item of any size."""
LEAF = Leaf(OP_DROP + push(XONLY) + OP_CHECKSIG)
CROWDED = OP_CHECKSIG * 16
"""More signature checks than a standard P2SH script may have."""

KINDS: dict[str, bytes] = {
    "wpkh": p2wpkh(KEY_HASH),
    "tr": output_script(XONLY, LEAF.hash),
    "wsh": p2wsh(FREE),
    "wsh-drop": p2wsh(DROPPING),
    "pkh": p2pkh(KEY_HASH),
    "pk": push(POINT) + OP_CHECKSIG,
    "sh": p2sh(hash160(FREE)),
    "sh-wpkh": p2sh(hash160(p2wpkh(KEY_HASH))),
    "sh-crowded": p2sh(hash160(CROWDED)),
    "multi": multisig(1, POINT, OTHER),
    "anchor": script.P2A,
    "wit2": script.number(2) + push(bytes(32)),
    "bare": FREE,
    "nop": OP_NOP10 + OP_1,
}
"""Script by name. The last three are not standard, as outputs or as what is spent."""
SAFE = ("wpkh", "tr", "wsh", "wsh-drop", "pkh", "pk", "sh", "sh-wpkh", "multi")
"""Kinds that can be spent by the rules."""


@dataclass(frozen=True, slots=True)
class Coin:
    """An output somebody may spend."""

    outpoint: OutPoint
    amount: int
    kind: str

    @property
    def output(self) -> TxOut:
        """What it is on the chain."""
        return TxOut(Sat(self.amount), KINDS[self.kind])


def pay(kind: str, amount: int) -> TxOut:
    """An output of a kind."""
    return TxOut(Sat(amount), KINDS[kind])


def out(amount: int, script: bytes) -> TxOut:
    """An output of any script."""
    return TxOut(Sat(amount), script)


def padding(size: int) -> TxOut:
    """An output that nobody can spend, with so many bytes in its push."""
    return TxOut(Sat(0), nulldata(bytes(size)))


def coins_of(tx: Tx) -> list[Coin]:
    """The outputs of a transaction that are of a known kind."""
    by_script = {script_pubkey: kind for kind, script_pubkey in KINDS.items()}
    return [
        Coin(tx.outpoint(vout), output.amount_sat, by_script[output.script_pubkey])
        for vout, output in enumerate(tx.outputs)
        if output.script_pubkey in by_script
    ]


def spend(
    coins: Sequence[Coin],
    outputs: Sequence[TxOut],
    *,
    version: int = 2,
    locktime: int = 0,
    sequences: Sequence[int] = (),
    wrong: str = "",
    item: int = 1,
) -> Tx:
    """A transaction of these coins, signed. `wrong` names what is wrong with its first input, see `WRONGS`.

    Args:
        item: the size of what is dropped by the kinds that take anything.
    """
    inputs = tuple(
        TxIn(coin.outpoint, b"", sequences[at] if at < len(sequences) else SEQUENCE_RBF)
        for at, coin in enumerate(coins)
    )
    tx = Tx(version, inputs, tuple(outputs), locktime)
    spent = tuple(coin.output for coin in coins)
    signed = [_unlock(tx, at, spent, coin.kind, wrong if at == 0 else "", item) for at, coin in enumerate(coins)]
    return tx.but(
        inputs=tuple(
            put.but(script_sig=script_sig, witness=witness)
            for put, (script_sig, witness) in zip(inputs, signed, strict=True)
        )
    )


WRONGS = (
    "signature",
    "empty",
    "extra",
    "annex",
    "sighash",
    "high-s",
    "der",
    "key",
    "not-pushed",
    "large",
    "huge",
    "minimal",
    "leaf",
    "leaf-large",
    "script",
)


def _unlock(
    tx: Tx, at: int, spent: tuple[TxOut, ...], kind: str, wrong: str, item: int
) -> tuple[bytes, tuple[bytes, ...]]:
    script_sig, witness = _rightly(tx, at, spent, kind, wrong, item)
    match wrong:
        case "empty":
            return b"", ()
        case "extra":
            return script_sig, (*witness, b"\x01") if witness else (b"\x01",)
        case "annex":
            return script_sig, (*witness, b"\x50more")
        case "not-pushed":
            return script_sig + OP_RESERVED, witness
        case "large":
            return script_sig + push(bytes(400)) * 5, witness
        case "minimal":
            return script_sig + b"\x4c\x01\x01", witness
        case "script":
            return script_sig + OP_1NEGATE, witness
    return script_sig, witness


def _rightly(
    tx: Tx, at: int, spent: tuple[TxOut, ...], kind: str, wrong: str, item: int
) -> tuple[bytes, tuple[bytes, ...]]:
    amount = spent[at].amount_sat
    point = OTHER if wrong == "key" else POINT
    dropped = bytes(81 if wrong == "huge" else item)
    match kind:
        case "wpkh" | "sh-wpkh":
            digest = sighash_segwit_v0(tx, at, p2pkh(KEY_HASH), amount, SIGHASH_ALL)
            redeem = push(p2wpkh(KEY_HASH)) if kind == "sh-wpkh" else b""
            return redeem, (_ecdsa(digest, wrong), point)
        case "tr" if wrong.startswith("leaf"):
            digest = sighash_taproot(tx, at, spent, leaf_hash=LEAF.hash)
            return b"", (
                _schnorr(SECRET, digest, wrong),
                bytes(81 if wrong == "leaf-large" else 1),
                LEAF.script,
                control_block(XONLY, LEAF, LEAF),
            )
        case "tr":
            secret = output_secret(SECRET, XONLY, LEAF.hash)
            return b"", (_schnorr(secret, sighash_taproot(tx, at, spent), wrong),)
        case "wsh":
            return b"", (FREE,)
        case "wsh-drop":
            return b"", (dropped, DROPPING)
        case "sh":
            return push(FREE), ()
        case "sh-crowded":
            return push(CROWDED), ()
        case "pkh":
            return push(_ecdsa(sighash_legacy(tx, at, p2pkh(KEY_HASH)), wrong)) + push(point), ()
        case "pk":
            return push(_ecdsa(sighash_legacy(tx, at, KINDS["pk"]), wrong)), ()
        case "multi":
            null = OP_1 if wrong == "extra" else b"\x00"
            return null + push(_ecdsa(sighash_legacy(tx, at, KINDS["multi"]), wrong)), ()
    return b"", ()


def _ecdsa(digest: bytes, wrong: str) -> bytes:
    signature = sign_ecdsa(SECRET, digest)
    if wrong == "high-s":
        order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
        return _der(signature[:32], (order - int.from_bytes(signature[32:], "big")).to_bytes(32, "big")) + b"\x01"
    if wrong == "signature":
        signature = sign_ecdsa(SECRET, sha256(digest))
    der = signature_to_der(signature)
    if wrong == "der":
        der = der[:1] + bytes([der[1] + 1]) + der[2:] + b"\x00"
    return der + bytes([0x05 if wrong == "sighash" else SIGHASH_ALL])


def _schnorr(secret: bytes, digest: bytes, wrong: str) -> bytes:
    signature = sign_schnorr(secret, sha256(digest) if wrong == "signature" else digest, bytes(32))
    return signature + b"\x05" if wrong == "sighash" else signature


def _der(r: bytes, s: bytes) -> bytes:
    def integer(value: bytes) -> bytes:
        value = value.lstrip(b"\x00")
        value = b"\x00" + value if value[0] & 0x80 else value
        return b"\x02" + bytes([len(value)]) + value

    body = integer(r) + integer(s)
    return b"\x30" + bytes([len(body)]) + body
