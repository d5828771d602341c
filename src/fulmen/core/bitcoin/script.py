"""Scripts: pushes, numbers, the output forms, and taking a script apart. BIP 16, BIP 62, BIP 141, BIP 341.

Scripts are written by adding bytes: `OP_DUP + OP_HASH160 + push(h) + OP_EQUALVERIFY + OP_CHECKSIG`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from hashlib import sha256

from fulmen.core.base.faults import Malformed
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.cursor import compact_size
from fulmen.core.bitcoin.opcodes import (
    NAMES,
    OP_0,
    OP_1,
    OP_1NEGATE,
    OP_CHECKMULTISIG,
    OP_CHECKSIG,
    OP_DUP,
    OP_EQUAL,
    OP_EQUALVERIFY,
    OP_HASH160,
    OP_PUSHDATA1,
    OP_PUSHDATA2,
    OP_PUSHDATA4,
    OP_RETURN,
)
from fulmen.core.crypto.secp256k1 import signature_from_der

P2A = OP_1 + b"\x02\x4e\x73"
"""Pay to anchor: anyone may spend it with an empty witness."""
MAX_SCRIPT_BYTES = 10_000
_LONGEST_NUMBER = 4
_SIGHASH_NAMES = {
    0x01: "ALL",
    0x02: "NONE",
    0x03: "SINGLE",
    0x81: "ALL|ANYONECANPAY",
    0x82: "NONE|ANYONECANPAY",
    0x83: "SINGLE|ANYONECANPAY",
}
DUST_RELAY_FEERATE_PER_KVB = 3000
"""Bitcoin Core's -dustrelayfee."""


class PushTruncated(Malformed):
    """A push announces more bytes than the script has."""


class NumberMalformed(Malformed):
    """A script number is too long or not minimal (BIP 62)."""


class Form(enum.Enum):
    """What kind of output a script_pubkey makes."""

    P2PKH = "p2pkh"
    P2SH = "p2sh"
    P2WPKH = "p2wpkh"
    P2WSH = "p2wsh"
    P2TR = "p2tr"
    P2A = "anchor"
    WITNESS_UNKNOWN = "witness_unknown"
    OP_RETURN = "nulldata"
    OTHER = "nonstandard"


def push(data: bytes) -> bytes:
    """The shortest way to put bytes on the stack that takes them as they are (no OP_1 … OP_16)."""
    length = len(data)
    if length < OP_PUSHDATA1[0]:
        return bytes((length,)) + data
    if length <= 0xFF:
        return OP_PUSHDATA1 + length.to_bytes(1, "little") + data
    if length <= 0xFFFF:
        return OP_PUSHDATA2 + length.to_bytes(2, "little") + data
    return OP_PUSHDATA4 + length.to_bytes(4, "little") + data


def number(value: int) -> bytes:
    """The shortest way to put a number on the stack."""
    if value == 0:
        return OP_0
    if 1 <= value <= 16:
        return bytes((OP_1[0] + value - 1,))
    if value == -1:
        return OP_1NEGATE
    return push(encode_number(value))


