"""What gossip is signed with: the checks that a message asks for.

BOLT 7. Every digest is a double SHA-256 of all that follows the signatures, including fields of the future.
"""

from __future__ import annotations

from fulmen.core.base.ids import NodeId, Point, Signature
from fulmen.core.base.mount import Check
from fulmen.core.crypto.secp256k1 import verify_many
from fulmen.core.signer.announcing import announcement_digest, message_digest
from fulmen.core.wire.messages.gossip import ChannelAnnouncement, NodeAnnouncement

NO_SIGNATURE = Signature(bytes(64))
"""Stands in a message until its signature is made."""


class SignatureCheck(Check):
    """This key made this signature over this digest."""

    point: Point
    digest: bytes
    signature: Signature


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
