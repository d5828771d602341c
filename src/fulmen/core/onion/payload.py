"""What one node of a route is told: the TLV stream in its layer of the onion.

BOLT 4, "`payload` format". A payload that cannot be read, or lacks what its reader needs, is answered by
`invalid_onion_payload`, so every fault here says which type is wrong and where.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fulmen.core.base.faults import Malformed
from fulmen.core.base.ids import PaymentSecret, Point, ShortChannelId
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, Msat
from fulmen.core.onion.sphinx import PayloadUnreadable
from fulmen.core.wire.tlv import UnknownTlvs, join_tlvs, split_tlvs

AMT_TO_FORWARD = 2
OUTGOING_CLTV_VALUE = 4
SHORT_CHANNEL_ID = 6
PAYMENT_DATA = 8
ENCRYPTED_RECIPIENT_DATA = 10
CURRENT_PATH_KEY = 12
PAYMENT_METADATA = 16
TOTAL_AMOUNT_MSAT = 18


class PaymentData(Record):
    """What proves to the payee that the sender read the invoice, and how much is coming in all."""

    payment_secret: PaymentSecret
    total_msat: Msat


class Payload(Record):
    """The payload of one hop, final or not."""

    amt_to_forward: Msat | None = None
    outgoing_cltv_value: BlockHeight | None = None
    short_channel_id: ShortChannelId | None = None
    payment_data: PaymentData | None = None
    encrypted_recipient_data: bytes | None = None
    current_path_key: Point | None = None
    payment_metadata: bytes | None = None
    total_amount_msat: Msat | None = None
    unknown: UnknownTlvs = ()
    """Odd types that we do not know: (type, value), in order."""

    @property
    def blinded(self) -> bool:
        """True if this hop is inside a blinded route, or the start of one."""
        return self.encrypted_recipient_data is not None or self.current_path_key is not None

    def terms(self) -> tuple[Msat, BlockHeight]:
        """Amount and expiry, which every hop outside of a blinded route is told.

        Raises:
            PayloadUnreadable: one of them is missing.
        """
        # BOLT 4: "MUST return an error if `amt_to_forward` or `outgoing_cltv_value` are not present."
        if self.amt_to_forward is None:
            raise PayloadUnreadable("amt_to_forward is missing", AMT_TO_FORWARD)
        if self.outgoing_cltv_value is None:
            raise PayloadUnreadable("outgoing_cltv_value is missing", OUTGOING_CLTV_VALUE)
        return self.amt_to_forward, self.outgoing_cltv_value

    def next_channel(self) -> ShortChannelId:
        """The outgoing channel, which every node is told but the final one.

        Raises:
            PayloadUnreadable: it is missing.
        """
        if self.short_channel_id is None:
            raise PayloadUnreadable("short_channel_id is missing", SHORT_CHANNEL_ID)
        return self.short_channel_id


def encode_payload(payload: Payload) -> bytes:
    """The TLV stream, without the length in front of it."""
    records: list[tuple[int, bytes]] = []
    for number, (field, _read, write) in _FIELDS.items():
        value = getattr(payload, field)
        if value is not None:
            records.append((number, write(value)))
    if payload.unknown:
        records = sorted((*records, *payload.unknown))
    return join_tlvs(records)


def decode_payload(raw: bytes) -> Payload:
    """A payload from its TLV stream.

    Raises:
        PayloadUnreadable: it is no TLV stream, a type's value is wrong, or an even type is unknown.
    """
    try:
        records = split_tlvs(raw)
    except Malformed as fault:
        raise PayloadUnreadable(
            str(fault), fault.details.get("type", 0), min(fault.details.get("at", 0), 0xFFFF)
        ) from None
    values: dict[str, Any] = {}
    unknown: list[tuple[int, bytes]] = []
    for number, start, end in records:
        value = raw[start:end]
        known = _FIELDS.get(number)
        if known is not None:
            field, read, _write = known
            try:
                values[field] = read(value)
            except Malformed as fault:
                raise PayloadUnreadable(f"{field}: {fault.message}", number, start) from None
        elif number % 2 == 0:
            raise PayloadUnreadable("an even type is unknown", number, start)
        else:
            unknown.append((number, value))
    return Payload(**values, unknown=tuple(unknown))


class ValueMalformed(Malformed):
    """A TLV's value has the wrong length or is not minimal."""


def _read_integer(size: int, truncated: bool) -> Callable[[bytes], int]:
    def read(value: bytes) -> int:
        if len(value) > size or (not truncated and len(value) < size):
            raise ValueMalformed("the integer has the wrong length", bytes=len(value))
        # BOLT 1: "if the decoded value is not minimal: MUST fail to parse"
        if truncated and value[:1] == b"\x00":
            raise ValueMalformed("the truncated integer begins with a zero")
        return int.from_bytes(value, "big")

    return read


def _truncated(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _read_payment_data(value: bytes) -> PaymentData:
    if len(value) < 32:
        raise ValueMalformed("payment_data begins with a secret of 32 bytes", bytes=len(value))
    return PaymentData(PaymentSecret(value[:32]), Msat(_read_tu64(value[32:])))


def _write_payment_data(data: PaymentData) -> bytes:
    return data.payment_secret + _truncated(data.total_msat)


def _read_point(value: bytes) -> Point:
    if len(value) != 33:
        raise ValueMalformed("a point has 33 bytes", bytes=len(value))
    return Point(value)


_read_tu64 = _read_integer(8, truncated=True)
_FIELDS: dict[int, tuple[str, Callable[[bytes], Any], Callable[[Any], bytes]]] = {
    AMT_TO_FORWARD: ("amt_to_forward", _read_tu64, _truncated),
    OUTGOING_CLTV_VALUE: ("outgoing_cltv_value", _read_integer(4, truncated=True), _truncated),
    SHORT_CHANNEL_ID: ("short_channel_id", _read_integer(8, truncated=False), lambda scid: scid.to_bytes(8, "big")),
    PAYMENT_DATA: ("payment_data", _read_payment_data, _write_payment_data),
    ENCRYPTED_RECIPIENT_DATA: ("encrypted_recipient_data", bytes, bytes),
    CURRENT_PATH_KEY: ("current_path_key", _read_point, bytes),
    PAYMENT_METADATA: ("payment_metadata", bytes, bytes),
    TOTAL_AMOUNT_MSAT: ("total_amount_msat", _read_tu64, _truncated),
}
