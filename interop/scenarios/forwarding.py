"""Payments over three nodes: through us, through them, and where only a route hint knows the way."""

from __future__ import annotations

from fulmen.lab.members import Order
from fulmen.lab.waiting import until
from interop.lab import Lab
from interop.peers.peer import Asked, Can, Peer, Terms
from interop.scenario import scenario
from interop.us import Us

TITLE = "Forwarding"

MSAT = 25_000_000
FEE_BASE_MSAT = 1000


@scenario("through us: they – us – they", Can.FORWARDS, Can.ANNOUNCED)
def through_us(lab: Lab) -> None:
    us, one, other = lab.us, lab.their("dave"), lab.them
    lab.standing(one, us)
    lab.standing(us, other)
    _they_know(lab)
    before = len(us.call("listforwards", status="settled")["forwards"])
    for payer, payee in ((one, other), (other, one)):
        asked = payee.invoice(MSAT)
        payer.pay(asked.bolt11)
        assert payee.paid(asked.payment_hash)
    until(lambda: len(us.call("listforwards", status="settled")["forwards"]) == before + 2, "we have passed on two")
    assert all(row["fee_msat"] == 1000 + MSAT // 1_000_000 for row in us.call("listforwards")["forwards"][before:])


@scenario("through them: us – they – us", Can.FORWARDS, Can.ANNOUNCED)
def through_them(lab: Lab) -> None:
    # With a channel to us from another room, the payee would be paid past them.
    us, them, theo = lab.us, lab.them, lab.our("theo")
    lab.standing(us, them)
    lab.standing(them, theo)
    for payer, payee in ((us, theo), (theo, us)):
        _we_know(lab, payer, theo)
        asked = payee.ask(MSAT)
        paid = payer.pays(asked)
        assert payee.was_paid(asked)
        assert paid["amount_sent_msat"] > MSAT, "nobody was paid for passing it on"


@scenario("they find an unannounced node of ours by our route hint", Can.HINTS, Can.FORWARDS)
def by_our_hint(lab: Lab) -> None:
    us, them, hidden = lab.us, lab.them, lab.our("heidi")
    lab.standing(us, them)
    lab.channel(us, hidden, Order(1_000_000, 500_000, announce=False))
    asked = until(lambda: _hinted(hidden.ask(MSAT), hidden), "the invoice has a hint")
    them.pay(asked.bolt11)
    assert hidden.was_paid(asked)


@scenario("we find an unannounced node of theirs by their route hint", Can.HINTS, Can.FORWARDS)
def by_their_hint(lab: Lab) -> None:
    us, them = lab.our("bob"), lab.them
    hidden = lab.their("henry")
    lab.standing(them, us)
    lab.channel(them, hidden, Order(1_000_000, 500_000, announce=False))
    asked = until(lambda: _hinted(hidden.invoice(MSAT, hints=True), us), "the invoice has a hint", 30)
    us.pays(asked)
    assert hidden.paid(asked.payment_hash)


@scenario(
    "through us, over their own hint, where nothing is announced: they – us – they",
    Can.HINTS,
    lacks={"lnd": "hints only at nodes that have an announced channel"},
)
def by_their_hint_over_us(lab: Lab) -> None:
    # Who has one announced channel hints at none: nodes of their own, whose channels nobody announces.
    us, payer, payee = lab.our("ursula"), lab.their("hilda"), lab.their("hedda")
    order = Order(1_000_000, 500_000, announce=False)
    into, out = lab.channel(us, payer, order), lab.channel(us, payee, order)
    before = us.at(into)["to_us_msat"] + us.at(out)["to_us_msat"]
    for one, other in ((payer, payee), (payee, payer)):
        asked = _with_hint(other, us)
        one.pay(asked.bolt11)
        assert other.paid(asked.payment_hash)
    for outpoint, them in ((into, payer), (out, payee)):
        lab.quiet(outpoint, us, them)
    earned = us.at(into)["to_us_msat"] + us.at(out)["to_us_msat"] - before
    assert earned == 2 * (FEE_BASE_MSAT + MSAT // 1_000_000), earned


@scenario("we find an unannounced node of theirs behind us", Can.HINTS, Can.FORWARDS)
def behind_us(lab: Lab) -> None:
    us, bob, them = lab.us, lab.our("bob"), lab.their("harald")
    lab.channel(us, them, Order(1_000_000, 500_000, announce=False))
    lab.standing(us, lab.them)
    lab.standing(lab.them, bob)
    asked = until(lambda: _hinted(them.invoice(MSAT, hints=True), bob, us.id), "the invoice has a hint", 30)
    _we_know(lab, bob, bob)
    before = len(us.call("listforwards", status="settled")["forwards"])
    bob.pays(asked)
    assert them.paid(asked.payment_hash)
    until(lambda: len(us.call("listforwards", status="settled")["forwards"]) == before + 1, "we have passed it on")


@scenario(
    "terms that rose after the invoice: we learn them from fee_insufficient, and pay",
    Can.HINTS,
    Can.POLICY,
    lacks={"ldk": "forwards at the old terms for some minutes after they rose, so that nothing fails"},
)
def risen_terms(lab: Lab) -> None:
    us, them, hidden = lab.us, lab.them, lab.our("hannah")
    lab.standing(us, them)
    outpoint = lab.channel(them, hidden, Order(1_000_000, 500_000, announce=False))
    asked = until(lambda: _hinted(hidden.ask(MSAT), hidden, them.id), "the invoice has a hint over them", 30)
    them.set_terms(outpoint, Terms(3000, 100, 80))
    paid = us.pays(asked, maxfee="100sat")
    assert hidden.was_paid(asked)
    assert paid["attempts"] >= 2, paid
    assert paid["amount_sent_msat"] == MSAT + 3000 + MSAT * 100 // 1_000_000


def _with_hint(payee: Peer, over: Us) -> Asked:
    """An invoice that says what we ask for, once our channel_update has come."""

    def hinted() -> Asked | None:
        asked = payee.invoice(MSAT, hints=True)
        routes = over.call("decode", string=asked.bolt11).get("routes") or []
        fees = [hop["fee_base_msat"] for route in routes for hop in route if hop["pubkey"] == over.id]
        return asked if fees == [FEE_BASE_MSAT] else None

    return until(hinted, f"{payee} knows our terms", 30)


def _hinted(asked: Asked, reader: Us, over: str = "") -> Asked | None:
    """An invoice with a route hint (over this node), or None."""
    routes = reader.call("decode", string=asked.bolt11).get("routes") or []
    found = [hop for route in routes for hop in route if not over or hop["pubkey"] == over]
    return asked if found else None


def _they_know(lab: Lab) -> None:
    """Wait until both of theirs know the channels of the other with us."""
    one, other = lab.their("dave"), lab.them
    first, second = lab.scid(lab.standing(one, lab.us)), lab.scid(lab.standing(lab.us, other))
    ends = [(node, scid) for node in (one, other) for scid in (first, second)]
    until(lambda: all(node.terms_known(scid, lab.us.id) for node, scid in ends), "both know the way over us", 30)


def _we_know(lab: Lab, payer: Us, far: Us) -> None:
    """Wait until one of ours knows both directions of both channels with them, the nearest node's and the far one's."""
    scids = [lab.scid(lab.standing(lab.us, lab.them)), lab.scid(lab.standing(lab.them, far))]

    def known() -> bool:
        rows = payer.call("listchannels")["channels"]
        return all(sum(row["short_channel_id"] == scid for row in rows) == 2 for scid in scids)

    until(known, f"{payer} knows the way", 30)
