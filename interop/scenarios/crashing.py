"""`kill -9` and restarts of either side, with payments under way: a crash is a disconnect."""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor

from fulmen.api.errors import RpcError
from fulmen.core.crypto.hashes import sha256
from fulmen.lab.http_json import Unanswered
from fulmen.lab.members import PeerRefused
from fulmen.lab.waiting import Deviation, until
from interop.lab import CAPACITY_SAT, Lab
from interop.peers.peer import Asked, Can, NotPaid, Peer, TheirPayer
from interop.scenario import scenario
from interop.scenarios.closing import Ending
from interop.us import Us

TITLE = "Crashes"

MSAT = 30_000_000
MANY = 40
EACH_MSAT = 1_000_000
FEW = 5
"""Payments in each direction that have come through when somebody is killed."""
SAYS_IN_S = 5
"""A payee who has the money says so in this time."""


@scenario("we are killed with a payment of ours in the channel, which they then take", Can.HOLD)
def we_die_taken(lab: Lab) -> None:
    _we_die(lab, settled=True)


@scenario("we are killed with a payment of ours in the channel, which they then give back", Can.HOLD)
def we_die_given_back(lab: Lab) -> None:
    _we_die(lab, settled=False)


@scenario(
    "they are killed with a payment of ours in the channel, which they then take",
    Can.HOLD,
    Can.KILL,
    differs={
        "lnd": "after a kill -9 it may give an HTLC back with invalid_onion_version: its replay log has the onion"
    },
)
def they_die_taken(lab: Lab) -> None:
    us, them = lab.us, lab.them
    outpoint = lab.standing(us, them)
    before = us.at(outpoint)["to_us_msat"]
    asked, preimage = _held(us, them)
    them.kill()
    them.start()
    lab.caught_up()
    lab.await_usable(outpoint, us, them)
    until(lambda: them.held(asked.payment_hash), "they hold it again", 30)
    them.settle(preimage.hex())
    until(lambda: _status(us, asked) != "pending", "our payment has ended", 30)
    lab.quiet(outpoint, us, them)
    taken = _status(us, asked) == "complete"
    assert us.at(outpoint)["to_us_msat"] == before - (MSAT if taken else 0)
    if not taken:
        failure = us.call("listpays", payment_hash=asked.payment_hash)["pays"][0]["failure"]
        assert them.kind == "lnd" and "invalid_onion_version" in failure, failure
        lab.saw_it_differ()


@scenario("we are killed with a payment of ours in the channel, which they had not settled yet", Can.HOLDS_BACK)
def we_die_unsettled(lab: Lab) -> None:
    _dies_unsettled(lab, lab.us)


@scenario(
    "they are killed with a payment of ours in the channel, which they had not settled yet",
    Can.HOLDS_BACK,
    Can.KILL,
    differs={"electrum": "after a kill -9 it may have forgotten that it asked for money, and takes it all the same"},
)
def they_die_unsettled(lab: Lab) -> None:
    _dies_unsettled(lab, lab.them)


def _dies_unsettled(lab: Lab, dies: Us | Peer) -> None:
    us, them = lab.us, lab.them
    outpoint = lab.standing(us, them)
    before = us.at(outpoint)["to_us_msat"], them.balance_msat(outpoint)
    them.hold_back(True)
    asked = them.invoice(MSAT)
    us.begin_to_pay(asked)
    channel_id = us.at(outpoint)["channel_id"]
    until(lambda: us.committed(channel_id) and them.pending(outpoint), "it is in the channel, by both")
    dies.kill()
    dies.start()
    lab.caught_up()
    lab.await_usable(outpoint, us, them)
    them.hold_back(False)
    until(lambda: _status(us, asked) != "pending", "our payment has ended")
    pay = us.call("listpays", payment_hash=asked.payment_hash)["pays"][0]
    assert pay["status"] == "complete", pay
    lab.quiet(outpoint, us, them)
    assert us.at(outpoint)["to_us_msat"] == before[0] - MSAT
    until(lambda: them.balance_msat(outpoint) == before[1] + MSAT, "they have it")
    if not _says_that_it_was_paid(them, asked):
        assert dies is them and them.kind == "electrum", f"{them} does not say that it was paid"
        lab.saw_it_differ()


