"""The state of a circuit: one received HTLC, what it is for, and what became of it.

Durable from the moment something hangs on it: before an HTLC goes out (`CircuitOpened`, with the onion for the next
hop), and with each verdict. What only waits for an answer in this process is passing: after a crash the channel tells
the HTLC again, and the offer's (owner, ref) names what is already on its way.
"""

from __future__ import annotations

import enum
from typing import ClassVar

from fulmen.core.base.ids import ChannelId, Direction, HtlcKey, NodeId, Point, Preimage, ShortChannelId
from fulmen.core.base.machine import Fact, evolves
from fulmen.core.base.mount import NOTHING, Remains
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, Msat, Timestamp
from fulmen.core.commitments.htlcs import Htlc

NOBODY = Point(b"")
NO_PREIMAGE = Preimage(b"")
LATE_BLOCKS = 2016
"""So long after an HTLC's expiry its payment downstream is still looked out for, when the chain had it for dead."""


class Phase(enum.Enum):
    """What a circuit knows about its HTLC."""

    NEW = "new"
    RECEIVING = "receiving"
    """An invoice of ours is asked."""
    FORWARDING = "forwarding"
    """It may be paid downstream."""
    FULFILLED = "fulfilled"
    FAILED = "failed"


class Forward(Record):
    """The outgoing side of a circuit."""

    scid: ShortChannelId
    """What the onion calls the channel."""
    channel_id: ChannelId
    """The channel to the same peer that carries it."""
    node_id: NodeId
    amount_msat: Msat
    cltv_expiry: BlockHeight
    onion: bytes
    ref: int = 0
    """Counts the offers; one that was refused was never made, and the next has another number."""


class Verdict(Record):
    """How a failed HTLC goes back: a failure onion, or (with a code) what was malformed about ours."""

    name: str
    """For people: the failure as BOLT 4 names it."""
    reason: bytes = b""
    failure_code: int = 0
    sha256_of_onion: bytes = b""


class Circuit(Record):
    """One received HTLC."""

    key: HtlcKey
    phase: Phase = Phase.NEW
    htlc: Htlc | None = None
    ephemeral_key: Point = NOBODY
    """Of the onion as it came to us: its ECDH with the node key wraps failures."""
    forward: Forward | None = None
    preimage: Preimage = NO_PREIMAGE
    verdict: Verdict | None = None
    outgoing: HtlcKey | None = None
    """The HTLC that was paid or failed downstream."""
    died_on_chain: bool = False
    """It failed downstream because the chain said so, which a deep reorg, or a peer who spends late, may unsay."""
    lost: bool = False
    """The preimage came after the HTLC had been failed."""
    removed: bool = False
    opened_at: Timestamp = Timestamp(0)
    resolved_at: Timestamp = Timestamp(0)
    offered: bool = False
    """Passing: the channel has the offer and will tell."""
    retry_at: Timestamp = Timestamp(0)
    """Passing: when to offer again."""
    give_up_at: Timestamp = Timestamp(0)
    """Passing: when to stop offering."""
    refused_by: tuple[ChannelId, ...] = ()
    """Passing: the channels that refused since the last wait."""

    @property
    def loose(self) -> bool:
        """Whether its HTLC is gone upstream, and nobody who would say what became of it downstream is known.

        The node died before it had made the offer, or before it had heard of it, and the peer never came back.
        """
        return self.phase is Phase.FORWARDING and self.removed and not self.offered

    def offers(self, ref: int) -> bool:
        """Whether the offer of this number is the one that the circuit hangs on."""
        return self.phase is Phase.FORWARDING and self.forward is not None and self.forward.ref == ref


class ReceiveBegun(Fact):
    """The HTLC ends here, and its invoice was asked."""

    passing: ClassVar[bool] = True
    htlc: Htlc
    ephemeral_key: Point


class CircuitOpened(Fact):
    """The HTLC is to go out: from here on it may be paid downstream."""

    htlc: Htlc
    ephemeral_key: Point
    forward: Forward
    at: Timestamp


class CircuitRerouted(Fact):
    """The offer was refused, and another channel to the same peer gets it."""

    channel_id: ChannelId
    ref: int


class OfferGiven(Fact):
    """The channel has the offer."""

    passing: ClassVar[bool] = True


class OfferDenied(Fact):
    """This channel refused the offer."""

    passing: ClassVar[bool] = True
    channel_id: ChannelId


class OfferWaits(Fact):
    """The offer was forgotten or cannot be made now; it is made again at `retry_at` (0: at once)."""

    passing: ClassVar[bool] = True
    retry_at: Timestamp
    give_up_at: Timestamp


class CircuitFulfilled(Fact):
    """The preimage is known: the HTLC is claimed, whatever comes."""

    htlc: Htlc
    preimage: Preimage
    outgoing: HtlcKey | None
    at: Timestamp


