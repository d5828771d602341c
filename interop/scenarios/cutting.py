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
from interop.scenarios.feerates import MORE
from interop.scissors import Scissors
from interop.us import Us
from interop.wrong_sender import VERSION, Mistake, mistaken

TITLE = "Connections cut in the middle"

MSAT = 1_000_000
MOST = 12
"""Messages in one direction that a payment has at most."""
TELLING, WRONG = "interop.telling_node", "interop.wrong_sender"
ADD, FULFILL, FAIL = "update_add_htlc", "update_fulfill_htlc", "update_fail_htlc"
FEE, SIGNED, REVOKED = "update_fee", "commitment_signed", "revoke_and_ack"
MALFORMED, REESTABLISH = "update_fail_malformed_htlc", "channel_reestablish"
DANCE = (ADD, FULFILL, FAIL, MALFORMED, FEE, SIGNED, REVOKED)

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
def we_fail_our_messages(lab: Lab) -> None:
    _cut_everywhere(lab, TO_TARGET, _they_are_failed(lab), 0, payees(FAIL))


@scenario("cut at each message from them while we fail a payment of theirs")
def we_fail_their_messages(lab: Lab) -> None:
    _cut_everywhere(lab, FROM_TARGET, _they_are_failed(lab), 0, PAYERS)


@scenario("cut at each message from us while they fail a payment of ours", Can.HOLD)
def they_fail_our_messages(lab: Lab) -> None:
    _cut_everywhere(lab, TO_TARGET, _we_are_failed, 0, PAYERS)


@scenario("cut at each message from them while they fail a payment of ours", Can.HOLD)
def they_fail_their_messages(lab: Lab) -> None:
    _cut_everywhere(lab, FROM_TARGET, _we_are_failed, 0, payees(FAIL))


@scenario(
    "cut at each message from them while they fail an onion of ours that they cannot read",
    lacks=dict.fromkeys(("electrum",), "hangs up at an onion that it cannot read"),
)
def they_cannot_read(lab: Lab) -> None:
    _cut_everywhere(lab, FROM_TARGET, _we_are_not_read, 0, payees(MALFORMED), steady(lab, "wally", WRONG))


@scenario("cut at each message from us while we pay, and once more at the channel_reestablish that follows")
def we_pay_twice_cut(lab: Lab) -> None:
    _cut_everywhere(lab, TO_TARGET, _we_pay, -MSAT, PAYERS, again=TO_TARGET)


@scenario("cut at each message from them while we pay, and once more at the channel_reestablish that follows")
def they_are_paid_twice_cut(lab: Lab) -> None:
    _cut_everywhere(lab, FROM_TARGET, _we_pay, -MSAT, payees(FULFILL), again=FROM_TARGET)


@scenario("a slow wire")
def slow(lab: Lab) -> None:
    us, them = steady(lab, "rita"), lab.them
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


def _cut_everywhere(
    lab: Lab,
    way: int,
    pay: Callable[[Us, Peer], bool],
    moves: int,
    wanted: Places,
    us: Us | None = None,
    again: int | None = None,
) -> None:
    """Pay, and lose one message more each time; `pay` says whether the money arrived, which moves so much to us.

    With `again` the connection after each cut loses the channel_reestablish of that direction, too.
    """
    us, them = us or steady(lab, "rita"), lab.them
    scissors = Scissors(us, DANCE if again is None else (*DANCE, REESTABLISH))
    proxy = lab.proxy(int(them.address.rpartition(":")[2]))
    proxy.judge = scissors.wire
    outpoint = over(lab, us, them, proxy.port)
    expected = us.at(outpoint)["to_us_msat"]
    for passing in range(MOST):
        lab.await_usable(outpoint, us, them)
        scissors.await_rest()
        scissors.arm(way, passing, *(() if again is None else ((again, 0),)))
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
    if again is not None:
        lost = [place.lost for place in scissors.places]
        assert lost[1::2] == [REESTABLISH] * (len(lost) // 2) and REESTABLISH not in lost[::2], lost
    assert proxy.connections > len(scissors.places), (proxy.connections, scissors.places)
    _close(lab, us, them, outpoint)


def steady(lab: Lab, name: str, front: str = TELLING) -> Us:
    """A node that tells what passes, and does not follow feerates: an `update_fee` would be one of its messages.

    Its own is so high that the estimate which LDK asks for a close, Core's, stays below four times as much.
    """
    prices = lab.chain_proxy(name)
    prices.sat_per_kvb = 4 * MORE
    return lab.our(name, {"chain.url": prices.url}, front=front)


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


def _they_are_failed(lab: Lab) -> Callable[[Us, Peer], bool]:
    """They pay what was paid already."""
    us, bob = steady(lab, "rita"), lab.our("bob")
    lab.standing(us, bob)
    asked = us.ask(MSAT)
    bob.pays(asked)

    def they_try(us: Us, them: Peer) -> bool:
        with suppress(NotPaid):
            them.pay(asked.bolt11)
            raise AssertionError("what was paid already was paid again")
        return False

    return they_try


def _we_are_not_read(us: Us, them: Peer) -> bool:
    asked = them.invoice(MSAT)
    with mistaken(us, Mistake(changed_byte=VERSION)):
        us.fails_to_pay(asked)
    failure = us.call("listpays", payment_hash=asked.payment_hash)["pays"][0]["failure"]
    assert "invalid_onion_version" in failure, failure
    return False


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
