"""The state of a payment: its terms, the attempt that is on its way, and what earlier ones taught.

Session key and route are stored, the onion is not: it follows from them, and after a crash the same one is made.
"""

from __future__ import annotations

import enum
from typing import ClassVar

from fulmen.core.base.ids import CommandId, NodeId, PaymentHash, Preimage, Secret, ShortChannelId
from fulmen.core.base.machine import Fact, evolves
from fulmen.core.base.record import Record
from fulmen.core.base.units import CltvDelta, Msat, Timestamp
from fulmen.core.payments.sending import PaymentTerms
from fulmen.core.routing.requests import ExcludedChannel, Route

NO_PREIMAGE = Preimage(b"")
NEVER = Timestamp(0)


class Status(enum.Enum):
    """How a payment stands."""

    NONE = "none"
    PENDING = "pending"
    COMPLETE = "complete"
    FAILED = "failed"


class Wait(enum.Enum):
    """What keeps a payment from looking for a way, and will not for long."""

    CHANNEL = "a channel to come back"
    CHAIN = "the chain to be read"


class Limits(Record):
    """What the payment may cost, in money, blocks and time."""

    max_fee_msat: Msat
    max_cltv_expiry_delta: CltvDelta
    give_up_at: Timestamp


class Attempt(Record):
    """One HTLC on its way, or about to be."""

    number: int
    """Counts from 1 over all of the payment's life, and names the offer to the channel."""
    session_key: Secret
    route: Route
    repriced: tuple[ShortChannelId, ...] = ()
    """Channels whose policy an earlier attempt's failure told us, and this one obeys."""


class Payment(Record):
    """A payment, or the place where none is."""

    payment_hash: PaymentHash
    status: Status = Status.NONE
    terms: PaymentTerms | None = None
    limits: Limits | None = None
    label: str = ""
    created_at: Timestamp = NEVER
    resolved_at: Timestamp = NEVER
    attempts: int = 0
    attempts_before: int = 0
    """How many there were before this call began."""
    attempt: Attempt | None = None
    excluded_channels: tuple[ExcludedChannel, ...] = ()
    excluded_nodes: tuple[NodeId, ...] = ()
    last_failure: str = ""
    """What became of the last attempt that failed, for people."""
    reason: str = ""
    """The name of the fault that a failed payment ended with."""
    why: str = ""
    preimage: Preimage = NO_PREIMAGE
    sent_msat: Msat = Msat(0)
    """By the last attempt."""
    callers: tuple[CommandId, ...] = ()
    """Passing: who waits for the answer."""
    asks: int = 0
    """Passing: the name of the question that path finding was asked last."""
    asking: bool = False
    """Passing: the last of them was not answered yet."""
    shadow: CltvDelta = CltvDelta(0)
    """Passing: blocks added to the final expiry, so that the last hops do not know that they are the last."""
    offered: bool = False
    """Passing: the channel has the offer and will tell."""
    resumed: bool = False
    """Passing: there was a crash since the attempt was made, so a channel may hold what we do not know of."""
    patient: bool = False
    """Passing: a channel went away, by a crash or with its peer, and may be back in a moment."""
    waits_for: Wait | None = None
    """Passing: since no way can be looked for, or none was found, before that is over."""
    retry_at: Timestamp = NEVER
    """Passing: when to ask or offer again."""

    @property
    def tries_until(self) -> Timestamp:
        """When no other attempt begins: the time that the caller gave is over, or the invoice has expired."""
        assert self.limits is not None and self.terms is not None
        expires_at = self.terms.expires_at
        return self.limits.give_up_at if expires_at is None else min(self.limits.give_up_at, expires_at)


class PaymentStarted(Fact):
    """A caller wants this paid."""

    terms: PaymentTerms
    limits: Limits
    label: str
    at: Timestamp


class AttemptMade(Fact):
    """An HTLC is to go this way: from here on it may be paid."""

    attempt: Attempt


class AttemptFailed(Fact):
    """The HTLC can no longer be paid, or never went out."""

    number: int
    why: str
    excluded_channels: tuple[ExcludedChannel, ...] = ()
    excluded_nodes: tuple[NodeId, ...] = ()


class PaymentCompleted(Fact):
    """The preimage is known."""

    preimage: Preimage
    at: Timestamp


