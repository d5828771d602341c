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
from fulmen.core.gossip.ours import OurChannels, Ours
from fulmen.core.gossip.own import (
    ToSign,
    channel_update,
    same_terms,
    signatures_to_make,
    signed,
    their_checks,
    to_sign,
    whole_announcement,
)
from fulmen.core.gossip.own_node import NodeAnnouncer
from fulmen.core.gossip.policy import GossipPolicy
from fulmen.core.gossip.rules import DONT_FORWARD
from fulmen.core.gossip.signatures import SignatureCheck
from fulmen.core.signer.announcing import message_digest
from fulmen.core.wire import decode
from fulmen.core.wire.messages.gossip import (
    AnnouncementSignatures,
    ChannelAnnouncement,
    ChannelUpdate,
    NodeAnnouncement,
)

ANNOUNCEMENT_S = 10
"""How long a private update waits for the announcement that makes it needless."""
NODE_TICKET = b"node"
"""Names our node_announcement among what is being signed; a channel's is its id and what kind of message it is."""


@dataclass
class Said:
    """What came out of a step: for the peer alone, or for everybody (the graph first)."""

    direct: list[tuple[NodeId, Record]] = field(default_factory=list)
    kept: list[tuple[ChannelId, AnnouncementHalf]] = field(default_factory=list)
    """Halves of peers that the channels are to remember."""
    public: list[ChannelAnnouncement | ChannelUpdate | NodeAnnouncement] = field(default_factory=list)


class Announcer:
    """What we say of ourselves."""

    def __init__(
        self, graph: Graph, policy: GossipPolicy, chain_hash: ChainHash, node_id: NodeId, channels: OurChannels
    ) -> None:
        self._graph = graph
        self._policy = policy
        self._chain_hash = chain_hash
        self._node_id = node_id
        self._channels = channels
        self._signing: dict[bytes, ToSign] = {}
        self.node = NodeAnnouncer(graph, policy, node_id)

    def set_channel(self, channel: OwnChannel, now: Timestamp) -> None:
        """A channel of ours is there, or something about it is new."""
        known = self._channels.put(channel, now)
        if known.update is None and channel.scid is not None:
            known.update = self._update_of_graph(channel.scid, self.direction_of(channel))

    def direction_of(self, channel: OwnChannel) -> int:
        """The direction of our own updates: 0 where our node id is the lesser."""
        return 0 if self._node_id < channel.node_id else 1

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
            self._channels.keep_early(peer, theirs)
            return None
        channel = known.channel
        if channel.node_id != peer or not channel.announce or channel.closing:
            return None
        if channel.scid not in (None, theirs.short_channel_id):
            self._channels.keep_early(peer, theirs)
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
        known = self._channels.called(peer, message.short_channel_id)
        if known is None or message.short_channel_id in self._graph:
            return False
        theirs = 1 - self.direction_of(known.channel)
        return message.chain_hash == self._chain_hash and message.channel_flags & 1 == theirs

    def checks_of_update(self, peer: NodeId, message: ChannelUpdate, frame: bytes) -> tuple[SignatureCheck, ...] | None:
        """What must hold of the peer's private channel_update; None when it is no newer than the one we have."""
        known = self._channels.called(peer, message.short_channel_id)
        assert known is not None  # `names` said so
        if known.remote_update is not None and message.timestamp <= known.remote_update.timestamp:
            return None
        return (SignatureCheck(Point(peer), message_digest(frame), message.signature),)

    def update_holds(self, peer: NodeId, message: ChannelUpdate) -> Said:
        """The peer's private update is good.

        Its first one shows that it has the channel in its books by now. Ours may have come before that, and LND forgets
        what comes so early under an alias: it is sent once more.
        """
        said = Said()
        known = self._channels.called(peer, message.short_channel_id)
        if known is not None:
            if known.remote_update is None:
                known.sent_update = False
            known.remote_update = message
            self._send_update(known, said)
        return said

    # What is due

    def due(self, now: Timestamp) -> tuple[Said, list[tuple[bytes, ToSign]]]:
        """What can be said at once, and what has to be signed first, each with its ticket; each is asked for once."""
        said, asked = self._due(self._channels, now)
        node = self.node.due(now)
        if node is not None:
            self._ask(NODE_TICKET, node, asked)
        return said, asked

    def due_with(self, peer: NodeId, now: Timestamp) -> tuple[Said, list[tuple[bytes, ToSign]]]:
        """The same for the channels with one peer."""
        return self._due(self._channels.with_peer(peer), now)

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

    def signed(self, ticket: bytes, node_signature: Signature, bitcoin_signature: Signature | None = None) -> Said:
        """The signatures for a ticket have been made."""
        said = Said()
        unsigned = self._signing.pop(ticket)
        message = signed(unsigned, node_signature, bitcoin_signature)
        if isinstance(message, NodeAnnouncement):
            self.node.said(message)
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
        if known.ours is None or known.sent_half or not self._channels.is_connected(known.channel.node_id):
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
        if not channel.ready or scid is None or (not public and not self._channels.is_connected(channel.node_id)):
            return None
        stamp = max(now, 1)
        if last is not None:
            stamp = max(stamp, last.timestamp + 1)
        if public:
            stamp = max(stamp, self._graph.timestamp(scid, self.direction_of(channel)) + 1)
        away = self._channels.away_since(channel.node_id)
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
        if update is None or known.sent_update or self._is_public(known.channel):
            return
        if not self._channels.is_connected(peer):
            return
        known.sent_update = True
        said.direct.append((peer, update))

    def _update_of_graph(self, scid: ShortChannelId, direction: int) -> ChannelUpdate | None:
        frame = self._graph.update(scid, direction)
        message = decode(frame) if frame else None
        return message if isinstance(message, ChannelUpdate) else None

    def _ask(self, ticket: bytes, unsigned: ToSign, asked: list[tuple[bytes, ToSign]]) -> None:
        if ticket not in self._signing:
            self._signing[ticket] = unsigned
            asked.append((ticket, unsigned))
