"""What we say of ourselves: our channels' announcements and updates, and our node.

BOLT 7. The channel's facts come in as `OwnChannel`; what has to be signed goes out as `ToSign` and comes back signed.
Nothing here is stored: after a restart the facts are told again, and the peer's half of an announcement is asked for
again by sending ours.
"""

from __future__ import annotations

from fulmen.core.base.ids import ChainHash, NodeId, Point, ShortChannelId, Signature
from fulmen.core.base.record import Record
from fulmen.core.base.units import Msat, Timestamp
from fulmen.core.commitments.announcing import OwnChannel
from fulmen.core.gossip.addresses import NodeAddress, encode_addresses
from fulmen.core.gossip.aliases import alias_bytes
from fulmen.core.gossip.graph import DISABLE
from fulmen.core.gossip.rules import DONT_FORWARD
from fulmen.core.gossip.signatures import NO_SIGNATURE, SignatureCheck
from fulmen.core.signer.announcing import SignAnnouncement, announcement_digest
from fulmen.core.wire import encode
from fulmen.core.wire.features import NODE, Features
from fulmen.core.wire.messages.gossip import (
    AnnouncementSignatures,
    ChannelAnnouncement,
    ChannelUpdate,
    NodeAnnouncement,
)

MUST_BE_ONE = 1
"""Bit of `message_flags`."""
_MAX_U32 = 0xFFFFFFFF


class OwnNode(Record):
    """What we say of our node."""

    alias: str = ""
    rgb_color: bytes = b"\0\0\0"
    features: bytes = b""
    addresses: tuple[NodeAddress, ...] = ()


class ToSign(Record):
    """A message of ours that lacks its signatures.

    The node key signs what `request` shows, and the funding key too where that names one.
    """

    message: Record
    request: SignAnnouncement


def unsigned_announcement(channel: OwnChannel, node_id: NodeId, chain_hash: ChainHash) -> ChannelAnnouncement:
    """The channel_announcement of a channel, without any signature."""
    assert channel.scid is not None
    # BOLT 7: "`node_id_1` is the lexicographically-lesser of the two"; "MUST set `bitcoin_key_1` and `bitcoin_key_2` to
    # `node_id_1` and `node_id_2`'s respective `funding_pubkey`s"
    ends = sorted(((node_id, channel.local_funding_pubkey), (channel.node_id, channel.remote_funding_pubkey)))
    return ChannelAnnouncement(
        NO_SIGNATURE,
        NO_SIGNATURE,
        NO_SIGNATURE,
        NO_SIGNATURE,
        channel.features,
        chain_hash,
        channel.scid,
        ends[0][0],
        ends[1][0],
        ends[0][1],
        ends[1][1],
    )


def signatures_to_make(channel: OwnChannel, node_id: NodeId, chain_hash: ChainHash) -> ToSign:
    """Our announcement_signatures, to be signed by node key and funding key."""
    assert channel.scid is not None
    announcement = unsigned_announcement(channel, node_id, chain_hash)
    message = AnnouncementSignatures(channel.channel_id, channel.scid, NO_SIGNATURE, NO_SIGNATURE)
    return ToSign(message, SignAnnouncement(encode(announcement), channel.key_index))


def their_checks(
    channel: OwnChannel, node_id: NodeId, chain_hash: ChainHash, theirs: AnnouncementSignatures
) -> tuple[SignatureCheck, ...]:
    """What must hold of the peer's announcement_signatures."""
    digest = announcement_digest(encode(unsigned_announcement(channel, node_id, chain_hash)))
    return (
        SignatureCheck(Point(channel.node_id), digest, theirs.node_signature),
        SignatureCheck(channel.remote_funding_pubkey, digest, theirs.bitcoin_signature),
    )


def whole_announcement(
    channel: OwnChannel,
    node_id: NodeId,
    chain_hash: ChainHash,
    ours: AnnouncementSignatures,
    theirs: AnnouncementSignatures,
) -> ChannelAnnouncement:
    """Both halves together."""
    first, second = (ours, theirs) if node_id < channel.node_id else (theirs, ours)
    return unsigned_announcement(channel, node_id, chain_hash).but(
        node_signature_1=first.node_signature,
        node_signature_2=second.node_signature,
        bitcoin_signature_1=first.bitcoin_signature,
        bitcoin_signature_2=second.bitcoin_signature,
    )


def channel_update(
    channel: OwnChannel,
    node_id: NodeId,
    chain_hash: ChainHash,
    scid: ShortChannelId,
    timestamp: Timestamp,
    public: bool,
    disabled: bool,
) -> ChannelUpdate:
    """Our terms for one channel, unsigned. A private one goes to the peer alone and says so."""
    terms = channel.forward
    capacity_msat = 1000 * channel.capacity_sat
    # BOLT 7: "MUST set this to less than or equal to the channel capacity", "... to `max_htlc_value_in_flight_msat`"
    maximum = min(channel.htlc_maximum_msat, capacity_msat, terms.htlc_maximum_msat or capacity_msat)
    minimum = min(max(channel.htlc_minimum_msat, terms.htlc_minimum_msat), maximum)
    direction = 0 if node_id < channel.node_id else 1
    return ChannelUpdate(
        NO_SIGNATURE,
        chain_hash,
        scid,
        timestamp,
        # BOLT 7: "MUST set `must_be_one` in `message_flags` to 1"; "MUST set `dont_forward` to 1" of one for the peer
        # alone
        MUST_BE_ONE if public else MUST_BE_ONE | DONT_FORWARD,
        direction | (DISABLE if disabled else 0),
        terms.cltv_expiry_delta,
        Msat(minimum),
        Msat(min(terms.fee_base_msat, _MAX_U32)),
        min(terms.fee_proportional_millionths, _MAX_U32),
        Msat(maximum),
    )


def node_announcement(node: OwnNode, node_id: NodeId, timestamp: Timestamp) -> NodeAnnouncement:
    """What we say of our node, unsigned.

    Raises:
        BadAlias, BadAddress.
    """
    return NodeAnnouncement(
        NO_SIGNATURE,
        Features.from_bytes(node.features).within(NODE).to_bytes(),
        timestamp,
        node_id,
        node.rgb_color,
        alias_bytes(node.alias),
        encode_addresses(node.addresses),
    )


def to_sign(message: ChannelUpdate | NodeAnnouncement) -> ToSign:
    """A message that the node key alone signs."""
    return ToSign(message, SignAnnouncement(encode(message)))


def signed(unsigned: ToSign, node_signature: Signature, bitcoin_signature: Signature | None = None) -> Record:
    """The message with the signatures that were asked for."""
    message = unsigned.message
    if isinstance(message, AnnouncementSignatures):
        return message.but(node_signature=node_signature, bitcoin_signature=bitcoin_signature)
    return message.but(signature=node_signature)


def same_terms(one: ChannelUpdate, other: ChannelUpdate) -> bool:
    """True if two updates differ in nothing but when they were made and signed.

    BOLT 7: "SHOULD NOT create redundant `channel_update`s".
    """
    return one.but(timestamp=0, signature=NO_SIGNATURE) == other.but(timestamp=0, signature=NO_SIGNATURE)
