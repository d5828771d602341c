"""What is said to the pathfinder and what it says: values, so that it may live in another process.

Times are not in here: whoever drives it says what time it is.
"""

from __future__ import annotations

from fulmen.core.base.ids import ChainHash, ChannelId, NodeId, OutPoint, ShortChannelId, Signature
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight
from fulmen.core.commitments.announcing import AnnouncementHalf, OwnChannel
from fulmen.core.gossip.graph import DirectionPolicy, GraphChannel, NodeInfo
from fulmen.core.gossip.intake import FundingOutput
from fulmen.core.gossip.own import OwnNode
from fulmen.core.gossip.policy import GossipPolicy
from fulmen.core.routing.requests import NoRoute, Outcome, Route, RouteRequest
from fulmen.core.signer.announcing import SignAnnouncement

MAX_PAGE = 10_001
"""Channels or nodes in one answer; the next question goes on behind the last."""


class Settings(Record):
    """Who we are, on which chain, and what gossip may cost."""

    node_id: NodeId
    chain_hash: ChainHash
    features: bytes
    policy: GossipPolicy = GossipPolicy()


# -- to the pathfinder -------------------------------------------------------------------------------------------------


class ToPathfinder(Record, tag=True):
    """Something it is told or asked."""


class PeerUp(ToPathfinder):
    """`init` is exchanged with a peer."""

    node_id: NodeId
    features: bytes
    networks: tuple[ChainHash, ...] | None = None


class PeerDown(ToPathfinder):
    """The peer is gone."""

    node_id: NodeId


class Heard(ToPathfinder):
    """Gossip frames (types 256 to 265, type included), in the order in which they came."""

    frames: tuple[tuple[NodeId, bytes], ...]


class BlockConnected(ToPathfinder):
    """A block is the tip now and spends these outputs."""

    height: BlockHeight
    spent: tuple[OutPoint, ...] = ()


class BlocksRewound(ToPathfinder):
    """The blocks above this height are no longer in the chain."""

    height: BlockHeight


class FundingLooked(ToPathfinder):
    """The answer to `LookUp`: the unspent output, or None; `failed` if the chain could not be asked."""

    scid: ShortChannelId
    funding: FundingOutput | None = None
    failed: bool = False


class OwnNodeIs(ToPathfinder):
    """What we want to say of our node."""

    node: OwnNode


class OwnChannelIs(ToPathfinder):
    """A channel of ours is there, or something about it is new."""

    channel: OwnChannel


class OwnChannelGone(ToPathfinder):
    """A channel of ours is no more."""

    channel_id: ChannelId


class GossipSigned(ToPathfinder):
    """The answer to `SignGossip`; without signatures the key holder would not."""

    ticket: bytes
    node_signature: Signature | None = None
    bitcoin_signature: Signature | None = None


class Tick(ToPathfinder):
    """A second has passed. Peers whose outbox is `full` are served later."""

    full: tuple[NodeId, ...] = ()


class LearnFrom(ToPathfinder):
    """A payment attempt ended."""

    outcome: Outcome


class Question(ToPathfinder):
    """Something that is answered, under its number."""

    number: int


class Find(Question):
    """Find a route; answered by `Found`."""

    request: RouteRequest


class ListChannels(Question):
    """Public channels by rising scid from `first` on, of one node if named; answered by `Channels`."""

    first: ShortChannelId = ShortChannelId(0)
    limit: int = MAX_PAGE
    node_id: NodeId | None = None


class ListNodes(Question):
    """Nodes by rising id behind `after`; answered by `Nodes`."""

    after: NodeId = NodeId(b"")
    limit: int = MAX_PAGE


class RemoteTerms(Question):
    """What the peer of a channel of ours asks for forwarding to us (route hints); answered by `Terms`."""

    channel_id: ChannelId


class HowMuch(Question):
    """How much is known; answered by `Known`."""


# -- from the pathfinder -----------------------------------------------------------------------------------------------


class FromPathfinder(Record, tag=True):
    """Something it wants done, or an answer."""


class PassFrame(FromPathfinder):
    """Send a frame, type included, to a peer. Losable."""

    to: NodeId
    frame: bytes


class Leave(FromPathfinder):
    """Close the connection to a peer, after what was sent before."""

    to: NodeId
    reason: str


class LookUp(FromPathfinder):
    """Find these funding outputs on the chain; each is answered by `FundingLooked`."""

    scids: tuple[ShortChannelId, ...]


class SignGossip(FromPathfinder):
    """Have the node key (and a channel's funding key) sign a message of ours; answered by `GossipSigned`."""

    ticket: bytes
    request: SignAnnouncement


class KeepHalf(FromPathfinder):
    """Have a channel of ours remember the peer's half of its announcement, which is good."""

    channel_id: ChannelId
    half: AnnouncementHalf


class Reply(FromPathfinder):
    """The answer to the question of this number."""

    number: int


class Found(Reply):
    """A route, or why there is none."""

    route: Route | None = None
    no_route: NoRoute | None = None

    @property
    def answer(self) -> Route | NoRoute:
        """The one or the other."""
        answer = self.route or self.no_route
        assert answer is not None
        return answer


class Channels(Reply):
    """A page of channels."""

    channels: tuple[GraphChannel, ...]


class Nodes(Reply):
    """A page of nodes; one that said nothing of itself has an empty alias and no addresses."""

    nodes: tuple[NodeInfo, ...]


class Terms(Reply):
    """A forwarding policy; None when the peer has not said."""

    policy: DirectionPolicy | None


class Known(Reply):
    """How much of the network is known."""

    channels: int
    nodes: int
    synced: bool
    compiled: bool


Words = (
    PeerUp
    | PeerDown
    | Heard
    | BlockConnected
    | BlocksRewound
    | FundingLooked
    | OwnNodeIs
    | OwnChannelIs
    | OwnChannelGone
    | GossipSigned
    | Tick
    | LearnFrom
    | Find
    | ListChannels
    | ListNodes
    | RemoteTerms
    | HowMuch
)
"""All that can be said to it."""
Answers = PassFrame | Leave | LookUp | SignGossip | KeepHalf | Found | Channels | Nodes | Terms | Known
"""All that it can say."""
