"""Signing what everybody may read: announcements of channels and nodes, and channel_updates. BOLT 7.

The funding key signs here what is no transaction, so the request holds the message and never a digest: whoever asks
cannot pass off a commitment as gossip. The bytes that are hashed begin with a u16 length of features within a message
that must parse, name our node and bear our funding key; the bytes behind a transaction's signature hash do not.
"""

from __future__ import annotations

from fulmen.core.base.faults import Malformed
from fulmen.core.base.ids import NodeId, Point, Secret, Signature
from fulmen.core.base.outer import SignRequest
from fulmen.core.crypto.hashes import sha256d
from fulmen.core.crypto.secp256k1 import point_of, sign_ecdsa
from fulmen.core.signer.signing import WillNotSign
from fulmen.core.wire import decode
from fulmen.core.wire.messages.gossip import ChannelAnnouncement, ChannelUpdate, NodeAnnouncement

ANNOUNCEMENT_OFFSET = 2 + 4 * 64
"""Where a channel_announcement's signed part begins, its type counted."""
MESSAGE_OFFSET = 2 + 64
"""Where the signed part of a channel_update or node_announcement begins."""


class SignAnnouncement(SignRequest):
    """A gossip message of ours, to be signed by the node key, and a channel_announcement by the funding key as well."""

    frame: bytes
    """The whole message, type included; whatever stands in its signatures is not looked at."""
    key_index: int | None = None
    """Names the funding key of a channel_announcement."""


def announcement_digest(frame: bytes) -> bytes:
    """What all four signatures of a channel_announcement sign."""
    # BOLT 7: "MUST compute the double-SHA256 hash `h` of the message, beginning at offset 256, up to the end"
    return sha256d(frame[ANNOUNCEMENT_OFFSET:])


def message_digest(frame: bytes) -> bytes:
    """What the signature of a channel_update or a node_announcement signs."""
    return sha256d(frame[MESSAGE_OFFSET:])


def sign_announcement(
    request: SignAnnouncement, node_secret: Secret, funding_secret: Secret | None = None
) -> tuple[Signature, Signature | None]:
    """(the node key's signature, the funding key's for a channel_announcement).

    Raises:
        WillNotSign: it is no such message, or not ours.
    """
    try:
        message = decode(request.frame)
    except Malformed as fault:
        raise WillNotSign("not a message", why=fault.name) from fault
    node_id = NodeId(point_of(node_secret))
    if isinstance(message, ChannelAnnouncement) and funding_secret is not None:
        ends = ((message.node_id_1, message.bitcoin_key_1), (message.node_id_2, message.bitcoin_key_2))
        if (node_id, Point(point_of(funding_secret))) not in ends:
            raise WillNotSign("the announcement is of somebody else's channel")
        digest = announcement_digest(request.frame)
        return sign_ecdsa(node_secret, digest), sign_ecdsa(funding_secret, digest)
    if funding_secret is None and isinstance(message, ChannelUpdate | NodeAnnouncement):
        if isinstance(message, NodeAnnouncement) and message.node_id != node_id:
            raise WillNotSign("the announcement is of another node")
        return sign_ecdsa(node_secret, message_digest(request.frame)), None
    raise WillNotSign("not gossip of ours", kind=type(message).__name__)
