"""Our own gossip kept up to date: which announcement, update or signature is due now.

Facts about our channels come in, what has to be signed goes out, and nothing is said twice that says the same. All of
it is derivable: told the same facts after a restart, it asks for the same messages again. BOLT 7.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fulmen.core.base.ids import ChainHash, ChannelId, NodeId, Point, ShortChannelId, Signature
from fulmen.core.base.record import Record
from fulmen.core.base.units import Timestamp
from fulmen.core.commitments.announcing import AnnouncementHalf, OwnChannel
from fulmen.core.gossip.graph import DISABLE, DirectionPolicy, Graph
from fulmen.core.gossip.own import (
    OwnNode,
    ToSign,
    channel_update,
    node_announcement,
    same_terms,
    signatures_to_make,
    signed,
    their_checks,
    to_sign,
    whole_announcement,
)
from fulmen.core.gossip.policy import GossipPolicy
from fulmen.core.gossip.rules import DONT_FORWARD
from fulmen.core.gossip.signatures import NO_SIGNATURE, SignatureCheck
from fulmen.core.signer.announcing import message_digest
from fulmen.core.wire import decode, encode
from fulmen.core.wire.messages.gossip import (
    AnnouncementSignatures,
    ChannelAnnouncement,
    ChannelUpdate,
    NodeAnnouncement,
)

EARLY_HALVES = 64
"""How many halves are kept for a peer of channels, or of places of them, that we were not told of yet."""
ANNOUNCEMENT_S = 10
"""How long a private update waits for the announcement that makes it needless."""
NODE_TICKET = b"node"
"""Names our node_announcement among what is being signed; a channel's is its id and what kind of message it is."""


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


@dataclass
class Said:
    """What came out of a step: for the peer alone, or for everybody (the graph first)."""

    direct: list[tuple[NodeId, Record]] = field(default_factory=list)
    kept: list[tuple[ChannelId, AnnouncementHalf]] = field(default_factory=list)
    """Halves of peers that the channels are to remember."""
    public: list[ChannelAnnouncement | ChannelUpdate | NodeAnnouncement] = field(default_factory=list)


