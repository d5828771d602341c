"""HTLCs that stand still in each state, since the other side was started so, and go on when it is started anew."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from fulmen.lab.waiting import Deviation, until
from interop.lab import Lab
from interop.peers.peer import Asked, Can, Options, Peer
from interop.scenario import scenario
from interop.us import Us

TITLE = "HTLCs that stand still"

MSAT = 10_000_000
LIMIT_S = 240
STANDS = "mode enabled"
"""What LND writes into its log when it holds an HTLC because it was told to."""


COMPLETE, EITHER, NUDGED, TIMEOUT = "complete", "complete or failed", "failed or complete", "failed"
PERHAPS_LOST = "complete, or failed at the deadline"
PERHAPS_LOST_S = 20
OWES = {
    "lnd": "started anew, it does not sign the commitment that it owes for what it had acknowledged before, until "
    "something else happens in the channel"
}
FORGETS = {
    "lnd": "started anew without the mode, it does not take up again what add-incoming had dropped: only the deadline "
    "ends the HTLC"
}


@scenario("a payee of theirs does not settle (exit-settle)", Can.HODL, limit_s=LIMIT_S)
def exit_settle(lab: Lab) -> None:
    us, them, _ = _three(lab)
    _stand_still(lab, us, them, them.invoice, "exit-settle", COMPLETE)


@scenario("a node of theirs in the middle does not forward (add-outgoing)", Can.HODL, limit_s=LIMIT_S)
def add_outgoing(lab: Lab) -> None:
    _in_the_middle(lab, "add-outgoing", EITHER)


@scenario("a node of theirs in the middle does not commit (commit)", Can.HODL, differs=OWES, limit_s=LIMIT_S)
def commit(lab: Lab) -> None:
    _in_the_middle(lab, "commit", NUDGED)


@scenario(
    "it does not take it up (add-incoming): we close at the deadline",
    Can.HODL,
    differs=FORGETS,
    limit_s=LIMIT_S,
)
def add_incoming(lab: Lab) -> None:
    _in_the_middle(lab, "add-incoming", TIMEOUT)


@scenario(
    "a node of theirs in the middle does not pass the preimage on (settle-outgoing)",
    Can.HODL,
    differs={
        "lnd": "started anew without the mode, it passes on the preimage that settle-outgoing had dropped, or it has "
        "lost it: then only the deadline ends the HTLC"
    },
    limit_s=LIMIT_S,
)
def settle_outgoing(lab: Lab) -> None:
    _in_the_middle(lab, "settle-outgoing", PERHAPS_LOST)


@scenario("a payee of theirs sends a preimage that is none (bogus-settle): we close", Can.HODL, limit_s=LIMIT_S)
def bogus_settle(lab: Lab) -> None:
    us, them, _ = _three(lab)
    outpoint = lab.standing(us, them)
    them.restart(Options(hodl=("bogus-settle",)))
    lab.await_usable(outpoint, us, them)
    asked = _begin(lab, us, them, them.invoice)
    # BOLT 2: "MUST send a `warning` and close the connection, or send an `error` and fail the channel."
    until(lambda: us.at(outpoint)["state"] in ("AWAITING_UNILATERAL", "ONCHAIN"), "we close", 30)
    assert _status(us, asked) == "pending", "what is none settles nothing"
    them.restart(Options())
    lab.caught_up()
    # On the chain it shows the right one, for it has settled its invoice.
    lab.mine_until(lambda: _status(us, asked) != "pending", "the chain decides")
    assert them.paid(asked.payment_hash) is (_status(us, asked) == COMPLETE)


def _three(lab: Lab) -> tuple[Us, Peer, Us]:
    """One of ours, one of theirs, one of ours, in a row that the first knows."""
    us, them, payee = lab.our("ida"), lab.their("hal"), lab.our("otto")
    scids = {lab.scid(lab.standing(us, them)), lab.scid(lab.standing(them, payee))}

    def known() -> bool:
        rows = us.call("listchannels")["channels"]
        return all(sum(row["short_channel_id"] == scid for row in rows) == 2 for scid in scids)

    until(known, f"{us} knows the way", 30)
    return us, them, payee


def _in_the_middle(lab: Lab, mode: str, end: str) -> None:
    us, them, payee = _three(lab)
    _stand_still(lab, us, them, payee.ask, mode, end)


def _stand_still(lab: Lab, us: Us, them: Peer, ask: Callable[[int], Asked], mode: str, end: str) -> None:
    """Pay, see it stand still, start them anew, and see it come to its end."""
    them.restart(Options(hodl=(mode,)))
    asked = _begin(lab, us, them, ask)
    until(lambda: STANDS in them.process.log.read_text(encoding="utf-8", errors="replace"), "it stands still", 30)
    assert _status(us, asked) == "pending"
    outpoint = lab.standing(us, them)
    expiries = [htlc["expiry"] for htlc in us.at(outpoint)["htlcs"]]
    them.restart(Options())
    lab.caught_up()
    if end == NUDGED:
        lab.await_usable(outpoint, us, them)
        us.pays(them.invoice(1_000))
    if end == PERHAPS_LOST:
        lab.await_usable(outpoint, us, them)
        with suppress(Deviation):
            until(lambda: _status(us, asked) != "pending", "it takes it up again", PERHAPS_LOST_S)
        end = TIMEOUT if _status(us, asked) == "pending" else COMPLETE
    if end == TIMEOUT:
        lab.await_usable(outpoint, us, them)
        assert _status(us, asked) == "pending"
        # BOLT 2, "cltv_expiry_delta Selection": we have to close once an HTLC has lingered past its expiry.
        for _ in range(max(expiries) - lab.chain.height):
            lab.mine()
        lab.mine_until(lambda: us.at(outpoint)["state"] in ("AWAITING_UNILATERAL", "ONCHAIN"), "we close")
        lab.mine_until(lambda: _status(us, asked) != "pending", "our money is back")
    until(lambda: _status(us, asked) != "pending", "it comes to its end", 60)
    assert _status(us, asked) in end, us.call("listpays", payment_hash=asked.payment_hash)
    if end != TIMEOUT:
        lab.quiet(outpoint, us, them)


def _begin(lab: Lab, us: Us, them: Peer, ask: Callable[[int], Asked]) -> Asked:
    lab.caught_up()
    _three(lab)
    them.process.log.write_text("")
    asked = ask(MSAT)
    us.begin_to_pay(asked)
    until(lambda: us.call("listpays", payment_hash=asked.payment_hash)["pays"], "the payment has begun")
    return asked


def _status(us: Us, asked: Asked) -> str:
    return str(us.call("listpays", payment_hash=asked.payment_hash)["pays"][0]["status"])
