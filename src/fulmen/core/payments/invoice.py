"""One invoice of ours: from its creation until it is paid, lapses, or is taken back.

It releases its preimage once, to the HTLC that pays it, and says to every other one the same words, so that nobody
learns which invoices exist. BOLT 4, "Failure Messages", requirements of the final node.
"""

from __future__ import annotations

import enum
import hmac
from typing import ClassVar

from fulmen.core.base.env import Env
from fulmen.core.base.faults import Fault, Refused
from fulmen.core.base.ids import CommandId, HtlcKey, PaymentHash, Preimage
from fulmen.core.base.machine import Event, Fact, Faulted, Keep, Step, Tell, Topic, Undelivered, evolves
from fulmen.core.base.mount import Mount
from fulmen.core.base.outer import Answer, Notify, TimeReached, Want, WantTime
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, Msat, Timestamp
from fulmen.core.commitments.htlcs import circuit_address
from fulmen.core.invoices.bolt11 import unsigned
from fulmen.core.invoices.invoice import InvoiceFields
from fulmen.core.invoices.signing import SignInvoice
from fulmen.core.onion.failures import IncorrectOrUnknownPaymentDetails, encode_failure
from fulmen.core.payments.receiving import (
    AwaitPaid,
    Cancel,
    InvoiceCanceled,
    InvoiceCreated,
    InvoiceExists,
    InvoiceLapsed,
    InvoicePaidAlready,
    InvoiceUnknown,
    LabelRow,
    OpenInvoice,
    WaitedTooLong,
    label_address,
)
from fulmen.core.payments.register import ASKED_MARGIN, least_final_delta
from fulmen.core.switch.words import AcceptHtlc, HtlcArrived, RejectHtlc

MAX_WAITERS = 100


class Status(enum.Enum):
    """What became of an invoice."""

    NONE = "none"
    """There is no such invoice."""
    UNPAID = "unpaid"
    PAID = "paid"
    EXPIRED = "expired"
    CANCELED = "canceled"


class Invoice(Record):
    """An invoice, or the place where none is."""

    payment_hash: PaymentHash
    status: Status = Status.NONE
    fields: InvoiceFields | None = None
    preimage: Preimage = Preimage(b"")
    label: str = ""
    paid_by: HtlcKey | None = None
    received_msat: Msat = Msat(0)
    resolved_at: Timestamp = Timestamp(0)
    waiters: tuple[CommandId, ...] = ()
    """Passing: the callers that wait for it."""


class InvoiceRow(Record):
    """An invoice as `listinvoices` shows it. Its text is `unsigned(fields)`, signed again."""

    payment_hash: PaymentHash
    status: str
    label: str
    fields: InvoiceFields
    received_msat: Msat | None
    paid_at: Timestamp | None
    preimage: Preimage | None
    """Only once it is paid."""


class InvoiceOpened(Fact):
    """There is an invoice."""

    fields: InvoiceFields
    preimage: Preimage
    label: str


class InvoicePaid(Fact):
    """Its preimage goes out, for this HTLC."""

    key: HtlcKey
    amount_msat: Msat
    at: Timestamp


class InvoiceClosed(Fact):
    """It will not be paid any more: expired or canceled."""

    status: Status
    at: Timestamp


class WaitersChanged(Fact):
    """Who waits for it now."""

    passing: ClassVar[bool] = True
    waiters: tuple[CommandId, ...]


@evolves(InvoiceOpened)
def _opened(invoice: Invoice, fact: InvoiceOpened) -> Invoice:
    return Invoice(invoice.payment_hash, Status.UNPAID, fact.fields, fact.preimage, fact.label)


@evolves(InvoicePaid)
def _paid(invoice: Invoice, fact: InvoicePaid) -> Invoice:
    return invoice.but(status=Status.PAID, paid_by=fact.key, received_msat=fact.amount_msat, resolved_at=fact.at)


@evolves(InvoiceClosed)
def _closed(invoice: Invoice, fact: InvoiceClosed) -> Invoice:
    return invoice.but(status=fact.status, resolved_at=fact.at)


@evolves(WaitersChanged)
def _waiters_changed(invoice: Invoice, fact: WaitersChanged) -> Invoice:
    return invoice.but(waiters=fact.waiters)


invoices = Topic()


