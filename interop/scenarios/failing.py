"""Payments that fail, and what the other side reads in the failure: BOLT 4, "Failure Messages"."""

from __future__ import annotations

import os
from dataclasses import dataclass

from fulmen.lab.members import Order
from fulmen.lab.waiting import until
from interop.lab import Lab
from interop.peers.peer import Asked, Can, NotPaid, Peer, Wrong
from interop.scenario import scenario
from interop.us import LEAST_MSAT, Us

TITLE = "Failures"

MSAT = 20_000_000
WITHOUT_UPDATE = {
    "lnd": "cannot read fee_insufficient, incorrect_cltv_expiry, expiry_too_soon and amount_below_minimum without the "
    "channel_update that BOLT 4 wants to be left out: it sees an unknown failure of the right node"
}
FEE_INSUFFICIENT, INCORRECT_CLTV_EXPIRY = "FEE_INSUFFICIENT", "INCORRECT_CLTV_EXPIRY"
EXPIRY_TOO_SOON, AMOUNT_BELOW_MINIMUM = "EXPIRY_TOO_SOON", "AMOUNT_BELOW_MINIMUM"
WITH_UPDATE = (FEE_INSUFFICIENT, INCORRECT_CLTV_EXPIRY, EXPIRY_TOO_SOON, AMOUNT_BELOW_MINIMUM)
"""BOLT 4 once put a channel_update into these, and now has it left out."""
GIVES_UP = {
    "lnd": "FAILURE_REASON_INCORRECT_PAYMENT_DETAILS",
    "ldk": "RecipientRejected",
    "electrum": "INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS",
}
"""What each says of a payment, and of no other: it has read incorrect_or_unknown_payment_details of the payee."""
FINAL_EXPIRY = 150
"""Blocks from now on that are enough for any payee."""


# ---- they send, we fail -------------------------------------------------------------------------


@scenario("they pay what was paid already, read why we fail it, and give up")
def they_give_up(lab: Lab) -> None:
    # The first of the room: LND remembers what else it was refused, and asks nobody then.
    us, them, bob = lab.us, lab.them, lab.our("bob")
    outpoint = lab.standing(us, them)
    lab.standing(us, bob)
    before = us.at(outpoint)["to_us_msat"]
    asked = us.ask(MSAT)
    bob.pays(asked)
    try:
        them.pay(asked.bolt11)
    except NotPaid as why:
        assert GIVES_UP[them.kind] in str(why), why
    else:
        raise AssertionError("what was paid already was paid again")
    lab.quiet(outpoint, us, them)
    assert us.at(outpoint)["to_us_msat"] == before


@scenario("they read our incorrect_or_unknown_payment_details: unknown hash", Can.ROUTES)
def unknown_hash(lab: Lab) -> None:
    asked = lab.us.ask(MSAT)
    unknown = Asked(asked.bolt11, os.urandom(32).hex())
    _they_read(lab, unknown, Wrong(), "INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS")


@scenario("they read our incorrect_or_unknown_payment_details: wrong secret", Can.ROUTES)
def wrong_secret(lab: Lab) -> None:
    _they_read(lab, lab.us.ask(MSAT), Wrong(secret=os.urandom(32)), "INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS")


@scenario("they read our incorrect_or_unknown_payment_details: too little", Can.ROUTES)
def too_little(lab: Lab) -> None:
    _they_read(lab, lab.us.ask(MSAT + 1), Wrong(), "INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS")


@scenario("they read our incorrect_or_unknown_payment_details: paid already", Can.ROUTES)
def paid_already(lab: Lab) -> None:
    lab.standing(lab.us, lab.them)
    asked = lab.us.ask(MSAT)
    bob = lab.our("bob")
    lab.standing(lab.us, bob)
    bob.pays(asked)
    _they_read(lab, asked, Wrong(), "INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS")


@scenario("they read our final_incorrect_cltv_expiry", Can.ROUTES)
def final_expiry(lab: Lab) -> None:
    expiry = lab.chain.height + FINAL_EXPIRY
    wrong = Wrong(htlc_expiry=expiry, forward_expiry=expiry + 1)
    _they_read(lab, lab.us.ask(MSAT), wrong, "FINAL_INCORRECT_CLTV_EXPIRY")


