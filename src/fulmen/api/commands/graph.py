"""The network as gossip draws it, and ways through it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from fulmen.api.commands.shown import Endpoint, endpoint_of, shown_scid
from fulmen.api.errors import PAY_ROUTE_NOT_FOUND, BadParameter, RpcError
from fulmen.api.handle import NodeHandle
from fulmen.api.registry import Permission, command
from fulmen.api.values import Amount, PubKey, Scid
from fulmen.core.base.ids import NodeId, ShortChannelId, scid_text
from fulmen.core.base.record import Record
from fulmen.core.base.units import CltvDelta, Msat
from fulmen.core.gossip.graph import GraphChannel as KnownChannel
from fulmen.core.gossip.graph import NodeInfo
from fulmen.core.routing.requests import NoRoute, NoRouteReason, RouteRequest
from fulmen.core.routing.words import Channels, Find, Found, ListChannels, ListNodes, Nodes

Limit = Annotated[int, Meta(description="at most so many", ge=1, le=10_000)]


class GetRoutesRequest(Record):
    """From where to where, and how much."""

    source: Annotated[PubKey, Meta(description="the node id of who pays")]
    destination: Annotated[PubKey, Meta(description="the node id of who is paid")]
    amount_msat: Annotated[Amount, Meta(description="how much shall arrive")]
    maxfee_msat: Annotated[Amount | None, Meta(description="what the way may cost; any price without it")] = None
    final_cltv: Annotated[
        int, Meta(description="blocks that the payee's invoice asks for, its min_final_cltv_expiry", ge=1, le=2016)
    ] = 18


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
    """The best route that could carry it, in Core Lightning's shape, which has room for several."""

    probability_ppm: int
    routes: tuple[PathRow, ...]


class NoWay(RpcError):
    """No announced channels lead there, for this amount and under these limits."""

    code = PAY_ROUTE_NOT_FOUND


@command(
    "getroutes",
    permission=Permission.READ,
    group="graph",
    help="The best way through announced channels from one node to another.",
)
async def getroutes(node: NodeHandle, request: GetRoutesRequest) -> GetRoutesAnswer:
    """Nothing is sent. `pay` uses our own channels besides, announced or not, and knows what they can carry."""
    if not request.amount_msat:
        raise BadParameter("The parameter 'amount_msat' of getroutes is wrong: it must be above zero.")
    asked = RouteRequest(
        source=NodeId(request.source),
        destination=NodeId(request.destination),
        amount_msat=Msat(request.amount_msat),
        height=node.tip.height,
        final_cltv_expiry_delta=CltvDelta(request.final_cltv),
        max_fee_msat=None if request.maxfee_msat is None else Msat(request.maxfee_msat),
    )
    found = (await node.ask_network(Find(0, asked), Found)).answer
    if isinstance(found, NoRoute):
        raise NoWay(f"There is no way: {_why_not(found)}.", **found.details())
    path = tuple(
        PathHop(
            short_channel_id_dir=f"{shown_scid(hop.scid)}/{hop.direction}",
            next_node_id=hop.node_id.hex(),
            amount_msat=hop.amount_msat,
            delay=hop.cltv_expiry - node.tip.height,
        )
        for hop in found.hops
    )
    row = PathRow(
        amount_msat=found.amount_msat, final_cltv=request.final_cltv, probability_ppm=found.chance_ppm, path=path
    )
    return GetRoutesAnswer(probability_ppm=found.chance_ppm, routes=(row,))


_WHY_NOT = {
    NoRouteReason.SELF_PAYMENT: "source and destination are the same node",
    NoRouteReason.BAD_AMOUNT: "no channel holds as much as that",
    NoRouteReason.UNKNOWN_DESTINATION: "no announced channel leads to the destination",
    NoRouteReason.NO_CHANNEL: "no announced channel leads away from the source",
}
"""Where the words for payments speak of ourselves and of invoices. Nobody has asked for a payment here."""


def _why_not(found: NoRoute) -> str:
    return _WHY_NOT.get(found.reason) or str(found)


class ListNodesRequest(Record):
    """All, or one."""

    id: Annotated[PubKey | None, Meta(description="one node")] = None
    start: Annotated[PubKey | None, Meta(description="begin behind this node id, in byte order")] = None
    limit: Limit = 1000


class GraphNode(Record, kw_only=True, omit_defaults=True):
    """A node as it announces itself."""

    nodeid: str
    alias: str | None = None
    color: str | None = None
    last_timestamp: int | None = None
    features: str | None = None
    addresses: tuple[Endpoint, ...] = ()


class ListNodesAnswer(Record):
    """The nodes."""

    nodes: tuple[GraphNode, ...]
    next: str | None = None
    """What to say as `start` for the next page; null on the last one."""


