"""`init`: the first message both ways, and what it may ask for. BOLT 1, "The `init` Message"; BOLT 9."""

from __future__ import annotations

from fulmen.core.base.env import NO_CHAIN, Env
from fulmen.core.base.machine import Step, Topic, to_channel
from fulmen.core.base.outer import Answer, Notify
from fulmen.core.base.peers import GossipLink, PeerReached, PeerReady
from fulmen.core.peer.faults import FeatureDependencyMissing, InitTwice, NoCommonChain, UnknownRequiredFeature
from fulmen.core.peer.features import understood
from fulmen.core.peer.liveness import next_ping
from fulmen.core.peer.state import CallersAnswered, Link, LinkChanged, Peer, view
from fulmen.core.wire.features import Features
from fulmen.core.wire.messages.setup import Init

setup = Topic()


@setup.on(Init)
def on_init(peer: Peer, link: Link, msg: Init, env: Env) -> Step[Peer]:
    """Both sides have said who they are: channel messages may flow.

    Raises:
        InitTwice, UnknownRequiredFeature, FeatureDependencyMissing, NoCommonChain: the connection ends.
    """
    if link.remote_features is not None:
        raise InitTwice()
    # "MUST combine (bitwise OR) the two feature bitmaps into one logical `features` map."
    features = Features.from_bytes(msg.globalfeatures) | Features.from_bytes(msg.features)
    # "upon receiving unknown _even_ feature bits that are non-zero: MUST close the connection."
    unknown = features.unknown_even(understood(env.policy))
    if unknown:
        raise UnknownRequiredFeature(bits=unknown[:8])
    # "if the feature vector does not set all known, transitive dependencies: MUST close the connection."
    missing = features.missing_dependencies()
    if missing:
        raise FeatureDependencyMissing(feature=missing[0][0], needs=missing[0][1])
    # "upon receiving `networks` containing no common chains: MAY close the connection."
    if msg.networks and env.chain_hash != NO_CHAIN and env.chain_hash not in msg.networks:
        raise NoCommonChain()

    remote = features.to_bytes()
    step = Step(peer).fact(LinkChanged(link.but(remote_features=remote, due=next_ping(env))))
    ready = PeerReady(peer.node_id, link.local_features, remote)
    step.act(*(to_channel(channel_id, ready) for channel_id in peer.channels))
    step.act(GossipLink(peer.node_id, up=True, remote_features=remote, networks=msg.networks))
    if peer.callers:
        reached = PeerReached(view(step.state), already=False)
        step.act(*(Answer(caller, reached) for caller in peer.callers))
        step.fact(CallersAnswered())
    return step.act(Notify("peer_connected", {"peer": peer.node_id.hex(), "address": link.address}))
