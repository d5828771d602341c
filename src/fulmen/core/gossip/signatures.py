"""What gossip is signed with: the digests, and the checks that a message asks for.

BOLT 7. Every digest is a double SHA-256 of all that follows the signatures, including fields of the future.
"""

from __future__ import annotations

from fulmen.core.base.ids import NodeId, Point, Signature
from fulmen.core.base.mount import Check
from fulmen.core.crypto.hashes import sha256d
from fulmen.core.crypto.secp256k1 import verify_many
from fulmen.core.wire.messages.gossip import ChannelAnnouncement, NodeAnnouncement

ANNOUNCEMENT_OFFSET = 2 + 4 * 64
"""Where a channel_announcement's signed part begins, its type counted."""
MESSAGE_OFFSET = 2 + 64
"""Where the signed part of a channel_update or node_announcement begins."""

NO_SIGNATURE = Signature(bytes(64))
"""Stands in a message until its signature is made."""


class SignatureCheck(Check):
    """This key made this signature over this digest."""

    point: Point
    digest: bytes
    signature: Signature


def announcement_digest(frame: bytes) -> bytes:
    """What all four signatures of a channel_announcement sign."""
    # BOLT 7: "MUST compute the double-SHA256 hash `h` of the message, beginning at offset 256, up to the end"
    return sha256d(frame[ANNOUNCEMENT_OFFSET:])


def message_digest(frame: bytes) -> bytes:
    """What the signature of a channel_update or a node_announcement signs."""
    return sha256d(frame[MESSAGE_OFFSET:])


def announcement_checks(message: ChannelAnnouncement, frame: bytes) -> tuple[SignatureCheck, ...]:
    """The four checks of a channel_announcement."""
    digest = announcement_digest(frame)
    return (
        SignatureCheck(Point(message.node_id_1), digest, message.node_signature_1),
        SignatureCheck(Point(message.node_id_2), digest, message.node_signature_2),
        SignatureCheck(message.bitcoin_key_1, digest, message.bitcoin_signature_1),
        SignatureCheck(message.bitcoin_key_2, digest, message.bitcoin_signature_2),
    )


def node_checks(message: NodeAnnouncement, frame: bytes) -> tuple[SignatureCheck, ...]:
    """The one check of a node_announcement."""
    return (SignatureCheck(Point(message.node_id), message_digest(frame), message.signature),)


def update_checks(signature: Signature, frame: bytes, node_id: NodeId) -> tuple[SignatureCheck, ...]:
    """The one check of a channel_update, whose signer stands in the channel_announcement."""
    return (SignatureCheck(Point(node_id), message_digest(frame), signature),)


def all_hold(checks: tuple[SignatureCheck, ...]) -> bool:
    """Verify in line. Drivers with many checks hand them to threads instead."""
    return all(verify_many((check.point, check.digest, check.signature) for check in checks))
