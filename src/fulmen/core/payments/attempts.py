"""One attempt: an HTLC along a route, and what becomes of it.

Nothing else is tried while it is on its way, since it may still be paid. BOLT 4, "Receiving Failure Codes".
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.faults import InvariantBroken
from fulmen.core.base.ids import ShortChannelId, scid_text
from fulmen.core.base.machine import Step, Topic, Undelivered, to_channel
from fulmen.core.base.outer import Notify
from fulmen.core.base.units import CltvDelta, Timestamp
from fulmen.core.commitments.htlcs import Failed, Fulfilled, HtlcOffered, OfferForgotten, OfferHtlc, OfferRefused
from fulmen.core.crypto.hashes import sha256
from fulmen.core.onion.sphinx import RouteTooLong
from fulmen.core.payments.blame import Blame, blame
from fulmen.core.payments.payment import (
    Attempt,
    AttemptFailed,
    AttemptMade,
    ChannelAway,
    OfferGiven,
    Payment,
    PaymentCompleted,
    RetryLater,
    Status,
    Wait,
)
from fulmen.core.payments.results import answer, fail, payment_done
from fulmen.core.payments.seeking import ask, channel_may_return, in_time, next_try, wait_for
from fulmen.core.payments.sending import (
    NoRouteFound,
    PayeeRefused,
    RouteTooExpensive,
    payment_address,
)
from fulmen.core.payments.ways import draw_session_key, onion_of, repriced
from fulmen.core.routing.requests import (
    ExcludedChannel,
    Learn,
    NoRoute,
    NoRouteReason,
    Outcome,
    Route,
    RouteAnswered,
)

FROZEN_RETRY_S = 30
BUSY = ("ChannelOffline", "TooManyHtlcs", "TooMuchInFlight")
"""Why our own channel may refuse now what it takes in a moment. It shows as much: the next search leaves it out."""

attempts = Topic()


@attempts.on(RouteAnswered)
def on_route_answered(payment: Payment, event: RouteAnswered, env: Env) -> Step[Payment]:
    """The way, or why there is none."""
    step = Step(payment)
    if payment.status is not Status.PENDING or not payment.asking or event.ref != payment.asks:
        return step
    if isinstance(event.answer, Route):
        return attempt_on(step, event.answer, (), env)
    return _no_route(step, event.answer, env)


def _no_route(step: Step[Payment], answer: NoRoute, env: Env) -> Step[Payment]:
    payment = step.state
    if answer.reason is NoRouteReason.CLTV_LIMIT and payment.shadow:
        return ask(step, CltvDelta(0), env)
    if channel_may_return(payment, answer.reason, env):
        return wait_for(step, Wait.CHANNEL, env)
    why = str(answer)
    if payment.waits_for is Wait.CHANNEL:
        why = f"{why}; the channel that it waited for is closed, or cannot carry it any more"
    if payment.last_failure:
        why = f"{why}; the last attempt failed with {payment.last_failure}"
    too_expensive = answer.reason is NoRouteReason.FEE_LIMIT
    return fail(step, RouteTooExpensive if too_expensive else NoRouteFound, why, env)


def attempt_on(step: Step[Payment], route: Route, repriced_at: tuple[ShortChannelId, ...], env: Env) -> Step[Payment]:
    """Send an HTLC along a route."""
    payment = step.state
    terms, limits = payment.terms, payment.limits
    assert terms is not None and limits is not None
    if route.amount_msat != terms.amount_msat or route.hops[-1].node_id != terms.destination:
        return fail(step, NoRouteFound, "the route that was found is an answer to another question", env)
    if route.channel_id is None or route.fee_msat > limits.max_fee_msat:
        return fail(step, RouteTooExpensive, "the route that was found is not within the limits", env)
    attempt = Attempt(payment.attempts + 1, draw_session_key(env), route, repriced_at)
    try:
        onion = onion_of(attempt, terms)
    except RouteTooLong as fault:
        return fail(step, NoRouteFound, str(fault), env)
    step.fact(AttemptMade(attempt))
    about = {
        "payment_hash": payment.payment_hash.hex(),
        "attempt": attempt.number,
        "route": [scid_text(hop.scid) for hop in route.hops],
        "amount_msat": route.amount_msat,
        "fee_msat": route.fee_msat,
    }
    return _offer(step.act(Notify("payment attempt", about)), onion)


def offer_again(step: Step[Payment]) -> Step[Payment]:
    """Offer the attempt's HTLC after a crash. The channel knows it by its owner and number, so this adds nothing."""
    attempt, terms = step.state.attempt, step.state.terms
    assert attempt is not None and terms is not None
    return _offer(step, onion_of(attempt, terms))


def _offer(step: Step[Payment], onion: bytes) -> Step[Payment]:
    payment = step.state
    attempt = payment.attempt
    assert attempt is not None and attempt.route.channel_id is not None
    first = attempt.route.hops[0]
    event = OfferHtlc(
        payment_address(payment.payment_hash),
        attempt.number,
        first.amount_msat,
        payment.payment_hash,
        first.cltv_expiry,
        onion,
    )
    return step.fact(OfferGiven()).act(to_channel(attempt.route.channel_id, event))


