"""The payment machine: asks for a route, sends one HTLC along it, learns from failures, and tries again.

The caller is answered when what the answer says is on disk. Asking twice for the same payment pays once.
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.faults import InvariantBroken, Refused
from fulmen.core.base.ids import CommandId, PaymentHash
from fulmen.core.base.machine import CallerGone, Event, Faulted, Step, Topic
from fulmen.core.base.mount import Mount
from fulmen.core.base.outer import Answer, ChannelsMoved, TimeReached, Want, WantChannels, WantTime
from fulmen.core.base.units import Timestamp
from fulmen.core.bitcoin.networks import network_of_chain
from fulmen.core.commitments.htlcs import Fulfilled
from fulmen.core.payments.attempts import attempts, offer_again
from fulmen.core.payments.payment import (
    NEVER,
    CallersChanged,
    Limits,
    Payment,
    PaymentStarted,
    Resumed,
    Status,
    Wait,
    ended,
    forget,
)
from fulmen.core.payments.results import payment_done
from fulmen.core.payments.seeking import give_up, next_try
from fulmen.core.payments.sending import (
    AnotherAmountPaid,
    InvoiceExpired,
    Pay,
    PaymentStillPending,
    PaymentTerms,
    SelfPayment,
    WrongChain,
    default_max_fee,
)

MAX_CALLERS = 100

beginnings = Topic()


@beginnings.on(Pay)
def on_pay(payment: Payment, event: Pay, env: Env) -> Step[Payment]:
    """Begin, or join whoever asked for the same payment before.

    Raises:
        SelfPayment, InvoiceExpired, WrongChain, AnotherAmountPaid: it is not even begun.
    """
    step = Step(payment)
    before = payment.terms
    if before is not None and payment.status is not Status.FAILED and event.terms.amount_msat != before.amount_msat:
        raise AnotherAmountPaid(
            f"this invoice is {'paid already' if payment.status is Status.COMPLETE else 'being paid'}, "
            "with another amount",
            paid_msat=before.amount_msat,
            asked_msat=event.terms.amount_msat,
        )
    if payment.status is Status.COMPLETE:
        return step.act(Answer(event.command_id, payment_done(payment)))
    if payment.status is Status.PENDING:
        return _join(step, event.command_id)
    terms = event.terms
    if terms.payment_hash != payment.payment_hash:
        raise InvariantBroken("a payment is told to another one's machine")
    _check(terms, env)
    limits = Limits(
        default_max_fee(terms.amount_msat) if event.max_fee_msat is None else event.max_fee_msat,
        event.max_cltv_expiry_delta,
        Timestamp(env.wall + event.retry_for_s),
    )
    step.fact(PaymentStarted(terms, limits, event.label, env.wall))
    return next_try(_join(step, event.command_id), env)


def _check(terms: PaymentTerms, env: Env) -> None:
    if terms.destination == env.node_id:
        raise SelfPayment("the payee is this node")
    if terms.prefix and terms.prefix != network_of_chain(env.chain_hash).bolt11_prefix:
        raise WrongChain("the invoice is for another chain", prefix=terms.prefix)
    # BOLT 11: "after the `timestamp` plus `expiry` has passed: SHOULD NOT attempt a payment."
    if terms.expires_at is not None and env.wall >= terms.expires_at:
        raise InvoiceExpired("the invoice has expired", expired_at=terms.expires_at)


def _join(step: Step[Payment], command_id: CommandId) -> Step[Payment]:
    callers = step.state.callers
    if command_id in callers:
        return step
    callers = (*callers, command_id)
    for dropped in callers[:-MAX_CALLERS]:
        step.act(Answer(dropped, refused=PaymentStillPending("too many callers wait for this payment")))
    return step.fact(CallersChanged(callers[-MAX_CALLERS:]))


@beginnings.on(CallerGone)
def on_caller_gone(payment: Payment, _event: CallerGone, env: Env) -> Step[Payment]:
    """After a crash: the channel is asked whether it has the attempt, or a route is asked for again."""
    step = Step(payment)
    if payment.status is not Status.PENDING:
        return step
    step.fact(Resumed())
    if payment.attempt is not None:
        return offer_again(step)
    return next_try(step, env)


@beginnings.on(TimeReached)
def on_time_reached(payment: Payment, _event: TimeReached, env: Env) -> Step[Payment]:
    """Time to try again, or to stop trying."""
    step = Step(payment)
    limits = payment.limits
    if payment.status is not Status.PENDING or limits is None:
        return step
    if payment.retry_at and env.wall >= payment.retry_at:
        return offer_again(step) if payment.attempt is not None else next_try(step, env)
    if payment.attempt is None and env.wall >= payment.tries_until:
        return give_up(step, "path finding gave no answer in time", env)
    if payment.attempt is None or not payment.callers or env.wall < limits.give_up_at:
        return step
    pending = PaymentStillPending("an HTLC is still on its way; it ends by itself", attempt=payment.attempt.number)
    step.act(*(Answer(command_id, refused=pending) for command_id in payment.callers))
    return step.fact(CallersChanged(()))


@beginnings.on(ChannelsMoved)
def on_channels_moved(payment: Payment, _event: ChannelsMoved, env: Env) -> Step[Payment]:
    """A channel is another than it was: look for a way at once, if that is what we wait for."""
    if not _waits_for_channel(payment):
        return Step(payment)
    return next_try(Step(payment), env)


def _waits_for_channel(payment: Payment) -> bool:
    nothing_out = payment.attempt is None and not payment.asking
    return payment.status is Status.PENDING and nothing_out and payment.waits_for is Wait.CHANNEL


@beginnings.on(Faulted)
def on_faulted(payment: Payment, event: Faulted, _env: Env) -> Step[Payment]:
    """A command was refused: say so."""
    command_id = getattr(event.event, "command_id", None)
    return Step(payment) if command_id is None else Step(payment).act(Answer(command_id, refused=event.why))


PAYMENT = beginnings | attempts


class NotForAPayment(Refused):
    """A payment has no handler for this event."""


def decide(payment: Payment, event: Event, env: Env) -> Step[Payment]:
    """What follows from an event.

    Raises:
        NotForAPayment, SelfPayment, InvoiceExpired, WrongChain, AnotherAmountPaid: it is refused.
    """
    handler = PAYMENT.get(type(event))
    if handler is None:
        raise NotForAPayment(event=type(event).__name__)
    step: Step[Payment] = handler(payment, event, env)
    return step


def wants(payment: Payment) -> tuple[Want, ...]:
    """The next try, what may bring it forward, and the end of all tries."""
    limits = payment.limits
    if payment.status is not Status.PENDING or limits is None:
        return ()
    wanted: list[Want] = []
    if payment.retry_at != NEVER:
        wanted.append(WantTime(payment.retry_at))
    if payment.attempt is None:
        wanted.append(WantTime(payment.tries_until))
    elif payment.callers:
        # Whoever waits is told that it is still on its way when his own time is over, and not before.
        wanted.append(WantTime(limits.give_up_at))
    if _waits_for_channel(payment):
        wanted.append(WantChannels())
    return tuple(wanted)


def takes_frozen(_payment: Payment, event: Event) -> bool:
    """The receipt is taken when all else holds still (law 8)."""
    return isinstance(event, Fulfilled)


MOUNT = Mount(
    "payment",
    lambda key: Payment(PaymentHash(key)),
    decide,
    crash=(CallerGone(),),
    forget=forget,
    wants=wants,
    ended=ended,
    takes_frozen=takes_frozen,
)