@scenario("they read our final_incorrect_htlc_amount", Can.ROUTES)
def final_amount(lab: Lab) -> None:
    _they_read(lab, lab.us.ask(MSAT), Wrong(htlc_msat=MSAT - 1), "FINAL_INCORRECT_HTLC_AMOUNT")


@scenario("they read our invalid_onion_payload", Can.ROUTES)
def invalid_payload(lab: Lab) -> None:
    _they_read(lab, lab.us.ask(MSAT), Wrong(last_tlv=(66000, b"must be known")), "INVALID_ONION_PAYLOAD")


@scenario("they read our unknown_next_peer", Can.ROUTES)
def unknown_next_peer(lab: Lab) -> None:
    _over_us(lab, Wrong(next_scid="1x2x3"), "UNKNOWN_NEXT_PEER")


@scenario("they read our fee_insufficient", Can.ROUTES, differs=WITHOUT_UPDATE)
def fee_insufficient(lab: Lab) -> None:
    _over_us(lab, Wrong(htlc_msat=MSAT), FEE_INSUFFICIENT)


@scenario("they read our incorrect_cltv_expiry", Can.ROUTES, differs=WITHOUT_UPDATE)
def incorrect_cltv_expiry(lab: Lab) -> None:
    expiry = lab.chain.height + FINAL_EXPIRY
    _over_us(lab, Wrong(htlc_expiry=expiry + 79, forward_expiry=expiry), INCORRECT_CLTV_EXPIRY)


@scenario("they read our expiry_too_soon", Can.ROUTES, differs=WITHOUT_UPDATE)
def expiry_too_soon(lab: Lab) -> None:
    height = lab.chain.height
    _over_us(lab, Wrong(htlc_expiry=height + 90, forward_expiry=height + 1), EXPIRY_TOO_SOON)


@scenario("they read our expiry_too_far", Can.ROUTES)
def expiry_too_far(lab: Lab) -> None:
    height = lab.chain.height
    _over_us(lab, Wrong(htlc_expiry=height + 2500, forward_expiry=height + 2400), "EXPIRY_TOO_FAR")


@scenario("they read our amount_below_minimum", Can.ROUTES, differs=WITHOUT_UPDATE)
def amount_below_minimum(lab: Lab) -> None:
    _over_us(lab, Wrong(forward_msat=LEAST_MSAT - 1), AMOUNT_BELOW_MINIMUM)