@scenario("we are killed in the middle: they – us – they", Can.HOLD, Can.FORWARDS)
def the_middle_dies(lab: Lab) -> None:
    us, payer, payee = lab.us, lab.their("dave"), lab.them
    into, out = lab.standing(payer, us), lab.standing(us, payee)
    scid = lab.scid(out)
    until(lambda: payer.terms_known(scid, us.id), "they know the way over us", 30)
    before = us.at(into)["to_us_msat"] + us.at(out)["to_us_msat"]
    preimage = os.urandom(32)
    asked = payee.hold_invoice(MSAT, sha256(preimage).hex())
    payment = TheirPayer(payer, asked.bolt11)
    until(lambda: payee.held(asked.payment_hash) or payment.wrong, "it has come to the end")
    us.kill()
    payee.settle(preimage.hex())
    us.start()
    for other in (payer, payee):
        # Who called us looks for us again when it likes: LDK once a minute.
        lab.connect(us, other)
    payment.join(60)
    assert payment.preimage == preimage.hex(), payment.wrong
    for outpoint, other in ((into, payer), (out, payee)):
        lab.quiet(outpoint, us, other)
    gained = us.at(into)["to_us_msat"] + us.at(out)["to_us_msat"] - before
    assert gained == 1000 + MSAT // 1_000_000, gained


@scenario("we are killed under load, both ways", Can.PAYS_MANY)
def we_die_under_load(lab: Lab) -> None:
    _under_load(lab, lab.us)


@scenario(
    "they are killed under load, both ways",
    Can.PAYS_MANY,
    Can.KILL,
    limit_s=240,
    differs={
        "ldk": "killed between two writes it may find its channel manager older than its monitors: then it closes "
        "alone, and all payments end on the chain"
    },
)
def they_die_under_load(lab: Lab) -> None:
    _under_load(lab, lab.them)


@scenario("both restart with nothing under way, and go on")
def both_restart(lab: Lab) -> None:
    us, them = lab.us, lab.them
    outpoint = lab.standing(us, them)
    us.stop()
    them.stop()
    them.start()
    us.start()
    lab.caught_up()
    lab.await_usable(outpoint, us, them)
    asked = them.invoice(MSAT)
    us.pays(asked)
    assert them.paid(asked.payment_hash)
    back = us.ask(MSAT)
    them.pay(back.bolt11)
    assert us.was_paid(back)
    lab.quiet(outpoint, us, them)


def _we_die(lab: Lab, *, settled: bool) -> None:
    us, them = lab.us, lab.them
    outpoint = lab.standing(us, them)
    before = us.at(outpoint)["to_us_msat"]
    asked, preimage = _held(us, them)
    us.kill()
    if settled:
        them.settle(preimage.hex())
    else:
        them.cancel(asked.payment_hash)
    us.start()
    wanted = "complete" if settled else "failed"
    until(lambda: _status(us, asked) == wanted, f"our payment is {wanted}")
    lab.await_usable(outpoint, us, them)
    lab.quiet(outpoint, us, them)
    assert us.at(outpoint)["to_us_msat"] == before - (MSAT if settled else 0)


def _held(us: Us, them: Peer) -> tuple[Asked, bytes]:
    preimage = os.urandom(32)
    asked = them.hold_invoice(MSAT, sha256(preimage).hex())
    us.begin_to_pay(asked)
    until(lambda: them.held(asked.payment_hash), "they hold our payment")
    return asked, preimage


def _says_that_it_was_paid(them: Peer, asked: Asked) -> bool:
    with contextlib.suppress(Deviation):
        return until(lambda: them.paid(asked.payment_hash), "they say that they were paid", SAYS_IN_S)
    return False


