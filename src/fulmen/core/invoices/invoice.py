"""The values that an invoice carries."""

from __future__ import annotations

from fulmen.core.base.ids import NodeId, PaymentHash, PaymentSecret, ShortChannelId
from fulmen.core.base.record import Record
from fulmen.core.base.units import CltvDelta, Msat, Timestamp
from fulmen.core.wire.features import Features

DEFAULT_EXPIRY_S = 3600
DEFAULT_MIN_FINAL_CLTV_EXPIRY_DELTA = CltvDelta(18)


class HopHint(Record):
    """One channel on the way to a payee whose channels are not public: from `node_id` over `short_channel_id`."""

    node_id: NodeId
    short_channel_id: ShortChannelId
    fee_base_msat: int
    fee_proportional_millionths: int
    cltv_expiry_delta: CltvDelta


class Fallback(Record):
    """An on-chain address: a witness version and program, or 17 and a public key hash, or 18 and a script hash."""

    version: int
    program: bytes


class InvoiceFields(Record):
    """What the payee says in an invoice, before it signs."""

    prefix: str
    """The chain: `lnbc`, `lntb`, `lntbs`, `lnbcrt`, `lnltc` …"""
    timestamp: Timestamp
    payment_hash: PaymentHash
    payment_secret: PaymentSecret
    amount_msat: Msat | None = None
    """None: the payer chooses."""
    description: str | None = None
    description_hash: bytes | None = None
    """32 bytes, instead of a description."""
    payment_metadata: bytes | None = None
    expiry_s: int = DEFAULT_EXPIRY_S
    min_final_cltv_expiry_delta: CltvDelta = DEFAULT_MIN_FINAL_CLTV_EXPIRY_DELTA
    fallbacks: tuple[Fallback, ...] = ()
    route_hints: tuple[tuple[HopHint, ...], ...] = ()
    features: Features = Features()

    @property
    def expires_at(self) -> Timestamp:
        """From this time on it should not be paid."""
        return Timestamp(self.timestamp + self.expiry_s)


class Invoice(InvoiceFields, kw_only=True):
    """A signed invoice."""

    payee: NodeId
    """Who signed it: given in the `n` field, or recovered from the signature."""
    signature: bytes
    """65 bytes: r, s, recovery id."""
    payee_given: bool = False
    """True if the payee stood in the `n` field."""
    unknown: tuple[tuple[int, bytes], ...] = ()
    """Fields that we cannot read and must skip: their type and their 5-bit words, one a byte."""
