"""Connections that break in the middle of the commitment dance: BOLT 2, "Message Retransmission".

A wire of ours stands between us, and loses everything from a certain piece on, in either direction: first the first
message of a payment, then the second, until the payment comes through. Both must agree on how each payment ended.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field

from fulmen.api.errors import RpcError
from fulmen.lab.members import Order
from fulmen.lab.waiting import until
from interop.lab import Lab
from interop.peers.peer import Can, NotPaid, Peer
from interop.proxy import FROM_TARGET, TO_TARGET
from interop.scenario import scenario
from interop.us import Us

TITLE = "Connections cut in the middle"

MSAT = 1_000_000
MOST = 12
"""Pieces in one direction that a payment has at most."""
AN_ADD = 18 + 1452 + 16
"""Bytes of an `update_add_htlc` on the wire: what follows in the same piece can be cut off from it."""


@dataclass
class Scissors:
    """Lets so many pieces of one direction pass, and so many bytes of the next; then cuts."""

    way: int = TO_TARGET
    pieces: int = -1
    """Still to pass; -1 while it is not armed."""
    rest: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def arm(self, way: int, pieces: int, rest: int) -> None:
        """Cut soon."""
        with self.lock:
            self.way, self.pieces, self.rest = way, pieces, rest

    def disarm(self) -> bool:
        """Cut no more; whether it was still going to."""
        with self.lock:
            armed, self.pieces = self.pieces >= 0, -1
            return armed

    def __call__(self, way: int, data: bytes) -> bytes | None:
        with self.lock:
            if self.pieces < 0 or way != self.way:
                return data
            if self.pieces:
                self.pieces -= 1
                return data
            self.pieces = -1
            return data[: self.rest] if 0 < self.rest < len(data) else None


@scenario("cut at each message from us while we pay")
def we_pay_our_messages(lab: Lab) -> None:
    _cut_everywhere(lab, TO_TARGET, we_pay=True)


@scenario("cut at each message from them while we pay")
def we_pay_their_messages(lab: Lab) -> None:
    _cut_everywhere(lab, FROM_TARGET, we_pay=True)


@scenario("cut at each message from us while they pay")
def they_pay_our_messages(lab: Lab) -> None:
    _cut_everywhere(lab, TO_TARGET, we_pay=False)


@scenario("cut at each message from them while they pay")
def they_pay_their_messages(lab: Lab) -> None:
    _cut_everywhere(lab, FROM_TARGET, we_pay=False)


@scenario("a slow wire", Can.PAYS_MANY)
def slow(lab: Lab) -> None:
    us, them = lab.our("rita"), lab.them
    proxy = lab.proxy(int(them.address.rpartition(":")[2]))
    outpoint = _channel_over(lab, us, them, proxy.port)
    proxy.delay_s = 0.3
    for _ in range(3):
        asked = them.invoice(MSAT)
        us.pays(asked)
        assert them.paid(asked.payment_hash)
    proxy.delay_s = 0.0
    lab.quiet(outpoint, us, them)
    _close(lab, us, them, outpoint)


def _cut_everywhere(lab: Lab, way: int, *, we_pay: bool) -> None:
    us, them = lab.our("rita"), lab.them
    proxy = lab.proxy(int(them.address.rpartition(":")[2]))
    scissors = Scissors()
    proxy.judge = scissors
    outpoint = _channel_over(lab, us, them, proxy.port)
    expected = us.at(outpoint)["to_us_msat"]
    cuts = 0
    for rest in (0, AN_ADD):
        for pieces in range(MOST):
            lab.await_usable(outpoint, us, them)
            scissors.arm(way, pieces, rest)
            arrived = _we_pay(us, them) if we_pay else _they_pay(us, them)
            through = scissors.disarm()
            cuts += not through
            lab.await_usable(outpoint, us, them)
            lab.quiet(outpoint, us, them)
            expected += (-MSAT if we_pay else MSAT) * arrived
            assert us.at(outpoint)["to_us_msat"] == expected, (pieces, rest, us.at(outpoint))
            if through:
                break
    assert proxy.connections == cuts + 1 and cuts >= 4, (proxy.connections, cuts)
    _close(lab, us, them, outpoint)


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


def _channel_over(lab: Lab, us: Us, them: Peer, port: int) -> str:
    """A channel whose connection goes over a wire that can be cut; we are the one who dials."""
    if lab.connected(us, them):
        # It may be gone by itself: the wire of the scenario before was closed.
        with suppress(RpcError):
            us.call("disconnect", id=them.id, force=True)
        until(lambda: us.id not in them.peers(), "they have seen us go")
    us.call("connect", id=f"{them.id}@127.0.0.1:{port}")
    outpoint = us.open(them.id, Order(1_000_000, 500_000, announce=False))
    lab.bury(outpoint, us, them)
    return outpoint


def _close(lab: Lab, us: Us, them: Peer, outpoint: str) -> None:
    us.shut(outpoint)
    lab.mine(6)
    until(lambda: not them.has(outpoint), "they know that it is closed")