@invoices.on(OpenInvoice)
def on_open_invoice(invoice: Invoice, event: OpenInvoice, _env: Env) -> Step[Invoice]:
    """Be an invoice; the caller gets its text once it is on disk and signed.

    Raises:
        InvoiceExists: the payment hash is taken.
    """
    if invoice.status is not Status.NONE:
        raise InvoiceExists(payment_hash=invoice.payment_hash)
    fields = event.fields
    waiting = unsigned(fields)
    created = InvoiceCreated(
        fields.payment_hash, fields.payment_secret, fields.expires_at, capacity_msat=event.capacity_msat
    )
    step = Step(invoice).fact(InvoiceOpened(fields, event.preimage, event.label))
    if event.label:
        step.act(Keep(label_address(event.label), LabelRow(event.label, fields.payment_hash)))
    return step.act(Answer(event.command_id, created, sign=(SignInvoice(waiting.hrp, waiting.words),)))


@invoices.on(HtlcArrived)
def on_htlc_arrived(invoice: Invoice, event: HtlcArrived, env: Env) -> Step[Invoice]:
    """An HTLC wants to pay it."""
    step = Step(invoice)
    circuit = circuit_address(event.key)
    if invoice.status is Status.PAID and invoice.paid_by == event.key:
        return step.act(Tell(circuit, AcceptHtlc(event.key, invoice.preimage)))
    if not _pays(invoice, event, env):
        # BOLT 4: the same words for an unknown hash, a wrong secret, a wrong amount, or an expiry too near.
        failure = IncorrectOrUnknownPaymentDetails(event.amount_msat, env.height)
        return step.act(Tell(circuit, RejectHtlc(event.key, encode_failure(failure))))
    step.fact(InvoicePaid(event.key, event.amount_msat, env.wall))
    step.act(Tell(circuit, AcceptHtlc(event.key, invoice.preimage)))
    about = {"payment_hash": invoice.payment_hash.hex(), "label": invoice.label, "amount_msat": event.amount_msat}
    return _answer_waiters(step.act(Notify("invoice paid", about)))


def _pays(invoice: Invoice, event: HtlcArrived, env: Env) -> bool:
    fields = invoice.fields
    # BOLT 4: "if the payment hash has already been paid: MAY treat the payment hash as unknown."
    if invoice.status is not Status.UNPAID or fields is None:
        return False
    # BOLT 11: "after the `timestamp` plus `expiry` has passed: SHOULD NOT accept a payment."
    if env.wall >= fields.expires_at:
        return False
    # BOLT 4: "if the `payment_secret` doesn't match the expected value for that `payment_hash`, or the
    # `payment_secret` is required and is not present: MUST fail the HTLC."
    if event.payment_secret is None or not hmac.compare_digest(event.payment_secret, fields.payment_secret):
        return False
    # BOLT 4: "if it does not support `basic_mpp`: MUST fail the HTLC if `total_msat` is not exactly equal to
    # `amt_to_forward`."
    if event.total_msat != event.onion_amount_msat:
        return False
    # BOLT 4: "if the amount paid is less than the amount expected: MUST fail the HTLC", and "more than twice the
    # amount expected: SHOULD fail the HTLC."
    asked = fields.amount_msat
    if asked is not None and not asked <= event.total_msat <= 2 * asked:
        return False
    # BOLT 4: "incoming `cltv_expiry` < `current_block_height` + `min_final_cltv_expiry_delta`"
    least = BlockHeight(env.height + _needed_delta(fields, env))
    return event.cltv_expiry >= least


def _needed_delta(fields: InvoiceFields, env: Env) -> int:
    """Less than the invoice asks for, as blocks may be found while the payment is on its way."""
    return max(least_final_delta(env.policy.deadlines), fields.min_final_cltv_expiry_delta - ASKED_MARGIN)


@invoices.on(TimeReached)
def on_time_reached(invoice: Invoice, _event: TimeReached, env: Env) -> Step[Invoice]:
    """It lapses."""
    step = Step(invoice)
    if invoice.status is not Status.UNPAID or invoice.fields is None or env.wall < invoice.fields.expires_at:
        return step
    return _answer_waiters(step.fact(InvoiceClosed(Status.EXPIRED, env.wall)))


