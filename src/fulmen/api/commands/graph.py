"""The network as gossip draws it, and ways through it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from fulmen.api.errors import NotBuiltYet
from fulmen.api.handle import NodeHandle
from fulmen.api.registry import Permission, command
from fulmen.api.values import Amount, PubKey, Scid
from fulmen.core.base.record import Record

Limit = Annotated[int, Meta(description="at most so many", ge=1, le=10_000)]


class GetRoutesRequest(Record):
    """From where to where, and how much."""

    source: Annotated[PubKey, Meta(description="where the money starts")]
    destination: Annotated[PubKey, Meta(description="where it shall arrive")]
    amount_msat: Annotated[Amount, Meta(description="how much shall arrive")]
    maxfee_msat: Annotated[Amount | None, Meta(description="the fee limit")] = None
    final_cltv: Annotated[int, Meta(description="blocks that the destination asks for", ge=1, le=2016)] = 18


class PathHop(Record, kw_only=True):
    """One channel of a route."""

    short_channel_id_dir: str
    next_node_id: str
    amount_msat: int
    delay: int


class PathRow(Record, kw_only=True):
    """One route."""

    amount_msat: int
    final_cltv: int
    probability_ppm: int
    path: tuple[PathHop, ...]


class GetRoutesAnswer(Record, kw_only=True):
    """Routes that could carry it, best first."""

    probability_ppm: int
    routes: tuple[PathRow, ...]


@command("getroutes", permission=Permission.READ, group="graph", help="Ways that a payment could take.")
async def getroutes(node: NodeHandle, request: GetRoutesRequest) -> GetRoutesAnswer:
    """Nothing is sent."""
    raise NotBuiltYet("getroutes waits for path finding.")


class ListNodesRequest(Record):
    """All, or one."""

    id: Annotated[PubKey | None, Meta(description="one node")] = None
    limit: Limit = 1000


class GraphNode(Record, kw_only=True, omit_defaults=True):
    """A node as it announces itself."""

    nodeid: str
    alias: str | None = None
    color: str | None = None
    last_timestamp: int | None = None
    features: str | None = None
    addresses: tuple[dict[str, str | int], ...] = ()


class ListNodesAnswer(Record):
    """The nodes."""

    nodes: tuple[GraphNode, ...]


@command("listnodes", permission=Permission.READ, group="graph", help="Nodes that gossip told us of.")
async def listnodes(node: NodeHandle, request: ListNodesRequest) -> ListNodesAnswer:
    """A node without an announcement stands here with its id alone."""
    raise NotBuiltYet("listnodes waits for the graph.")


class ListChannelsRequest(Record):
    """All, or those that match."""

    short_channel_id: Annotated[Scid | None, Meta(description="one channel")] = None
    source: Annotated[PubKey | None, Meta(description="only those that lead away from this node")] = None
    destination: Annotated[PubKey | None, Meta(description="only those that lead to this node")] = None
    limit: Limit = 1000


class GraphChannel(Record, kw_only=True, omit_defaults=True):
    """One direction of a channel."""

    source: str
    destination: str
    short_channel_id: str
    direction: int
    public: bool
    amount_msat: int | None
    active: bool
    last_update: int
    base_fee_millisatoshi: int
    fee_per_millionth: int
    delay: int
    htlc_minimum_msat: int
    htlc_maximum_msat: int


class ListChannelsAnswer(Record):
    """The channels, each direction for itself."""

    channels: tuple[GraphChannel, ...]


@command("listchannels", permission=Permission.READ, group="graph", help="Channels that gossip told us of.")
async def listchannels(node: NodeHandle, request: ListChannelsRequest) -> ListChannelsAnswer:
    """Directions that nobody has announced a price for are not there."""
    raise NotBuiltYet("listchannels waits for the graph.")
