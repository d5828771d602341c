"""Connections come and go: callers' commands, who may connect, and dialing again with growing, jittered waits."""

from __future__ import annotations

from fulmen.core.base.env import NO_CHAIN, Env
from fulmen.core.base.machine import Address, Disconnected, Step, Tell, Topic, to_channel
from fulmen.core.base.outer import Answer, HangUp, Notify, Send, TimeReached, Want, WantConnection, WantTime
from fulmen.core.base.peers import (
    ChannelAttached,
    ChannelDetached,
    Connected,
    ConnectFailed,
    ConnectPeer,
    DisconnectPeer,
    GossipLink,
    PeerReached,
    PeerView,
)
from fulmen.core.base.units import Timestamp
from fulmen.core.peer import liveness
from fulmen.core.peer.faults import CouldNotConnect, NoAddress, NotConnected, PeerHasChannels, TooManyPeers
from fulmen.core.peer.features import offered
from fulmen.core.peer.state import (
    AddressFound,
    CallersAnswered,
    ChannelJoined,
    ChannelLeft,
    Dialing,
    Link,
    LinkChanged,
    LinkDown,
    LinkUp,
    Peer,
    RetryPlanned,
    view,
    with_address,
)
from fulmen.core.wire.messages.setup import Init

MAX_CALLERS = 16
MAX_CHANNELS = 1000
"""More channels with one peer than anybody has; opening is limited long before."""

connections = Topic()


def opening_address(peer: Peer, temporary_channel_id: bytes) -> Address:
    """Where an opening with this peer lives."""
    return Address("opening", peer.node_id + temporary_channel_id)


@connections.on(Connected)
def on_connected(peer: Peer, event: Connected, env: Env) -> Step[Peer]:
    """A connection stands: send `init` and nothing else until the peer's is here.

    A connection that was there is replaced (the peer may know of its end before we do).
    """
    step = lost(peer)
    ours = offered(env.policy, peer.node_id).to_bytes()
    due = Timestamp(env.wall + max(1, int(env.policy.peer.init_timeout_s)))
    step.fact(LinkUp(Link(event.inbound, event.address, ours, due)))
    if event.inbound and not peer.channels and strangers(env) >= env.policy.peer.max_unchannelled_peers:
        raise TooManyPeers(limit=env.policy.peer.max_unchannelled_peers)
    if not event.inbound and event.address and peer.channels and peer.addresses[:1] != (event.address,):
        step.fact(AddressFound(event.address))
    # "SHOULD set `networks` to all chains it will gossip or open channels for."
    networks = None if env.chain_hash == NO_CHAIN else (env.chain_hash,)
    # "SHOULD NOT set features greater than 13 in `globalfeatures`": we leave it empty, the two are one anyway.
    return step.act(Send(peer.node_id, Init(b"", ours, networks)))


def strangers(env: Env) -> int:
    """How many peers without channels are connected."""
    return sum(
        1
        for shown in env.views.values()
        if isinstance(shown, PeerView) and shown.connected and not (shown.channels or shown.openings)
    )


@connections.on(Disconnected)
def on_disconnected(peer: Peer, _event: Disconnected, env: Env) -> Step[Peer]:
    """The connection is gone: everybody hears of it, and where there are channels we come back.

    Callers who still wait for `init` have been answered by a peer that does not want us, if it was we who dialed. One
    that came by itself and left says nothing of the address that they gave.
    """
    step, link = lost(peer), peer.link
    if peer.dialing:
        return step
    if peer.callers and link is not None and link.inbound:
        return step.fact(Dialing())
    refuse(step, "the connection was lost before `init` was exchanged")
    return step.then(lambda now: plan_retry(now, env)) if peer.channels else step


def refuse(step: Step[Peer], why: str) -> Step[Peer]:
    """Nobody waits any longer."""
    peer = step.state
    if not peer.callers:
        return step
    refusal = CouldNotConnect(node_id=peer.node_id, why=why)
    step.act(*(Answer(caller, refused=refusal) for caller in peer.callers))
    return step.fact(CallersAnswered())


def lost(peer: Peer) -> Step[Peer]:
    """Tell all whom a lost connection concerns."""
    step = Step(peer)
    if peer.link is None:
        return step
    step.fact(LinkDown())
    if peer.link.remote_features is not None:
        step.act(*(to_channel(channel_id, Disconnected()) for channel_id in peer.channels))
        step.act(*(Tell(opening_address(peer, opening), Disconnected()) for opening in peer.openings))
        step.act(GossipLink(peer.node_id, up=False))
    return step.act(Notify("peer_disconnected", {"peer": peer.node_id.hex()}))


