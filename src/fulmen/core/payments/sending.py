"""What our callers ask about payments, what they are answered, and why they may be refused."""

from __future__ import annotations

from fulmen.core.base.faults import Refused
from fulmen.core.base.ids import CommandId, NodeId, PaymentHash, PaymentSecret, Preimage
from fulmen.core.base.machine import Address, Event
from fulmen.core.base.record import Record
from fulmen.core.base.units import CltvDelta, Msat, Timestamp
from fulmen.core.invoices.bolt11 import decode
from fulmen.core.invoices.invoice import HopHint, Invoice

DEFAULT_MAX_FEE_PPM = 10_000
DEFAULT_MAX_FEE_BASE_MSAT = Msat(5_000)
DEFAULT_MAX_CLTV_EXPIRY_DELTA = CltvDelta(2016)
DEFAULT_RETRY_FOR_S = 60


class PaymentTerms(Record):
    """Whom to pay, how much, and what the payee has to be shown."""

    payment_hash: PaymentHash
    destination: NodeId
    amount_msat: Msat
    payment_secret: PaymentSecret | None = None
    payment_metadata: bytes | None = None
    min_final_cltv_expiry_delta: CltvDelta = CltvDelta(18)
    hints: tuple[tuple[HopHint, ...], ...] = ()
    expires_at: Timestamp | None = None
    prefix: str = ""
    """The chain, as the invoice names it; empty where there is no invoice."""
    bolt11: str = ""
    description: str = ""


class Pay(Event):
    """To `payment_address(hash)`: pay. Once paid, or while it is being paid, asking again pays nothing more."""

    command_id: CommandId
    terms: PaymentTerms
    max_fee_msat: Msat | None = None
    """None: 1 % and 5 sat."""
    max_cltv_expiry_delta: CltvDelta = DEFAULT_MAX_CLTV_EXPIRY_DELTA
    """The longest time, in blocks, that the money may be locked."""
    retry_for_s: int = DEFAULT_RETRY_FOR_S
    label: str = ""


class PaymentDone(Record):
    """It was paid: the preimage is the receipt."""

    payment_hash: PaymentHash
    preimage: Preimage
    destination: NodeId
    amount_msat: Msat
    sent_msat: Msat
    attempts: int
    created_at: Timestamp
    completed_at: Timestamp

    @property
    def fee_msat(self) -> Msat:
        """What the nodes on the way kept."""
        return Msat(self.sent_msat - self.amount_msat)


class AmountNeeded(Refused):
    """The invoice leaves the amount to the payer: say how much."""


class AmountNotAsked(Refused):
    """The invoice says another amount."""


class AnotherAmountPaid(Refused):
    """The invoice is paid already, or being paid, with another amount: an invoice is paid once."""


class SelfPayment(Refused):
    """The payee is this node."""


class InvoiceExpired(Refused):
    """The invoice is too old to be paid."""


class WrongChain(Refused):
    """The invoice is for another chain than our channels are on."""


class PaymentUnsuccessful(Refused):
    """The payment failed, and nothing of it is on its way: every msat is still here."""


class NoRouteFound(PaymentUnsuccessful):
    """No way leads there that can carry the amount."""


class RouteTooExpensive(PaymentUnsuccessful):
    """Every way costs more than the fee limit."""


class PayeeRefused(PaymentUnsuccessful):
    """The payee was reached and does not take the payment: unknown, expired, or other than it asked for."""


class RetriesUsedUp(PaymentUnsuccessful):
    """Every attempt failed, or none could be made, until the time or the number of attempts was over."""


class PaymentStillPending(Refused):
    """An HTLC is still on its way when the time is over. It ends by itself; do not pay in another way before."""


def payment_address(payment_hash: PaymentHash) -> Address:
    """Where the payment of a hash lives."""
    return Address("payment", payment_hash)


def terms_of(text: str, amount_msat: Msat | None = None) -> PaymentTerms:
    """What paying an invoice means.

    Raises:
        Malformed: it is no invoice.
        AmountNeeded, AmountNotAsked: the amount given does not go with it.
    """
    invoice = decode(text)
    return PaymentTerms(
        invoice.payment_hash,
        invoice.payee,
        _amount(invoice, amount_msat),
        invoice.payment_secret,
        invoice.payment_metadata,
        invoice.min_final_cltv_expiry_delta,
        invoice.route_hints,
        invoice.expires_at,
        invoice.prefix,
        text,
        invoice.description or "",
    )


def default_max_fee(amount_msat: Msat) -> Msat:
    """The fee limit where the caller gives none."""
    return Msat(amount_msat * DEFAULT_MAX_FEE_PPM // 1_000_000 + DEFAULT_MAX_FEE_BASE_MSAT)


def _amount(invoice: Invoice, amount_msat: Msat | None) -> Msat:
    if invoice.amount_msat is None:
        if amount_msat is None or amount_msat <= 0:
            raise AmountNeeded("the invoice leaves the amount to you: say how much")
        return amount_msat
    if amount_msat is not None and amount_msat != invoice.amount_msat:
        raise AmountNotAsked("the invoice says how much", asked_msat=invoice.amount_msat, given_msat=amount_msat)
    return invoice.amount_msat
