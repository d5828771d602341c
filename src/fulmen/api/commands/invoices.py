"""Invoices: ask for money, wait for it, read what others ask."""

from __future__ import annotations

import asyncio
from typing import Annotated

from msgspec import Meta

from fulmen.api.commands.reading import invoice_of
from fulmen.api.commands.shown import shown_scid
from fulmen.api.errors import INVOICE_WAIT_TIMED_OUT, BadParameter, RpcError
from fulmen.api.handle import NodeHandle
from fulmen.api.pages import listed
from fulmen.api.registry import Permission, command
from fulmen.api.values import AmountOrAny, Hash32
from fulmen.core.base.ids import CommandId, PaymentHash, Preimage
from fulmen.core.base.machine import Address
from fulmen.core.base.policy import ForwardPolicy
from fulmen.core.base.record import Record
from fulmen.core.base.units import CltvDelta, Msat
from fulmen.core.bitcoin.address import ScriptWithoutAddress, address_of
from fulmen.core.bitcoin.networks import NETWORKS, Network
from fulmen.core.bitcoin.script import number, p2pkh, p2sh, push
from fulmen.core.crypto.hashes import sha256
from fulmen.core.invoices import bolt11
from fulmen.core.invoices.bolt11 import P2PKH_VERSION, P2SH_VERSION
from fulmen.core.invoices.invoice import Fallback, HopHint, InvoiceFields
from fulmen.core.invoices.signing import SignInvoice
from fulmen.core.payments.hints import hinted
from fulmen.core.payments.invoice import Invoice as InvoiceState
from fulmen.core.payments.invoice import InvoiceRow as StoredRow
from fulmen.core.payments.invoice import invoice_row
from fulmen.core.payments.receiving import (
    REGISTER,
    CreateInvoice,
    InvoiceCreated,
    LabelRow,
    PeerTerms,
    WaitInvoice,
    label_address,
)
from fulmen.core.switch.links import links_of

MAX_INVOICE = 16_384
"""Characters; a longer text is refused unread."""
InvoiceText = Annotated[str, Meta(description="a BOLT 11 invoice", max_length=MAX_INVOICE)]
Start = Annotated[int, Meta(description="where to begin: `next` of the page before", ge=0, le=1 << 60)]
Limit = Annotated[int, Meta(description="at most so many", ge=1, le=10_000)]


class InvoiceRequest(Record):
    """For how much, and what for."""

    amount_msat: Annotated[AmountOrAny, Meta(description='how much, or "any"')]
    label: Annotated[str, Meta(description="our own unique name for it", min_length=1, max_length=256)]
    description: Annotated[str, Meta(description="what it is for, shown to the payer", max_length=65_535)]
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
    warning_capacity: str | None = None
    """Said when no channel can receive so much now."""


@command("invoice", permission=Permission.INVOICE, group="payments", help="Ask for money.")
async def invoice(node: NodeHandle, request: InvoiceRequest) -> InvoiceAnswer:
    """The same label twice is refused."""
    amount = None if request.amount_msat.msat is None else Msat(request.amount_msat.msat)
    peer_terms = await terms_of_peers(node, amount, request.exposeprivatechannels)

    def create(command_id: CommandId) -> CreateInvoice:
        return CreateInvoice(
            command_id,
            amount,
            request.description,
            request.label,
            sha256(request.description.encode()) if request.deschashonly else None,
            request.expiry,
            None if request.cltv is None else CltvDelta(request.cltv),
            None if request.preimage is None else Preimage(request.preimage),
            request.exposeprivatechannels,
            peer_terms,
        )

    made = await node.submit(REGISTER, create)
    assert isinstance(made, InvoiceCreated)
    warning = None
    if (amount or 1) > made.capacity_msat:
        warning = f"No channel of ours can receive that much now; the most is {made.capacity_msat:,} msat."
    return InvoiceAnswer(
        bolt11=made.bolt11,
        payment_hash=made.payment_hash.hex(),
        payment_secret=made.payment_secret.hex(),
        expires_at=made.expires_at,
        warning_capacity=warning,
    )


