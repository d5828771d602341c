"""Two nodes meet: BOLT 8 and BOLT 1."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from fulmen.conformance.links import Link, LinkClosed, tcp_connect
from fulmen.core.base.ids import NodeId, Secret
from fulmen.core.peer.features import CARRIED, UNDERSTOOD
from fulmen.core.wire import decode, encode
from fulmen.core.wire.features import Features
from fulmen.core.wire.messages.setup import Init, Ping, Pong
from fulmen.lab.waiting import until
from interop.ears import Ears, Message
from interop.lab import Lab
from interop.peers.peer import Can, Peer
from interop.proxy import FROM_TARGET, TO_TARGET, Proxy
from interop.scenario import scenario
from interop.us import Us

TITLE = "Meeting"

ODD, EVEN = 32769, 32768
EVEN_REFUSED = "UnknownRequiredMessage"
"""Why we hang up, in our log."""
PINGS_AFTERWARDS = 2
"""The second one is sent when the pong to the first has been read, which came after what is looked at."""
QUIET_S = 5.0
TELLING = "interop.telling_node"
PINGS_WITHIN_S = 75
"""LND pings once a minute, Electrum after half a minute in which nobody spoke, LDK every ten seconds."""
THEIR_INIT = {
    "lnd": (0, 5, 7, 8, 12, 14, 17, 19, 23, 25, 27, 31, 35, 39, 44, 47, 51, 2023),
    "ldk": (0, 5, 7, 8, 12, 14, 17, 19, 23, 25, 27, 35, 39, 43, 44, 47, 51, 63),
    "electrum": (0, 1, 5, 6, 9, 12, 13, 15, 17, 27, 45, 151),
}
"""The bits that these versions offer, with the settings of the lab; an even one is required."""


@scenario("their init has the features that they are known for, and requires none that we do not understand")
def their_features(lab: Lab) -> None:
    _pinged(lab)
    link, said = _meet(lab.them)
    theirs = Features.from_bytes(said.globalfeatures) | Features.from_bytes(said.features)
    assert theirs.bits() == THEIR_INIT[lab.them.kind], theirs.bits()
    assert not theirs.unknown_even(UNDERSTOOD), theirs.unknown_even(UNDERSTOOD)
    link.close()


@scenario("we connect to them")
def we_connect(lab: Lab) -> None:
    us, them = lab.our("dora", coins=False), lab.them
    answer = us.call("connect", id=them.address)
    assert answer["id"] == them.id and answer["direction"] == "out"
    until(lambda: lab.connected(us, them), "both say that they are connected")
    us.call("disconnect", id=them.id, force=True)
    until(lambda: us.id not in them.peers(), "they have seen us go")


@scenario("they connect to us", lacks={"electrum": "connects as it likes, and has no command to hang up"})
def they_connect(lab: Lab) -> None:
    us, them = lab.our("dora", coins=False), lab.them
    them.connect(us.address)
    until(lambda: lab.connected(us, them), "both say that they are connected")
    them.disconnect(us.id)
    until(lambda: not any(row["connected"] for row in us.call("listpeers")["peers"]), "we have seen them go")


@scenario(
    "they answer each ping of ours",
    differs={"electrum": "hangs up at a ping for 65532 bytes or more; BOLT 1: MUST ignore it"},
)
def they_answer_pings(lab: Lab) -> None:
    # Three pings without a pong in time would have ended the connection.
    us = lab.our("petra", {"policy.peer.ping_interval_s": "0.2", "policy.peer.pong_timeout_s": "2"}, coins=False)
    us.call("connect", id=lab.them.address)
    link = _link(lab.them)
    for length in (0, 1, 1000, 65531):
        link.send(encode(Ping(length, b"")))
        _receive_pong(link, length)
    # BOLT 1: "num_pong_bytes ... If it is not less than 65532: MUST ignore the ping"
    link.send(encode(Ping(65532, b"")))
    differs = lab.them.kind == "electrum"
    assert _still_answers(link) is not differs
    if differs:
        lab.saw_it_differ()
    assert lab.connected(us, lab.them)
    us.call("disconnect", id=lab.them.id, force=True)


@scenario("an unknown odd message of ours is passed over")
def we_say_something_odd(lab: Lab) -> None:
    link = _link(lab.them)
    link.send(ODD.to_bytes(2, "big") + b"it is ok to be odd")
    link.send(encode(Ping(3, b"")))
    _receive_pong(link, 3)
    link.close()


@scenario(
    "an unknown even message of ours ends the connection",
    differs={"lnd": "passes over even messages that it does not know; BOLT 1: MUST close the connection"},
)
def we_say_something_even(lab: Lab) -> None:
    link = _link(lab.them)
    link.send((1000).to_bytes(2, "big"))
    differs = lab.them.kind == "lnd"
    assert _still_answers(link) is differs
    if differs:
        lab.saw_it_differ()


@scenario("an unknown odd message of theirs is passed over, an unknown even one is not", Can.MESSAGES)
def they_say_what_we_do_not_know(lab: Lab) -> None:
    us, them = lab.our("olga", {"policy.peer.ping_interval_s": "0.2"}, coins=False, front=TELLING), lab.them
    proxy, ears = lab.proxy(int(them.address.rpartition(":")[2])), Ears(us)
    proxy.judge = ears.wire
    us.call("connect", id=f"{them.id}@127.0.0.1:{proxy.port}")
    until(lambda: us.id in them.peers(), "they know that we are connected")
    them.send_message(us.id, ODD, b"it is ok to be odd")
    until(lambda: ears.heard(FROM_TARGET, str(ODD)), "the odd one has come")
    pings = len(ears.said(Ping))
    until(lambda: len(ears.said(Ping)) >= pings + PINGS_AFTERWARDS, "we go on with the same connection")
    assert proxy.connections == 1 and lab.connected(us, them)
    assert not ears.heard(TO_TARGET, "warning") and not ears.heard(TO_TARGET, "error")
    them.send_message(us.id, EVEN, b"")
    until(lambda: ears.heard(FROM_TARGET, str(EVEN)), "the even one has come")
    until(lambda: not lab.connected(us, them), "we hung up")
    assert EVEN_REFUSED in us.program.log.read_text(encoding="utf-8"), "nobody knows why we hung up"


@scenario("we answer their pings")
def we_answer_pings(lab: Lab) -> None:
    pinged = _pinged(lab)
    until(lambda: pinged.ears.heard(FROM_TARGET, "ping"), "they ping us", PINGS_WITHIN_S)
    until(lambda: pinged.ears.heard(TO_TARGET, "pong"), "we answer")
    assert pinged.proxy.connections == 1 and lab.connected(pinged.us, lab.them)


@dataclass(frozen=True)
class _Pinged:
    """A node of ours that says nothing by itself, what it and they say, and the wire between."""

    us: Us
    ears: Ears
    proxy: Proxy


def _pinged(lab: Lab) -> _Pinged:
    """They ping when they like, LND after a minute: the connection stands from the first scenario of this room on."""

    def begin() -> _Pinged:
        us, them = lab.our("pia", {"policy.peer.ping_interval_s": "600"}, coins=False, front=TELLING), lab.them
        proxy, ears = lab.proxy(int(them.address.rpartition(":")[2]), stays=True), Ears(us)
        # Who calls from 127.0.0.1 is a Tor client to LND, and pinged every three minutes.
        proxy.source = "127.0.0.2"
        proxy.judge = ears.wire
        us.call("connect", id=f"{them.id}@127.0.0.1:{proxy.port}")
        return _Pinged(us, ears, proxy)

    return lab.begun("a connection that they ping", begin)


def _link(them: Peer) -> Link:
    """A connection with `init` said on both sides, from a node that is nobody else."""
    return _meet(them)[0]


def _meet(them: Peer) -> tuple[Link, Init]:
    """Such a connection, and their `init`."""
    host, _, port = them.address.partition("@")[2].rpartition(":")
    link = tcp_connect(host, int(port), NodeId(bytes.fromhex(them.id)), lambda: os.urandom(32))(Secret(os.urandom(32)))
    link.send(encode(Init(b"", CARRIED.to_bytes())))
    return link, _receive(link, Init, lambda _init: True)


def _still_answers(link: Link) -> bool:
    """Whether a ping is answered rather than hung up on; the connection is closed."""
    link.send(encode(Ping(7, b"")))
    try:
        _receive_pong(link, 7)
    except LinkClosed:
        return False
    finally:
        link.close()
    return True


def _receive_pong(link: Link, length: int) -> None:
    _receive(link, Pong, lambda pong: len(pong.ignored) == length)


def _receive(link: Link, kind: type[Message], holds: Callable[[Message], bool]) -> Message:
    """Wait for a message of this kind of which this holds; others are passed over."""
    while (frame := link.receive(QUIET_S)) is not None:
        message = decode(frame)
        if isinstance(message, kind) and holds(message):
            return message
    raise AssertionError(f"no {kind.__name__} came")