@invoices.on(AwaitPaid)
def on_await_paid(invoice: Invoice, event: AwaitPaid, _env: Env) -> Step[Invoice]:
    """Answer now if it is decided, else when it is.

    Raises:
        InvoiceUnknown: there is none.
    """
    if invoice.status is Status.NONE:
        raise InvoiceUnknown(payment_hash=invoice.payment_hash)
    step = Step(invoice)
    if invoice.status is not Status.UNPAID:
        return step.act(_answer_to(invoice, event.command_id))
    if event.command_id in invoice.waiters:
        return step
    waiters = (*invoice.waiters, event.command_id)
    for command_id in waiters[:-MAX_WAITERS]:
        step.act(Answer(command_id, refused=WaitedTooLong()))
    return step.fact(WaitersChanged(waiters[-MAX_WAITERS:]))


@invoices.on(Cancel)
def on_cancel(invoice: Invoice, event: Cancel, env: Env) -> Step[Invoice]:
    """Take it back, unless it is paid.

    Raises:
        InvoiceUnknown, InvoicePaidAlready
    """
    if invoice.status is Status.NONE:
        raise InvoiceUnknown(payment_hash=invoice.payment_hash)
    if invoice.status is Status.PAID:
        raise InvoicePaidAlready(payment_hash=invoice.payment_hash)
    step = Step(invoice)
    if invoice.status is Status.UNPAID:
        step.fact(InvoiceClosed(Status.CANCELED, env.wall))
        _answer_waiters(step)
    return step.act(Answer(event.command_id, invoice_row(step.state)))


@invoices.on(Faulted)
def on_faulted(invoice: Invoice, event: Faulted, _env: Env) -> Step[Invoice]:
    """A command was refused: say so."""
    command_id = getattr(event.event, "command_id", None)
    return Step(invoice) if command_id is None else Step(invoice).act(Answer(command_id, refused=event.why))


@invoices.on(Undelivered)
def on_undelivered(invoice: Invoice, _event: Undelivered, _env: Env) -> Step[Invoice]:
    """The circuit is frozen; it asks again when it goes on."""
    return Step(invoice)


def _answer_waiters(step: Step[Invoice]) -> Step[Invoice]:
    invoice = step.state
    if not invoice.waiters:
        return step
    step.act(*(_answer_to(invoice, command_id) for command_id in invoice.waiters))
    return step.fact(WaitersChanged(()))


def _answer_to(invoice: Invoice, command_id: CommandId) -> Answer:
    refused: Fault | None = None
    if invoice.status is Status.EXPIRED:
        refused = InvoiceLapsed(payment_hash=invoice.payment_hash)
    elif invoice.status is Status.CANCELED:
        refused = InvoiceCanceled(payment_hash=invoice.payment_hash)
    return Answer(command_id, None if refused else invoice_row(invoice), refused)


def invoice_row(invoice: Invoice) -> InvoiceRow | None:
    """The row of an invoice, live or from the cold store; None where there is none."""
    if invoice.fields is None:
        return None
    paid = invoice.status is Status.PAID
    return InvoiceRow(
        invoice.payment_hash,
        invoice.status.value,
        invoice.label,
        invoice.fields,
        invoice.received_msat if paid else None,
        invoice.resolved_at if paid else None,
        invoice.preimage if paid else None,
    )


class NotForAnInvoice(Refused):
    """An invoice has no handler for this event."""


def decide(invoice: Invoice, event: Event, env: Env) -> Step[Invoice]:
    """What follows from an event.

    Raises:
        NotForAnInvoice, InvoiceExists, InvoiceUnknown, InvoicePaidAlready: it is refused.
    """
    handler = invoices.get(type(event))
    if handler is None:
        raise NotForAnInvoice(event=type(event).__name__)
    step: Step[Invoice] = handler(invoice, event, env)
    return step


def wants(invoice: Invoice) -> tuple[Want, ...]:
    """To be woken when it lapses."""
    if invoice.status is Status.UNPAID and invoice.fields is not None:
        return (WantTime(invoice.fields.expires_at),)
    return ()


def forget(invoice: Invoice) -> Invoice:
    """The state less its passing facts."""
    return invoice.but(waiters=())


def ended(invoice: Invoice) -> bool:
    """Paid, expired and canceled invoices are cold."""
    return invoice.status not in (Status.NONE, Status.UNPAID)


MOUNT = Mount(
    "invoice",
    lambda key: Invoice(PaymentHash(key)),
    decide,
    forget=forget,
    wants=wants,
    ended=ended,
)
