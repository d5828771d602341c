"""Signed gossip of small made-up networks, and the real sample."""

from __future__ import annotations

import json
import lzma

from tests.builders.vectors import ROOT

from fulmen.core.base.ids import OutPoint, scid
from fulmen.core.crypto.secp256k1 import point_of, sign_ecdsa
from fulmen.core.gossip.signatures import NO_SIGNATURE, announcement_digest, message_digest
from fulmen.core.wire import encode
from fulmen.core.wire.messages.gossip import ChannelAnnouncement, ChannelUpdate, NodeAnnouncement

CHAIN = bytes.fromhex("6fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000")
NOW = 1_750_000_000


def secret(number: int) -> bytes:
    return number.to_bytes(32, "big")


_BY_ID = sorted((point_of(secret(number)), secret(number)) for number in range(1, 41))
NODES = [node_id for node_id, _ in _BY_ID]
"""Forty node ids in byte order: NODES[i] < NODES[i + 1]."""
SECRETS = [key for _, key in _BY_ID]


def a_channel(number: int, one: int = 0, two: int = 1, **changes: object) -> bytes:
    """A signed channel_announcement of the two nodes with these places in NODES."""
    one, two = sorted((one, two))
    bitcoin = [secret(1000 + 2 * number), secret(1001 + 2 * number)]
    message = ChannelAnnouncement(
        NO_SIGNATURE,
        NO_SIGNATURE,
        NO_SIGNATURE,
        NO_SIGNATURE,
        b"",
        CHAIN,
        scid(100 + number, 1, 0),
        NODES[one],
        NODES[two],
        point_of(bitcoin[0]),
        point_of(bitcoin[1]),
    ).but(**changes)
    digest = announcement_digest(encode(message))
    return encode(
        message.but(
            node_signature_1=sign_ecdsa(SECRETS[one], digest),
            node_signature_2=sign_ecdsa(SECRETS[two], digest),
            bitcoin_signature_1=sign_ecdsa(bitcoin[0], digest),
            bitcoin_signature_2=sign_ecdsa(bitcoin[1], digest),
        )
    )


def an_update(number: int, signer: int = 0, direction: int = 0, **changes: object) -> bytes:
    """A signed channel_update of channel `number` by the node with this place in NODES."""
    message = ChannelUpdate(
        NO_SIGNATURE, CHAIN, scid(100 + number, 1, 0), NOW, 1, direction, 80, 1, 1000, 10, 1_000_000_000
    ).but(**changes)
    return encode(message.but(signature=sign_ecdsa(SECRETS[signer], message_digest(encode(message)))))


def a_node(place: int, **changes: object) -> bytes:
    """A signed node_announcement of the node with this place in NODES."""
    alias = f"node {place}".encode().ljust(32, b"\0")
    message = NodeAnnouncement(NO_SIGNATURE, b"", NOW, NODES[place], b"\1\2\3", alias, b"").but(**changes)
    return encode(message.but(signature=sign_ecdsa(SECRETS[place], message_digest(encode(message)))))


def an_outpoint(number: int) -> OutPoint:
    return OutPoint(number.to_bytes(32, "big"), 0)


def real_messages() -> list[tuple[bytes, bool | None]]:
    """(frame, whether its signatures are valid) of mainnet in June 2025."""
    return [(bytes.fromhex(row["hex"]), row["valid"]) for row in _rows("mainnet_2025-06_raw_messages.jsonl.xz")]


def real_channels() -> list[tuple[bytes, int]]:
    """(channel_announcement, capacity in sat) of mainnet from 2018 to 2020."""
    rows = _rows("mainnet_2018-2020_channel_announcements.jsonl.xz")
    return [(bytes.fromhex(row["hex"]), row["capacity_sat"]) for row in rows]


def _rows(name: str) -> list[dict]:
    text = lzma.decompress((ROOT / "gossip" / name).read_bytes()).decode()
    return [json.loads(line) for line in text.splitlines()]