class PaymentFailed(Fact):
    """Nothing is on its way, and nothing more is tried."""

    reason: str
    why: str
    at: Timestamp


class CallersChanged(Fact):
    """Who waits now."""

    passing: ClassVar[bool] = True
    callers: tuple[CommandId, ...]


class RouteAsked(Fact):
    """Path finding was asked."""

    passing: ClassVar[bool] = True
    shadow: CltvDelta
    ref: int


class OfferGiven(Fact):
    """The channel has the offer."""

    passing: ClassVar[bool] = True


class Resumed(Fact):
    """There was a crash."""

    passing: ClassVar[bool] = True


class ChannelAway(Fact):
    """A channel that was to carry the payment cannot now, and may in a moment: its peer is away, or has no room."""

    passing: ClassVar[bool] = True


class RetryLater(Fact):
    """Nothing can be done before this time."""

    passing: ClassVar[bool] = True
    at: Timestamp
    waits_for: Wait | None = None


def forget(payment: Payment) -> Payment:
    """The state less its passing facts."""
    return payment.but(
        callers=(),
        asks=0,
        asking=False,
        shadow=CltvDelta(0),
        offered=False,
        resumed=False,
        patient=False,
        waits_for=None,
        retry_at=NEVER,
    )


def ended(payment: Payment) -> bool:
    """Complete and failed payments are cold; a failed one that is paid again comes back."""
    return payment.status in (Status.COMPLETE, Status.FAILED)


@evolves(PaymentStarted)
def _started(payment: Payment, fact: PaymentStarted) -> Payment:
    return Payment(
        payment.payment_hash,
        Status.PENDING,
        fact.terms,
        fact.limits,
        fact.label,
        fact.at,
        attempts=payment.attempts,
        attempts_before=payment.attempts,
        callers=payment.callers,
        asks=payment.asks,
    )


@evolves(AttemptMade)
def _attempt_made(payment: Payment, fact: AttemptMade) -> Payment:
    return payment.but(
        attempts=fact.attempt.number,
        attempt=fact.attempt,
        sent_msat=fact.attempt.route.sent_msat,
        asking=False,
        offered=False,
        resumed=False,
        patient=False,
        waits_for=None,
        retry_at=NEVER,
    )


@evolves(AttemptFailed)
def _attempt_failed(payment: Payment, fact: AttemptFailed) -> Payment:
    return payment.but(
        attempt=None,
        offered=False,
        last_failure=fact.why,
        excluded_channels=payment.excluded_channels + fact.excluded_channels,
        excluded_nodes=payment.excluded_nodes + fact.excluded_nodes,
    )


@evolves(PaymentCompleted)
def _completed(payment: Payment, fact: PaymentCompleted) -> Payment:
    return payment.but(
        status=Status.COMPLETE,
        preimage=fact.preimage,
        resolved_at=fact.at,
        attempt=None,
        reason="",
        why="",
    )


@evolves(PaymentFailed)
def _failed(payment: Payment, fact: PaymentFailed) -> Payment:
    return payment.but(status=Status.FAILED, reason=fact.reason, why=fact.why, resolved_at=fact.at)


@evolves(CallersChanged)
def _callers_changed(payment: Payment, fact: CallersChanged) -> Payment:
    return payment.but(callers=fact.callers)


@evolves(RouteAsked)
def _route_asked(payment: Payment, fact: RouteAsked) -> Payment:
    return payment.but(asks=fact.ref, asking=True, shadow=fact.shadow, retry_at=NEVER)


@evolves(OfferGiven)
def _offer_given(payment: Payment, _fact: OfferGiven) -> Payment:
    return payment.but(offered=True, retry_at=NEVER)


@evolves(Resumed)
def _resumed(payment: Payment, _fact: Resumed) -> Payment:
    return payment.but(resumed=True, patient=True)


@evolves(ChannelAway)
def _channel_away(payment: Payment, _fact: ChannelAway) -> Payment:
    return payment.but(patient=True)


@evolves(RetryLater)
def _retry_later(payment: Payment, fact: RetryLater) -> Payment:
    return payment.but(retry_at=fact.at, waits_for=fact.waits_for, asking=False, offered=False)