@attempts.on(HtlcOffered)
def on_htlc_offered(payment: Payment, _event: HtlcOffered, _env: Env) -> Step[Payment]:
    """The offer is an HTLC now."""
    return Step(payment)


@attempts.on(OfferRefused)
def on_offer_refused(payment: Payment, event: OfferRefused, env: Env) -> Step[Payment]:
    """The channel does not take the HTLC, and does not have it: try another one."""
    step = Step(payment)
    attempt = payment.attempt
    if attempt is None or attempt.number != event.ref or not payment.offered:
        return step
    why = f"{event.why} at our own channel"
    if event.why in BUSY:
        step.fact(ChannelAway())
    excluded = () if payment.resumed or event.why in BUSY else (ExcludedChannel(attempt.route.hops[0].scid),)
    return next_try(step.fact(AttemptFailed(attempt.number, why, excluded)), env)


@attempts.on(OfferForgotten)
def on_offer_forgotten(payment: Payment, event: OfferForgotten, env: Env) -> Step[Payment]:
    """The peer left before it had signed for the HTLC: it was never committed."""
    step = Step(payment)
    attempt = payment.attempt
    if attempt is None or attempt.number != event.ref:
        return step
    return next_try(step.fact(ChannelAway()).fact(AttemptFailed(attempt.number, "our peer went away")), env)


@attempts.on(Undelivered)
def on_undelivered(payment: Payment, event: Undelivered, env: Env) -> Step[Payment]:
    """The channel is frozen."""
    step = Step(payment)
    told, attempt = event.action.event, payment.attempt
    if not isinstance(told, OfferHtlc) or attempt is None or attempt.number != told.ref or not payment.offered:
        return step
    if payment.resumed:
        # It may have been committed before the crash, and the channel cannot say so now.
        return step.fact(RetryLater(Timestamp(env.wall + FROZEN_RETRY_S)))
    excluded = (ExcludedChannel(attempt.route.hops[0].scid),)
    return next_try(step.fact(AttemptFailed(attempt.number, "our own channel is frozen", excluded)), env)


@attempts.on(Fulfilled)
def on_fulfilled(payment: Payment, event: Fulfilled, env: Env) -> Step[Payment]:
    """The receipt is here.

    Raises:
        InvariantBroken: the preimage is not that of this payment; the channel should have refused it.
    """
    step = Step(payment)
    if payment.status in (Status.COMPLETE, Status.NONE):
        return step
    if sha256(event.preimage) != payment.payment_hash:
        raise InvariantBroken("a preimage does not fit the payment that it is said to be for")
    attempt = payment.attempt
    step.fact(PaymentCompleted(event.preimage, env.wall))
    if attempt is not None and attempt.number == event.ref:
        _learn(step, Outcome(attempt.route, True))
    done = payment_done(step.state)
    about = {"payment_hash": payment.payment_hash.hex(), "amount_msat": done.amount_msat, "fee_msat": done.fee_msat}
    return answer(step.act(Notify("payment complete", about)))


@attempts.on(Failed)
def on_failed(payment: Payment, event: Failed, env: Env) -> Step[Payment]:
    """The HTLC can no longer be paid: learn why, and try another way if one may help."""
    step = Step(payment)
    attempt, terms = payment.attempt, payment.terms
    if payment.status is not Status.PENDING or attempt is None or attempt.number != event.ref:
        return step
    assert terms is not None
    read = blame(attempt, terms, event)
    _learn(step, read.outcome).act(Notify("payment attempt failed", _about(payment, read)))
    dearer = _at_new_price(attempt, read)
    if dearer is not None and in_time(payment, env) and _affordable(payment, dearer[0], env):
        step.fact(AttemptFailed(attempt.number, read.why))
        return attempt_on(step, *dearer, env)
    step.fact(AttemptFailed(attempt.number, read.why, read.excluded_channels, read.excluded_nodes))
    if not read.retry:
        payee = read.outcome.failed_at == len(attempt.route.hops) - 1
        return fail(step, PayeeRefused if payee else NoRouteFound, read.why, env)
    return next_try(step, env)


def _learn(step: Step[Payment], outcome: Outcome) -> Step[Payment]:
    return step.act(Learn(outcome)) if outcome.teaches else step


def _at_new_price(attempt: Attempt, read: Blame) -> tuple[Route, tuple[ShortChannelId, ...]] | None:
    """The same way with the policy that the failure carried, once for each channel."""
    at, update = read.outcome.failed_at, read.outcome.channel_update
    if at is None or not update or at + 1 >= len(attempt.route.hops):
        return None
    scid = attempt.route.hops[at + 1].scid
    if scid in attempt.repriced:
        return None
    route = repriced(attempt.route, at, update)
    return None if route is None else (route, (*attempt.repriced, scid))


def _affordable(payment: Payment, route: Route, env: Env) -> bool:
    limits = payment.limits
    assert limits is not None
    return route.fee_msat <= limits.max_fee_msat and route.cltv_expiry <= env.height + limits.max_cltv_expiry_delta


def _about(payment: Payment, read: Blame) -> dict[str, object]:
    return {"payment_hash": payment.payment_hash.hex(), "attempt": payment.attempts, "why": read.why}
