"""What nodes tell each other about channels and nodes. BOLT 7.

The three signed messages keep whatever follows their fields, because their signatures cover it.
"""

from __future__ import annotations

from typing import Annotated

from fulmen.core.base.ids import ChainHash, ChannelId, NodeId, Point, ShortChannelId, Signature
from fulmen.core.base.record import Record
from fulmen.core.base.units import CltvDelta, Msat, Timestamp
from fulmen.core.wire.codecs import BIGSIZE, U16, U32, U64, Blob, Every, Fixed, u8, u32
from fulmen.core.wire.declare import Tlv, message
from fulmen.core.wire.tlv import UnknownTlvs


@message(256, bolt=7, section="channel_announcement")
class ChannelAnnouncement(Record):
    """Two nodes prove that they share an output on the chain."""

    node_signature_1: Signature
    node_signature_2: Signature
    bitcoin_signature_1: Signature
    bitcoin_signature_2: Signature
    features: Blob
    chain_hash: ChainHash
    short_channel_id: ShortChannelId
    node_id_1: NodeId
    node_id_2: NodeId
    bitcoin_key_1: Point
    bitcoin_key_2: Point
    extra: bytes = b""


@message(257, bolt=7, section="node_announcement")
class NodeAnnouncement(Record):
    """A node says where and how it can be reached."""

    signature: Signature
    features: Blob
    timestamp: Annotated[Timestamp, U32]
    node_id: NodeId
    rgb_color: Annotated[bytes, Fixed("3s")]
    alias: Annotated[bytes, Fixed("32s")]
    addresses: Blob
    extra: bytes = b""


@message(258, bolt=7, section="channel_update")
class ChannelUpdate(Record):
    """What one side of a channel asks for relaying."""

    signature: Signature
    chain_hash: ChainHash
    short_channel_id: ShortChannelId
    timestamp: Annotated[Timestamp, U32]
    message_flags: u8
    channel_flags: u8
    cltv_expiry_delta: Annotated[CltvDelta, U16]
    htlc_minimum_msat: Annotated[Msat, U64]
    fee_base_msat: Annotated[Msat, U32]
    fee_proportional_millionths: u32
    htlc_maximum_msat: Annotated[Msat, U64]
    extra: bytes = b""


@message(259, bolt=7, section="announcement_signatures")
class AnnouncementSignatures(Record):
    """My half of a channel_announcement."""

    channel_id: ChannelId
    short_channel_id: ShortChannelId
    node_signature: Signature
    bitcoin_signature: Signature
    unknown: UnknownTlvs = ()


@message(261, bolt=7, section="query_short_channel_ids")
class QueryShortChannelIds(Record):
    """Tell me what you know about these channels."""

    chain_hash: ChainHash
    encoded_short_ids: Blob
    """One byte of encoding (0), then 8 bytes each."""
    query_flags: Annotated[bytes | None, Tlv(1)] = None
    """One byte of encoding (0), then one bigsize per channel."""
    unknown: UnknownTlvs = ()


@message(262, bolt=7, section="reply_short_channel_ids_end")
class ReplyShortChannelIdsEnd(Record):
    """That was all about these channels."""

    chain_hash: ChainHash
    full_information: u8
    unknown: UnknownTlvs = ()


@message(263, bolt=7, section="query_channel_range")
class QueryChannelRange(Record):
    """Which channels were funded in these blocks?"""

    chain_hash: ChainHash
    first_blocknum: u32
    number_of_blocks: u32
    query_option: Annotated[int | None, Tlv(1, BIGSIZE)] = None
    """Bit 0: timestamps wanted; bit 1: checksums wanted."""
    unknown: UnknownTlvs = ()


@message(264, bolt=7, section="reply_channel_range")
class ReplyChannelRange(Record):
    """These, for a part of the blocks."""

    chain_hash: ChainHash
    first_blocknum: u32
    number_of_blocks: u32
    sync_complete: u8
    encoded_short_ids: Blob
    timestamps: Annotated[bytes | None, Tlv(1)] = None
    """One byte of encoding (0), then two u32 per channel."""
    checksums: Annotated[tuple[int, ...] | None, Tlv(3, Every(U32))] = None
    """Two u32 per channel."""
    unknown: UnknownTlvs = ()


@message(265, bolt=7, section="gossip_timestamp_filter")
class GossipTimestampFilter(Record):
    """Send me gossip stamped within this range, from now on."""

    chain_hash: ChainHash
    first_timestamp: u32
    timestamp_range: u32
    unknown: UnknownTlvs = ()
