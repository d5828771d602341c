"""Routes over nodes of three implementations."""

from __future__ import annotations

from itertools import pairwise

from fulmen.lab.waiting import until
from interop.lab import Anybody, Lab
from interop.peers.peer import Peer
from interop.scenario import scenario
from interop.us import Us

TITLE = "Three implementations in one route"

MSAT = 30_000_000


@scenario("LND – us – LDK, both ways")
def we_between(lab: Lab) -> None:
    lnd, us, ldk = lab.their("lnd"), lab.us, lab.their("ldk")
    _pay_along(lab, lnd, us, ldk)
    _pay_along(lab, ldk, us, lnd)


@scenario("us – LND – LDK, both ways")
def lnd_between(lab: Lab) -> None:
    bob, lnd, ldk = lab.our("bob"), lab.their("lnd"), lab.their("ldk")
    _pay_along(lab, bob, lnd, ldk)
    _pay_along(lab, ldk, lnd, bob)


@scenario("us – LDK – LND, both ways")
def ldk_between(lab: Lab) -> None:
    carl, ldk, lnd = lab.our("carl"), lab.their("ldk"), lab.their("lnd")
    _pay_along(lab, carl, ldk, lnd)
    _pay_along(lab, lnd, ldk, carl)


@scenario("us – LND – us – LDK – us, both ways")
def five_in_a_row(lab: Lab) -> None:
    row: list[Anybody] = [lab.our("dora"), lab.their("lnd-2"), lab.our("emil"), lab.their("ldk-2"), lab.our("fred")]
    _pay_along(lab, *row)
    _pay_along(lab, *reversed(row))


def _pay_along(lab: Lab, *row: Anybody) -> None:
    """Open what is missing, wait until the payer knows every hop, and pay the last."""
    payer, payee = row[0], row[-1]
    hops = [(lab.scid(lab.standing(one, other)), one.id) for one, other in pairwise(row)]
    until(lambda: all(_knows(payer, *hop) for hop in hops), f"{payer} knows what everybody asks for", 60)
    asked = payee.ask(MSAT) if isinstance(payee, Us) else payee.invoice(MSAT)
    if isinstance(payer, Us):
        payer.pays(asked)
    else:
        payer.pay(asked.bolt11)
    assert payee.was_paid(asked) if isinstance(payee, Us) else payee.paid(asked.payment_hash)


def _knows(payer: Anybody, scid: str, of_node: str) -> bool:
    if isinstance(payer, Peer):
        return payer.terms_known(scid, of_node) is not None
    rows = payer.call("listchannels", short_channel_id=scid)["channels"]
    return any(row["source"] == of_node for row in rows)
