"""What a peer is to us, and how facts change it."""

from __future__ import annotations

from typing import ClassVar

from fulmen.core.base.ids import ChannelId, CommandId, NodeId
from fulmen.core.base.machine import Fact, evolves
from fulmen.core.base.peers import PeerView
from fulmen.core.base.record import Record
from fulmen.core.base.units import Timestamp


class Link(Record):
    """One connection."""

    inbound: bool
    address: str
    local_features: bytes
    due: Timestamp
    """When liveness is looked at next: `init`, a pong or our next ping."""
    remote_features: bytes | None = None
    """None until the peer's `init` came."""
    pong_bytes: int | None = None
    """The length of the pong that we wait for."""
    pings: int = 0
    """Received since `pings_since`."""
    pings_since: Timestamp = Timestamp(0)
    closing: bool = False
    """We hung up; nothing that still comes counts."""

    @property
    def ready(self) -> bool:
        """`init` is exchanged, both ways."""
        return self.remote_features is not None and not self.closing


class Peer(Record):
    """One node that we are, want to be, or were connected to."""

    node_id: NodeId
    channels: tuple[ChannelId, ...] = ()
    addresses: tuple[str, ...] = ()
    """Where it was reached, latest first."""
    link: Link | None = None
    openings: tuple[ChannelId, ...] = ()
    """Temporary ids of the openings under way."""
    callers: tuple[CommandId, ...] = ()
    """Who waits for the connection."""
    dialing: bool = False
    candidates: tuple[str, ...] = ()
    """Where they say that it is, the latest first: to be tried before what we know."""
    retry_at: Timestamp | None = None
    attempts: int = 0
    """Failed in a row."""


class ChannelJoined(Fact):
    """There is a channel with this peer; where to find it is worth keeping from now on."""

    channel_id: ChannelId
    addresses: tuple[str, ...]


class ChannelLeft(Fact):
    """That channel is over."""

    channel_id: ChannelId


class AddressFound(Fact):
    """A peer with channels was reached here."""

    address: str


class LinkUp(Fact):
    """A connection stands."""

    passing: ClassVar[bool] = True
    link: Link


class LinkChanged(Fact):
    """Something about the connection: the peer's `init`, a ping, a pong, our hanging up."""

    passing: ClassVar[bool] = True
    link: Link


class LinkDown(Fact):
    """The connection is gone, and with it all openings."""

    passing: ClassVar[bool] = True


class Dialing(Fact):
    """A connection is wanted now."""

    passing: ClassVar[bool] = True
    addresses: tuple[str, ...] = ()
    caller: CommandId | None = None


class RetryPlanned(Fact):
    """A connection is wanted later, or not at all."""

    passing: ClassVar[bool] = True
    at: Timestamp | None
    attempts: int


class CallersAnswered(Fact):
    """Nobody waits for the connection any more."""

    passing: ClassVar[bool] = True


class OpeningsChanged(Fact):
    """An opening came or went."""

    passing: ClassVar[bool] = True
    openings: tuple[ChannelId, ...]


MAX_ADDRESSES = 4


@evolves(ChannelJoined)
def _joined(peer: Peer, fact: ChannelJoined) -> Peer:
    return peer.but(channels=(*peer.channels, fact.channel_id), addresses=fact.addresses)


@evolves(ChannelLeft)
def _left(peer: Peer, fact: ChannelLeft) -> Peer:
    return peer.but(channels=tuple(kept for kept in peer.channels if kept != fact.channel_id))


@evolves(AddressFound)
def _found(peer: Peer, fact: AddressFound) -> Peer:
    return peer.but(addresses=with_address(peer.addresses, fact.address))


@evolves(LinkUp)
def _up(peer: Peer, fact: LinkUp) -> Peer:
    return peer.but(link=fact.link, openings=(), dialing=False, retry_at=None)


@evolves(LinkChanged)
def _changed(peer: Peer, fact: LinkChanged) -> Peer:
    attempts = 0 if fact.link.ready else peer.attempts
    return peer.but(link=fact.link, attempts=attempts)


@evolves(LinkDown)
def _down(peer: Peer, _fact: LinkDown) -> Peer:
    return peer.but(link=None, openings=())


@evolves(Dialing)
def _dialing(peer: Peer, fact: Dialing) -> Peer:
    callers = peer.callers if fact.caller is None else (*peer.callers, fact.caller)
    candidates = tuple(dict.fromkeys((*fact.addresses, *peer.candidates)))
    return peer.but(candidates=candidates, callers=callers, dialing=True, retry_at=None)


@evolves(RetryPlanned)
def _planned(peer: Peer, fact: RetryPlanned) -> Peer:
    return peer.but(dialing=False, retry_at=fact.at, attempts=fact.attempts)


@evolves(CallersAnswered)
def _answered(peer: Peer, _fact: CallersAnswered) -> Peer:
    return peer.but(callers=(), candidates=())


@evolves(OpeningsChanged)
def _openings(peer: Peer, fact: OpeningsChanged) -> Peer:
    return peer.but(openings=fact.openings)


def with_address(addresses: tuple[str, ...], address: str) -> tuple[str, ...]:
    """The addresses with this one first."""
    return (address, *(kept for kept in addresses if kept != address))[:MAX_ADDRESSES]


def forget(peer: Peer) -> Peer:
    """The peer less all that a lost connection takes with it."""
    return Peer(peer.node_id, peer.channels, peer.addresses)


def view(peer: Peer) -> PeerView:
    """What others may know of it."""
    link = peer.link
    if link is None:
        return PeerView(peer.node_id, ready=False, channels=peer.channels)
    return PeerView(
        peer.node_id,
        link.ready,
        link.local_features,
        link.remote_features or b"",
        True,
        link.inbound,
        link.address,
        peer.channels,
        len(peer.openings),
    )


def ended(peer: Peer) -> bool:
    """Nothing ties us to it."""
    return not (peer.link or peer.channels or peer.callers or peer.dialing or peer.retry_at)