async def terms_of_peers(node: NodeHandle, amount_msat: Msat | None, wanted: bool | None) -> tuple[PeerTerms, ...]:
    """What the peers ask for forwarding to us, over those channels that the invoice will name."""
    links = hinted(links_of(node.views), amount_msat, wanted, node.tip.height)
    said = await asyncio.gather(*(node.terms_of_peer(link.channel_id) for link in links))
    return tuple(
        PeerTerms(
            link.channel_id,
            ForwardPolicy(asked.fee_base_msat, asked.fee_proportional_millionths, asked.cltv_expiry_delta),
        )
        for link, asked in zip(links, said, strict=True)
        if asked is not None
    )


class ListInvoicesRequest(Record):
    """All, or one."""

    label: Annotated[Annotated[str, Meta(max_length=256)] | None, Meta(description="one label")] = None
    invstring: Annotated[Annotated[str, Meta(max_length=MAX_INVOICE)] | None, Meta(description="one invoice")] = None
    payment_hash: Annotated[Hash32 | None, Meta(description="one payment hash")] = None
    start: Start = 0
    limit: Limit = 1000


class InvoiceRow(Record, kw_only=True, omit_defaults=True):
    """One invoice and what became of it."""

    label: str
    bolt11: str
    payment_hash: str
    status: str
    """unpaid, paid, expired, canceled."""
    expires_at: int
    created_at: int
    description: str | None = None
    amount_msat: int | None = None
    amount_received_msat: int | None = None
    paid_at: int | None = None
    payment_preimage: str | None = None


class ListInvoicesAnswer(Record):
    """A page of them."""

    invoices: tuple[InvoiceRow, ...]
    next: int | None = None
    """Where the next page begins; null on the last one."""


@command("listinvoices", permission=Permission.READ, group="payments", help="What we asked for, and what was paid.")
async def listinvoices(node: NodeHandle, request: ListInvoicesRequest) -> ListInvoicesAnswer:
    """Decided ones in the order in which they were, then those that are open."""
    named = [name for name in (request.label, request.invstring, request.payment_hash) if name is not None]
    if len(named) > 1:
        raise BadParameter("Name an invoice once: by label, invstring or payment_hash.")
    if named:
        one = await _one(node, request)
        return ListInvoicesAnswer(() if one is None else (await _shown(node, one),))
    rows, more = await listed(
        node, "invoice", request.start, request.limit, lambda _key, state: _row_of(state), lambda _row: True
    )
    return ListInvoicesAnswer(tuple([await _shown(node, row) for row in rows]), more)


class WaitInvoiceRequest(Record):
    """Which."""

    label: Annotated[str, Meta(description="its label", min_length=1, max_length=256)]
    timeout: Annotated[
        Annotated[int, Meta(ge=1, le=31_536_000)] | None, Meta(description="give up after so many seconds")
    ] = None


@command("waitinvoice", permission=Permission.READ, group="payments", help="Wait until an invoice is paid or lapses.")
async def waitinvoice(node: NodeHandle, request: WaitInvoiceRequest) -> InvoiceRow:
    """Answers at once when it already is; an expired one is an error (903)."""
    wait = node.submit(REGISTER, lambda command_id: WaitInvoice(command_id, request.label))
    try:
        row = await asyncio.wait_for(wait, request.timeout)
    except TimeoutError:
        raise RpcError(f"It was not paid within {request.timeout} s.", code=INVOICE_WAIT_TIMED_OUT) from None
    assert isinstance(row, StoredRow)
    return await _shown(node, row)


async def _one(node: NodeHandle, request: ListInvoicesRequest) -> StoredRow | None:
    payment_hash: bytes | None = request.payment_hash
    if request.invstring is not None:
        payment_hash = invoice_of(request.invstring, "invstring").payment_hash
    if request.label is not None:
        labelled = await node.read_cold(label_address(request.label))
        payment_hash = labelled.payment_hash if isinstance(labelled, LabelRow) else None
    if payment_hash is None:
        return None
    address = Address("invoice", PaymentHash(payment_hash))
    return _row_of(node.state(address) or await node.read_cold(address))


