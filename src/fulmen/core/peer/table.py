"""The peer machine: which event goes to which handler, and what a fault of the peer leads to."""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.faults import PeerFault, Refused, Remedy
from fulmen.core.base.ids import ALL_CHANNELS, NodeId
from fulmen.core.base.machine import Disconnected, Event, Faulted, Step, Topic, Undelivered
from fulmen.core.base.mount import Mount
from fulmen.core.base.outer import Answer, HangUp, Notify, Send
from fulmen.core.base.peers import FrameReceived, FrameRefused, GossipReceived, MessageReceived
from fulmen.core.base.record import Record
from fulmen.core.peer.connection import connections, wants
from fulmen.core.peer.delivery import deliver, delivery, openings
from fulmen.core.peer.faults import InitNotFirst, MessageUnreadable
from fulmen.core.peer.liveness import liveness
from fulmen.core.peer.setup import setup
from fulmen.core.peer.state import Link, LinkChanged, Peer, ended, forget, view
from fulmen.core.wire import name_of
from fulmen.core.wire.messages.setup import ErrorMessage, Init, WarningMessage

MESSAGES = setup | liveness | delivery
"""Handlers of what the connection itself answers; all other messages are delivered."""

faults = Topic()
frames = Topic()


@frames.on(MessageReceived)
def on_message(peer: Peer, event: MessageReceived, env: Env) -> Step[Peer]:
    """A message, on a connection that stands.

    Raises:
        InitNotFirst, or what the message's handler finds.
    """
    link = peer.link
    if link is None or link.closing:
        return Step(peer)
    message = event.message
    kind = type(message)
    if link.remote_features is None and kind not in _BEFORE_INIT:
        raise InitNotFirst(came=name_of(message))
    handler = MESSAGES.get(kind)
    if handler is None:
        return deliver(peer, link, message, env)
    step: Step[Peer] = handler(peer, link, message, env)
    return step


_BEFORE_INIT: tuple[type[Record], ...] = (Init, ErrorMessage, WarningMessage)
"""A peer that does not like us may say why instead of `init`."""


@frames.on(FrameReceived)
def on_frame(peer: Peer, event: FrameReceived, _env: Env) -> Step[Peer]:
    """Gossip, as it came."""
    link = peer.link
    if link is None or link.closing:
        return Step(peer)
    if link.remote_features is None:
        raise InitNotFirst(came="gossip")
    return Step(peer).act(GossipReceived(peer.node_id, event.raw))


@frames.on(FrameRefused)
def on_frame_refused(peer: Peer, event: FrameRefused, _env: Env) -> Step[Peer]:
    """A message that nobody can read.

    Raises:
        MessageUnreadable: always, on a connection that stands.
    """
    if peer.link is None or peer.link.closing:
        return Step(peer)
    raise MessageUnreadable(type=event.message_type, why=str(event.fault))


@faults.on(Faulted)
def on_faulted(peer: Peer, event: Faulted, _env: Env) -> Step[Peer]:
    """The peer broke a rule of the connection, or a caller asked for what cannot be."""
    fault = event.fault
    command_id = getattr(event.event, "command_id", None)
    if isinstance(fault, Refused) and command_id is not None:
        return Step(peer).act(Answer(command_id, refused=fault))
    step = Step(peer).act(Notify("peer_fault", {"peer": peer.node_id.hex(), "fault": fault.name, "why": str(fault)}))
    if isinstance(fault, PeerFault) and fault.remedy is not Remedy.IGNORE:
        step.act(Send(peer.node_id, WarningMessage(ALL_CHANNELS, f"{fault.name}: {fault.message}".encode())))
        step.act(HangUp(peer.node_id, str(fault)))
        if peer.link is not None:
            step.fact(LinkChanged(peer.link.but(closing=True)))
    return step


@faults.on(Undelivered)
def on_undelivered(peer: Peer, _event: Undelivered, _env: Env) -> Step[Peer]:
    """A channel refused what its peer sent: it says so itself, to whom it concerns."""
    return Step(peer)


EVENTS = connections | openings | frames | faults


def decide(peer: Peer, event: Event, env: Env) -> Step[Peer]:
    """What an event leads to; what concerns others is left alone."""
    handler = EVENTS.get(type(event))
    if handler is None:
        return Step(peer)
    step: Step[Peer] = handler(peer, event, env)
    return step


def initial(key: bytes) -> Peer:
    """A peer that we know nothing of but its name."""
    return Peer(NodeId(key))


MOUNT = Mount(
    kind="peer",
    initial=initial,
    decide=decide,
    crash=(Disconnected(),),
    forget=forget,
    wants=wants,
    view=view,
    ended=ended,
)
"""What the node mounts."""

__all__ = ["MOUNT", "Link", "Peer", "decide"]
