"""Normal operation and reconnection. BOLT 2, "Normal Operation" and "Message Retransmission"."""

from __future__ import annotations

from typing import Annotated

from fulmen.core.base.ids import ChannelId, PaymentHash, Point, Preimage, Secret, Signature, Txid
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Msat
from fulmen.core.wire.codecs import SIGNATURE, U32, U64, Blob, Counted, Every, Fixed, u8, u16, u64
from fulmen.core.wire.declare import Tlv, message
from fulmen.core.wire.tlv import UnknownTlvs


class AttributionData(Record):
    """Who held an HTLC for how long, and HMACs that show who changed what (BOLT 4, "Returning Errors")."""

    htlc_hold_times: Annotated[tuple[int, ...], Every(U32, 20)]
    """20 times, in units of 100 ms."""
    truncated_hmacs: Annotated[bytes, Fixed("840s")]
    """210 HMACs of 4 bytes."""


@message(128, bolt=2, section="update_add_htlc")
class UpdateAddHtlc(Record):
    """I offer you an HTLC."""

    channel_id: ChannelId
    id: u64
    amount_msat: Annotated[Msat, U64]
    payment_hash: PaymentHash
    cltv_expiry: Annotated[BlockHeight, U32]
    onion_routing_packet: Annotated[bytes, Fixed("1366s")]
    path_key: Annotated[Point | None, Tlv(0)] = None
    """TLV `blinded_path`."""
    unknown: UnknownTlvs = ()


@message(130, bolt=2, section="update_fulfill_htlc")
class UpdateFulfillHtlc(Record):
    """Take the money of a received HTLC by showing its preimage."""

    channel_id: ChannelId
    id: u64
    payment_preimage: Preimage
    attribution_data: Annotated[AttributionData | None, Tlv(1)] = None
    unknown: UnknownTlvs = ()


@message(131, bolt=2, section="update_fail_htlc")
class UpdateFailHtlc(Record):
    """Give a received HTLC back, with a reason for its origin alone."""

    channel_id: ChannelId
    id: u64
    reason: Blob
    attribution_data: Annotated[AttributionData | None, Tlv(1)] = None
    unknown: UnknownTlvs = ()


@message(135, bolt=2, section="update_fail_malformed_htlc")
class UpdateFailMalformedHtlc(Record):
    """Give a received HTLC back because its onion could not be read."""

    channel_id: ChannelId
    id: u64
    sha256_of_onion: Annotated[bytes, Fixed("32s")]
    failure_code: u16
    unknown: UnknownTlvs = ()


@message(134, bolt=2, section="update_fee")
class UpdateFee(Record):
    """The next commitments pay this feerate."""

    channel_id: ChannelId
    feerate_per_kw: Annotated[FeeratePerKw, U32]
    unknown: UnknownTlvs = ()


@message(127, bolt=2, section="start_batch")
class StartBatch(Record):
    """The next `batch_size` messages of this channel are one."""

    channel_id: ChannelId
    batch_size: u16
    message_type: Annotated[u16 | None, Tlv(1)] = None
    unknown: UnknownTlvs = ()


@message(132, bolt=2, section="commitment_signed")
class CommitmentSigned(Record):
    """All my updates so far are in your next commitment, and this signs it."""

    channel_id: ChannelId
    signature: Signature
    htlc_signature: Annotated[tuple[Signature, ...], Counted(SIGNATURE)]
    """One per untrimmed HTLC, in the order of the commitment's outputs."""
    funding_txid: Annotated[Txid | None, Tlv(1)] = None
    """Which funding this commitment spends, while a splice is pending."""
    unknown: UnknownTlvs = ()


@message(133, bolt=2, section="revoke_and_ack")
class RevokeAndAck(Record):
    """My commitment before is revoked; your updates are in the one I hold now."""

    channel_id: ChannelId
    per_commitment_secret: Secret
    next_per_commitment_point: Point
    unknown: UnknownTlvs = ()


class NextFunding(Record):
    """A funding transaction whose signing was interrupted."""

    next_funding_txid: Txid
    retransmit_flags: u8
    """Bit 0: send `commitment_signed` again."""


class MyCurrentFundingLocked(Record):
    """The last funding we said `splice_locked` (or `channel_ready`) for."""

    my_current_funding_locked_txid: Txid
    retransmit_flags: u8
    """Bit 0: send `announcement_signatures` again."""


@message(136, bolt=2, section="channel_reestablish")
class ChannelReestablish(Record):
    """Where I stand after a reconnection."""

    channel_id: ChannelId
    next_commitment_number: u64
    next_revocation_number: u64
    your_last_per_commitment_secret: Secret
    my_current_per_commitment_point: Point
    next_funding: Annotated[NextFunding | None, Tlv(1)] = None
    my_current_funding_locked: Annotated[MyCurrentFundingLocked | None, Tlv(5)] = None
    unknown: UnknownTlvs = ()
