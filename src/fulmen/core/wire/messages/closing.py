"""Closing a channel together. BOLT 2, "Channel Close"."""

from __future__ import annotations

from typing import Annotated

from fulmen.core.base.ids import ChannelId, Signature
from fulmen.core.base.record import Record
from fulmen.core.base.units import Sat
from fulmen.core.wire.codecs import U64, Blob, u32
from fulmen.core.wire.declare import Tlv, message
from fulmen.core.wire.tlv import UnknownTlvs


@message(38, bolt=2, section="shutdown")
class Shutdown(Record):
    """No new HTLCs from me; pay my part to this script."""

    channel_id: ChannelId
    scriptpubkey: Blob
    unknown: UnknownTlvs = ()


class FeeRange(Record):
    """The fees a side would take, in a legacy negotiation."""

    min_fee_satoshis: Annotated[Sat, U64]
    max_fee_satoshis: Annotated[Sat, U64]


@message(39, bolt=2, section="closing_signed")
class ClosingSigned(Record):
    """Legacy: the closing transaction at this fee, signed."""

    channel_id: ChannelId
    fee_satoshis: Annotated[Sat, U64]
    signature: Signature
    fee_range: Annotated[FeeRange | None, Tlv(1)] = None
    unknown: UnknownTlvs = ()


@message(40, bolt=2, section="closing_complete")
class ClosingComplete(Record):
    """The closing transactions I pay for, signed; choose one."""

    channel_id: ChannelId
    closer_scriptpubkey: Blob
    closee_scriptpubkey: Blob
    fee_satoshis: Annotated[Sat, U64]
    locktime: u32
    closer_output_only: Annotated[Signature | None, Tlv(1)] = None
    closee_output_only: Annotated[Signature | None, Tlv(2)] = None
    closer_and_closee_outputs: Annotated[Signature | None, Tlv(3)] = None
    unknown: UnknownTlvs = ()


@message(41, bolt=2, section="closing_sig")
class ClosingSig(Record):
    """My signature of the one I chose."""

    channel_id: ChannelId
    closer_scriptpubkey: Blob
    closee_scriptpubkey: Blob
    fee_satoshis: Annotated[Sat, U64]
    locktime: u32
    closer_output_only: Annotated[Signature | None, Tlv(1)] = None
    closee_output_only: Annotated[Signature | None, Tlv(2)] = None
    closer_and_closee_outputs: Annotated[Signature | None, Tlv(3)] = None
    unknown: UnknownTlvs = ()
