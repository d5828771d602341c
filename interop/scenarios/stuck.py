"""HTLCs that stand still in each state, since the other side was started so, and go on when it is started anew.

Each row says how its payment ends. Who was paid, what our payment says of itself and what we have afterwards must be of
one mind.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from fulmen.lab.waiting import Deviation, until
from interop.lab import CAPACITY_SAT, Lab
from interop.peers.peer import Asked, Can, Options, Peer
from interop.scenario import scenario
from interop.scenarios.closing import Ending
from interop.us import Us

TITLE = "HTLCs that stand still"

MSAT = 10_000_000
LIMIT_S = 240
STANDS = "mode enabled"
"""What LND writes into its log when it holds an HTLC because it was told to."""
LONG_ENOUGH_S = 10
"""In which it would have taken up again what it still knows."""
COMPLETE, FAILED = "complete", "failed"


@dataclass
class Standing:
    """A payment of ours that stands still with them, and what there was before it."""

    lab: Lab
    us: Us
    them: Peer
    payee: Us | None
    outpoint: str
    asked: Asked
    before_msat: int
    was_paid: bool

    @property
    def status(self) -> str:
        """Of our payment."""
        return _status(self.us, self.asked)

    def comes_to_its_end(self) -> bool:
        """Whether they end it by themselves, in good time."""
        with suppress(Deviation):
            until(lambda: self.status != "pending", "it comes to its end", LONG_ENOUGH_S)
        return self.status != "pending"

    def ends(self, how: str) -> None:
        """It ends so, by all books, and nothing of it is left in our channel."""
        until(lambda: self.status != "pending", "it comes to its end", 60)
        spent_msat = self._spent_msat(how)
        self.lab.quiet(self.outpoint, self.us, self.them)
        have_msat = self.us.at(self.outpoint)["to_us_msat"]
        assert have_msat == self.before_msat - spent_msat, (self.before_msat, spent_msat, have_msat)

    def ends_at_its_deadline(self) -> None:
        """Nobody ends it, so we close at its expiry; then we have on chain what we had before."""
        lab, us, outpoint = self.lab, self.us, self.outpoint
        [htlc] = us.at(outpoint)["htlcs"]
        ending = Ending(lab, us, self.them, outpoint, (us.coins_sat, self.them.coins_sat()))
        # BOLT 2, "cltv_expiry_delta Selection": we have to close once an HTLC has lingered past its expiry.
        ending.mine_to(htlc["expiry"])
        lab.mine_until(lambda: us.at(outpoint)["state"] in ("AWAITING_UNILATERAL", "ONCHAIN"), "we close")
        lab.mine_until(lambda: self.status != "pending", "the chain decides")
        ours_sat = (self.before_msat - self._spent_msat(FAILED)) // 1000
        ending.ends(ours_sat, CAPACITY_SAT - ours_sat)

    def _spent_msat(self, how: str) -> int:
        """What it took of us, once who was paid and our payment say the same of its end."""
        pay = self.us.call("listpays", payment_hash=self.asked.payment_hash)["pays"][0]
        assert pay["status"] == how, pay
        if not self.was_paid:
            paid = self.them.paid if self.payee is None else _paid_by(self.payee)
            assert paid(self.asked.payment_hash) is (how == COMPLETE), pay
        return int(pay["amount_sent_msat"]) if how == COMPLETE else 0


def _paid_by(payee: Us) -> Callable[[str], bool]:
    return lambda payment_hash: payee.was_paid(Asked("", payment_hash))


@scenario("a payee of theirs does not settle (exit-settle)", Can.HODL, limit_s=LIMIT_S)
def exit_settle(lab: Lab) -> None:
    _stands(lab, "exit-settle", _to_them).ends(COMPLETE)


@scenario(
    "a node of theirs in the middle does not forward (add-outgoing), and gives it back", Can.HODL, limit_s=LIMIT_S
)
def add_outgoing(lab: Lab) -> None:
    _stands(lab, "add-outgoing", _to_payee).ends(FAILED)


@scenario(
    "a node of theirs in the middle does not commit (commit)",
    Can.HODL,
    differs={
        "lnd": "started anew, it does not sign the commitment that it owes for what it had acknowledged before, until "
        "something else happens in the channel"
    },
    limit_s=LIMIT_S,
)
def commit(lab: Lab) -> None:
    standing = _stands(lab, "commit", _to_payee)
    assert not standing.comes_to_its_end(), "it signs by itself now: it differs no more"
    lab.saw_it_differ()
    standing.us.pays(standing.them.invoice(1_000_000))
    standing.before_msat -= 1_000_000
    standing.ends(COMPLETE)


@scenario(
    "it does not take it up (add-incoming): we close at the deadline",
    Can.HODL,
    differs={
        "lnd": "started anew without the mode, it does not take up again what add-incoming had dropped: only the "
        "deadline ends the HTLC"
    },
    limit_s=LIMIT_S,
)
def add_incoming(lab: Lab) -> None:
    standing = _stands(lab, "add-incoming", _to_payee)
    assert not standing.comes_to_its_end(), "it takes it up again: it differs no more"
    lab.saw_it_differ()
    standing.ends_at_its_deadline()


@scenario(
    "a node of theirs in the middle does not act when the preimage is committed (settle-incoming): we have it already",
    Can.HODL,
    limit_s=LIMIT_S,
)
def settle_incoming(lab: Lab) -> None:
    # It has passed the preimage on before; started anew it finds it again, and must not pass it on twice.
    _stands(lab, "settle-incoming", _to_payee, pending=False).ends(COMPLETE)


@scenario(
    "a node of theirs in the middle does not pass the preimage on (settle-outgoing)",
    Can.HODL,
    differs={
        "lnd": "started anew before it had signed the commitment without the settled HTLC, it owes it as after commit, "
        "and keeps the preimage until something else happens in that channel"
    },
    limit_s=LIMIT_S,
)
def settle_outgoing(lab: Lab) -> None:
    standing = _stands(lab, "settle-outgoing", _to_payee)
    if not standing.comes_to_its_end():
        lab.saw_it_differ()
        otto = lab.our("otto")
        lab.await_usable(lab.standing(standing.them, otto), otto, standing.them)
        standing.them.pay(otto.ask(1_000_000).bolt11)
    standing.ends(COMPLETE)


@scenario("a node of theirs in the middle keeps a failure to itself (fail-incoming)", Can.HODL, limit_s=LIMIT_S)
def fail_incoming(lab: Lab) -> None:
    _stands(lab, "fail-incoming", _to_payee_who_was_paid).ends(FAILED)


@scenario("a node of theirs in the middle does not pass a failure on (fail-outgoing)", Can.HODL, limit_s=LIMIT_S)
def fail_outgoing(lab: Lab) -> None:
    _stands(lab, "fail-outgoing", _to_payee_who_was_paid).ends(FAILED)


@scenario("a payee of theirs sends a preimage that is none (bogus-settle): we close", Can.HODL, limit_s=LIMIT_S)
def bogus_settle(lab: Lab) -> None:
    us, them, _ = _three(lab)
    outpoint = lab.standing(us, them)
    them.restart(Options(hodl=("bogus-settle",)))
    lab.await_usable(outpoint, us, them)
    before_msat = us.at(outpoint)["to_us_msat"]
    asked = them.invoice(MSAT)
    _begin(lab, us, them, asked)
    # BOLT 2: "MUST send a `warning` and close the connection, or send an `error` and fail the channel."
    until(lambda: us.at(outpoint)["state"] in ("AWAITING_UNILATERAL", "ONCHAIN"), "we close", 30)
    assert _status(us, asked) == "pending", "what is none settles nothing"
    ending = Ending(lab, us, them, outpoint, (us.coins_sat, them.coins_sat()))
    them.restart(Options())
    lab.caught_up()
    # On the chain it shows the right one, for it has settled its invoice.
    lab.mine_until(lambda: _status(us, asked) != "pending", "the chain decides")
    assert _status(us, asked) == COMPLETE and them.paid(asked.payment_hash)
    ours_sat = (before_msat - MSAT) // 1000
    ending.ends(ours_sat, CAPACITY_SAT - ours_sat)


def _three(lab: Lab) -> tuple[Us, Peer, Us]:
    """One of ours, one of theirs, one of ours, in a row that the first knows."""
    us, them, payee = lab.our("ida"), lab.their("hal"), lab.our("otto")
    scids = {lab.scid(lab.standing(us, them)), lab.scid(lab.standing(them, payee))}

    def known() -> bool:
        rows = us.call("listchannels")["channels"]
        return all(sum(row["short_channel_id"] == scid for row in rows) == 2 for scid in scids)

    until(known, f"{us} knows the way", 30)
    return us, them, payee


Ask = Callable[[Lab], tuple[Us | None, Asked]]


def _to_them(lab: Lab) -> tuple[Us | None, Asked]:
    return None, lab.their("hal").invoice(MSAT)


def _to_payee(lab: Lab) -> tuple[Us | None, Asked]:
    payee = lab.our("otto")
    return payee, payee.ask(MSAT)


def _to_payee_who_was_paid(lab: Lab) -> tuple[Us | None, Asked]:
    """It fails what comes for it: that was paid already."""
    payee = lab.our("otto")
    asked = payee.ask(MSAT)
    lab.their("hal").pay(asked.bolt11)
    return payee, asked


def _stands(lab: Lab, mode: str, ask: Ask, *, pending: bool = True) -> Standing:
    """Pay, see it stand still, and start them anew."""
    us, them, _ = _three(lab)
    payee, asked = ask(lab)
    was_paid = payee is not None and payee.was_paid(asked)
    outpoint = lab.standing(us, them)
    lab.quiet(outpoint, us, them)
    before_msat = us.at(outpoint)["to_us_msat"]
    them.restart(Options(hodl=(mode,)))
    _begin(lab, us, them, asked)
    until(lambda: STANDS in them.process.log.read_text(encoding="utf-8", errors="replace"), "it stands still", 30)
    assert (_status(us, asked) == "pending") is pending
    them.restart(Options())
    lab.caught_up()
    lab.await_usable(outpoint, us, them)
    return Standing(lab, us, them, payee, outpoint, asked, before_msat, was_paid)


def _begin(lab: Lab, us: Us, them: Peer, asked: Asked) -> None:
    lab.caught_up()
    _three(lab)
    them.process.log.write_text("")
    us.begin_to_pay(asked)
    until(lambda: us.call("listpays", payment_hash=asked.payment_hash)["pays"], "the payment has begun")


def _status(us: Us, asked: Asked) -> str:
    return str(us.call("listpays", payment_hash=asked.payment_hash)["pays"][0]["status"])
