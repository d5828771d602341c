"""The register: takes commands about invoices, makes new ones, finds the one that a label means. It has no state.

Labels are cold rows, written by the invoice that has them.
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.faults import Refused
from fulmen.core.base.ids import PaymentHash, PaymentSecret, Preimage
from fulmen.core.base.machine import Address, Event, Faulted, Step, Tell, Topic, Undelivered
from fulmen.core.base.mount import Informed, Mount
from fulmen.core.base.outer import Answer
from fulmen.core.base.policy import DeadlinePolicy
from fulmen.core.base.record import Record
from fulmen.core.base.units import CltvDelta
from fulmen.core.bitcoin.networks import network_of_chain
from fulmen.core.crypto.hashes import sha256
from fulmen.core.invoices.invoice import InvoiceFields
from fulmen.core.payments.hints import hinted, receivable_msat, route_hints
from fulmen.core.payments.receiving import (
    AwaitPaid,
    Cancel,
    CancelInvoice,
    CreateInvoice,
    InvoiceUnfit,
    InvoiceUnknown,
    LabelRow,
    LabelTaken,
    OpenInvoice,
    WaitInvoice,
    label_address,
)
from fulmen.core.switch.links import links_of
from fulmen.core.switch.words import invoice_address
from fulmen.core.wire import features as bits
from fulmen.core.wire.features import Features

SETTLING = CltvDelta(3)
"""Blocks that a peer has to take a payment off both commitments, before we close its channel to claim it."""
ASKED_MARGIN = CltvDelta(3)
"""Blocks that may be found while a payment is on its way: invoices ask for so many more than is needed."""
MAX_DESCRIPTION_BYTES = 639
OFFERED = bits.required(bits.VAR_ONION_OPTIN, bits.PAYMENT_SECRET)
"""What our invoices say: single payments only, so far."""


class Register(Record):
    """Nothing: what it knows stands in the invoices."""


register = Topic()


def needs(event: Event) -> tuple[Address, ...]:
    """The row of the label that a command names."""
    if isinstance(event, CreateInvoice | WaitInvoice | CancelInvoice) and event.label and _is_text(event.label):
        return (label_address(event.label),)
    return ()


@register.on(Informed)
def on_informed(state: Register, informed: Informed, env: Env) -> Step[Register]:
    """A command that names a label, and that label's row."""
    row = informed.rows[0]
    labelled = row if isinstance(row, LabelRow) else None
    event = informed.event
    if isinstance(event, CreateInvoice):
        if labelled is not None:
            raise LabelTaken(label=event.label)
        return on_create_invoice(state, event, env)
    assert isinstance(event, WaitInvoice | CancelInvoice)
    if labelled is None:
        raise InvoiceUnknown(label=event.label)
    return _pass_on(state, event, labelled.payment_hash)


@register.on(CreateInvoice)
def on_create_invoice(state: Register, event: CreateInvoice, env: Env) -> Step[Register]:
    """Draw what has to be secret and tell the new invoice what it is.

    Raises:
        InvoiceUnfit: a value that cannot stand in an invoice.
    """
    if event.amount_msat is not None and event.amount_msat <= 0:
        raise InvoiceUnfit("an amount is above zero; leave it out to let the payer choose")
    if not _is_text(event.description) or not _is_text(event.label):
        raise InvoiceUnfit("a description and a label are Unicode text")
    if len(event.description.encode()) > MAX_DESCRIPTION_BYTES and event.description_hash is None:
        raise InvoiceUnfit("a description has at most 639 bytes; a longer one goes in as its hash")
    preimage = event.preimage or Preimage(env.entropy("preimage", 32))
    least = least_final_delta(env.policy.deadlines)
    delta = event.min_final_cltv_expiry_delta or CltvDelta(least + ASKED_MARGIN)
    if delta < least:
        raise InvoiceUnfit("the final expiry delta is too short to claim in time", least=least)
    links = links_of(env.views)
    fields = InvoiceFields(
        prefix=network_of_chain(env.chain_hash).bolt11_prefix,
        timestamp=env.wall,
        payment_hash=PaymentHash(sha256(preimage)),
        payment_secret=PaymentSecret(env.entropy("payment secret", 32)),
        amount_msat=event.amount_msat,
        description=event.description if event.description_hash is None else None,
        description_hash=event.description_hash,
        expiry_s=event.expiry_s,
        min_final_cltv_expiry_delta=delta,
        route_hints=route_hints(hinted(links, event.amount_msat, event.private_hints, env.height), event.peer_terms),
        features=Features(OFFERED.mask),
    )
    opening = OpenInvoice(event.command_id, fields, preimage, event.label, receivable_msat(links))
    return Step(state).act(Tell(invoice_address(fields.payment_hash), opening))


@register.on(WaitInvoice, CancelInvoice)
def on_about_invoice(state: Register, event: WaitInvoice | CancelInvoice, _env: Env) -> Step[Register]:
    """A command that names a payment hash.

    Raises:
        InvoiceUnknown: it names none.
    """
    if event.payment_hash is None:
        raise InvoiceUnknown("say which invoice, by its label or its payment hash")
    return _pass_on(state, event, event.payment_hash)


@register.on(Undelivered)
def on_undelivered(state: Register, event: Undelivered, _env: Env) -> Step[Register]:
    """The invoice is frozen, or refused; its own answer has been given then."""
    told = event.action.event
    command_id = getattr(told, "command_id", None)
    if command_id is None or (isinstance(event.fault, Refused) and event.fault.name != "MachineFrozen"):
        return Step(state)
    return Step(state).act(Answer(command_id, refused=event.fault))


@register.on(Faulted)
def on_faulted(state: Register, event: Faulted, _env: Env) -> Step[Register]:
    """A command was refused: say so."""
    command = event.event.event if isinstance(event.event, Informed) else event.event
    command_id = getattr(command, "command_id", None)
    return Step(state) if command_id is None else Step(state).act(Answer(command_id, refused=event.why))


def least_final_delta(deadlines: DeadlinePolicy) -> CltvDelta:
    """How far off the expiry of a payment to us has to be at least, in blocks.

    Whoever pays chooses it. From `fulfilled_deadline` before it on, a channel is closed for the sake of the claim: a
    payment that was taken nearer to that would close the channel that it came over, for the price of any invoice.
    """
    return CltvDelta(max(deadlines.min_final_cltv_expiry_delta, deadlines.fulfilled_deadline + SETTLING))


def _is_text(text: str) -> bool:
    """False for lone surrogates, which have no UTF-8."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _pass_on(state: Register, event: WaitInvoice | CancelInvoice, payment_hash: PaymentHash) -> Step[Register]:
    told = AwaitPaid(event.command_id) if isinstance(event, WaitInvoice) else Cancel(event.command_id)
    return Step(state).act(Tell(invoice_address(payment_hash), told))


class NotForTheRegister(Refused):
    """The register has no handler for this event."""


def decide(state: Register, event: Event, env: Env) -> Step[Register]:
    """What follows from a command.

    Raises:
        NotForTheRegister, LabelTaken, InvoiceUnknown, InvoiceUnfit: it is refused.
    """
    handler = register.get(type(event))
    if handler is None:
        raise NotForTheRegister(event=type(event).__name__)
    step: Step[Register] = handler(state, event, env)
    return step


MOUNT = Mount("invoices", lambda _key: Register(), decide, needs=needs)