@connections.on(ConnectFailed)
def on_connect_failed(peer: Peer, event: ConnectFailed, env: Env) -> Step[Peer]:
    """Nobody was there: callers hear of it, and where there are channels we try again later.

    An attempt that began before the last caller came is no answer: another one is under way by then.
    """
    step = Step(peer)
    if not peer.dialing or peer.link is not None or event.asked_by != peer.callers:
        return step
    refuse(step, event.why)
    if peer.channels:
        return step.then(lambda now: plan_retry(now, env))
    return step.fact(RetryPlanned(None, 0))


def plan_retry(peer: Peer, env: Env) -> Step[Peer]:
    """Dial later: twice as late as last time, somewhere between half of that and one and a half."""
    policy = env.policy.peer
    wait = min(policy.reconnect_max_s, policy.reconnect_min_s * 2 ** min(peer.attempts, 30))
    jitter = int.from_bytes(env.entropy("reconnect", 2), "big") / 0x10000
    # The first attempt may come at once; no later one does, however short the operator's waits are.
    at = Timestamp(env.wall + max(min(peer.attempts, 1), int(wait * (0.5 + jitter))))
    return Step(peer).fact(RetryPlanned(at, peer.attempts + 1))


@connections.on(TimeReached)
def on_time_reached(peer: Peer, event: TimeReached, env: Env) -> Step[Peer]:
    """A time that we wanted has come."""
    if peer.link is not None:
        return liveness.on_due(peer, peer.link, event.now, env)
    if peer.retry_at is not None and event.now >= peer.retry_at:
        return Step(peer).fact(Dialing())
    return Step(peer)


@connections.on(ConnectPeer)
def on_connect_peer(peer: Peer, event: ConnectPeer, _env: Env) -> Step[Peer]:
    """A caller wants to be connected; the answer comes when `init` is exchanged.

    An address that is given is tried first, also where we are dialing by ourselves just now. Over a connection that
    stands none is tried: the answer says so, with the address in use.

    Raises:
        NoAddress: nobody knows where it is.
        CouldNotConnect: too many wait already.
    """
    if peer.link is not None and peer.link.ready:
        return Step(peer).act(Answer(event.command_id, PeerReached(view(peer), already=True)))
    if event.command_id in peer.callers:
        return Step(peer)
    if len(peer.callers) >= MAX_CALLERS:
        raise CouldNotConnect(why="too many wait for this peer already")
    if not (event.addresses or peer.candidates or peer.addresses) and peer.link is None:
        raise NoAddress(node_id=peer.node_id)
    return Step(peer).fact(Dialing(event.addresses, event.command_id))


@connections.on(DisconnectPeer)
def on_disconnect_peer(peer: Peer, event: DisconnectPeer, _env: Env) -> Step[Peer]:
    """A caller wants the connection closed.

    Raises:
        NotConnected: there is none.
        PeerHasChannels: and it is not forced.
    """
    if peer.link is None:
        raise NotConnected(node_id=peer.node_id)
    if peer.channels and not event.force:
        raise PeerHasChannels(node_id=peer.node_id, channels=len(peer.channels))
    step = Step(peer).fact(LinkChanged(peer.link.but(closing=True)))
    return step.act(HangUp(peer.node_id, "asked by the operator"), Answer(event.command_id, {}))


@connections.on(ChannelAttached)
def on_channel_attached(peer: Peer, event: ChannelAttached, env: Env) -> Step[Peer]:
    """There is a channel: from now on we keep connected."""
    step = Step(peer)
    if event.channel_id in peer.channels or len(peer.channels) >= MAX_CHANNELS:
        return step
    link = peer.link
    addresses = peer.addresses
    if link is not None and not link.inbound and link.address:
        addresses = with_address(addresses, link.address)
    step.fact(ChannelJoined(event.channel_id, addresses))
    if link is None and not peer.dialing and peer.retry_at is None:
        step.then(lambda now: plan_retry(now, env))
    return step


@connections.on(ChannelDetached)
def on_channel_detached(peer: Peer, event: ChannelDetached, _env: Env) -> Step[Peer]:
    """That channel is over; without any left, nothing is dialed again."""
    step = Step(peer)
    if event.channel_id not in peer.channels:
        return step
    step.fact(ChannelLeft(event.channel_id))
    if not step.state.channels and peer.link is None and not peer.callers:
        step.fact(RetryPlanned(None, 0))
    return step


def wants(peer: Peer) -> tuple[Want, ...]:
    """A dial, or a time to be woken at."""
    if peer.link is not None:
        return (WantTime(peer.link.due),)
    if peer.dialing:
        addresses = tuple(dict.fromkeys((*peer.candidates, *peer.addresses)))
        return (WantConnection(peer.node_id, addresses, peer.callers),)
    if peer.retry_at is not None:
        return (WantTime(peer.retry_at),)
    return ()
