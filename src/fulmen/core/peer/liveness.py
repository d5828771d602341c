"""Is the peer still there: pings on a quiet clock, pongs of the length asked for, and bounds on both.

BOLT 1, "The `ping` and `pong` Messages".
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.machine import Step, Topic, to_channel
from fulmen.core.base.outer import Send
from fulmen.core.base.peers import PeerAlive
from fulmen.core.base.units import Timestamp
from fulmen.core.peer.faults import InitMissing, PongMissing, PongNotAsked, TooManyPings
from fulmen.core.peer.state import Link, LinkChanged, Peer
from fulmen.core.wire.messages.setup import Ping, Pong

NO_PONG = 65532
"""From this many bytes on, a ping wants no answer."""

liveness = Topic()


def on_due(peer: Peer, link: Link, now: Timestamp, env: Env) -> Step[Peer]:
    """The time to look has come: at a missing `init`, a missing pong, or for a ping of ours.

    Raises:
        InitMissing, PongMissing: the peer is not there, or not alive.
    """
    if now < link.due or link.closing:
        return Step(peer)
    if link.remote_features is None:
        raise InitMissing(seconds=env.policy.peer.init_timeout_s)
    if link.pong_bytes is not None:
        raise PongMissing(seconds=env.policy.peer.pong_timeout_s)
    # A length that differs from ping to ping tells a pong from one of an older ping.
    pong_bytes = env.entropy("ping", 1)[0] + 1
    due = Timestamp(env.wall + max(1, int(env.policy.peer.pong_timeout_s)))
    step = Step(peer).fact(LinkChanged(link.but(pong_bytes=pong_bytes, due=due)))
    return step.act(Send(peer.node_id, Ping(pong_bytes, b"")))


def next_ping(env: Env) -> Timestamp:
    """When to ping, counted from a sign of life."""
    return Timestamp(env.wall + max(1, int(env.policy.peer.ping_interval_s)))


@liveness.on(Ping)
def on_ping(peer: Peer, link: Link, msg: Ping, env: Env) -> Step[Peer]:
    """Answer as asked.

    Raises:
        TooManyPings: the peer floods us.
    """
    pings, since = link.pings + 1, link.pings_since
    if env.wall - since >= 60:
        pings, since = 1, env.wall
    if pings > env.policy.peer.max_pings_per_minute:
        raise TooManyPings(per_minute=env.policy.peer.max_pings_per_minute)
    step = Step(peer).fact(LinkChanged(link.but(pings=pings, pings_since=since)))
    # "if `num_pong_bytes` is less than 65532: MUST respond by sending a `pong` message, with `byteslen` equal to
    # `num_pong_bytes`. otherwise: MUST ignore the `ping`." And "SHOULD set `ignored` to 0s."
    if msg.num_pong_bytes < NO_PONG:
        step.act(Send(peer.node_id, Pong(bytes(msg.num_pong_bytes))))
    return step


@liveness.on(Pong)
def on_pong(peer: Peer, link: Link, msg: Pong, env: Env) -> Step[Peer]:
    """The peer lives: its channels look whether it still answers them, too.

    Raises:
        PongNotAsked: no ping of ours asked for this length.
    """
    if link.pong_bytes != len(msg.ignored):
        raise PongNotAsked(length=len(msg.ignored))
    step = Step(peer).fact(LinkChanged(link.but(pong_bytes=None, due=next_ping(env))))
    return step.act(*(to_channel(channel_id, PeerAlive()) for channel_id in peer.channels))
