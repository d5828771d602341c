"""Connections to other nodes."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from msgspec import Meta

from fulmen.api.errors import BadParameter
from fulmen.api.handle import NodeHandle
from fulmen.api.registry import Permission, command
from fulmen.api.values import PubKey
from fulmen.core.base.ids import NodeId
from fulmen.core.base.machine import Address
from fulmen.core.base.peers import ConnectPeer, DisconnectPeer, PeerReached, PeerView
from fulmen.core.base.record import Record
from fulmen.core.crypto.secp256k1 import is_point

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*\.?")
"""Labels of at most 63 letters (RFC 1035, section 2.3.4)."""


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
    """out, or in where the other node has dialed us."""
    address: str
    """The other end of the connection that stands."""
    already_connected: bool
    """It stood before; an address that was given has not been tried."""


@command("connect", permission=Permission.CHANNELS, group="peers", help="Connect to a node.")
async def connect(node: NodeHandle, request: ConnectRequest) -> ConnectAnswer:
    """The address may stand in `id` or in `host` and `port`; without one, those where the node was found before.

    A peer that is connected already is no error; the answer says so, with the address and direction of its connection.
    """
    identity, host, port = read_target(request)
    wanted = () if host is None else (written(host, port or node.network.lightning_port),)
    reached = await node.submit(_peer(identity), lambda command_id: ConnectPeer(command_id, wanted))
    assert isinstance(reached, PeerReached)
    found = reached.peer
    return ConnectAnswer(
        id=identity.hex(),
        features=found.remote_features.hex(),
        direction="in" if found.inbound else "out",
        address=found.address,
        already_connected=reached.already,
    )


class DisconnectRequest(Record):
    """Whom to hang up on."""

    id: Annotated[PubKey, Meta(description="the peer's node id")]
    force: Annotated[bool, Meta(description="even if there is a channel with it")] = False


class DisconnectAnswer(Record):
    """Done."""


@command("disconnect", permission=Permission.CHANNELS, group="peers", help="Hang up on a peer.")
async def disconnect(node: NodeHandle, request: DisconnectRequest) -> DisconnectAnswer:
    """A peer with channels is dialled again, so that needs `force`."""
    await node.submit(_peer(NodeId(request.id)), lambda command_id: DisconnectPeer(command_id, request.force))
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
    direction: str | None
    failed_htlcs: int
    """That it offered to us and that came to nothing, here or further on, since the start. Who probes has many."""
    failed_htlcs_per_minute: int
    """In the busier of this minute and the last."""


class ListPeersAnswer(Record):
    """All of them."""

    peers: tuple[Peer, ...]


@command("listpeers", permission=Permission.READ, group="peers", help="The nodes we are connected to.")
async def listpeers(node: NodeHandle, request: ListPeersRequest) -> ListPeersAnswer:
    """Those with channels stand here when they are away, too."""
    asked = None if request.id is None else NodeId(request.id)
    return ListPeersAnswer(
        tuple(_shown(node, peer) for peer in peers_of(node) if asked is None or peer.node_id == asked)
    )


def _shown(node: NodeHandle, peer: PeerView) -> Peer:
    failed = node.failed_htlcs(peer.node_id)
    return Peer(
        id=peer.node_id.hex(),
        connected=peer.ready,
        num_channels=len(peer.channels),
        netaddr=(peer.address,) if peer.address else (),
        features=peer.remote_features.hex(),
        direction=("in" if peer.inbound else "out") if peer.connected else None,
        failed_htlcs=failed.total,
        failed_htlcs_per_minute=failed.per_minute,
    )


def peers_of(node: NodeHandle) -> list[PeerView]:
    """All peers that show themselves."""
    return [view for view in node.views.values() if isinstance(view, PeerView)]


def read_target(request: ConnectRequest) -> tuple[NodeId, str | None, int | None]:
    """Node id, host and port, from wherever they were written.

    Raises:
        BadParameter
    """
    text, _, rest = request.id.partition("@")
    try:
        identity = NodeId(PubKey.from_json(text).plain())
    except ValueError as wrong:
        raise BadParameter(f"The parameter 'id' of connect is wrong: {wrong}.", parameter="id") from None
    if not is_point(identity):
        raise BadParameter("No node can have this id: it is no point of the curve.", parameter="id")
    host, port = request.host, request.port
    if rest:
        if host is not None:
            raise BadParameter("Say the host once: in 'id' or in 'host'.", parameter="host")
        host, port = _host_and_port(rest, port)
    if host is not None:
        _check_host(host)
    return identity, host, port


def _peer(node_id: NodeId) -> Address:
    return Address("peer", node_id)


def written(host: str, port: int) -> str:
    """host:port, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


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
