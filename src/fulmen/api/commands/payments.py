"""Payments out, and payments passed on."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from msgspec import Meta

from fulmen.api.commands.invoices import MAX_INVOICE, InvoiceText, Limit, Start
from fulmen.api.commands.reading import invoice_of, meant_as
from fulmen.api.commands.shown import shown_scid
from fulmen.api.errors import BadParameter
from fulmen.api.handle import NodeHandle
from fulmen.api.pages import listed
from fulmen.api.registry import Permission, command
from fulmen.api.values import Amount, Hash32, Scid
from fulmen.core.base.ids import ChannelId, CommandId, PaymentHash
from fulmen.core.base.record import Record
from fulmen.core.base.units import CltvDelta, Msat
from fulmen.core.channel.state import Channel
from fulmen.core.payments.payment import Payment
from fulmen.core.payments.results import payment_row
from fulmen.core.payments.sending import DEFAULT_MAX_CLTV_EXPIRY_DELTA, Pay, PaymentDone, payment_address, terms_of
from fulmen.core.switch.records import PAST, ForwardRow, forward_row


class PayRequest(Record):
    """Which invoice, and at what cost."""

    bolt11: InvoiceText
    amount_msat: Annotated[Amount | None, Meta(description="only for an invoice that names no amount")] = None
    label: Annotated[Annotated[str, Meta(max_length=256)] | None, Meta(description="our own name for it")] = None
    maxfeepercent: Annotated[
        Annotated[float, Meta(ge=0, le=100)] | None, Meta(description="the fee limit in percent")
    ] = None
    maxfee: Annotated[Amount | None, Meta(description="the fee limit; 1 % and 5 sat by default")] = None
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
    completed_at: int
    parts: int
    attempts: int
    amount_msat: int
    amount_sent_msat: int
    status: str


@command("pay", permission=Permission.PAY, group="payments", help="Pay an invoice.")
async def pay(node: NodeHandle, request: PayRequest) -> PayAnswer:
    """Paying the same invoice twice pays once and answers twice."""
    amount = None if request.amount_msat is None else Msat(request.amount_msat)
    with meant_as("BOLT 11 invoice", "bolt11"):
        terms = terms_of(request.bolt11, amount)
    max_fee = _fee_limit(request, terms.amount_msat)
    max_delay = DEFAULT_MAX_CLTV_EXPIRY_DELTA if request.maxdelay is None else CltvDelta(request.maxdelay)

    def begin(command_id: CommandId) -> Pay:
        return Pay(command_id, terms, max_fee, max_delay, request.retry_for, request.label or "")

    done = await node.submit(payment_address(terms.payment_hash), begin)
    assert isinstance(done, PaymentDone)
    return PayAnswer(
        payment_preimage=done.preimage.hex(),
        payment_hash=done.payment_hash.hex(),
        destination=done.destination.hex(),
        created_at=done.created_at,
        completed_at=done.completed_at,
        parts=1,
        attempts=done.attempts,
        amount_msat=done.amount_msat,
        amount_sent_msat=done.sent_msat,
        status="complete",
    )


def _fee_limit(request: PayRequest, amount_msat: Msat) -> Msat | None:
    if request.maxfee is not None:
        if request.maxfeepercent is not None:
            raise BadParameter("Say the fee limit once: maxfee or maxfeepercent.", parameter="maxfee")
        return Msat(request.maxfee)
    if request.maxfeepercent is not None:
        return Msat(int(amount_msat * Fraction(request.maxfeepercent) / 100))
    return None


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
    destination: str
    amount_msat: int
    attempts: int
    bolt11: str | None = None
    label: str | None = None
    description: str | None = None
    preimage: str | None = None
    amount_sent_msat: int | None = None
    completed_at: int | None = None
    failure: str | None = None
    """Why it failed, in a sentence."""


class ListPaysAnswer(Record):
    """A page of them."""

    pays: tuple[PayRow, ...]
    next: int | None = None
    """Where the next page begins; null on the last one."""


@command("listpays", permission=Permission.READ, group="payments", help="What we paid or tried to pay.")
async def listpays(node: NodeHandle, request: ListPaysRequest) -> ListPaysAnswer:
    """Finished ones in the order in which they ended, then those under way."""
    if request.bolt11 is not None and request.payment_hash is not None:
        raise BadParameter("Name a payment once: by bolt11 or payment_hash.")
    payment_hash: bytes | None = request.payment_hash
    if request.bolt11 is not None:
        payment_hash = invoice_of(request.bolt11, "bolt11").payment_hash
    if payment_hash is not None:
        address = payment_address(PaymentHash(payment_hash))
        one = _pay_row(node.state(address) or await node.read_cold(address))
        return ListPaysAnswer(() if one is None or request.status not in (None, one.status) else (one,))
    rows, more = await listed(
        node,
        "payment",
        request.start,
        request.limit,
        lambda _key, state: _pay_row(state),
        lambda row: request.status in (None, row.status),
    )
    return ListPaysAnswer(tuple(rows), more)


def _pay_row(state: object) -> PayRow | None:
    row = payment_row(state) if isinstance(state, Payment) else None
    if row is None:
        return None
    return PayRow(
        payment_hash=row.payment_hash.hex(),
        status=row.status,
        created_at=row.created_at,
        destination=row.destination.hex(),
        amount_msat=row.amount_msat,
        attempts=row.attempts,
        bolt11=row.bolt11 or None,
        label=row.label or None,
        description=row.description or None,
        preimage=None if row.preimage is None else row.preimage.hex(),
        amount_sent_msat=row.sent_msat,
        completed_at=row.completed_at,
        failure=row.failure or None,
    )


class ListForwardsRequest(Record):
    """All, or those that match."""

    status: Annotated[Literal["offered", "settled", "failed", "lost"] | None, Meta(description="only these")] = None
    in_channel: Annotated[Scid | None, Meta(description="only those that came in here")] = None
    out_channel: Annotated[Scid | None, Meta(description="only those that went out here")] = None
    start: Start = 0
    limit: Limit = 1000


class Forward(Record, kw_only=True, omit_defaults=True):
    """One HTLC that we passed on."""

    in_channel: str
    """A short channel id, or the channel id where it has none any more."""
    in_htlc_id: int
    out_channel: str
    in_msat: int
    out_msat: int
    fee_msat: int
    status: str
    """offered, settled, failed, or lost: paid downstream after it had been failed upstream."""
    payment_hash: str
    received_time: int
    resolved_time: int | None = None
    failreason: str | None = None


class ListForwardsAnswer(Record):
    """A page of them."""

    forwards: tuple[Forward, ...]
    next: int | None = None
    """Where the next page begins; null on the last one."""


@command("listforwards", permission=Permission.READ, group="payments", help="What we passed on for others.")
async def listforwards(node: NodeHandle, request: ListForwardsRequest) -> ListForwardsAnswer:
    """Finished ones in the order in which they ended, then those under way."""
    names = _ChannelNames(node)

    def row_of(key: bytes, state: object) -> Forward | None:
        row = forward_row(key, state)
        return None if row is None else _forward(row, names)

    def wanted(row: Forward) -> bool:
        return (
            request.status in (None, row.status)
            and (request.in_channel is None or row.in_channel == shown_scid(request.in_channel))
            and (request.out_channel is None or row.out_channel == shown_scid(request.out_channel))
        )

    rows, more = await listed(node, "circuit", request.start, request.limit, row_of, wanted, over=PAST)
    return ListForwardsAnswer(tuple(rows), more)


class _ChannelNames:
    """What our channels are called; one that is over keeps its channel id."""

    def __init__(self, node: NodeHandle) -> None:
        self._scids = {
            key: scid
            for key, channel in node.states("channel").items()
            if isinstance(channel, Channel) and (scid := shown_scid(channel.scid)) is not None
        }

    def __call__(self, channel_id: ChannelId) -> str:
        return self._scids.get(channel_id, channel_id.hex())


def _forward(row: ForwardRow, name: _ChannelNames) -> Forward:
    return Forward(
        in_channel=name(row.incoming.channel_id),
        in_htlc_id=row.incoming.id,
        out_channel=name(row.out_channel),
        in_msat=row.in_msat,
        out_msat=row.out_msat,
        fee_msat=row.fee_msat,
        status=row.status,
        payment_hash=row.payment_hash.hex(),
        received_time=row.received_at,
        resolved_time=row.resolved_at,
        failreason=row.failure or None,
    )
