"""Money moves between us."""

from __future__ import annotations

from interop.lab import Lab
from interop.scenario import scenario

TITLE = "Paying"


@scenario("we pay them")
def we_pay(lab: Lab) -> None:
    us, them = lab.us, lab.them
    outpoint = lab.standing(us, them)
    before = us.held_with(them.id)
    asked = them.invoice(123_456_789)
    us.pays(asked)
    assert them.paid(asked.payment_hash)
    lab.quiet(outpoint, us, them)
    assert us.held_with(them.id) == before - 123_456_789


@scenario("they pay us")
def they_pay(lab: Lab) -> None:
    us, them = lab.us, lab.them
    outpoint = lab.standing(us, them)
    before = us.held_with(them.id)
    asked = us.ask(123_456_789)
    them.pay(asked.bolt11)
    assert us.was_paid(asked)
    lab.quiet(outpoint, us, them)
    assert us.held_with(them.id) == before + 123_456_789