class Announcer:
    """What we say of ourselves."""

    def __init__(self, graph: Graph, policy: GossipPolicy, chain_hash: ChainHash, node_id: NodeId) -> None:
        self._graph = graph
        self._policy = policy
        self._chain_hash = chain_hash
        self._node_id = node_id
        self._channels: dict[ChannelId, Ours] = {}
        self._by_scid: dict[tuple[NodeId, ShortChannelId], ChannelId] = {}
        """The names under which a peer may speak of our channel with it."""
        self._of_peer: dict[NodeId, dict[ChannelId, None]] = {}
        self._connected: dict[NodeId, None] = {}
        self._away_since: dict[NodeId, Timestamp] = {}
        self._early: dict[NodeId, dict[ChannelId, AnnouncementSignatures]] = {}
        """Halves that peers sent before we were told of the channel: frames are faster than what is first stored."""
        self._signing: dict[bytes, ToSign] = {}
        self._node: OwnNode | None = None
        self._announcement: NodeAnnouncement | None = None

    # What is told to us

    def set_node(self, node: OwnNode) -> None:
        """What we want to say of our node.

        Raises:
            BadAlias, BadAddress: it cannot be said; what was said before stays.
        """
        node_announcement(node, self._node_id, Timestamp(1))
        self._node = node

    def set_channel(self, channel: OwnChannel, now: Timestamp) -> None:
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
        if known.update is None and channel.scid is not None:
            known.update = self._update_of_graph(channel.scid, self.direction_of(channel))

    def remove_channel(self, channel_id: ChannelId) -> None:
        """A channel of ours is no more."""
        known = self._channels.pop(channel_id, None)
        if known is not None:
            self._forget_names(known.channel)
            theirs = self._of_peer[known.channel.node_id]
            del theirs[channel_id]
            if not theirs:
                del self._of_peer[known.channel.node_id]
                self._away_since.pop(known.channel.node_id, None)

    def connected(self, peer: NodeId) -> None:
        """A peer is there."""
        self._connected[peer] = None
        self._away_since.pop(peer, None)
        for known in self._of(peer):
            known.sent_half = known.owes_half = known.sent_update = known.waited = False
            known.announcing_since = None

    def disconnected(self, peer: NodeId, now: Timestamp) -> None:
        """A peer is gone."""
        self._connected.pop(peer, None)
        self._early.pop(peer, None)
        if self._of(peer):
            self._away_since[peer] = now

    def channel(self, channel_id: ChannelId) -> OwnChannel | None:
        """What we were told of a channel of ours."""
        known = self._channels.get(channel_id)
        return None if known is None else known.channel

    def direction_of(self, channel: OwnChannel) -> int:
        """The direction of our own updates: 0 where our node id is the lesser."""
        return 0 if self._node_id < channel.node_id else 1

    def of_scid(self, scid: ShortChannelId) -> OwnChannel | None:
        """The channel of ours that stands at this place of the chain."""
        return next((known.channel for known in self._channels.values() if known.channel.scid == scid), None)

    def remote_terms(self, channel_id: ChannelId) -> DirectionPolicy | None:
        """What the peer asks for forwarding to us, from its public update or the one it sent to us alone."""
        known = self._channels.get(channel_id)
        if known is None:
            return None
        channel, update = known.channel, known.remote_update
        public = None if channel.scid is None else self._graph.policy(channel.scid, 1 - self.direction_of(channel))
        if public is not None or update is None:
            return public
        return DirectionPolicy(
            update.fee_base_msat,
            update.fee_proportional_millionths,
            update.cltv_expiry_delta,
            update.htlc_minimum_msat,
            update.htlc_maximum_msat,
            not update.channel_flags & DISABLE and update.htlc_minimum_msat <= update.htlc_maximum_msat,
            update.timestamp,
        )

    # What peers say of our channels

    def checks_of_half(self, peer: NodeId, theirs: AnnouncementSignatures) -> tuple[SignatureCheck, ...] | None:
        """What must hold of the peer's announcement_signatures; None: it is not for now, or not ours."""
        known = self._channels.get(theirs.channel_id)
        if known is None:
            self._keep_early(peer, theirs)
            return None
        channel = known.channel
        if channel.node_id != peer or not channel.announce or channel.closing:
            return None
        if channel.scid not in (None, theirs.short_channel_id):
            self._keep_early(peer, theirs)
            return None
        # It may name a place that we have not seen, or not as deep: it is looked at now all the same, and used then.
        return their_checks(channel.but(scid=theirs.short_channel_id), self._node_id, self._chain_hash, theirs)

    def half_holds(self, peer: NodeId, theirs: AnnouncementSignatures) -> Said:
        """The peer's half is good: keep it, and answer with ours."""
        said = Said()
        known = self._channels.get(theirs.channel_id)
        if known is None or known.channel.scid not in (None, theirs.short_channel_id):
            return said
        known.theirs, known.heard_half = theirs, True
        half = AnnouncementHalf(theirs.short_channel_id, theirs.node_signature, theirs.bitcoin_signature)
        if known.channel.remote_half is None:
            said.kept.append((theirs.channel_id, half))
        # BOLT 7: "If it has not sent `channel_ready`: SHOULD defer handling the `announcement_signatures`"
        if not self._may_announce(known.channel):
            return said
        # BOLT 7: "If it receives `announcement_signatures` for the funding transaction: MUST respond with its own"
        self._send_half(known, said)
        self._announce(known, said)
        return said

    def names(self, peer: NodeId, message: ChannelUpdate) -> bool:
        """True if this is the peer's word about a channel with us that the graph does not have."""
        channel_id = self._by_scid.get((peer, message.short_channel_id))
        if channel_id is None or message.short_channel_id in self._graph:
            return False
        theirs = 1 - self.direction_of(self._channels[channel_id].channel)
        return message.chain_hash == self._chain_hash and message.channel_flags & 1 == theirs

    def checks_of_update(self, peer: NodeId, message: ChannelUpdate, frame: bytes) -> tuple[SignatureCheck, ...] | None:
        """What must hold of the peer's private channel_update; None when it is no newer than the one we have."""
        known = self._channels[self._by_scid[peer, message.short_channel_id]]
        if known.remote_update is not None and message.timestamp <= known.remote_update.timestamp:
            return None
        return (SignatureCheck(Point(peer), message_digest(frame), message.signature),)

    def update_holds(self, peer: NodeId, message: ChannelUpdate) -> Said:
        """The peer's private update is good.

        Its first one shows that it has the channel in its books by now. Ours may have come before that, and LND forgets
        what comes so early under an alias: it is sent once more.
        """
        said = Said()
        channel_id = self._by_scid.get((peer, message.short_channel_id))
        if channel_id is not None:
            known = self._channels[channel_id]
            if known.remote_update is None:
                known.sent_update = False
            known.remote_update = message
            self._send_update(known, said)
        return said

    # What is due

    def due(self, now: Timestamp) -> tuple[Said, list[tuple[bytes, ToSign]]]:
        """What can be said at once, and what has to be signed first, each with its ticket; each is asked for once."""
        said, asked = self._due(self._channels.values(), now)
        node = self._node_due(now)
        if node is not None:
            self._ask(NODE_TICKET, node, asked)
        return said, asked

    def due_with(self, peer: NodeId, now: Timestamp) -> tuple[Said, list[tuple[bytes, ToSign]]]:
        """The same for the channels with one peer."""
        return self._due(self._of(peer), now)

    def _due(self, channels: Iterable[Ours], now: Timestamp) -> tuple[Said, list[tuple[bytes, ToSign]]]:
        said = Said()
        asked: list[tuple[bytes, ToSign]] = []
        for known in channels:
            channel_id = known.channel.channel_id
            if self._may_announce(known.channel):
                known.announcing_since = now if known.announcing_since is None else known.announcing_since
                known.waited = now - known.announcing_since >= ANNOUNCEMENT_S
            # Once everybody knows the channel, our half is of use only to a peer that lost it and sends us its own.
            needed = not self._is_public(known.channel) or known.heard_half or known.ours is not None
            if self._may_announce(known.channel) and needed:
                if known.ours is None:
                    self._ask(b"half" + channel_id, self._unsigned_half(known.channel), asked)
                elif not known.sent_half and (not known.heard_half or known.owes_half):
                    self._send_half(known, said)
            unsigned = self._update_due(known, now)
            if unsigned is not None:
                self._ask(b"update" + channel_id, unsigned, asked)
            self._send_update(known, said)
        return said, asked

    def early_half(self, channel_id: ChannelId) -> AnnouncementSignatures | None:
        """The peer's half of a channel, if it came before we were told of the channel, or of that place of it."""
        return self._early.get(self._channels[channel_id].channel.node_id, {}).pop(channel_id, None)

    def signed(self, ticket: bytes, node_signature: Signature, bitcoin_signature: Signature | None = None) -> Said:
        """The signatures for a ticket have been made."""
        said = Said()
        unsigned = self._signing.pop(ticket)
        message = signed(unsigned, node_signature, bitcoin_signature)
        if isinstance(message, NodeAnnouncement):
            self._announcement = message
            said.public.append(message)
            return said
        known = self._channels.get(ChannelId(ticket[-32:]))
        if known is None:
            return said
        if isinstance(message, AnnouncementSignatures) and message.short_channel_id == known.channel.scid:
            known.ours = message
            self._send_half(known, said)
            self._announce(known, said)
        elif isinstance(message, ChannelUpdate):
            known.update, known.sent_update = message, False
            if message.short_channel_id in self._graph and not message.message_flags & DONT_FORWARD:
                said.public.append(message)
            self._send_update(known, said)
        return said

    def unsigned(self, ticket: bytes) -> None:
        """The key holder could not sign: it is asked again when the message is due again."""
        self._signing.pop(ticket, None)

    # Announcements

    def _may_announce(self, channel: OwnChannel) -> bool:
        """BOLT 7: the `announce_channel` bit is set, no `shutdown` was sent, the funding is deep enough."""
        return channel.announce and channel.scid is not None and channel.ready and not channel.closing

    def _is_public(self, channel: OwnChannel) -> bool:
        return channel.scid is not None and channel.scid in self._graph

    def _unsigned_half(self, channel: OwnChannel) -> ToSign:
        return signatures_to_make(channel, self._node_id, self._chain_hash)

    def _send_half(self, known: Ours, said: Said) -> None:
        if known.ours is None or known.sent_half or known.channel.node_id not in self._connected:
            return
        # BOLT 2: "MUST wait to receive the other node's `channel_reestablish` message before sending any other messages
        # for that channel."
        known.owes_half = not known.channel.online
        if known.channel.online:
            known.sent_half = True
            said.direct.append((known.channel.node_id, known.ours))

    def _announce(self, known: Ours, said: Said) -> None:
        if known.ours is not None and known.theirs is not None and not self._is_public(known.channel):
            said.public.append(
                whole_announcement(known.channel, self._node_id, self._chain_hash, known.ours, known.theirs)
            )

    # Updates

    def _update_due(self, known: Ours, now: Timestamp) -> ToSign | None:
        channel, last = known.channel, known.update
        public = self._is_public(channel)
        # BOLT 7: "MUST set the `short_channel_id` to either an `alias` it has received from the peer, or the real"
        scid = channel.scid if public else channel.remote_alias or channel.scid
        # BOLT 7: "MUST NOT send a created `channel_update` before `channel_ready` has been received"
        if not channel.ready or scid is None or (not public and channel.node_id not in self._connected):
            return None
        stamp = max(now, 1)
        if last is not None:
            stamp = max(stamp, last.timestamp + 1)
        if public:
            stamp = max(stamp, self._graph.timestamp(scid, self.direction_of(channel)) + 1)
        away = self._away_since.get(channel.node_id)
        disabled = channel.closing or (away is not None and now - away >= self._policy.disable_after_s)
        wanted = channel_update(channel, self._node_id, self._chain_hash, scid, Timestamp(stamp), public, disabled)
        if last is not None and same_terms(last, wanted):
            old = public and now - last.timestamp >= self._policy.refresh_s
            return to_sign(wanted) if old else None
        if last is not None and last.short_channel_id == scid and last.message_flags == wanted.message_flags:
            soon = now - last.timestamp < self._policy.min_update_interval_s
            return None if soon else to_sign(wanted)
        return to_sign(wanted)

    def _send_update(self, known: Ours, said: Said) -> None:
        """A private update goes to the peer, once per connection and whenever it changes.

        Not on the threshold of an announcement: LND then makes its edge anew, fails on an update under an alias that
        comes meanwhile, and from there on refuses the public one, too.
        """
        update, peer = known.update, known.channel.node_id
        if self._may_announce(known.channel) and not known.waited:
            return
        if update is None or known.sent_update or peer not in self._connected or self._is_public(known.channel):
            return
        known.sent_update = True
        said.direct.append((peer, update))

    def _update_of_graph(self, scid: ShortChannelId, direction: int) -> ChannelUpdate | None:
        frame = self._graph.update(scid, direction)
        message = decode(frame) if frame else None
        return message if isinstance(message, ChannelUpdate) else None

    # The node

    def _node_due(self, now: Timestamp) -> ToSign | None:
        # BOLT 7: a node without a channel that was announced is ignored by everybody.
        if self._node is None or not self._graph.knows_node(self._node_id):
            return None
        last = self._announcement
        if last is None and (frame := self._graph.node_announcement(self._node_id)):
            known = decode(frame)
            assert isinstance(known, NodeAnnouncement)
            last = self._announcement = known
        stamp = max(now, 1, 0 if last is None else last.timestamp + 1)
        wanted = node_announcement(self._node, self._node_id, Timestamp(stamp))
        if last is not None:
            same = last.but(signature=NO_SIGNATURE, timestamp=stamp) == wanted
            wait = self._policy.refresh_s if same else self._policy.min_update_interval_s
            if now - last.timestamp < wait and encode(last) == self._graph.node_announcement(self._node_id):
                return None
        return to_sign(wanted)

    # Small things

    def _keep_early(self, peer: NodeId, theirs: AnnouncementSignatures) -> None:
        kept = self._early.setdefault(peer, {})
        kept[theirs.channel_id] = theirs
        if len(kept) > EARLY_HALVES:
            del kept[next(iter(kept))]

    def _ask(self, ticket: bytes, unsigned: ToSign, asked: list[tuple[bytes, ToSign]]) -> None:
        if ticket not in self._signing:
            self._signing[ticket] = unsigned
            asked.append((ticket, unsigned))

    def _of(self, peer: NodeId) -> list[Ours]:
        return [self._channels[channel_id] for channel_id in self._of_peer.get(peer, ())]

    def _forget_names(self, channel: OwnChannel) -> None:
        for name in (channel.scid, channel.local_alias):
            if name is not None and self._by_scid.get((channel.node_id, name)) == channel.channel_id:
                del self._by_scid[channel.node_id, name]
