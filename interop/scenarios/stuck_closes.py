"""A channel is closed alone while HTLCs of both directions stand in it, theirs with us, and ours where LND holds it."""

from __future__ import annotations

from fulmen.lab.members import Order
from fulmen.lab.waiting import Deviation, until
from interop.lab import Lab
from interop.peers.peer import Can, Options, TheirPayer
from interop.scenario import scenario
from interop.scenarios.closing import MSAT, PUSH_SAT, SAT, Ending, hinted, open_for
from interop.scenarios.stuck import STANDS
from interop.us import Us

TITLE = "Closes with HTLCs of both directions"

LIMIT_S = 240
NEEDED = (Can.HODL, Can.FORCE_CLOSE)
AFTER_EXPIRY = 30
"""Blocks in which what timed out comes back, and is deep."""


@scenario("ours is not settled (exit-settle); we close", *NEEDED, limit_s=LIMIT_S)
def not_settled_by_us(lab: Lab) -> None:
    _closed_with(lab, "exit-settle", by_us=True)


@scenario("ours is not settled (exit-settle); they close", *NEEDED, limit_s=LIMIT_S)
def not_settled_by_them(lab: Lab) -> None:
    _closed_with(lab, "exit-settle", by_us=False)


@scenario("ours stands in their commitment alone (commit); we close", *NEEDED, limit_s=LIMIT_S)
def not_committed_by_us(lab: Lab) -> None:
    _closed_with(lab, "commit", by_us=True)


@scenario("ours stands in their commitment alone (commit); they close", *NEEDED, limit_s=LIMIT_S)
def not_committed_by_them(lab: Lab) -> None:
    _closed_with(lab, "commit", by_us=False)


def _closed_with(lab: Lab, mode: str, *, by_us: bool) -> None:
    """Theirs ends by its preimage, which we learn after the close; ours as LND likes, and both know how."""
    them = lab.their("hella")
    them.restart(Options())
    lab.caught_up()
    ending = open_for(lab, "sina", them)
    us = ending.us
    payee = lab.our("quiet", coins=False)
    lab.channel(us, payee, Order(1_000_000, 100_000, announce=False))
    theirs = until(lambda: hinted(payee, us), "the invoice has a hint over us")
    payee.freeze()
    TheirPayer(them, theirs.bolt11)
    until(us.under_way, "we have passed their payment on")
    # It keeps what it has paid over a restart, and forgets only who had asked for it.
    them.restart(Options(hodl=(mode,)))
    lab.caught_up()
    until(lambda: us.can_use(ending.outpoint), "they are back", 30)
    ending.coins_sat = us.coins_sat, them.coins_sat()
    ours = them.invoice(MSAT)
    us.begin_to_pay(ours)
    until(lambda: STANDS in them.process.log.read_text(encoding="utf-8", errors="replace"), "ours stands still", 30)
    expiry = max(htlc["expiry"] for htlc in _htlcs(ending))
    ending.alone(by_us)
    payee.thaw()
    while _status(us, ours.payment_hash) == "pending" and lab.chain.height < expiry + AFTER_EXPIRY:
        ending.mine_towards(expiry)
    status = _status(us, ours.payment_hash)
    if status == "pending":
        raise Deviation(f"{AFTER_EXPIRY} blocks after its expiry nobody knows how our payment ended")
    moved = MSAT // 1000 * (status == "complete") - MSAT // 1000
    assert them.paid(ours.payment_hash) == (status == "complete")
    ending.ends(SAT - PUSH_SAT - moved, PUSH_SAT + moved)


def _htlcs(ending: Ending) -> list[dict[str, int]]:
    return list(ending.us.at(ending.outpoint).get("htlcs", ()))


def _status(us: Us, payment_hash: str) -> str:
    return str(us.call("listpays", payment_hash=payment_hash)["pays"][0]["status"])
