"""Whose message is it: to the channel, the opening or the gossip that it belongs to, or refused.

BOLT 1, "The `error` and `warning` Messages" and "Lightning Message Format".
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.ids import ALL_CHANNELS, ChannelId
from fulmen.core.base.machine import Step, Tell, Topic, to_channel
from fulmen.core.base.outer import Notify, Send
from fulmen.core.base.peers import (
    ChannelErrored,
    GossipReceived,
    MessageReceived,
    OpeningEnded,
    OpeningStarted,
    PeerView,
)
from fulmen.core.base.record import Record
from fulmen.core.commitments.htlcs import LinkView
from fulmen.core.peer.connection import opening_address
from fulmen.core.peer.faults import UnknownRequiredMessage
from fulmen.core.peer.state import Link, OpeningsChanged, Peer
from fulmen.core.wire import UnknownMessage, encode, name_of, type_of
from fulmen.core.wire.messages.opening import AcceptChannel, FundingCreated, OpenChannel
from fulmen.core.wire.messages.setup import ErrorMessage, WarningMessage

MAX_OPENINGS = 32
"""Of both directions; `OpeningPolicy.max_pending_per_peer` bounds those that the peer starts."""
MAX_SHOWN = 512

delivery = Topic()
openings = Topic()


def deliver(peer: Peer, link: Link, message: Record, env: Env) -> Step[Peer]:
    """A message that no handler of the connection itself takes.

    Raises:
        UnknownRequiredMessage: an even one that is not for us.
    """
    number = type_of(message)
    if 256 <= number < 512:
        return Step(peer).act(GossipReceived(peer.node_id, encode(message)))
    channel_id: ChannelId | None = getattr(message, "channel_id", None)
    if channel_id is not None and channel_id in peer.channels:
        return Step(peer).act(to_channel(channel_id, MessageReceived(message)))
    if 32 <= number < 256:
        if channel_id is None:
            channel_id = getattr(message, "temporary_channel_id", None) or ChannelId(bytes(32))
        # "SHOULD send `error` with the unknown `channel_id` in reply to messages of type `32`-`255` related to unknown
        # channels."
        return Step(peer).act(refusal(peer, channel_id, f"unknown channel for {name_of(message)}"))
    # `stfu`, which the wire can read and nobody here carries, is even: without `option_quiesce` it is unknown to us.
    if number % 2 == 0:
        raise UnknownRequiredMessage(type=number)
    return Step(peer)


def refusal(peer: Peer, channel_id: ChannelId, why: str) -> Send:
    """An `error` about a channel that we do not have."""
    return Send(peer.node_id, ErrorMessage(channel_id, why.encode()))


@delivery.on(OpenChannel)
def on_open_channel(peer: Peer, _link: Link, msg: OpenChannel, env: Env) -> Step[Peer]:
    """The peer wants to open a channel: a new opening, within the limits on how many may be under way."""
    opening = msg.temporary_channel_id
    step = Step(peer)
    if opening not in peer.openings:
        if _too_many_pending(peer, env):
            return step.act(refusal(peer, opening, "too many channels are being opened"))
        step.fact(OpeningsChanged((*peer.openings, opening)))
    return step.act(Tell(opening_address(peer, opening), MessageReceived(msg)))


def _too_many_pending(peer: Peer, env: Env) -> bool:
    """Whether the peer, or all strangers together, have begun enough without paying for it.

    A channel counts until its funding is in a block: else a peer could make us remember and watch for as many fundings
    as it can invent (fake channels, 2023). Who has a funded channel is no stranger.
    """
    policy = env.policy.opening
    links = [seen for seen in env.views.values() if isinstance(seen, LinkView)]
    here = [link for link in links if link.node_id == peer.node_id]
    if len(peer.openings) + sum(link.unfunded for link in here) >= policy.max_pending_per_peer:
        return True
    if any(not link.unfunded for link in here):
        return False
    openings = sum(seen.openings for seen in env.views.values() if isinstance(seen, PeerView))
    return openings + sum(link.unfunded for link in links) >= policy.max_pending


@delivery.on(AcceptChannel, FundingCreated)
def on_opening_message(peer: Peer, _link: Link, msg: AcceptChannel | FundingCreated, _env: Env) -> Step[Peer]:
    """A step of an opening under way; whether it is, the opening itself knows best."""
    return Step(peer).act(Tell(opening_address(peer, msg.temporary_channel_id), MessageReceived(msg)))


@delivery.on(ErrorMessage)
def on_error(peer: Peer, _link: Link, msg: ErrorMessage, _env: Env) -> Step[Peer]:
    """The peer says that a channel, or every channel, has failed."""
    step = Step(peer).act(_heard("peer_error", peer, msg))
    errored = ChannelErrored(msg.data)
    # "if `channel_id` is all zero: MUST fail all channels with the sending node. otherwise: MUST fail the channel
    # referred to by `channel_id`, if that channel is with the sending node." Unknown ones: "MUST ignore the message".
    everything = msg.channel_id == ALL_CHANNELS
    for channel_id in peer.channels:
        if everything or channel_id == msg.channel_id:
            step.act(to_channel(channel_id, errored))
    for opening in peer.openings:
        if everything or opening == msg.channel_id:
            step.act(Tell(opening_address(peer, opening), errored))
    return step


@delivery.on(WarningMessage)
def on_warning(peer: Peer, _link: Link, msg: WarningMessage, _env: Env) -> Step[Peer]:
    """ "SHOULD log the message for later diagnosis." """
    return Step(peer).act(_heard("peer_warning", peer, msg))


@delivery.on(UnknownMessage)
def on_unknown(peer: Peer, _link: Link, msg: UnknownMessage, _env: Env) -> Step[Peer]:
    """Odd ones are ignored.

    Raises:
        UnknownRequiredMessage: an even one.
    """
    if msg.must_be_understood:
        raise UnknownRequiredMessage(type=msg.type)
    return Step(peer)


@openings.on(OpeningStarted)
def on_opening_started(peer: Peer, event: OpeningStarted, _env: Env) -> Step[Peer]:
    """An opening of ours is under way with this peer."""
    opening = event.temporary_channel_id
    if opening in peer.openings or len(peer.openings) >= MAX_OPENINGS:
        return Step(peer)
    return Step(peer).fact(OpeningsChanged((*peer.openings, opening)))


@openings.on(OpeningEnded)
def on_opening_ended(peer: Peer, event: OpeningEnded, _env: Env) -> Step[Peer]:
    """It is a channel now, or nothing."""
    if event.temporary_channel_id not in peer.openings:
        return Step(peer)
    left = tuple(kept for kept in peer.openings if kept != event.temporary_channel_id)
    return Step(peer).fact(OpeningsChanged(left))


def _heard(topic: str, peer: Peer, msg: ErrorMessage | WarningMessage) -> Notify:
    return Notify(topic, {"peer": peer.node_id.hex(), "channel_id": msg.channel_id.hex(), "data": printable(msg.data)})


def printable(data: bytes) -> str:
    """Text from a peer, as logs may show it.

    "if `data` is not composed solely of printable ASCII characters (byte values 32 through 126, inclusive): SHOULD NOT
    print out `data` verbatim."
    """
    shown = data[:MAX_SHOWN]
    text = shown.decode("ascii") if all(32 <= byte <= 126 for byte in shown) else f"hex {shown.hex()}"
    return text if len(data) <= MAX_SHOWN else f"{text}…"
