"""Messages signed with the node's key, as all Lightning nodes sign them.

The digest is the double SHA-256 of "Lightning Signed Message:" and the text; the signature is recoverable, its first
byte 31 plus the recovery id, and it is shown in zbase32.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from fulmen.api.commands.graph import named_node
from fulmen.api.errors import BadParameter, RpcError
from fulmen.api.handle import NodeHandle
from fulmen.api.registry import Permission, command
from fulmen.api.values import PubKey
from fulmen.core.base.faults import Malformed
from fulmen.core.base.ids import NodeId
from fulmen.core.base.record import Record
from fulmen.core.crypto.hashes import sha256d
from fulmen.core.crypto.secp256k1 import recover

PREFIX = b"Lightning Signed Message:"
MAX_MESSAGE = 65535
_ALPHABET = "ybndrfg8ejkmcpqxot1uwisza345h769"
_VALUE = {letter: value for value, letter in enumerate(_ALPHABET)}
_FIRST = 31
"""27 as in compact Bitcoin signatures, plus 4 for a compressed key."""


class SignMessageRequest(Record):
    """What to sign."""

    message: Annotated[str, Meta(description="the text", max_length=MAX_MESSAGE)]


class SignMessageAnswer(Record):
    """The signature in three forms."""

    signature: str
    recid: str
    zbase: str


@command(
    "signmessage",
    permission=Permission.ADMIN,
    group="tools",
    help="Sign a text with this node's key, for people to check.",
)
async def signmessage(node: NodeHandle, request: SignMessageRequest) -> SignMessageAnswer:
    """The digest can be mistaken for nothing else that the key signs."""
    made = await node.sign_message(message_digest(request.message))
    signature, recid = made[:64], made[64]
    return SignMessageAnswer(signature.hex(), f"{recid:02x}", to_zbase32(bytes([_FIRST + recid]) + signature))


class CheckMessageRequest(Record):
    """What was signed, and by whom."""

    message: Annotated[str, Meta(description="the text", max_length=MAX_MESSAGE)]
    zbase: Annotated[str, Meta(description="the signature in zbase32", max_length=200)]
    pubkey: Annotated[PubKey | None, Meta(description="the node that should have signed; any known one without it")] = (
        None
    )


class CheckMessageAnswer(Record):
    """Whether the signature holds, and the key that made it."""

    verified: bool
    pubkey: str


class SignerUnknown(RpcError):
    """Some key made this signature, but no node that we know has it."""

    code = 1301


@command("checkmessage", permission=Permission.READ, group="tools", help="Check who signed a text.")
async def checkmessage(node: NodeHandle, request: CheckMessageRequest) -> CheckMessageAnswer:
    """Any signature belongs to some key: without a `pubkey` to compare it with, that key must be a node's we know."""
    raw = from_zbase32(request.zbase)
    if len(raw) != 65 or not _FIRST <= raw[0] < _FIRST + 4:
        raise BadParameter("The parameter 'zbase' is no signature of a Lightning node.", parameter="zbase")
    try:
        signer: bytes = recover(message_digest(request.message), raw[1:], raw[0] - _FIRST)
    except Malformed:
        raise BadParameter("The parameter 'zbase' is no valid signature.", parameter="zbase") from None
    if request.pubkey is not None:
        return CheckMessageAnswer(signer == request.pubkey, signer.hex())
    known = signer == node.node_id or f"peer:{signer.hex()}" in node.views
    if not known and not await _announced(node, signer):
        raise SignerUnknown("No node that we know made this signature; name the one you expect.", pubkey=signer)
    return CheckMessageAnswer(True, signer.hex())


async def _announced(node: NodeHandle, node_id: bytes) -> bool:
    return bool(await named_node(node, NodeId(node_id)))


def message_digest(message: str) -> bytes:
    """The 32 bytes that are signed."""
    return sha256d(PREFIX + message.encode())


def to_zbase32(data: bytes) -> str:
    """zbase32, the last digit filled with zero bits."""
    bits = int.from_bytes(data, "big") << (-len(data) * 8) % 5
    count = (len(data) * 8 + 4) // 5
    return "".join(_ALPHABET[bits >> 5 * place & 31] for place in reversed(range(count)))


def from_zbase32(text: str) -> bytes:
    """The reverse of `to_zbase32`.

    Raises:
        BadParameter: a letter is not of the alphabet, or bits are left over.
    """
    bits = 0
    for letter in text:
        if letter not in _VALUE:
            raise BadParameter("The parameter 'zbase' has letters that are not zbase32.", parameter="zbase")
        bits = bits << 5 | _VALUE[letter]
    length = len(text) * 5 // 8
    spare = len(text) * 5 - length * 8
    if spare >= 5 or bits & ((1 << spare) - 1):
        raise BadParameter("The parameter 'zbase' does not end where a byte ends.", parameter="zbase")
    return (bits >> spare).to_bytes(length, "big")
