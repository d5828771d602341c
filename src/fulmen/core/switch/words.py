"""The words between a circuit and the invoice that its HTLC wants to pay."""

from __future__ import annotations

from fulmen.core.base.ids import HtlcKey, PaymentHash, PaymentSecret, Preimage
from fulmen.core.base.machine import Address, Event
from fulmen.core.base.units import BlockHeight, Msat


class HtlcArrived(Event):
    """To the invoice of this payment_hash: an HTLC that ends here. The circuit of `key` waits for the verdict."""

    key: HtlcKey
    payment_hash: PaymentHash
    amount_msat: Msat
    cltv_expiry: BlockHeight
    total_msat: Msat
    """What the sender says it pays in all; the amount in the onion when it says nothing."""
    onion_amount_msat: Msat
    """`amt_to_forward`: what this HTLC counts for."""
    payment_secret: PaymentSecret | None = None
    payment_metadata: bytes | None = None


class AcceptHtlc(Event):
    """To the circuit: take the money of this HTLC."""

    key: HtlcKey
    preimage: Preimage


class RejectHtlc(Event):
    """To the circuit: give this HTLC back, with this failure message (`encode_failure`)."""

    key: HtlcKey
    message: bytes


def invoice_address(payment_hash: PaymentHash) -> Address:
    """Where the invoice of a payment_hash lives."""
    return Address("invoice", payment_hash)
