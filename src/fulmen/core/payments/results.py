"""How a payment ends: what its callers are told, and what lists show of it."""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.ids import NodeId, PaymentHash, Preimage
from fulmen.core.base.machine import Step, Story
from fulmen.core.base.outer import Answer, Notify
from fulmen.core.base.record import Record
from fulmen.core.base.units import Msat, Timestamp
from fulmen.core.payments import sending
from fulmen.core.payments.payment import (
    CallersChanged,
    Payment,
    PaymentFailed,
    Status,
)
from fulmen.core.payments.sending import (
    PaymentDone,
    PaymentUnsuccessful,
    payment_address,
)


class PaymentRow(Record):
    """A payment as `listpays` shows it."""

    payment_hash: PaymentHash
    status: str
    destination: NodeId
    amount_msat: Msat
    label: str
    bolt11: str
    description: str
    created_at: Timestamp
    completed_at: Timestamp | None
    attempts: int
    sent_msat: Msat | None
    preimage: Preimage | None
    """Only once it is complete."""
    failure: str
    """Why it failed, or what became of its last attempt."""


def payment_row(payment: Payment) -> PaymentRow | None:
    """The row of a payment, live or from the cold store; None where there is none."""
    terms = payment.terms
    if terms is None:
        return None
    complete = payment.status is Status.COMPLETE
    return PaymentRow(
        payment.payment_hash,
        payment.status.value,
        terms.destination,
        terms.amount_msat,
        payment.label,
        terms.bolt11,
        terms.description,
        payment.created_at,
        payment.resolved_at or None,
        payment.attempts,
        payment.sent_msat if complete else None,
        payment.preimage if complete else None,
        "" if complete else payment.why or payment.last_failure,
    )


def payment_done(payment: Payment) -> PaymentDone:
    """The result of a complete payment, live or from the cold store."""
    terms = payment.terms
    assert terms is not None and payment.status is Status.COMPLETE
    return PaymentDone(
        payment.payment_hash,
        payment.preimage,
        terms.destination,
        terms.amount_msat,
        payment.sent_msat,
        payment.attempts,
        payment.created_at,
        payment.resolved_at,
    )


def failure_of(payment: Payment) -> PaymentUnsuccessful:
    """Why a failed payment failed, live or from the cold store."""
    kind: type[PaymentUnsuccessful] = getattr(sending, payment.reason, PaymentUnsuccessful)
    return kind(payment.why, payment_hash=payment.payment_hash, attempts=payment.attempts)


def fail(step: Step[Payment], fault: type[PaymentUnsuccessful], why: str, env: Env) -> Step[Payment]:
    """Nothing is on its way and nothing more is tried."""
    payment = step.state
    step.fact(PaymentFailed(fault.__name__, why, env.wall))
    about = {"payment_hash": payment.payment_hash.hex(), "reason": fault.__name__, "why": why}
    step.act(Story(payment_address(payment.payment_hash), "payment failed", {"reason": fault.__name__, "why": why}))
    return answer(step.act(Notify("payment failed", about)))


def answer(step: Step[Payment]) -> Step[Payment]:
    """Tell everybody who waits how it ended."""
    payment = step.state
    if not payment.callers:
        return step
    for command_id in payment.callers:
        if payment.status is Status.COMPLETE:
            step.act(Answer(command_id, payment_done(payment)))
        else:
            step.act(Answer(command_id, refused=failure_of(payment)))
    return step.fact(CallersChanged(()))