@command("listnodes", permission=Permission.READ, group="graph", help="Nodes that gossip told us of.")
async def listnodes(node: NodeHandle, request: ListNodesRequest) -> ListNodesAnswer:
    """A node without an announcement stands here with its id alone."""
    if request.id is not None:
        return ListNodesAnswer(tuple(map(_node_row, await named_node(node, NodeId(request.id)))))
    after = NodeId(b"" if request.start is None else request.start)
    page = (await node.ask_network(ListNodes(0, after, request.limit + 1), Nodes)).nodes
    more = page[request.limit - 1].node_id.hex() if len(page) > request.limit else None
    return ListNodesAnswer(tuple(map(_node_row, page[: request.limit])), more)


async def named_node(node: NodeHandle, node_id: NodeId) -> tuple[NodeInfo, ...]:
    """What gossip knows of one node: one entry, or none."""
    before = (int.from_bytes(node_id, "big") - 1).to_bytes(len(node_id), "big")
    page = (await node.ask_network(ListNodes(0, NodeId(before), 1), Nodes)).nodes
    return tuple(one for one in page if one.node_id == node_id)


def _node_row(said: NodeInfo) -> GraphNode:
    if not said.rgb_color:
        return GraphNode(nodeid=said.node_id.hex())
    return GraphNode(
        nodeid=said.node_id.hex(),
        alias=said.alias,
        color=said.rgb_color.hex(),
        last_timestamp=said.timestamp,
        features=said.features.hex(),
        addresses=tuple(map(endpoint_of, said.addresses)),
    )


class ListChannelsRequest(Record):
    """All, or those that match."""

    short_channel_id: Annotated[Scid | None, Meta(description="one channel")] = None
    source: Annotated[PubKey | None, Meta(description="only those that lead away from this node")] = None
    destination: Annotated[PubKey | None, Meta(description="only those that lead to this node")] = None
    start: Annotated[Scid | None, Meta(description="begin behind this short channel id")] = None
    limit: Limit = 1000


class GraphChannel(Record, kw_only=True, omit_defaults=True):
    """One direction of a channel."""

    source: str
    destination: str
    short_channel_id: str
    direction: int
    public: bool
    active: bool
    last_update: int
    base_fee_millisatoshi: int
    fee_per_millionth: int
    delay: int
    htlc_minimum_msat: int
    htlc_maximum_msat: int
    amount_msat: int | None = None
    """Its capacity, when somebody looked at the funding output."""


class ListChannelsAnswer(Record):
    """The channels, each direction for itself."""

    channels: tuple[GraphChannel, ...]
    next: str | None = None
    """What to say as `start` for the next page; null on the last one."""


@command("listchannels", permission=Permission.READ, group="graph", help="Channels that gossip told us of.")
async def listchannels(node: NodeHandle, request: ListChannelsRequest) -> ListChannelsAnswer:
    """Directions that nobody has announced a price for are not there."""
    page, more = await _page(node, request)
    rows = [
        row
        for channel in page
        for row in _directions(channel)
        if (request.source is None or row.source == request.source.hex())
        and (request.destination is None or row.destination == request.destination.hex())
    ]
    return ListChannelsAnswer(tuple(rows), shown_scid(more))


async def _page(
    node: NodeHandle, request: ListChannelsRequest
) -> tuple[tuple[KnownChannel, ...], ShortChannelId | None]:
    """Which channels to look at, and the last of them if there are more."""
    if request.short_channel_id is not None:
        wanted = ShortChannelId(request.short_channel_id)
        found = (await node.ask_network(ListChannels(0, wanted, 1), Channels)).channels
        return tuple(one for one in found if one.scid == wanted), None
    begin = ShortChannelId(0 if request.start is None else request.start + 1)
    end = request.source if request.source is not None else request.destination
    question = ListChannels(0, begin, request.limit + 1, None if end is None else NodeId(end))
    found = (await node.ask_network(question, Channels)).channels
    page = found[: request.limit]
    return page, page[-1].scid if len(found) > len(page) else None


def _directions(channel: KnownChannel) -> Iterator[GraphChannel]:
    ends = (channel.node_id_1.hex(), channel.node_id_2.hex())
    for direction, policy in enumerate(channel.policies):
        if policy is not None:
            yield GraphChannel(
                source=ends[direction],
                destination=ends[1 - direction],
                short_channel_id=scid_text(channel.scid),
                direction=direction,
                public=True,
                amount_msat=None if channel.capacity_sat is None else channel.capacity_sat * 1000,
                active=policy.enabled,
                last_update=policy.timestamp,
                base_fee_millisatoshi=policy.fee_base_msat,
                fee_per_millionth=policy.fee_proportional_millionths,
                delay=policy.cltv_expiry_delta,
                htlc_minimum_msat=policy.htlc_minimum_msat,
                htlc_maximum_msat=policy.htlc_maximum_msat,
            )