def _status(us: Us, asked: Asked) -> str:
    return str(us.call("listpays", payment_hash=asked.payment_hash)["pays"][0]["status"])


def _under_load(lab: Lab, dies: Us | Peer) -> None:
    """Kill somebody while some payments have come through and others are in the channel; then compare all books."""
    us, them = lab.us, lab.them
    outpoint = lab.standing(us, them)
    ending = Ending(lab, us, them, outpoint, (us.coins_sat, them.coins_sat()))
    before = us.at(outpoint)["to_us_msat"]
    theirs = [them.invoice(EACH_MSAT) for _ in range(MANY)]
    ours = [us.ask(EACH_MSAT) for _ in range(MANY)]
    went: list[Asked] = []
    came: list[Asked] = []

    def pay_them(asked: Asked) -> None:
        with contextlib.suppress(RpcError, OSError):
            us.pays(asked, retry_for=30)
            went.append(asked)

    def pay_us(asked: Asked) -> None:
        # LDK that was killed says nothing more of a payment that it had begun.
        silent = Deviation if dies is them else Unanswered
        with contextlib.suppress(NotPaid, PeerRefused, Unanswered, silent):
            them.pay(asked.bolt11)
            came.append(asked)

    with ThreadPoolExecutor(10) as pool:
        payers = [
            pool.submit(pay, asked)
            for one, other in zip(theirs, ours, strict=True)
            for pay, asked in ((pay_them, one), (pay_us, other))
        ]
        until(lambda: len(went) >= FEW and len(came) >= FEW, "some have come through, both ways", 60)
        until(lambda: {htlc["direction"] for htlc in us.at(outpoint)["htlcs"]} == {"in", "out"}, "others are under way")
        through = set(went), set(came)
        dies.kill()
        dies.start()
        lab.caught_up()
        goes_on = them.has(outpoint)
        if not goes_on:
            assert them.kind == "ldk" and dies is them, f"{them} has closed the channel"
            lab.saw_it_differ()
            ending.mine_close()
            outputs = until(lambda: us.at(outpoint)["closing"]["outputs"], f"{us} knows what there is in it")
            # Each payment of ours ends at another height: nobody shall count hops by their expiries.
            ending.mine_to(max((output.get("ripe_height", 0) for output in outputs), default=0))
            lab.mine(10)
        until(lambda: not _pending(us), "all our payments have ended", 60)
    for payer in payers:
        payer.result()
    if goes_on:
        lab.await_usable(outpoint, us, them)
        lab.quiet(outpoint, us, them)
    assert all(us.was_paid(asked) for asked in through[1]), "what had come was lost"
    gained_msat = _gained_msat(us, them, theirs, ours, through[0])
    if not goes_on:
        ours_sat = (before + gained_msat) // 1000
        ending.ends(ours_sat, CAPACITY_SAT - ours_sat)
        return
    assert us.at(outpoint)["to_us_msat"] == before + gained_msat
    # A payment that was begun before the end of the one who died may have ended with it; the channel goes on.
    asked = them.invoice(2 * EACH_MSAT)
    us.pays(asked)
    assert them.paid(asked.payment_hash)


def _pending(us: Us) -> bool:
    return bool(us.call("listpays", status="pending")["pays"])


def _gained_msat(us: Us, them: Peer, theirs: list[Asked], ours: list[Asked], through: set[Asked]) -> int:
    """What both sides' books say that came to us, and went: the same, and nothing of it that was through is lost."""
    with ThreadPoolExecutor(MANY) as pool:
        said = list(pool.map(lambda asked: them.paid(asked.payment_hash), theirs))
    for asked, taken in zip(theirs, said, strict=True):
        pays = us.call("listpays", payment_hash=asked.payment_hash)["pays"]
        assert (bool(pays) and pays[0]["status"] == "complete") is taken, (asked, pays)
        assert taken or asked not in through, (asked, pays)
    return (sum(us.was_paid(asked) for asked in ours) - sum(said)) * EACH_MSAT