def _row_of(state: object) -> StoredRow | None:
    return invoice_row(state) if isinstance(state, InvoiceState) else None


async def _shown(node: NodeHandle, row: StoredRow) -> InvoiceRow:
    fields: InvoiceFields = row.fields
    unsigned = bolt11.unsigned(fields)
    return InvoiceRow(
        label=row.label,
        bolt11=await node.sign_invoice(SignInvoice(unsigned.hrp, unsigned.words)),
        payment_hash=row.payment_hash.hex(),
        status=row.status,
        expires_at=fields.expires_at,
        created_at=fields.timestamp,
        description=fields.description,
        amount_msat=fields.amount_msat,
        amount_received_msat=row.received_msat,
        paid_at=row.paid_at,
        payment_preimage=None if row.preimage is None else row.preimage.hex(),
    )


class DecodeRequest(Record):
    """What to read."""

    string: Annotated[str, Meta(description="a BOLT 11 invoice", max_length=MAX_INVOICE)]


class RouteHintHop(Record, kw_only=True):
    """One hop of a route hint."""

    pubkey: str
    short_channel_id: str | None
    fee_base_msat: int
    fee_proportional_millionths: int
    cltv_expiry_delta: int


class FallbackAddress(Record, kw_only=True):
    """Where the payee takes coins instead."""

    hex: str
    addr: str | None


class DecodeAnswer(Record, kw_only=True, omit_defaults=True):
    """What it says. What does not hold is refused, so `valid` is always true."""

    type: str
    valid: bool
    currency: str
    created_at: int
    expiry: int
    payee: str
    payment_hash: str
    payment_secret: str
    signature: str
    min_final_cltv_expiry: int
    amount_msat: int | None = None
    description: str | None = None
    description_hash: str | None = None
    features: str | None = None
    payment_metadata: str | None = None
    fallbacks: tuple[FallbackAddress, ...] = ()
    routes: tuple[tuple[RouteHintHop, ...], ...] = ()


@command("decode", permission=Permission.READ, group="tools", help="Read an invoice without paying it.")
async def decode(node: NodeHandle, request: DecodeRequest) -> DecodeAnswer:
    """A `lightning:` in front is taken, as wallets write it."""
    read = invoice_of(request.string, "string")
    return DecodeAnswer(
        type="bolt11 invoice",
        valid=True,
        currency=read.prefix.removeprefix("ln"),
        created_at=read.timestamp,
        expiry=read.expiry_s,
        payee=read.payee.hex(),
        payment_hash=read.payment_hash.hex(),
        payment_secret=read.payment_secret.hex(),
        signature=read.signature.hex(),
        min_final_cltv_expiry=read.min_final_cltv_expiry_delta,
        amount_msat=read.amount_msat,
        description=read.description,
        description_hash=None if read.description_hash is None else read.description_hash.hex(),
        features=read.features.to_bytes().hex() or None,
        payment_metadata=None if read.payment_metadata is None else read.payment_metadata.hex(),
        fallbacks=tuple(_fallback(one, read.prefix) for one in read.fallbacks),
        routes=tuple(tuple(map(_hop, hint)) for hint in read.route_hints),
    )


def _hop(hop: HopHint) -> RouteHintHop:
    return RouteHintHop(
        pubkey=hop.node_id.hex(),
        short_channel_id=shown_scid(hop.short_channel_id),
        fee_base_msat=hop.fee_base_msat,
        fee_proportional_millionths=hop.fee_proportional_millionths,
        cltv_expiry_delta=hop.cltv_expiry_delta,
    )


def _fallback(one: Fallback, prefix: str) -> FallbackAddress:
    network: Network | None = next((known for known in NETWORKS if known.bolt11_prefix == prefix), None)
    if one.version == P2PKH_VERSION:
        script = p2pkh(one.program)
    elif one.version == P2SH_VERSION:
        script = p2sh(one.program)
    else:
        script = number(one.version) + push(one.program)
    try:
        address = None if network is None else address_of(script, network)
    except ScriptWithoutAddress:
        address = None
    return FallbackAddress(hex=script.hex(), addr=address)
