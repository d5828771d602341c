"""Names of things: channels, nodes, HTLCs, outputs.

HTLCs are named by (channel, direction, id) and outputs by outpoint, never by payment hash (law 6).
"""

from __future__ import annotations

import enum
from typing import NewType

from fulmen.core.base.record import Record

ChannelId = NewType("ChannelId", bytes)
"""32 bytes: the funding txid (internal byte order) XOR the output index, or a temporary id (BOLT 2)."""
NodeId = NewType("NodeId", bytes)
"""33 bytes: a node's compressed public key."""
Point = NewType("Point", bytes)
"""33 bytes: a compressed secp256k1 point."""
Secret = NewType("Secret", bytes)
"""32 bytes: a private key or a per-commitment secret."""
Signature = NewType("Signature", bytes)
"""64 bytes: a compact ECDSA signature, r then s."""
Txid = NewType("Txid", bytes)
"""32 bytes, internal byte order (as hashed; the reverse of what explorers print)."""
BlockHash = NewType("BlockHash", bytes)
"""32 bytes, internal byte order."""
ChainHash = NewType("ChainHash", bytes)
"""32 bytes: the hash of a chain's genesis block, internal byte order (BOLT 0)."""
PaymentHash = NewType("PaymentHash", bytes)
"""32 bytes: SHA-256 of the preimage."""
Preimage = NewType("Preimage", bytes)
"""32 bytes: what redeems an HTLC."""
PaymentSecret = NewType("PaymentSecret", bytes)
"""32 bytes: what proves to a payee that the sender read the invoice."""
ShortChannelId = NewType("ShortChannelId", int)
"""block << 40 | transaction << 16 | output (BOLT 7), or an alias of that shape."""
CommandId = NewType("CommandId", bytes)
"""16 bytes: names one request of a caller; asking twice with the same id does the thing once."""

ALL_CHANNELS = ChannelId(bytes(32))
"""An all-zero channel_id in `error` and `warning` means every channel with that peer (BOLT 1)."""


class Direction(enum.IntEnum):
    """Who offered an HTLC, seen from us."""

    OFFERED = 0
    RECEIVED = 1


OFFERED = Direction.OFFERED
RECEIVED = Direction.RECEIVED


class OutPoint(Record, order=True):
    """One output of one transaction."""

    txid: Txid
    vout: int

    def __str__(self) -> str:
        return f"{self.txid[::-1].hex()}:{self.vout}"


class HtlcKey(Record, order=True):
    """The one name of an HTLC: channel, direction (seen from us), id."""

    channel_id: ChannelId
    direction: Direction
    id: int

    def __str__(self) -> str:
        return f"{self.channel_id.hex()[:16]}/{self.direction.name.lower()}/{self.id}"


def channel_id_of(funding: OutPoint) -> ChannelId:
    """The channel_id of a v1 channel (BOLT 2, "Definition of channel_id")."""
    tail = int.from_bytes(funding.txid[30:], "big") ^ funding.vout
    return ChannelId(funding.txid[:30] + tail.to_bytes(2, "big"))


def scid(block: int, tx: int, output: int) -> ShortChannelId:
    """A short channel id from its three parts (BOLT 7, "Definition of short_channel_id")."""
    return ShortChannelId(block << 40 | tx << 16 | output)


def scid_parts(short_channel_id: ShortChannelId) -> tuple[int, int, int]:
    """Block height, transaction index, output index."""
    return short_channel_id >> 40, short_channel_id >> 16 & 0xFFFFFF, short_channel_id & 0xFFFF


def scid_text(short_channel_id: ShortChannelId) -> str:
    """The human form, BLOCKxTXxOUTPUT."""
    return "x".join(map(str, scid_parts(short_channel_id)))


def scid_from_text(text: str) -> ShortChannelId:
    """The reverse of `scid_text`.

    Raises:
        ValueError: the text has not three numbers within their ranges.
    """
    parts = text.split("x")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError(f"a short channel id looks like 700000x12x1, not {text!r}")
    block, tx, output = map(int, parts)
    if block >= 1 << 24 or tx >= 1 << 24 or output >= 1 << 16:
        raise ValueError(f"a part of the short channel id {text!r} is out of range")
    return scid(block, tx, output)