@scenario("they read our temporary_channel_failure: not enough on our side", Can.ROUTES)
def not_enough(lab: Lab) -> None:
    us, them, bob = lab.us, lab.them, lab.our("bob")
    _way_over_us(lab)
    # Nearly all of our side goes over to Bob, for a moment.
    gone: list[int] = []
    while (most := max(row["spendable_msat"] for row in us.channels() if row["peer_id"] == bob.id)) > MSAT:
        gone.append(most - MSAT // 2)
        us.pays(bob.ask(gone[-1]))
        until(lambda: not us.pending_htlcs(), "our channels are quiet")
    read = them.send_over([us.id, bob.id], 2 * MSAT, bob.ask(2 * MSAT), Wrong())
    for msat in reversed(gone):
        bob.pays(us.ask(msat))
    assert read == "TEMPORARY_CHANNEL_FAILURE", read


# ---- we send, they fail -------------------------------------------------------------------------


@scenario(
    "we read their incorrect_or_unknown_payment_details",
    Can.HOLD,
    lacks={"ldk": "holds what comes for a held invoice, though that was cancelled before"},
)
def their_unknown_details(lab: Lab) -> None:
    lab.standing(lab.us, lab.them)
    asked = lab.them.hold_invoice(MSAT, os.urandom(32).hex())
    lab.them.cancel(asked.payment_hash)
    refused = lab.us.fails_to_pay(asked)
    assert "incorrect_or_unknown_payment_details" in refused.message, refused.message


@scenario("we read their temporary_channel_failure: not enough on their side", Can.FORWARDS)
def their_not_enough(lab: Lab) -> None:
    us, them, hidden = lab.us, lab.them, lab.our("herta")
    lab.standing(us, them)
    lab.channel(them, hidden, Order(500_000, 400_000, announce=False))
    asked = until(lambda: _hinted(hidden.ask(None), hidden, them), "the invoice has a hint over them", 30)
    refused = us.fails_to_pay(asked, retry_for=5, amount_msat=200_000_000)
    assert "temporary_channel_failure" in _failure(us, asked), (refused.message, _failure(us, asked))


@scenario("we read their unknown_next_peer or temporary_channel_failure: who comes next is away", Can.FORWARDS)
def their_unknown_next_peer(lab: Lab) -> None:
    us, them, hidden = lab.us, lab.them, lab.our("hugo")
    lab.standing(us, them)
    lab.channel(them, hidden, Order(1_000_000, 500_000, announce=False))
    asked = until(lambda: _hinted(hidden.ask(MSAT), hidden, them), "the invoice has a hint over them", 30)
    hidden.stop()
    until(lambda: hidden.id not in them.peers(), "they have seen it go")
    try:
        us.fails_to_pay(asked, retry_for=5)
        said = _failure(us, asked)
        assert "unknown_next_peer" in said or "temporary_channel_failure" in said, said
    finally:
        hidden.start()


@scenario("a held payment of ours that they cancel comes back", Can.HOLD)
def they_cancel(lab: Lab) -> None:
    us, them = lab.us, lab.them
    outpoint = lab.standing(us, them)
    before = us.at(outpoint)["to_us_msat"]
    asked = them.hold_invoice(MSAT, os.urandom(32).hex())
    payment = us.begin_to_pay(asked)
    until(lambda: them.held(asked.payment_hash), "they hold it")
    them.cancel(asked.payment_hash)
    payment.join(30)
    assert "incorrect_or_unknown_payment_details" in payment.wrong, payment.wrong
    lab.quiet(outpoint, us, them)
    assert us.at(outpoint)["to_us_msat"] == before


# ---- the ways -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Way:
    into: str
    out: str


def _they_read(lab: Lab, asked: Asked, wrong: Wrong, code: str) -> None:
    """They send to us directly, and read this in our failure; the channel stays as it was."""
    us, them = lab.us, lab.them
    outpoint = lab.standing(us, them)
    before = us.at(outpoint)["to_us_msat"]
    # Without our announcement they do not know that we can read a payment_secret.
    until(lambda: them.alias_known(us.id), "they know our features", 30)
    read = them.send_over([us.id], MSAT, asked, wrong)
    assert read == code, read
    lab.quiet(outpoint, us, them)
    assert us.at(outpoint)["to_us_msat"] == before


def _way_over_us(lab: Lab) -> _Way:
    us, them, bob = lab.us, lab.them, lab.our("bob")
    way = _Way(lab.standing(us, them), lab.standing(us, bob))
    scid = lab.scid(way.out)
    until(lambda: them.terms_known(scid, us.id) and them.alias_known(bob.id), "they know the way over us", 30)
    return way


def _over_us(lab: Lab, wrong: Wrong, code: str) -> None:
    """They send over us to another of ours, and read this in our failure."""
    us, them, bob = lab.us, lab.them, lab.our("bob")
    way = _way_over_us(lab)
    read = them.send_over([us.id, bob.id], MSAT, bob.ask(MSAT), wrong)
    differs = them.kind in WITHOUT_UPDATE and code in WITH_UPDATE
    assert read == ("UNKNOWN_FAILURE" if differs else code), read
    if differs:
        lab.saw_it_differ()
    lab.quiet(way.into, us, them)


def _failure(us: Us, asked: Asked) -> str:
    return str(us.call("listpays", payment_hash=asked.payment_hash)["pays"][0].get("failure", ""))


def _hinted(asked: Asked, reader: Us, over: Peer) -> Asked | None:
    routes = reader.call("decode", string=asked.bolt11).get("routes") or []
    return asked if any(hop["pubkey"] == over.id for route in routes for hop in route) else None
