"""Addresses: what people write instead of a script_pubkey. BIP 173, BIP 350, Base58Check."""

from __future__ import annotations

from fulmen.core.base.faults import Malformed
from fulmen.core.bitcoin import base58, bech32
from fulmen.core.bitcoin.bech32 import Checksum
from fulmen.core.bitcoin.networks import NETWORKS, Network
from fulmen.core.bitcoin.opcodes import OP_0, OP_1
from fulmen.core.bitcoin.script import Form, form_of, p2pkh, p2sh, push, witness_program

MAX_BASE58_CHARACTERS = 35
"""A Base58Check address has no more."""


class AddressUnreadable(Malformed):
    """The text is no address of any form that we know."""


class AddressOfOtherNetwork(Malformed):
    """The address is for another chain."""


class WitnessVersionInvalid(Malformed):
    """A segwit address names a version above 16."""


class WitnessProgramInvalid(Malformed):
    """A segwit address has a program of a length that its version does not allow."""


class AddressChecksumKindWrong(Malformed):
    """Version 0 takes Bech32, all others take Bech32m (BIP 350)."""


class ScriptWithoutAddress(Malformed):
    """This script_pubkey has no address form."""


def address_of(script_pubkey: bytes, network: Network) -> str:
    """The address that pays to this script.

    Raises:
        ScriptWithoutAddress: there is none.
    """
    program = witness_program(script_pubkey)
    if program is not None:
        version, data = program
        if version == 0 and len(data) not in (20, 32):
            raise ScriptWithoutAddress(script_pubkey=script_pubkey)
        checksum = Checksum.BECH32M if version else Checksum.BECH32
        return bech32.encode(network.hrp, bytes((version,)) + bech32.to_words(data), checksum)
    match form_of(script_pubkey):
        case Form.P2PKH:
            return base58.encode_check(bytes((network.p2pkh_version,)) + script_pubkey[3:23])
        case Form.P2SH:
            return base58.encode_check(bytes((network.p2sh_versions[0],)) + script_pubkey[2:22])
    raise ScriptWithoutAddress(script_pubkey=script_pubkey)


def script_of(address: str, network: Network) -> bytes:
    """The script_pubkey that an address stands for.

    Raises:
        AddressOfOtherNetwork: it is one, but not of this chain.
        Malformed: by the name of what is wrong with it.
    """
    if _looks_like_bech32(address):
        return _segwit_script(address, network)
    return _base58_script(address, network)


def _looks_like_bech32(address: str) -> bool:
    hrp = address.lower().rpartition("1")[0]
    return len(address) > MAX_BASE58_CHARACTERS or any(hrp == known.hrp for known in NETWORKS)


def _segwit_script(address: str, network: Network) -> bytes:
    hrp, words, checksum = bech32.decode(address)
    if hrp != network.hrp:
        raise AddressOfOtherNetwork(hrp=hrp, wanted=network.hrp)
    if not words:
        raise WitnessProgramInvalid("a segwit address has no data")
    version = words[0]
    if version > 16:
        raise WitnessVersionInvalid(version=version)
    if checksum != (Checksum.BECH32M if version else Checksum.BECH32):
        raise AddressChecksumKindWrong(version=version)
    program = bech32.from_words(words[1:])
    if not 2 <= len(program) <= 40 or (version == 0 and len(program) not in (20, 32)):
        raise WitnessProgramInvalid(version=version, length=len(program))
    opcode = bytes((OP_1[0] + version - 1,)) if version else OP_0
    return opcode + push(program)


def _base58_script(address: str, network: Network) -> bytes:
    payload = base58.decode_check(address)
    if len(payload) != 21:
        raise AddressUnreadable(length=len(payload))
    version, data = payload[0], payload[1:]
    if version == network.p2pkh_version:
        return p2pkh(data)
    if version in network.p2sh_versions:
        return p2sh(data)
    known = any(version == other.p2pkh_version or version in other.p2sh_versions for other in NETWORKS)
    raise AddressOfOtherNetwork(version=version) if known else AddressUnreadable(version=version)
