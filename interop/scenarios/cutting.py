"""Connections that break in the middle of the commitment dance: BOLT 2, "Message Retransmission".

A wire of ours stands between us, knows where each message begins (`interop/frames.py`), and loses everything from one
of them on: from the first of a payment, then from the second, until there is none left. Both must agree on how each
payment ended, and each row names the places at which it has to have cut.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from fulmen.api.errors import RpcError
from fulmen.core.crypto.hashes import sha256
from fulmen.lab.members import Order
from fulmen.lab.waiting import until
from interop.lab import Lab
from interop.peers.peer import Can, NotPaid, Peer
from interop.proxy import FROM_TARGET, TO_TARGET
from interop.scenario import scenario
from interop.scissors import Scissors
from interop.us import Us

TITLE = "Connections cut in the middle"

MSAT = 1_000_000
MOST = 12
"""Messages in one direction that a payment has at most."""
TELLING = "interop.telling_node"
ADD, FULFILL, FAIL = "update_add_htlc", "update_fulfill_htlc", "update_fail_htlc"
FEE, SIGNED, REVOKED = "update_fee", "commitment_signed", "revoke_and_ack"
DANCE = (ADD, FULFILL, FAIL, "update_fail_malformed_htlc", FEE, SIGNED, REVOKED)

Places = set[tuple[str, str]]
"""What had passed, and what was lost."""
PAYERS: Places = {("", ADD), (ADD, SIGNED), (SIGNED, REVOKED), (REVOKED, REVOKED), (REVOKED, SIGNED)}
"""Between the messages of who pays: revoke_and_ack twice in a row, once for the HTLC and once for its end."""


def payees(ends: str) -> Places:
    """Between the messages of who is paid, or fails it."""
    return {("", REVOKED), (REVOKED, SIGNED), (SIGNED, ends), (ends, SIGNED), (SIGNED, REVOKED)}


@scenario("cut at each message from us while we pay")
def we_pay_our_messages(lab: Lab) -> None:
    _cut_everywhere(lab, TO_TARGET, _we_pay, -MSAT, PAYERS)


@scenario("cut at each message from them while we pay")
def we_pay_their_messages(lab: Lab) -> None:
    _cut_everywhere(lab, FROM_TARGET, _we_pay, -MSAT, payees(FULFILL))


@scenario("cut at each message from us while they pay")
def they_pay_our_messages(lab: Lab) -> None:
    _cut_everywhere(lab, TO_TARGET, _they_pay, MSAT, payees(FULFILL))


@scenario("cut at each message from them while they pay")
def they_pay_their_messages(lab: Lab) -> None:
    _cut_everywhere(lab, FROM_TARGET, _they_pay, MSAT, PAYERS)


@scenario("cut at each message from us while we fail a payment of theirs")
def we_fail(lab: Lab) -> None:
    us, bob = lab.our("rita", front=TELLING), lab.our("bob")
    lab.standing(us, bob)
    asked = us.ask(MSAT)
    bob.pays(asked)

    def they_try(us: Us, them: Peer) -> bool:
        with suppress(NotPaid):
            them.pay(asked.bolt11)
            raise AssertionError("what was paid already was paid again")
        return False

    _cut_everywhere(lab, TO_TARGET, they_try, 0, payees(FAIL))


@scenario("cut at each message from them while they fail a payment of ours", Can.HOLD)
def they_fail(lab: Lab) -> None:
    _cut_everywhere(lab, FROM_TARGET, _we_are_failed, 0, payees(FAIL))


@scenario("a slow wire", Can.PAYS_MANY)
def slow(lab: Lab) -> None:
    us, them = lab.our("rita", front=TELLING), lab.them
    proxy = lab.proxy(int(them.address.rpartition(":")[2]))
    outpoint = over(lab, us, them, proxy.port)
    proxy.delay_s = 0.3
    for _ in range(3):
        asked = them.invoice(MSAT)
        us.pays(asked)
        assert them.paid(asked.payment_hash)
    proxy.delay_s = 0.0
    lab.quiet(outpoint, us, them)
    _close(lab, us, them, outpoint)


def _cut_everywhere(lab: Lab, way: int, pay: Callable[[Us, Peer], bool], moves: int, wanted: Places) -> None:
    """Pay, and lose one message more each time; `pay` says whether the money arrived, which moves so much to us."""
    us, them = lab.our("rita", front=TELLING), lab.them
    scissors = Scissors(us, DANCE)
    proxy = lab.proxy(int(them.address.rpartition(":")[2]))
    proxy.judge = scissors.wire
    outpoint = over(lab, us, them, proxy.port)
    expected = us.at(outpoint)["to_us_msat"]
    for passing in range(MOST):
        lab.await_usable(outpoint, us, them)
        scissors.await_rest()
        scissors.arm(way, passing)
        arrived = pay(us, them)
        lab.await_usable(outpoint, us, them)
        lab.quiet(outpoint, us, them)
        # Not before both have revoked what had the HTLC in it.
        scissors.await_rest()
        through = scissors.disarm()
        lab.await_usable(outpoint, us, them)
        lab.quiet(outpoint, us, them)
        expected += moves * arrived
        assert us.at(outpoint)["to_us_msat"] == expected, (scissors.places, us.at(outpoint))
        if through:
            break
    demand(scissors, way, wanted)
    assert proxy.connections > len(scissors.places), (proxy.connections, scissors.places)
    _close(lab, us, them, outpoint)


def demand(scissors: Scissors, way: int, wanted: Places) -> None:
    """These were cut apart, each of them."""
    cut = {(place.passed, place.lost) for place in scissors.places if place.way == way}
    assert wanted <= cut, f"never cut: {sorted(wanted - cut)}; cut: {sorted(cut)}"


def _we_pay(us: Us, them: Peer) -> bool:
    asked = them.invoice(MSAT)
    try:
        us.pays(asked, retry_for=20)
    except RpcError:
        assert not them.paid(asked.payment_hash), "they were paid, and we think not"
        return False
    assert them.paid(asked.payment_hash), "we think that they were paid"
    return True


def _they_pay(us: Us, them: Peer) -> bool:
    asked = us.ask(MSAT)
    try:
        them.pay(asked.bolt11)
    except NotPaid:
        assert not us.was_paid(asked), "we were paid, and they think not"
        return False
    assert us.was_paid(asked), "they think that we were paid"
    return True


def _we_are_failed(us: Us, them: Peer) -> bool:
    asked = them.hold_invoice(MSAT, sha256(os.urandom(32)).hex())
    payment = us.begin_to_pay(asked)
    until(lambda: them.held(asked.payment_hash) or payment.wrong, "they hold it")
    them.cancel(asked.payment_hash)
    payment.join(30)
    assert payment.wrong, "our payment has failed"
    return False


def over(lab: Lab, us: Us, them: Peer, port: int, order: Order | None = None) -> str:
    """A channel whose connection goes over a wire that can be cut; we are the one who dials."""
    wanted = order or Order(1_000_000, 500_000, announce=False)
    dial(lab, us, them, port)
    outpoint = us.open(them.id, wanted)
    lab.bury(outpoint, us, them, blocks=them.depth)
    return outpoint


def dial(lab: Lab, us: Us, them: Peer, port: int) -> None:
    """Be connected over a wire that can be cut, and over no other one."""
    if lab.connected(us, them):
        # It may be gone by itself: the wire of the scenario before was closed.
        with suppress(RpcError):
            us.call("disconnect", id=them.id, force=True)
        until(lambda: us.id not in them.peers(), "they have seen us go")
    us.call("connect", id=f"{them.id}@127.0.0.1:{port}")


def _close(lab: Lab, us: Us, them: Peer, outpoint: str) -> None:
    us.shut(outpoint)
    lab.mine()
    until(lambda: not them.has(outpoint), "they know that it is closed")
