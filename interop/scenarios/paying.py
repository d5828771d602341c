"""Money moves between the two of us: BOLT 2, BOLT 4, BOLT 11."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from fulmen.api.errors import RpcError
from fulmen.lab.waiting import until
from interop.lab import Lab
from interop.peers.peer import Asked, Can, NotPaid
from interop.scenario import scenario

TITLE = "Paying"

MANY = 100
"""In each direction."""


@scenario("we pay them")
def we_pay(lab: Lab) -> None:
    _we_pay(lab, lab.them.invoice, 123_456_000)


@scenario("they pay us")
def they_pay(lab: Lab) -> None:
    _they_pay(lab, lab.us.ask(123_456_789), 123_456_789)


@scenario("we pay an invoice of theirs that names no amount")
def we_pay_any_amount(lab: Lab) -> None:
    us, them = lab.us, lab.them
    lab.standing(us, them)
    asked = them.invoice(None)
    assert us.pays(asked, amount_msat=2_000_003)["amount_sent_msat"] == 2_000_003
    assert them.paid(asked.payment_hash)


@scenario(
    "they pay an invoice of ours that names no amount",
    lacks={"electrum": "has no command that pays an invoice without an amount"},
)
def they_pay_any_amount(lab: Lab) -> None:
    _they_pay(lab, lab.us.ask(None), 2_000_003, named=True)


@scenario("we pay them one millisatoshi", lacks={"electrum": "asks for whole satoshis"})
def we_pay_one_msat(lab: Lab) -> None:
    _we_pay(lab, lab.them.invoice, 1)


@scenario(
    "they pay us the least that they send",
    differs={"lnd": "sends no HTLC below 1 sat by its own policy, and so cannot pay 1 msat over a channel of its own"},
    lacks={"electrum": "pays whole satoshis"},
)
def they_pay_little(lab: Lab) -> None:
    if lab.them.kind == "lnd":
        lab.standing(lab.us, lab.them)
        asked = lab.us.ask(1)
        with suppress(NotPaid):
            lab.them.pay(asked.bolt11)
            raise AssertionError("LND pays 1 msat now: it differs no more")
        assert not lab.us.was_paid(asked)
        lab.saw_it_differ()
        _they_pay(lab, lab.us.ask(1000), 1000)
    else:
        _they_pay(lab, lab.us.ask(1), 1)


@scenario("we pay dust, and all that we can")
def we_pay_all(lab: Lab) -> None:
    us, them = lab.our("rosa"), lab.them
    outpoint = lab.channel(us, them)
    us.pays(them.invoice(300_000))
    lab.quiet(outpoint, us, them)
    most = us.at(outpoint)["spendable_msat"]
    asked = them.invoice(most)
    us.pays(asked)
    assert them.paid(asked.payment_hash)
    lab.quiet(outpoint, us, them)
    assert us.at(outpoint)["spendable_msat"] < 1_000_000
    # And back again.
    _pay_back(lab, outpoint, us.at(outpoint)["receivable_msat"])


def _pay_back(lab: Lab, outpoint: str, most: int) -> None:
    us, them = lab.our("rosa"), lab.them
    asked = us.ask(most * 9 // 10)
    them.pay(asked.bolt11)
    assert us.was_paid(asked)
    lab.quiet(outpoint, us, them)


@scenario("200 payments at once, both ways", Can.PAYS_MANY, limit_s=180)
def many_at_once(lab: Lab) -> None:
    us, them = lab.us, lab.them
    outpoint = lab.standing(us, them)
    before = us.at(outpoint)["to_us_msat"]
    theirs = [them.invoice(10_000_000) for _ in range(MANY)]
    ours = [us.ask(9_000_000) for _ in range(MANY)]

    def pay_them(asked: Asked) -> bool:
        try:
            us.pays(asked, retry_for=120)
        except RpcError:
            return False
        return True

    def pay_us(asked: Asked) -> bool:
        try:
            them.pay(asked.bolt11)
        except NotPaid:
            return False
        return True

    with ThreadPoolExecutor(2 * MANY) as pool:
        sent = [pool.submit(pay_them, asked) for asked in theirs]
        received = [pool.submit(pay_us, asked) for asked in ours]
        went = sum(each.result() for each in sent)
        came = sum(each.result() for each in received)
    lab.quiet(outpoint, us, them)
    assert went == sum(them.paid(asked.payment_hash) for asked in theirs)
    assert came == sum(us.was_paid(asked) for asked in ours)
    assert (went, came) == (MANY, MANY), (went, came)
    assert us.at(outpoint)["to_us_msat"] == before - went * 10_000_000 + came * 9_000_000


def _we_pay(lab: Lab, ask: Callable[[int], Asked], msat: int) -> None:
    us, them = lab.us, lab.them
    outpoint = lab.standing(us, them)
    before = us.at(outpoint)["to_us_msat"]
    asked = ask(msat)
    paid = us.pays(asked)
    assert them.paid(asked.payment_hash)
    assert paid["amount_sent_msat"] == msat
    lab.quiet(outpoint, us, them)
    until(lambda: us.at(outpoint)["to_us_msat"] == before - msat, f"we have {msat} msat less")


def _they_pay(lab: Lab, asked: Asked, msat: int, *, named: bool = False) -> None:
    us, them = lab.us, lab.them
    outpoint = lab.standing(us, them)
    before = us.at(outpoint)["to_us_msat"]
    them.pay(asked.bolt11, msat=msat if named else None)
    assert us.was_paid(asked)
    lab.quiet(outpoint, us, them)
    until(lambda: us.at(outpoint)["to_us_msat"] == before + msat, f"we have {msat} msat more")
