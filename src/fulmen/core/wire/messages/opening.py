"""Opening a channel, version 1 and 2. BOLT 2, "Channel Establishment"."""

from __future__ import annotations

from typing import Annotated

from fulmen.core.base.ids import ChainHash, ChannelId, Point, ShortChannelId, Signature, Txid
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, CltvDelta, FeeratePerKw, Msat, Sat
from fulmen.core.wire.codecs import U16, U32, U64, u8, u16, u32
from fulmen.core.wire.declare import Tlv, message
from fulmen.core.wire.tlv import UnknownTlvs


@message(32, bolt=2, section="open_channel")
class OpenChannel(Record):
    """Let us have a channel that I fund."""

    chain_hash: ChainHash
    temporary_channel_id: ChannelId
    funding_satoshis: Annotated[Sat, U64]
    push_msat: Annotated[Msat, U64]
    dust_limit_satoshis: Annotated[Sat, U64]
    max_htlc_value_in_flight_msat: Annotated[Msat, U64]
    channel_reserve_satoshis: Annotated[Sat, U64]
    htlc_minimum_msat: Annotated[Msat, U64]
    feerate_per_kw: Annotated[FeeratePerKw, U32]
    to_self_delay: Annotated[CltvDelta, U16]
    max_accepted_htlcs: u16
    funding_pubkey: Point
    revocation_basepoint: Point
    payment_basepoint: Point
    delayed_payment_basepoint: Point
    htlc_basepoint: Point
    first_per_commitment_point: Point
    channel_flags: u8
    upfront_shutdown_script: Annotated[bytes | None, Tlv(0)] = None
    channel_type: Annotated[bytes | None, Tlv(1)] = None
    unknown: UnknownTlvs = ()


@message(33, bolt=2, section="accept_channel")
class AcceptChannel(Record):
    """Yes, on these terms of mine."""

    temporary_channel_id: ChannelId
    dust_limit_satoshis: Annotated[Sat, U64]
    max_htlc_value_in_flight_msat: Annotated[Msat, U64]
    channel_reserve_satoshis: Annotated[Sat, U64]
    htlc_minimum_msat: Annotated[Msat, U64]
    minimum_depth: u32
    to_self_delay: Annotated[CltvDelta, U16]
    max_accepted_htlcs: u16
    funding_pubkey: Point
    revocation_basepoint: Point
    payment_basepoint: Point
    delayed_payment_basepoint: Point
    htlc_basepoint: Point
    first_per_commitment_point: Point
    upfront_shutdown_script: Annotated[bytes | None, Tlv(0)] = None
    channel_type: Annotated[bytes | None, Tlv(1)] = None
    unknown: UnknownTlvs = ()


@message(34, bolt=2, section="funding_created")
class FundingCreated(Record):
    """This output funds the channel, and here is your first commitment's signature."""

    temporary_channel_id: ChannelId
    funding_txid: Txid
    """As hashed: the byte order of the transaction's inputs, not that of explorers."""
    funding_output_index: u16
    signature: Signature
    unknown: UnknownTlvs = ()


@message(35, bolt=2, section="funding_signed")
class FundingSigned(Record):
    """And here is the signature of yours: the funding may be broadcast."""

    channel_id: ChannelId
    signature: Signature
    unknown: UnknownTlvs = ()


@message(36, bolt=2, section="channel_ready")
class ChannelReady(Record):
    """The funding is deep enough for me."""

    channel_id: ChannelId
    second_per_commitment_point: Point
    alias: Annotated[ShortChannelId | None, Tlv(1)] = None
    """TLV `short_channel_id`: a name under which I shall know the channel."""
    unknown: UnknownTlvs = ()


@message(64, bolt=2, section="open_channel2")
class OpenChannel2(Record):
    """Let us have a channel that both of us may fund."""

    chain_hash: ChainHash
    temporary_channel_id: ChannelId
    funding_feerate_perkw: Annotated[FeeratePerKw, U32]
    commitment_feerate_perkw: Annotated[FeeratePerKw, U32]
    funding_satoshis: Annotated[Sat, U64]
    dust_limit_satoshis: Annotated[Sat, U64]
    max_htlc_value_in_flight_msat: Annotated[Msat, U64]
    htlc_minimum_msat: Annotated[Msat, U64]
    to_self_delay: Annotated[CltvDelta, U16]
    max_accepted_htlcs: u16
    locktime: Annotated[BlockHeight, U32]
    funding_pubkey: Point
    revocation_basepoint: Point
    payment_basepoint: Point
    delayed_payment_basepoint: Point
    htlc_basepoint: Point
    first_per_commitment_point: Point
    second_per_commitment_point: Point
    channel_flags: u8
    upfront_shutdown_script: Annotated[bytes | None, Tlv(0)] = None
    channel_type: Annotated[bytes | None, Tlv(1)] = None
    require_confirmed_inputs: Annotated[bool, Tlv(2)] = False
    unknown: UnknownTlvs = ()


@message(65, bolt=2, section="accept_channel2")
class AcceptChannel2(Record):
    """Yes, and this is what I put in."""

    temporary_channel_id: ChannelId
    funding_satoshis: Annotated[Sat, U64]
    dust_limit_satoshis: Annotated[Sat, U64]
    max_htlc_value_in_flight_msat: Annotated[Msat, U64]
    htlc_minimum_msat: Annotated[Msat, U64]
    minimum_depth: u32
    to_self_delay: Annotated[CltvDelta, U16]
    max_accepted_htlcs: u16
    funding_pubkey: Point
    revocation_basepoint: Point
    payment_basepoint: Point
    delayed_payment_basepoint: Point
    htlc_basepoint: Point
    first_per_commitment_point: Point
    second_per_commitment_point: Point
    upfront_shutdown_script: Annotated[bytes | None, Tlv(0)] = None
    channel_type: Annotated[bytes | None, Tlv(1)] = None
    require_confirmed_inputs: Annotated[bool, Tlv(2)] = False
    unknown: UnknownTlvs = ()
