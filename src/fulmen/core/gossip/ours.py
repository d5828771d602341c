"""Our own channels as gossip knows them: what we were told of each, what was said about it, and who is connected.

Nothing is decided here. A channel is found by its id, by its peer, and by the names under which its peer speaks of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fulmen.core.base.ids import ChannelId, NodeId, ShortChannelId
from fulmen.core.base.units import Timestamp
from fulmen.core.commitments.announcing import OwnChannel
from fulmen.core.wire.messages.gossip import AnnouncementSignatures, ChannelUpdate

EARLY_HALVES = 64
"""How many halves are kept for a peer of channels, or of places of them, that we were not told of yet."""


@dataclass
class Ours:
    """One channel of ours, and what was said about it."""

    channel: OwnChannel
    ours: AnnouncementSignatures | None = None
    theirs: AnnouncementSignatures | None = None
    """The peer's half, checked: said on some connection, or kept from before we were started."""
    heard_half: bool = False
    """The peer has said it since we were started."""
    sent_half: bool = False
    """Our half went out on this connection."""
    owes_half: bool = False
    """It was to go out on this connection, and waits for `channel_reestablish`."""
    update: ChannelUpdate | None = None
    sent_update: bool = False
    """Our private update went out on this connection."""
    announcing_since: Timestamp | None = None
    """When, on this connection, both halves of the announcement became due."""
    waited: bool = False
    """The announcement was waited for in vain."""
    remote_update: ChannelUpdate | None = None
    """The peer's private one, checked."""


class OurChannels:
    """All of them, and their peers."""

    def __init__(self) -> None:
        self._channels: dict[ChannelId, Ours] = {}
        self._by_scid: dict[tuple[NodeId, ShortChannelId], ChannelId] = {}
        """The names under which a peer may speak of our channel with it."""
        self._of_peer: dict[NodeId, dict[ChannelId, None]] = {}
        self._connected: dict[NodeId, None] = {}
        self._away_since: dict[NodeId, Timestamp] = {}
        self._early: dict[NodeId, dict[ChannelId, AnnouncementSignatures]] = {}
        """Halves that peers sent before we were told of the channel: frames are faster than what is first stored."""

    # What is told to us

    def put(self, channel: OwnChannel, now: Timestamp) -> Ours:
        """A channel of ours is there, or something about it is new."""
        known = self._channels.get(channel.channel_id)
        if known is None:
            known = self._channels[channel.channel_id] = Ours(channel)
            self._of_peer.setdefault(channel.node_id, {})[channel.channel_id] = None
            if channel.node_id not in self._connected:
                self._away_since.setdefault(channel.node_id, now)
        elif known.channel.scid != channel.scid:
            # A splice was locked: the new output is announced anew.
            known.ours = known.update = None
            known.sent_half = known.sent_update = False
            if known.theirs is not None and known.theirs.short_channel_id != channel.scid:
                known.theirs, known.heard_half = None, False
        self._forget_names(known.channel)
        known.channel = channel
        if known.theirs is None and channel.remote_half is not None:
            kept = channel.remote_half
            known.theirs = AnnouncementSignatures(
                channel.channel_id, kept.scid, kept.node_signature, kept.bitcoin_signature
            )
        for name in (channel.scid, channel.local_alias):
            if name is not None:
                self._by_scid[channel.node_id, name] = channel.channel_id
        return known

    def drop(self, channel_id: ChannelId) -> Ours | None:
        """A channel of ours is no more; what was known of it."""
        known = self._channels.pop(channel_id, None)
        if known is not None:
            self._forget_names(known.channel)
            theirs = self._of_peer[known.channel.node_id]
            del theirs[channel_id]
            if not theirs:
                del self._of_peer[known.channel.node_id]
                self._away_since.pop(known.channel.node_id, None)
        return known

    def connected(self, peer: NodeId) -> None:
        """A peer is there."""
        self._connected[peer] = None
        self._away_since.pop(peer, None)
        for known in self.with_peer(peer):
            known.sent_half = known.owes_half = known.sent_update = known.waited = False
            known.announcing_since = None

    def disconnected(self, peer: NodeId, now: Timestamp) -> None:
        """A peer is gone."""
        self._connected.pop(peer, None)
        self._early.pop(peer, None)
        if peer in self._of_peer:
            self._away_since[peer] = now

    def keep_early(self, peer: NodeId, theirs: AnnouncementSignatures) -> None:
        """A half whose time may come."""
        kept = self._early.setdefault(peer, {})
        kept[theirs.channel_id] = theirs
        if len(kept) > EARLY_HALVES:
            del kept[next(iter(kept))]

    # What is asked of us

    def get(self, channel_id: ChannelId) -> Ours | None:
        """The channel of this id."""
        return self._channels.get(channel_id)

    def __iter__(self) -> Iterator[Ours]:
        return iter(self._channels.values())

    def with_peer(self, peer: NodeId) -> list[Ours]:
        """Those with one peer."""
        return [self._channels[channel_id] for channel_id in self._of_peer.get(peer, ())]

    def called(self, peer: NodeId, name: ShortChannelId) -> Ours | None:
        """The channel that a peer calls by this name."""
        channel_id = self._by_scid.get((peer, name))
        return None if channel_id is None else self._channels[channel_id]

    def at(self, scid: ShortChannelId) -> Ours | None:
        """The channel that stands at this place of the chain."""
        return next((known for known in self._channels.values() if known.channel.scid == scid), None)

    def is_connected(self, peer: NodeId) -> bool:
        """Whether a peer is there."""
        return peer in self._connected

    def away_since(self, peer: NodeId) -> Timestamp | None:
        """Since when a peer of channels is away; None where it is there."""
        return self._away_since.get(peer)

    def early_half(self, channel_id: ChannelId) -> AnnouncementSignatures | None:
        """The peer's half of a channel, if it came before we were told of the channel, or of that place of it."""
        return self._early.get(self._channels[channel_id].channel.node_id, {}).pop(channel_id, None)

    def _forget_names(self, channel: OwnChannel) -> None:
        for name in (channel.scid, channel.local_alias):
            if name is not None and self._by_scid.get((channel.node_id, name)) == channel.channel_id:
                del self._by_scid[channel.node_id, name]
