"""Asking for a way, and for another one: as long as the payment's time and number of attempts are not used up."""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.machine import Step, Tell
from fulmen.core.base.units import CltvDelta
from fulmen.core.payments.payment import (
    Payment,
    RouteAsked,
)
from fulmen.core.payments.results import fail
from fulmen.core.payments.sending import (
    RetriesUsedUp,
    payment_address,
)
from fulmen.core.payments.ways import draw_shadow, route_request
from fulmen.core.routing.direct import direct_route
from fulmen.core.routing.requests import FindRoute, RouteAnswered

MAX_ATTEMPTS = 30
"""Of one call: each leaves out one thing more, so more of them are a probe and no payment."""


def ask(step: Step[Payment], shadow: CltvDelta, env: Env) -> Step[Payment]:
    """Have a route searched, with the final expiry so many blocks later than needed.

    A payee that is our peer needs no search: then the answer comes in the same batch.
    """
    step.fact(RouteAsked(shadow))
    payment = step.state
    address = payment_address(payment.payment_hash)
    request = route_request(payment, shadow, env)
    direct = direct_route(request)
    if direct is not None:
        return step.act(Tell(address, RouteAnswered(payment.asks, direct)))
    return step.act(FindRoute(address, payment.asks, request))


def in_time(payment: Payment, env: Env) -> bool:
    """Whether another attempt may be made."""
    assert payment.limits is not None
    return env.wall < payment.limits.give_up_at and payment.attempts - payment.attempts_before < MAX_ATTEMPTS


def next_try(step: Step[Payment], env: Env) -> Step[Payment]:
    """Nothing is on its way: ask for another route, unless time or attempts are used up."""
    payment = step.state
    if not in_time(payment, env):
        return fail(step, RetriesUsedUp, payment.last_failure or "the time is over", env)
    return ask(step, draw_shadow(env), env)