def encode_number(value: int) -> bytes:
    """A script number: little-endian, the sign in the top bit of the last byte; zero is empty."""
    if value == 0:
        return b""
    magnitude = abs(value)
    data = bytearray(magnitude.to_bytes((magnitude.bit_length() + 8) // 8, "little"))
    if value < 0:
        data[-1] |= 0x80
    return bytes(data)


def decode_number(data: bytes, longest: int = 4) -> int:
    """The reverse of `encode_number`.

    Raises:
        NumberMalformed: longer than `longest` bytes, or not minimal.
    """
    if len(data) > longest:
        raise NumberMalformed("a script number is too long", bytes=len(data))
    if not data:
        return 0
    if data[-1] & 0x7F == 0 and (len(data) == 1 or data[-2] & 0x80 == 0):
        raise NumberMalformed("a script number is not minimal", number=data)
    magnitude = int.from_bytes(data, "little") & ~(0x80 << (8 * (len(data) - 1)))
    return -magnitude if data[-1] & 0x80 else magnitude


def p2pkh(pubkey_hash: bytes) -> bytes:
    """Pay to the HASH160 of a public key, 20 bytes."""
    return OP_DUP + OP_HASH160 + push(pubkey_hash) + OP_EQUALVERIFY + OP_CHECKSIG


def p2sh(script_hash: bytes) -> bytes:
    """Pay to the HASH160 of a script, 20 bytes (BIP 16)."""
    return OP_HASH160 + push(script_hash) + OP_EQUAL


def p2wpkh(pubkey_hash: bytes) -> bytes:
    """Pay to the HASH160 of a public key, 20 bytes (BIP 141)."""
    return OP_0 + push(pubkey_hash)


def p2wsh(witness_script: bytes) -> bytes:
    """Pay to a witness script, given in full (BIP 141)."""
    return OP_0 + b"\x20" + sha256(witness_script).digest()


def p2tr(output_key: bytes) -> bytes:
    """Pay to a taproot output key, 32 bytes x-only (BIP 341)."""
    return OP_1 + push(output_key)


def multisig(threshold: int, *keys: bytes) -> bytes:
    """`threshold` signatures by these keys, in this order."""
    return number(threshold) + b"".join(map(push, keys)) + number(len(keys)) + OP_CHECKMULTISIG


def nulldata(data: bytes) -> bytes:
    """An output that nobody can spend and that says something."""
    return OP_RETURN + push(data)


def witness_program(script_pubkey: bytes) -> tuple[int, bytes] | None:
    """(version, program of 2 to 40 bytes) of a segwit output, or None (BIP 141)."""
    length = len(script_pubkey)
    if not 4 <= length <= 42 or script_pubkey[1] != length - 2:
        return None
    version = script_pubkey[0]
    if version == 0:
        return 0, script_pubkey[2:]
    if 0x51 <= version <= 0x60:
        return version - 0x50, script_pubkey[2:]
    return None


def form_of(script_pubkey: bytes) -> Form:
    """What kind of output this is."""
    program = witness_program(script_pubkey)
    if program is not None:
        return _witness_form(*program, script_pubkey)
    if len(script_pubkey) == 25 and script_pubkey == p2pkh(script_pubkey[3:23]):
        return Form.P2PKH
    if len(script_pubkey) == 23 and script_pubkey == p2sh(script_pubkey[2:22]):
        return Form.P2SH
    if script_pubkey[:1] == OP_RETURN:
        return Form.OP_RETURN
    return Form.OTHER


def dust_limit(script_pubkey: bytes) -> Sat:
    """Below this amount nodes do not relay the output (BOLT 3, "Dust Limits"; Bitcoin Core's GetDustThreshold)."""
    if form_of(script_pubkey) is Form.OP_RETURN:
        return Sat(0)
    spend = 32 + 4 + 1 + (107 // 4 if witness_program(script_pubkey) else 107) + 4
    size = 8 + len(compact_size(len(script_pubkey))) + len(script_pubkey) + spend
    return Sat(size * DUST_RELAY_FEERATE_PER_KVB // 1000)


def parts_of(script: bytes) -> Iterator[tuple[int, bytes | None]]:
    """Opcode by opcode: the opcode, and what it pushes, or None when it is no push.

    Raises:
        PushTruncated: a push runs over the end.
    """
    at, end = 0, len(script)
    while at < end:
        opcode = script[at]
        at += 1
        if opcode > OP_PUSHDATA4[0]:
            yield opcode, None
            continue
        length = opcode
        if opcode >= OP_PUSHDATA1[0]:
            width = 1 << (opcode - OP_PUSHDATA1[0])
            if at + width > end:
                raise PushTruncated(script=script)
            length = int.from_bytes(script[at : at + width], "little")
            at += width
        if at + length > end:
            raise PushTruncated(script=script)
        yield opcode, script[at : at + length]
        at += length


def asm(script: bytes, *, signatures: bool = False) -> str:
    """The script in words, as Bitcoin Core shows it; a broken one ends with `[error]`.

    Args:
        signatures: what looks like an ECDSA signature is shown with the name of its sighash type.
    """
    words = []
    try:
        for opcode, pushed in parts_of(script):
            if pushed is None:
                words.append(_opcode_word(opcode))
            elif len(pushed) <= _LONGEST_NUMBER:
                words.append(str(_number_in(pushed)))
            else:
                words.append(_signature_word(pushed) if signatures else pushed.hex())
    except PushTruncated:
        words.append("[error]")
    return " ".join(words)


def _number_in(pushed: bytes) -> int:
    """A script number, in however many bytes."""
    magnitude = int.from_bytes(pushed, "little")
    sign = 0x80 << 8 * (len(pushed) - 1) if pushed else 0
    return sign - magnitude if magnitude & sign else magnitude


def _signature_word(pushed: bytes) -> str:
    name = _SIGHASH_NAMES.get(pushed[-1])
    if name is None:
        return pushed.hex()
    try:
        signature_from_der(pushed[:-1])
    except Malformed:
        return pushed.hex()
    return f"{pushed[:-1].hex()}[{name}]"


def _opcode_word(opcode: int) -> str:
    if 0x51 <= opcode <= 0x60:
        return str(opcode - 0x50)
    return "-1" if opcode == OP_1NEGATE[0] else NAMES.get(opcode, "OP_UNKNOWN")


def _witness_form(version: int, program: bytes, script_pubkey: bytes) -> Form:
    if version == 0 and len(program) == 20:
        return Form.P2WPKH
    if version == 0 and len(program) == 32:
        return Form.P2WSH
    if version == 1 and len(program) == 32:
        return Form.P2TR
    return Form.P2A if script_pubkey == P2A else Form.WITNESS_UNKNOWN