class CircuitFailed(Fact):
    """The HTLC can no longer be paid downstream, or never could, and goes back."""

    htlc: Htlc
    verdict: Verdict
    outgoing: HtlcKey | None
    at: Timestamp
    on_chain: bool = False


class CircuitLost(Fact):
    """The HTLC was paid downstream after it had been failed upstream: that money is ours no more."""

    preimage: Preimage
    outgoing: HtlcKey
    at: Timestamp


class CircuitRemoved(Fact):
    """No commitment upstream holds the HTLC any more."""


def initial(key: bytes) -> Circuit:
    """A circuit that has heard nothing yet; `key` is that of `circuit_address`."""
    return Circuit(HtlcKey(ChannelId(key[:32]), Direction(key[32]), int.from_bytes(key[33:41], "big")))


def forget(circuit: Circuit) -> Circuit:
    """The state less its passing facts."""
    if circuit.phase is Phase.RECEIVING:
        return Circuit(circuit.key, removed=circuit.removed)
    return circuit.but(offered=False, retry_at=Timestamp(0), give_up_at=Timestamp(0), refused_by=())


def ended(circuit: Circuit) -> bool:
    """Nothing can come any more: upstream it is gone, and downstream it is decided."""
    return circuit.removed and circuit.phase is not Phase.FORWARDING


def remains(circuit: Circuit) -> Remains:
    """Nothing, as a rule: a circuit that is over hears nothing any more, and `records` tells what it was.

    But what the chain said to be dead may be paid after all, and that loss has to be recorded (law 10).
    """
    if circuit.phase is not Phase.FAILED or not circuit.died_on_chain:
        return NOTHING
    assert circuit.htlc is not None and circuit.verdict is not None
    state = circuit.but(verdict=circuit.verdict.but(reason=b""))
    return Remains(state, BlockHeight(circuit.htlc.cltv_expiry + LATE_BLOCKS))


@evolves(ReceiveBegun)
def _receive_begun(circuit: Circuit, fact: ReceiveBegun) -> Circuit:
    return circuit.but(phase=Phase.RECEIVING, htlc=fact.htlc, ephemeral_key=fact.ephemeral_key)


@evolves(CircuitOpened)
def _opened(circuit: Circuit, fact: CircuitOpened) -> Circuit:
    return Circuit(circuit.key, Phase.FORWARDING, fact.htlc, fact.ephemeral_key, fact.forward, opened_at=fact.at)


@evolves(CircuitRerouted)
def _rerouted(circuit: Circuit, fact: CircuitRerouted) -> Circuit:
    assert circuit.forward is not None
    forward = circuit.forward.but(channel_id=fact.channel_id, ref=fact.ref)
    return circuit.but(forward=forward, offered=False)


@evolves(OfferGiven)
def _offer_given(circuit: Circuit, _fact: OfferGiven) -> Circuit:
    return circuit.but(offered=True, retry_at=Timestamp(0))


@evolves(OfferWaits)
def _offer_waits(circuit: Circuit, fact: OfferWaits) -> Circuit:
    return circuit.but(offered=False, retry_at=fact.retry_at, give_up_at=fact.give_up_at, refused_by=())


@evolves(OfferDenied)
def _offer_denied(circuit: Circuit, fact: OfferDenied) -> Circuit:
    return circuit.but(offered=False, refused_by=(*circuit.refused_by, fact.channel_id))


def _resolved(circuit: Circuit, fact: CircuitFulfilled | CircuitFailed) -> Circuit:
    """What is kept of a circuit that has its verdict: the onion and the keys of a forward are needed no more."""
    forward = circuit.forward.but(onion=b"") if circuit.forward is not None else None
    return Circuit(
        circuit.key,
        htlc=fact.htlc,
        forward=forward,
        outgoing=fact.outgoing,
        removed=circuit.removed,
        opened_at=circuit.opened_at,
        resolved_at=fact.at,
    )


@evolves(CircuitFulfilled)
def _fulfilled(circuit: Circuit, fact: CircuitFulfilled) -> Circuit:
    return _resolved(circuit, fact).but(phase=Phase.FULFILLED, preimage=fact.preimage)


@evolves(CircuitFailed)
def _failed(circuit: Circuit, fact: CircuitFailed) -> Circuit:
    return _resolved(circuit, fact).but(phase=Phase.FAILED, verdict=fact.verdict, died_on_chain=fact.on_chain)


@evolves(CircuitLost)
def _lost(circuit: Circuit, fact: CircuitLost) -> Circuit:
    return circuit.but(
        phase=Phase.FULFILLED, preimage=fact.preimage, outgoing=fact.outgoing, lost=True, resolved_at=fact.at
    )


@evolves(CircuitRemoved)
def _removed(circuit: Circuit, _fact: CircuitRemoved) -> Circuit:
    return circuit.but(removed=True)
