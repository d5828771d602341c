"""Money in and out: invoices and payments."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from fulmen.api.errors import NotBuiltYet
from fulmen.api.handle import NodeHandle
from fulmen.api.registry import Permission, command
from fulmen.api.values import Amount, AmountOrAny, Hash32, Scid
from fulmen.core.base.record import Record

MAX_INVOICE = 16_384
"""Longer than any invoice that fits a QR code four times over; what is longer is refused unread."""
InvoiceText = Annotated[str, Meta(description="a BOLT 11 invoice", max_length=MAX_INVOICE)]
Start = Annotated[int, Meta(description="the first index", ge=0)]
Limit = Annotated[int, Meta(description="at most so many", ge=1, le=10_000)]


class InvoiceRequest(Record):
    """For how much, and what for."""

    amount_msat: Annotated[AmountOrAny, Meta(description='how much, or "any"')]
    label: Annotated[str, Meta(description="our own unique name for it", min_length=1, max_length=256)]
    description: Annotated[str, Meta(description="what it is for, shown to the payer", max_length=639)]
    expiry: Annotated[int, Meta(description="seconds until it lapses", ge=1, le=31_536_000)] = 604_800
    preimage: Annotated[Hash32 | None, Meta(description="choose the preimage; a random one without it")] = None
    cltv: Annotated[Annotated[int, Meta(ge=18, le=2016)] | None, Meta(description="min_final_cltv_expiry_delta")] = None
    deschashonly: Annotated[bool, Meta(description="put only the hash of the description into it")] = False
    exposeprivatechannels: Annotated[
        bool | None, Meta(description="route hints over unannounced channels; where they are needed without it")
    ] = None


class InvoiceAnswer(Record, kw_only=True, omit_defaults=True):
    """What to give to the payer."""

    bolt11: str
    payment_hash: str
    payment_secret: str
    expires_at: int
    created_index: int
    warning_capacity: str | None = None
    """Said when no channel can receive so much now."""


@command("invoice", permission=Permission.INVOICE, group="payments", help="Ask for money.")
async def invoice(node: NodeHandle, request: InvoiceRequest) -> InvoiceAnswer:
    """The same label twice is refused."""
    raise NotBuiltYet("invoice waits for the receiving room.")


class ListInvoicesRequest(Record):
    """All, or those that match."""

    label: Annotated[Annotated[str, Meta(max_length=256)] | None, Meta(description="one label")] = None
    invstring: Annotated[Annotated[str, Meta(max_length=MAX_INVOICE)] | None, Meta(description="one invoice")] = None
    payment_hash: Annotated[Hash32 | None, Meta(description="one payment hash")] = None
    start: Start = 0
    limit: Limit = 1000


class InvoiceRow(Record, kw_only=True, omit_defaults=True):
    """One invoice and what became of it."""

    label: str
    payment_hash: str
    status: str
    """unpaid, paid, expired."""
    expires_at: int
    created_index: int
    description: str | None = None
    bolt11: str | None = None
    amount_msat: int | None = None
    amount_received_msat: int | None = None
    paid_at: int | None = None
    payment_preimage: str | None = None
    pay_index: int | None = None


class ListInvoicesAnswer(Record):
    """A page of them, oldest first."""

    invoices: tuple[InvoiceRow, ...]


@command("listinvoices", permission=Permission.READ, group="payments", help="What we asked for, and what was paid.")
async def listinvoices(node: NodeHandle, request: ListInvoicesRequest) -> ListInvoicesAnswer:
    """Pages by `start` and `limit`."""
    raise NotBuiltYet("listinvoices waits for the receiving room.")


class WaitInvoiceRequest(Record):
    """Which."""

    label: Annotated[str, Meta(description="its label", max_length=256)]
    timeout: Annotated[
        Annotated[int, Meta(ge=1, le=31_536_000)] | None, Meta(description="give up after so many seconds")
    ] = None


@command("waitinvoice", permission=Permission.READ, group="payments", help="Wait until an invoice is paid or lapses.")
async def waitinvoice(node: NodeHandle, request: WaitInvoiceRequest) -> InvoiceRow:
    """Answers at once when it already is; an expired one is an error (903)."""
    raise NotBuiltYet("waitinvoice waits for the receiving room.")


class PayRequest(Record):
    """Which invoice, and at what cost."""

    bolt11: InvoiceText
    amount_msat: Annotated[Amount | None, Meta(description="only for an invoice that names no amount")] = None
    label: Annotated[Annotated[str, Meta(max_length=256)] | None, Meta(description="our own name for it")] = None
    maxfeepercent: Annotated[
        Annotated[float, Meta(ge=0, le=100)] | None, Meta(description="the fee limit in percent; 1 without it")
    ] = None
    maxfee: Annotated[Amount | None, Meta(description="the fee limit as an amount, instead of a percentage")] = None
    maxdelay: Annotated[
        Annotated[int, Meta(ge=1, le=2016)] | None, Meta(description="blocks that the money may be locked")
    ] = None
    retry_for: Annotated[int, Meta(description="seconds to go on trying", ge=1, le=3600)] = 60


class PayAnswer(Record, kw_only=True):
    """It was paid: the preimage is the receipt."""

    payment_preimage: str
    payment_hash: str
    destination: str
    created_at: int
    parts: int
    amount_msat: int
    amount_sent_msat: int
    status: str


@command("pay", permission=Permission.PAY, group="payments", help="Pay an invoice.")
async def pay(node: NodeHandle, request: PayRequest) -> PayAnswer:
    """Paying the same invoice twice pays once and answers twice."""
    raise NotBuiltYet("pay waits for the paying room.")


class ListPaysRequest(Record):
    """All, or those that match."""

    bolt11: Annotated[Annotated[str, Meta(max_length=MAX_INVOICE)] | None, Meta(description="one invoice")] = None
    payment_hash: Annotated[Hash32 | None, Meta(description="one payment hash")] = None
    status: Annotated[Literal["pending", "complete", "failed"] | None, Meta(description="only these")] = None
    start: Start = 0
    limit: Limit = 1000


class PayRow(Record, kw_only=True, omit_defaults=True):
    """One payment and what became of it."""

    payment_hash: str
    status: str
    """pending, complete, failed."""
    created_at: int
    destination: str | None = None
    bolt11: str | None = None
    label: str | None = None
    preimage: str | None = None
    amount_msat: int | None = None
    amount_sent_msat: int | None = None
    completed_at: int | None = None
    erroronion: str | None = None
    failure: str | None = None
    """Why it failed, in a sentence."""


class ListPaysAnswer(Record):
    """A page of them, oldest first."""

    pays: tuple[PayRow, ...]


@command("listpays", permission=Permission.READ, group="payments", help="What we paid or tried to pay.")
async def listpays(node: NodeHandle, request: ListPaysRequest) -> ListPaysAnswer:
    """Pages by `start` and `limit`."""
    raise NotBuiltYet("listpays waits for the paying room.")


class ListForwardsRequest(Record):
    """All, or those that match."""

    status: Annotated[
        Literal["offered", "settled", "local_failed", "failed"] | None, Meta(description="only these")
    ] = None
    in_channel: Annotated[Scid | None, Meta(description="only those that came in here")] = None
    out_channel: Annotated[Scid | None, Meta(description="only those that went out here")] = None
    start: Start = 0
    limit: Limit = 1000


class Forward(Record, kw_only=True, omit_defaults=True):
    """One HTLC that we passed on, or would not."""

    in_channel: str
    in_htlc_id: int
    in_msat: int
    status: str
    received_time: float
    out_channel: str | None = None
    out_htlc_id: int | None = None
    out_msat: int | None = None
    fee_msat: int | None = None
    resolved_time: float | None = None
    failreason: str | None = None


class ListForwardsAnswer(Record):
    """A page of them."""

    forwards: tuple[Forward, ...]


@command("listforwards", permission=Permission.READ, group="payments", help="What we passed on for others.")
async def listforwards(node: NodeHandle, request: ListForwardsRequest) -> ListForwardsAnswer:
    """Pages by `start` and `limit`."""
    raise NotBuiltYet("listforwards waits for the switch.")


class DecodeRequest(Record):
    """What to read."""

    string: Annotated[str, Meta(description="a BOLT 11 invoice", max_length=MAX_INVOICE)]


class RouteHintHop(Record, kw_only=True):
    """One hop of a route hint."""

    pubkey: str
    short_channel_id: str
    fee_base_msat: int
    fee_proportional_millionths: int
    cltv_expiry_delta: int


class DecodeAnswer(Record, kw_only=True, omit_defaults=True):
    """What it says, and whether it holds."""

    type: str
    valid: bool
    currency: str
    created_at: int
    expiry: int
    payee: str
    payment_hash: str
    signature: str
    min_final_cltv_expiry: int
    payment_secret: str | None = None
    amount_msat: int | None = None
    description: str | None = None
    description_hash: str | None = None
    features: str | None = None
    payment_metadata: str | None = None
    fallbacks: tuple[dict[str, str], ...] = ()
    routes: tuple[tuple[RouteHintHop, ...], ...] = ()


@command("decode", permission=Permission.READ, group="tools", help="Read an invoice without paying it.")
async def decode(node: NodeHandle, request: DecodeRequest) -> DecodeAnswer:
    """A `lightning:` in front is taken, as wallets write it."""
    raise NotBuiltYet("decode waits for the invoices' room.")
