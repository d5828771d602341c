"""Asking for a way, and for another one: as long as the payment's time and number of attempts are not used up.

Where no way can be found for now, since a channel of ours is away or the chain is not read, the payment waits. A
channel that moves wakes it, and it looks by itself as well, soon at first and then less and less often: a channel may
also get room while it stands. That is a timer which follows from the state, and a crash begins with asking again, too.
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.machine import Step, Tell
from fulmen.core.base.outer import Notify
from fulmen.core.base.units import CltvDelta, Timestamp
from fulmen.core.payments.payment import Payment, RetryLater, RouteAsked, Wait
from fulmen.core.payments.results import fail
from fulmen.core.payments.sending import RetriesUsedUp, payment_address
from fulmen.core.payments.ways import draw_shadow, route_request
from fulmen.core.routing.direct import direct_route
from fulmen.core.routing.requests import FindRoute, NoRouteReason, RouteAnswered
from fulmen.core.switch.links import links_of, names_of

MAX_ATTEMPTS = 30
"""Of one call: each leaves out one thing more, so more of them are a probe and no payment."""
RETRY_AFTER_S, RARELY_S = 1, 15
"""Between two looks of a payment that waits for a channel: a quarter of its age, within these bounds."""
OF_OURS = (NoRouteReason.NO_CHANNEL, NoRouteReason.INSUFFICIENT_OUTBOUND)
"""Reasons that speak of our own channels alone."""
_IN_VAIN = {Wait.CHANNEL: "no channel of ours came back", Wait.CHAIN: "the chain was not read to its end"}


def ask(step: Step[Payment], shadow: CltvDelta, env: Env) -> Step[Payment]:
    """Have a route searched, with the final expiry so many blocks later than needed.

    A payee that is our peer needs no search: then the answer comes in the same batch. A question is named by chance: an
    answer that comes late may find another payment of the same hash, which has other terms.
    """
    step.fact(RouteAsked(shadow, int.from_bytes(env.entropy("route", 7), "big")))
    payment = step.state
    address = payment_address(payment.payment_hash)
    request = route_request(payment, shadow, env)
    direct = direct_route(request)
    if direct is not None:
        return step.act(Tell(address, RouteAnswered(payment.asks, direct)))
    return step.act(FindRoute(address, payment.asks, request))


def channel_may_return(payment: Payment, reason: NoRouteReason, env: Env) -> bool:
    """Whether a channel of ours that could not carry it at that moment, or cannot now, could change this answer."""
    if reason in (NoRouteReason.SELF_PAYMENT, NoRouteReason.BAD_AMOUNT):
        return False
    terms = payment.terms
    assert terms is not None
    # What path finding saw of our own channels is a moment old: one may have room again, or be back. After a crash, or
    # after a channel went away, it may be behind in all else as well.
    behind = payment.patient or reason in OF_OURS
    refused = {channel.scid for channel in payment.excluded_channels}
    return any(
        max(link.away_msat, link.spendable_msat if link.usable and behind else 0) >= terms.amount_msat
        and link.node_id not in payment.excluded_nodes
        and refused.isdisjoint(names_of(link))
        and (payment.patient or reason is not NoRouteReason.UNKNOWN_DESTINATION or link.node_id == terms.destination)
        for link in links_of(env.views)
    )


def wait_for(step: Step[Payment], what: Wait, env: Env) -> Step[Payment]:
    """Try again in a moment, unless the time is over by then."""
    before, age = step.state.waits_for, env.wall - step.state.created_at
    rest = min(max(RETRY_AFTER_S, age // 4), RARELY_S) if what is Wait.CHANNEL else RETRY_AFTER_S
    payment = step.fact(RetryLater(Timestamp(env.wall + rest), what)).state
    if not in_time(payment, env):
        return give_up(step, "", env)
    if before is not what:
        step.act(Notify("payment waits", {"payment_hash": payment.payment_hash.hex(), "for": what.value}))
    return step


def give_up(step: Step[Payment], why: str, env: Env) -> Step[Payment]:
    """The time, or the number of attempts, is used up, and nothing is on its way."""
    payment = step.state
    said = []
    if payment.waits_for is not None:
        said.append(f"{_IN_VAIN[payment.waits_for]} within {payment.tries_until - payment.created_at} s")
    if payment.last_failure:
        said.append(f"the last attempt failed with {payment.last_failure}" if said else payment.last_failure)
    expires_at = None if payment.terms is None else payment.terms.expires_at
    if expires_at is not None and env.wall >= expires_at:
        said.append("the invoice has expired")
    return fail(step, RetriesUsedUp, "; ".join(said) or why, env)


def in_time(payment: Payment, env: Env) -> bool:
    """Whether another attempt may be made.

    BOLT 11: "after the `timestamp` plus `expiry` has passed: SHOULD NOT attempt a payment."
    """
    return env.wall < payment.tries_until and payment.attempts - payment.attempts_before < MAX_ATTEMPTS


def next_try(step: Step[Payment], env: Env) -> Step[Payment]:
    """Nothing is on its way: ask for another route, unless time or attempts are used up."""
    payment = step.state
    if not in_time(payment, env):
        return give_up(step, "the time is over", env)
    if env.behind:
        # An expiry reckoned from the height of yesterday may be over before the HTLC is there.
        return wait_for(step, Wait.CHAIN, env)
    return ask(step, draw_shadow(env), env)
