"""Output descriptors, as far as a script alone can be described by one.

Source: Bitcoin Core, doc/descriptors.md and script/descriptor.cpp (InferScript, DescriptorChecksum); BIP 380.
"""

from __future__ import annotations

from fulmen.core.bitcoin.address import ScriptWithoutAddress, address_of
from fulmen.core.bitcoin.networks import REGTEST
from fulmen.core.bitcoin.script import parts_of
from fulmen.regtest.btclib_engine import output_type

_INPUT_CHARSET = "0123456789()[],'/*abcdefgh@:$%{}IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~ijklmnopqrstuvwxyzABCDEFGH`#\"\\ "
_CHECKSUM_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0xF5DEE51989, 0xA9FDCA3312, 0x1BAB10E32D, 0x3706B1677A, 0x644D626FFD)
_CHECKSUM_LENGTH = 8


def describe(script: bytes) -> str:
    """The descriptor of a script, with its checksum: its keys if it shows them, else its address, else its bytes."""
    return with_checksum(_describe(script))


def with_checksum(descriptor: str) -> str:
    """The descriptor with `#` and the eight characters that protect it against misspelling."""
    return f"{descriptor}#{checksum(descriptor)}"


def checksum(descriptor: str) -> str:
    """Eight characters.

    Raises:
        ValueError: a character that no descriptor may have.
    """
    state, groups, count = 1, 0, 0
    for character in descriptor:
        place = _INPUT_CHARSET.index(character)
        state = _step(state, place & 31)
        groups = groups * 3 + (place >> 5)
        count += 1
        if count == 3:
            state, groups, count = _step(state, groups), 0, 0
    if count:
        state = _step(state, groups)
    for _ in range(_CHECKSUM_LENGTH):
        state = _step(state, 0)
    state ^= 1
    return "".join(_CHECKSUM_CHARSET[state >> 5 * (_CHECKSUM_LENGTH - 1 - at) & 31] for at in range(_CHECKSUM_LENGTH))


def _describe(script: bytes) -> str:
    match output_type(script):
        case "pubkey":
            [key] = [pushed for _, pushed in parts_of(script) if pushed is not None]
            return f"pk({key.hex()})"
        case "multisig":
            keys = [pushed.hex() for _, pushed in parts_of(script) if pushed is not None]
            return f"multi({script[0] - 0x50},{','.join(keys)})"
        case "witness_v1_taproot":
            return f"rawtr({script[2:].hex()})"
    try:
        return f"addr({address_of(script, REGTEST)})"
    except ScriptWithoutAddress:
        return f"raw({script.hex()})"


def _step(state: int, value: int) -> int:
    top = state >> 35
    state = (state & 0x7FFFFFFFF) << 5 ^ value
    for bit, generator in enumerate(_GENERATOR):
        if top >> bit & 1:
            state ^= generator
    return state
