"""Quiescence and splicing. BOLT 2, "Channel Quiescence" and "Channel Splicing"."""

from __future__ import annotations

from typing import Annotated

from fulmen.core.base.ids import ChannelId, Point, Txid
from fulmen.core.base.record import Record
from fulmen.core.base.units import FeeratePerKw
from fulmen.core.wire.codecs import U32, s64, u8, u32
from fulmen.core.wire.declare import Tlv, message
from fulmen.core.wire.tlv import UnknownTlvs


@message(2, bolt=2, section="stfu")
class Stfu(Record):
    """Something fundamental is under way: no more updates from me."""

    channel_id: ChannelId
    initiator: u8
    unknown: UnknownTlvs = ()


@message(80, bolt=2, section="splice_init")
class SpliceInit(Record):
    """Let us change the channel's funding."""

    channel_id: ChannelId
    funding_contribution_satoshis: s64
    """Negative to take out."""
    funding_feerate_perkw: Annotated[FeeratePerKw, U32]
    locktime: u32
    funding_pubkey: Point
    require_confirmed_inputs: Annotated[bool, Tlv(2)] = False
    unknown: UnknownTlvs = ()


@message(81, bolt=2, section="splice_ack")
class SpliceAck(Record):
    """Yes, and this is what I put in or take out."""

    channel_id: ChannelId
    funding_contribution_satoshis: s64
    funding_pubkey: Point
    require_confirmed_inputs: Annotated[bool, Tlv(2)] = False
    unknown: UnknownTlvs = ()


@message(77, bolt=2, section="splice_locked")
class SpliceLocked(Record):
    """This splice is deep enough for me."""

    channel_id: ChannelId
    splice_txid: Txid
    unknown: UnknownTlvs = ()
