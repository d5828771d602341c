"""The words in which connections, peers and their channels speak: what crosses between them, and nothing else.

One connection per peer: when a second one to the same node comes up, the shell closes the first by itself and says
`Connected` again; it never says `Disconnected` for a connection that was replaced.
"""

from __future__ import annotations

from fulmen.core.base.ids import ChainHash, ChannelId, CommandId, NodeId
from fulmen.core.base.machine import Action, Event
from fulmen.core.base.record import Record


class Connected(Event):
    """From the shell to a peer: the transport's handshake with this node is done.

    `address` is the other end as "host:port". Of an inbound connection it is no address to dial.
    """

    inbound: bool
    address: str = ""


class ConnectFailed(Event):
    """From the shell to a peer: none of its addresses could be reached this time."""

    why: str
    """Of each address that was tried, in this order."""
    asked_by: tuple[CommandId, ...] = ()
    """As in the `WantConnection` that this attempt was for."""


class MessageReceived(Event):
    """A decoded message: from the shell to a peer, and from the peer to the channel or opening that it names."""

    message: Record


class FrameRefused(Event):
    """From the shell to a peer: a frame could not be decoded. `fault` is the `Malformed` that the codec raised."""

    message_type: int
    fault: object


class PeerReady(Event):
    """From a peer to each of its channels: `init` is exchanged, channel messages may flow.

    Both feature vectors are those of this connection, as on the wire; keep none of them for the next (BOLT 1).
    """

    node_id: NodeId
    local_features: bytes
    remote_features: bytes


class ChannelAttached(Event):
    """From a channel to its peer: I exist, tell me what concerns me and keep us connected. Twice is a no-op."""

    channel_id: ChannelId


class ChannelDetached(Event):
    """From a channel to its peer: nothing is left to say between us. Twice is a no-op."""

    channel_id: ChannelId


class PeerAlive(Event):
    """From a peer to each of its channels: it answered a ping. Once in every ping interval of a connection."""


class ChannelErrored(Event):
    """From a peer to a channel (or an opening): the peer sent `error` for it, or for all channels: fail it (BOLT 1)."""

    data: bytes
    """Hostile text: print it only where it is printable ASCII."""


class OpeningStarted(Event):
    """From an opening to its peer: I exist; tell me of `error` and of a lost connection. Twice is a no-op."""

    temporary_channel_id: ChannelId


class OpeningEnded(Event):
    """From an opening to its peer: I became a channel, or nothing. Twice is a no-op."""

    temporary_channel_id: ChannelId


class FrameReceived(Event):
    """From the shell to a peer: a gossip frame (256-511), type included, not decoded."""

    raw: bytes


class ConnectPeer(Event):
    """A caller's command: connect, or say that we are. `addresses` are "host:port"; none: those known."""

    command_id: CommandId
    addresses: tuple[str, ...] = ()


class DisconnectPeer(Event):
    """A caller's command: close the connection. With channels it needs `force`, and comes back by itself."""

    command_id: CommandId
    force: bool = False


class PeerView(Record):
    """What a peer shows of itself (`Env.views["peer:<node id in hex>"]`), and what `listpeers` answers."""

    node_id: NodeId
    ready: bool
    """`init` is exchanged; channel messages may flow."""
    local_features: bytes = b""
    """As sent in `init` on this connection."""
    remote_features: bytes = b""
    """Of this connection, both fields of the peer's `init` in one; empty when not ready."""
    connected: bool = False
    inbound: bool = False
    address: str = ""
    channels: tuple[ChannelId, ...] = ()
    openings: int = 0


class PeerReached(Record):
    """What `connect` answers."""

    peer: PeerView
    already: bool
    """The connection stood before anybody asked for it: its address may be another one than the caller's."""


class GossipLink(Action):
    """Losable: a peer can be asked for gossip, or no longer."""

    node_id: NodeId
    up: bool
    remote_features: bytes = b""
    networks: tuple[ChainHash, ...] | None = None
    """What its `init` said."""


class GossipReceived(Action):
    """Losable: a gossip message (256-511) as it came, type included, for whoever keeps the graph."""

    node_id: NodeId
    raw: bytes
