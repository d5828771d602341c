"""Building one transaction together. BOLT 2, "Interactive Transaction Construction"."""

from __future__ import annotations

from typing import Annotated

from fulmen.core.base.ids import ChannelId, Signature, Txid
from fulmen.core.base.record import Record
from fulmen.core.base.units import FeeratePerKw, Sat
from fulmen.core.wire.codecs import S64, SIZED, U32, U64, Blob, Counted, u32, u64
from fulmen.core.wire.declare import Tlv, message
from fulmen.core.wire.tlv import UnknownTlvs


@message(66, bolt=2, section="tx_add_input")
class TxAddInput(Record):
    """Spend this output too."""

    channel_id: ChannelId
    serial_id: u64
    prevtx: Blob
    """The whole transaction whose output is spent; empty for the channel's own funding (a splice)."""
    prevtx_vout: u32
    sequence: u32
    shared_input_txid: Annotated[Txid | None, Tlv(0)] = None
    unknown: UnknownTlvs = ()


@message(67, bolt=2, section="tx_add_output")
class TxAddOutput(Record):
    """Pay this too."""

    channel_id: ChannelId
    serial_id: u64
    sats: Annotated[Sat, U64]
    script: Blob
    unknown: UnknownTlvs = ()


@message(68, bolt=2, section="tx_remove_input")
class TxRemoveInput(Record):
    """Leave out an input of mine."""

    channel_id: ChannelId
    serial_id: u64
    unknown: UnknownTlvs = ()


@message(69, bolt=2, section="tx_remove_output")
class TxRemoveOutput(Record):
    """Leave out an output of mine."""

    channel_id: ChannelId
    serial_id: u64
    unknown: UnknownTlvs = ()


@message(70, bolt=2, section="tx_complete")
class TxComplete(Record):
    """I have nothing to add; twice in a row ends the negotiation."""

    channel_id: ChannelId
    unknown: UnknownTlvs = ()


@message(71, bolt=2, section="tx_signatures")
class TxSignatures(Record):
    """The witnesses of my inputs, in the order of their serial ids."""

    channel_id: ChannelId
    txid: Txid
    witnesses: Annotated[tuple[bytes, ...], Counted(SIZED)]
    """Each a whole witness as transactions serialise it (count, then items)."""
    shared_input_signature: Annotated[Signature | None, Tlv(0)] = None
    unknown: UnknownTlvs = ()


@message(72, bolt=2, section="tx_init_rbf")
class TxInitRbf(Record):
    """Let us build it again at a higher feerate."""

    channel_id: ChannelId
    locktime: u32
    feerate: Annotated[FeeratePerKw, U32]
    funding_output_contribution: Annotated[int | None, Tlv(0, S64)] = None
    """Satoshis, negative to take out."""
    require_confirmed_inputs: Annotated[bool, Tlv(2)] = False
    unknown: UnknownTlvs = ()


@message(73, bolt=2, section="tx_ack_rbf")
class TxAckRbf(Record):
    """Yes, let us."""

    channel_id: ChannelId
    funding_output_contribution: Annotated[int | None, Tlv(0, S64)] = None
    require_confirmed_inputs: Annotated[bool, Tlv(2)] = False
    unknown: UnknownTlvs = ()


@message(74, bolt=2, section="tx_abort")
class TxAbort(Record):
    """Forget this negotiation; the channel lives."""

    channel_id: ChannelId
    data: Blob
    unknown: UnknownTlvs = ()
