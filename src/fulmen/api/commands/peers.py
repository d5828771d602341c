"""Connections to other nodes."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from msgspec import Meta

from fulmen.api.errors import BadParameter, NotBuiltYet, RpcError
from fulmen.api.handle import NodeHandle
from fulmen.api.registry import Permission, command
from fulmen.api.values import PubKey
from fulmen.core.base.ids import NodeId
from fulmen.core.base.record import Record

DEFAULT_PORTS = {"bitcoin": 9735, "mainnet": 9735, "testnet": 19735, "signet": 39735, "regtest": 19846}
"""Where nodes of a network listen (BOLT 1, "Default Port"); a regtest has no port of its own there."""
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,62}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,62}[A-Za-z0-9])?)*\.?")


class ConnectRequest(Record):
    """Who, and where."""

    id: Annotated[str, Meta(description="a node id, or id@host:port", max_length=400)]
    host: Annotated[Annotated[str, Meta(max_length=253)] | None, Meta(description="a host name or an IP address")] = (
        None
    )
    port: Annotated[Annotated[int, Meta(ge=1, le=65535)] | None, Meta(description="a TCP port")] = None


class ConnectAnswer(Record, kw_only=True):
    """Both have said `init`."""

    id: str
    features: str
    direction: str
    address: dict[str, str | int]


class NoAddress(RpcError):
    """Nobody said where the node is."""

    code = 400


@command("connect", permission=Permission.CHANNELS, group="peers", help="Connect to a node, and stay connected.")
async def connect(node: NodeHandle, request: ConnectRequest) -> ConnectAnswer:
    """The address may stand in `id` or in `host` and `port`."""
    identity, host, port = read_target(request)
    if host is None:
        raise NoAddress("Where is that node? Write id@host:port.", node_id=identity)
    port = port or DEFAULT_PORTS.get(node.network, 9735)
    features = await node.connect(identity, host, port)
    kind = "ipv6" if ":" in host else "ipv4"
    return ConnectAnswer(
        id=identity.hex(),
        features=features.hex(),
        direction="out",
        address={"type": kind, "address": host, "port": port},
    )


class DisconnectRequest(Record):
    """Whom to hang up on."""

    id: Annotated[PubKey, Meta(description="the peer's node id")]
    force: Annotated[bool, Meta(description="even if there is a channel with it")] = False


class DisconnectAnswer(Record):
    """Done."""


class PeerHasChannel(RpcError):
    """A channel wants this connection."""


@command("disconnect", permission=Permission.CHANNELS, group="peers", help="Hang up on a peer.")
async def disconnect(node: NodeHandle, request: DisconnectRequest) -> DisconnectAnswer:
    """A peer with channels is dialled again, so that needs `force`."""
    views = (node.view(f"channel:{key.hex()}") for key in node.states("channel"))
    if not request.force and any(view is not None and view.node_id == request.id for view in views):
        raise PeerHasChannel("There is a channel with this peer; say force=true to hang up all the same.")
    await node.disconnect(NodeId(request.id))
    return DisconnectAnswer()


class ListPeersRequest(Record):
    """All, or one."""

    id: Annotated[PubKey | None, Meta(description="one peer")] = None


class Peer(Record, kw_only=True):
    """A node that we are, or want to be, connected to."""

    id: str
    connected: bool
    num_channels: int
    netaddr: tuple[str, ...]
    features: str


class ListPeersAnswer(Record):
    """All of them."""

    peers: tuple[Peer, ...]


@command("listpeers", permission=Permission.READ, group="peers", help="The nodes we are connected to.")
async def listpeers(node: NodeHandle, request: ListPeersRequest) -> ListPeersAnswer:
    """Those with channels stand here when they are away, too."""
    raise NotBuiltYet("listpeers waits for the peers' room.")


def read_target(request: ConnectRequest) -> tuple[NodeId, str | None, int | None]:
    """Node id, host and port, from wherever they were written.

    Raises:
        BadParameter
    """
    text, _, rest = request.id.partition("@")
    try:
        identity = NodeId(PubKey.from_json(text))
    except ValueError as wrong:
        raise BadParameter(f"The parameter 'id' of connect is wrong: {wrong}.", parameter="id") from None
    host, port = request.host, request.port
    if rest:
        if host is not None:
            raise BadParameter("Say the host once: in 'id' or in 'host'.", parameter="host")
        host, port = _host_and_port(rest, port)
    if host is not None:
        _check_host(host)
    return identity, host, port


def _host_and_port(text: str, port: int | None) -> tuple[str, int | None]:
    matched = re.fullmatch(r"\[([^\]]+)\](?::(\d{1,5}))?|([^:]+)(?::(\d{1,5}))?|([0-9a-fA-F:.]+)", text, re.ASCII)
    if matched is None:
        raise BadParameter("An address looks like host:port or [ipv6]:port.", parameter="id")
    bracketed, bracketed_port, plain, plain_port, bare = matched.groups()
    written = bracketed_port or plain_port
    if written is not None:
        if port is not None:
            raise BadParameter("Say the port once: in 'id' or in 'port'.", parameter="port")
        port = int(written)
        if not 1 <= port <= 65535:
            raise BadParameter("A port is a number from 1 to 65535.", parameter="id")
    return bracketed or plain or bare, port


def _check_host(host: str) -> None:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if not _HOST.fullmatch(host):
            raise BadParameter("The host is neither an IP address nor a host name.", parameter="host") from None
