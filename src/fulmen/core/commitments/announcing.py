"""What the public network and a channel's own peer have to be told about a channel of ours, as one value.

A channel makes it from its state; gossip makes announcements and updates from it (BOLT 7).
"""

from __future__ import annotations

from fulmen.core.base.ids import ChannelId, NodeId, OutPoint, Point, ShortChannelId, Signature
from fulmen.core.base.machine import Event
from fulmen.core.base.policy import ForwardPolicy
from fulmen.core.base.record import Record
from fulmen.core.base.units import Msat, Sat


class AnnouncementHalf(Record):
    """What the peer signed of a channel_announcement, and for which place of the chain."""

    scid: ShortChannelId
    node_signature: Signature
    bitcoin_signature: Signature


class HalfHeard(Event):
    """From gossip, to a channel: the peer's `announcement_signatures` came, and were found good."""

    half: AnnouncementHalf


class OwnChannel(Record, kw_only=True):
    """What gossip has to know of a channel of ours."""

    channel_id: ChannelId
    node_id: NodeId
    """The peer."""
    key_index: int
    """Names our funding key at the key holder."""
    local_funding_pubkey: Point
    remote_funding_pubkey: Point
    capacity_sat: Sat
    announce: bool
    """The `announce_channel` bit of its opening."""
    outpoint: OutPoint
    scid: ShortChannelId | None
    """The real one, once the funding is as deep as gossip asks for."""
    remote_half: AnnouncementHalf | None = None
    """The peer's part of the announcement at that place, if it ever came: checked then."""
    remote_alias: ShortChannelId | None = None
    """The name that the peer gave us in its `channel_ready`: a private channel_update of ours bears it."""
    local_alias: ShortChannelId | None = None
    """The name that we gave the peer: a private channel_update of its own bears it."""
    ready: bool = True
    """`channel_ready` was sent and received."""
    online: bool = True
    """The peer is there and has said `channel_reestablish`: messages about the channel may flow."""
    closing: bool = False
    """A `shutdown` was sent or received, or the funding is spent."""
    htlc_minimum_msat: Msat
    """The peer accepts no smaller HTLC."""
    htlc_maximum_msat: Msat
    """The largest HTLC we would send: within the capacity and the peer's `max_htlc_value_in_flight_msat`."""
    forward: ForwardPolicy = ForwardPolicy()
    features: bytes = b""
