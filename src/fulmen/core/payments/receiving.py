"""What our callers ask about invoices, what they are answered, and why they may be refused."""

from __future__ import annotations

from fulmen.core.base.faults import Refused
from fulmen.core.base.ids import ChannelId, CommandId, PaymentHash, PaymentSecret, Preimage
from fulmen.core.base.machine import Address, Event, Kept
from fulmen.core.base.policy import ForwardPolicy
from fulmen.core.base.record import Record
from fulmen.core.base.units import CltvDelta, Msat, Timestamp
from fulmen.core.crypto.hashes import sha256
from fulmen.core.invoices.invoice import InvoiceFields

REGISTER = Address("invoices")
"""Who takes commands about invoices and finds the one they mean."""


class PeerTerms(Record):
    """What the peer of a channel asks for forwarding to us, from its `channel_update`."""

    channel_id: ChannelId
    policy: ForwardPolicy


class CreateInvoice(Event):
    """To the register: make an invoice. The answer is `InvoiceCreated`."""

    command_id: CommandId
    amount_msat: Msat | None
    description: str = ""
    label: str = ""
    """Our own unique name for it; empty for none."""
    description_hash: bytes | None = None
    """32 bytes that stand in the invoice instead of the description."""
    expiry_s: int = 604_800
    min_final_cltv_expiry_delta: CltvDelta | None = None
    preimage: Preimage | None = None
    """None draws one."""
    private_hints: bool | None = None
    """Route hints over unannounced channels: always, never, or (None) where no announced one can receive so much."""
    peer_terms: tuple[PeerTerms, ...] = ()
    """What peers ask for forwarding to us, as far as they have said."""


class WaitInvoice(Event):
    """To the register: answer with `InvoiceRow` once it is paid, or refuse once it cannot be any more."""

    command_id: CommandId
    label: str = ""
    payment_hash: PaymentHash | None = None


class CancelInvoice(Event):
    """To the register: take no payment for it any more. The answer is its `InvoiceRow`."""

    command_id: CommandId
    label: str = ""
    payment_hash: PaymentHash | None = None


class OpenInvoice(Event):
    """From the register to an invoice: be this."""

    command_id: CommandId
    fields: InvoiceFields
    preimage: Preimage
    label: str
    capacity_msat: Msat
    """The most that our channels can receive in one HTLC now."""


class AwaitPaid(Event):
    """From the register to an invoice: this caller waits for it."""

    command_id: CommandId


class Cancel(Event):
    """From the register to an invoice: this caller takes it back."""

    command_id: CommandId


class InvoiceCreated(Record):
    """What to give to the payer. `bolt11` is filled in when the key holder has signed it."""

    payment_hash: PaymentHash
    payment_secret: PaymentSecret
    expires_at: Timestamp
    bolt11: str = ""
    capacity_msat: Msat = Msat(0)
    """What our channels could receive when it was made; the caller warns if that is less than the amount."""


class LabelRow(Kept):
    """A cold row under ("label", SHA-256 of the label): which invoice has it."""

    label: str
    payment_hash: PaymentHash


def label_address(label: str) -> Address:
    """Where the row of a label is."""
    return Address("label", sha256(label.encode()))


class LabelTaken(Refused):
    """Another invoice has this label."""


class InvoiceExists(Refused):
    """There is an invoice with this payment hash already."""


class InvoiceUnknown(Refused):
    """No invoice has this label or payment hash."""


class InvoiceLapsed(Refused):
    """The invoice was not paid before it expired."""


class InvoiceCanceled(Refused):
    """The invoice was taken back."""


class InvoicePaidAlready(Refused):
    """The invoice has been paid and cannot be taken back."""


class InvoiceUnfit(Refused):
    """What was asked for cannot stand in an invoice."""


class WaitedTooLong(Refused):
    """Too many callers wait for this invoice; ask again."""
