"""Gossip: the desk where everything about the public network comes in and goes out.

Pure, and driven from outside: messages, blocks and the clock go in; actions, signatures to verify or to make, and
funding outputs to look up come out. The daemon runs it beside its path finding, the simulator in line. What we ask of
peers is decided in `asking`, what they get in `serving`, what we say of ourselves in `announcer`. BOLT 7.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from fulmen.core.base.faults import Malformed, Remedy
from fulmen.core.base.ids import ALL_CHANNELS, ChainHash, ChannelId, NodeId, OutPoint, ShortChannelId, Signature
from fulmen.core.base.machine import Action, Address, Tell
from fulmen.core.base.outer import HangUp, Send
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, Timestamp
from fulmen.core.commitments.announcing import HalfHeard, OwnChannel
from fulmen.core.gossip.announcer import Announcer, Said
from fulmen.core.gossip.asking import Asking
from fulmen.core.gossip.faults import (
    BadAnnouncementSignatures,
    BadGossipSignature,
    GossipFault,
    MalformedGossip,
)
from fulmen.core.gossip.graph import Graph
from fulmen.core.gossip.intake import FundingOutput, Intake, Key, Question
from fulmen.core.gossip.ours import OurChannels
from fulmen.core.gossip.own import OwnNode, ToSign
from fulmen.core.gossip.peers import Peer
from fulmen.core.gossip.policy import GossipPolicy
from fulmen.core.gossip.pruning import Pruning
from fulmen.core.gossip.relay import Relay
from fulmen.core.gossip.rules import DONT_FORWARD, Judge
from fulmen.core.gossip.serving import Serving
from fulmen.core.gossip.signatures import SignatureCheck
from fulmen.core.gossip.sync import Phase, Sync
from fulmen.core.wire import decode, encode
from fulmen.core.wire.features import GOSSIP_QUERIES, GOSSIP_QUERIES_EX, Features
from fulmen.core.wire.messages.gossip import (
    AnnouncementSignatures,
    ChannelAnnouncement,
    ChannelUpdate,
    GossipTimestampFilter,
    NodeAnnouncement,
    QueryChannelRange,
    QueryShortChannelIds,
    ReplyChannelRange,
    ReplyShortChannelIdsEnd,
)
from fulmen.core.wire.messages.setup import WarningMessage


class PassOn(Action):
    """Losable: a frame of gossip, type included, for a peer."""

    to: NodeId
    frame: bytes


class Gossip:
    """All of BOLT 7, for one chain and one node."""

    def __init__(
        self,
        policy: GossipPolicy,
        chain_hash: ChainHash,
        node_id: NodeId,
        features: Features,
        graph: Graph | None = None,
    ) -> None:
        self.graph = Graph() if graph is None else graph
        self._policy = policy
        self._chain_hash = chain_hash
        self._node_id = node_id
        self._features = features
        self._judge = Judge(self.graph, policy, chain_hash)
        self._relay = Relay(self.graph, policy)
        self._intake = Intake(self.graph, self._judge, policy, self._relay.add)
        self._ours = OurChannels()
        self._announcer = Announcer(self.graph, policy, chain_hash, node_id, self._ours)
        self._pruning = Pruning(self.graph, policy)
        self._peers: dict[NodeId, Peer] = {}
        self._actions: list[Action] = []
        self._asking = Asking(self.graph, policy, node_id, self._intake, self._peers, self._send)
        self._serving = Serving(self.graph, policy, chain_hash, self._relay, self._pass_on)
        self._to_sign: list[tuple[bytes, ToSign]] = []
        self._direct: dict[int, tuple[NodeId, AnnouncementSignatures | ChannelUpdate]] = {}
        """What peers said of our own channels, being verified; tickets below zero, apart from those of the intake."""
        self._direct_questions: list[Question] = []
        self._next_direct = -1
        self._ticked: Timestamp | None = None
        self._turn = 0
        self._window_ends = Timestamp(0)
        self._next_lookups = Timestamp(0)

    # Peers

    def connected(
        self, peer: NodeId, features: Features, networks: tuple[ChainHash, ...] | None, now: Timestamp
    ) -> None:
        """A peer's `init` was exchanged."""
        hears = networks is None or self._chain_hash in networks
        extended = self._features.supports(GOSSIP_QUERIES_EX) and features.supports(GOSSIP_QUERIES_EX)
        # BOLT 7: staggered; a peer's own moment within the interval follows from its id.
        offset = int.from_bytes(peer[1:5], "big") % max(1, self._policy.flush_interval_s)
        state = Peer(
            peer,
            Sync(self._policy, self._chain_hash, extended),
            asks=hears and features.supports(GOSSIP_QUERIES),
            hears=hears,
            place=self._relay.end,
            next_flush=Timestamp(now + offset),
            budget=float(self._policy.answer_burst_bytes),
        )
        self._peers[peer] = state
        self._ours.connected(peer)
        self._asking.somebody(now)
        if hears:
            # LDK looks at the first filter of a connection alone: nobody whom we ask is told first to say nothing.
            if state.sync.phase is Phase.PASSIVE:
                self._send(peer, state.sync.passive())
            state.outgoing.extend(self._relay.own_frames())
        self._speak_with(peer, now)

    def disconnected(self, peer: NodeId, now: Timestamp) -> None:
        """A peer is gone, and with it everything that was on its way to it."""
        self._peers.pop(peer, None)
        self._ours.disconnected(peer, now)
        self._asking.somebody(now)

    # Messages

    def receive(self, peer: NodeId, frame: bytes, now: Timestamp) -> None:
        """A gossip message (256 to 265) from a connected peer, type included."""
        state = self._peers.get(peer)
        if state is None or state.leaving:
            return
        try:
            self._receive(state, decode(frame), frame, now)
        except Malformed as fault:
            self._blame(peer, MalformedGossip(why=fault.name))
        except GossipFault as fault:
            self._blame(peer, fault)
        self._serving.pump(state)

    def take_actions(self) -> list[Action]:
        """What is to be sent to peers or told to our channels, oldest first."""
        actions, self._actions = self._actions, []
        return actions

    # Questions and answers

    def take_checks(self) -> list[Question]:
        """Signatures to verify; each question is asked once, and must be answered by `checked`."""
        direct, self._direct_questions = self._direct_questions, []
        return direct + self._intake.take_checks()

    def checked(self, ticket: int, holds: bool, now: Timestamp) -> None:
        """Whether all checks of a question hold."""
        if ticket < 0:
            self._checked_direct(ticket, holds, now)
            return
        fault = self._intake.checked(ticket, holds, now)
        if fault is not None:
            self._blame(fault.details["peer"], fault)

    def take_lookups(self) -> list[ShortChannelId]:
        """Funding outputs to find on the chain; each is to be answered by `looked_up` or `lookup_failed`."""
        return self._intake.take_lookups()

    def looked_up(self, scid: ShortChannelId, funding: FundingOutput | None, now: Timestamp) -> None:
        """The unspent output where a short channel id points, or None."""
        self._intake.looked_up(scid, funding, now)

    def lookup_failed(self, scid: ShortChannelId) -> None:
        """The chain could not be asked."""
        self._intake.lookup_failed(scid)

    # The chain and the clock

    def block(self, height: BlockHeight, spent: Iterable[OutPoint] = ()) -> None:
        """A block is the tip now, and spends these outputs (those of other channels and of none may be among them)."""
        self._judge.height = height
        self._intake.forget_rejected()
        self._pruning.block(height, spent)

    def rewound(self, height: BlockHeight) -> None:
        """The blocks above this height are no longer in the chain."""
        self._judge.height = height
        self._pruning.rewound(height)

    def tick(self, now: Timestamp, full: Container[NodeId] = ()) -> None:
        """Time has passed: about once a second. Peers whose outbox is `full` are served later."""
        passed = max(0, now - (now if self._ticked is None else self._ticked))
        self._ticked = now
        self._serving.refill(passed)
        if now >= self._window_ends:
            self._judge.new_window()
            self._window_ends = Timestamp(now + self._policy.window_s)
        if now >= self._next_lookups:
            self._intake.ask_again()
            self._next_lookups = Timestamp(now + self._policy.lookup_retry_s)
        self._pruning.step(now)
        self._speak(now)
        self._asking.again(now)
        # Each tick another peer is served first, so that the budget of all is nobody's own.
        self._turn = (self._turn + 1) % max(1, len(self._peers))
        states = list(self._peers.values())
        self._asking.orphans()
        for state in states[self._turn :] + states[: self._turn]:
            self._serving.refill_of(state, passed)
            self._asking.go_on(state, now)
            if state.node_id not in full:
                self._serving.flush(state, now)
                self._serving.pump(state)
        self._relay.forget_before(min((state.place for state in self._peers.values()), default=self._relay.end))

    # Ourselves

    def set_node(self, node: OwnNode) -> None:
        """What we want to say of our node.

        Raises:
            BadAlias, BadAddress.
        """
        self._announcer.node.set(node)

    def set_channel(self, channel: OwnChannel, now: Timestamp) -> None:
        """A channel of ours is there, or something about it is new."""
        self._announcer.set_channel(channel, now)
        if channel.scid is not None and channel.scid in self.graph:
            # Known from the cache, or announced by the peer: ours to tell everybody all the same.
            for key in self._own_keys(channel.scid, self._announcer.direction_of(channel)):
                self._relay.own(key)
        half = self._ours.early_half(channel.channel_id)
        if half is not None:
            self._on_half(channel.node_id, half)
        self._speak_with(channel.node_id, now)

    def remove_channel(self, channel_id: ChannelId) -> None:
        """A channel of ours is no more."""
        known = self._ours.drop(channel_id)
        if known is not None and known.channel.scid is not None:
            for key in self._own_keys(known.channel.scid, self._announcer.direction_of(known.channel))[:2]:
                self._relay.disown(key)

    def take_to_sign(self) -> list[tuple[bytes, ToSign]]:
        """What the key holder is to sign, with tickets; each is asked once."""
        asked, self._to_sign = self._to_sign, []
        return asked

    def signed(
        self, ticket: bytes, node_signature: Signature, bitcoin_signature: Signature | None, now: Timestamp
    ) -> None:
        """The signatures for a ticket."""
        self._say(self._announcer.signed(ticket, node_signature, bitcoin_signature), now)

    def unsigned(self, ticket: bytes) -> None:
        """The key holder did not sign."""
        self._announcer.unsigned(ticket)

    @property
    def announcer(self) -> Announcer:
        """Our own side, for who asks what peers want for forwarding to us."""
        return self._announcer

    @property
    def intake(self) -> Intake:
        """What is being taken in, for who counts."""
        return self._intake

    def synced(self) -> bool:
        """True once some peer has answered all we asked."""
        return any(state.sync.phase is Phase.LIVE for state in self._peers.values())

    # Reading

    def _receive(self, state: Peer, message: Record, frame: bytes, now: Timestamp) -> None:
        peer = state.node_id
        if isinstance(message, ChannelUpdate) and self._announcer.names(peer, message):
            checks = self._announcer.checks_of_update(peer, message, frame)
            if checks is not None:
                self._ask_direct(peer, message, checks)
            if not message.message_flags & DONT_FORWARD:
                # The peer has both halves of the announcement, and we do not yet: this is for the graph as well.
                self._intake.offer(peer, message, frame, now)
        elif isinstance(message, ChannelAnnouncement | ChannelUpdate | NodeAnnouncement):
            self._intake.offer(peer, message, frame, now)
        elif isinstance(message, AnnouncementSignatures):
            self._on_half(peer, message)
        elif isinstance(message, GossipTimestampFilter | QueryChannelRange | QueryShortChannelIds):
            self._serving.on_question(state, message, now)
        elif isinstance(message, ReplyChannelRange | ReplyShortChannelIdsEnd):
            self._asking.on_reply(state, message, now)

    def _on_half(self, peer: NodeId, half: AnnouncementSignatures) -> None:
        checks = self._announcer.checks_of_half(peer, half)
        if checks is not None:
            self._ask_direct(peer, half, checks)

    def _ask_direct(
        self, peer: NodeId, message: AnnouncementSignatures | ChannelUpdate, checks: tuple[SignatureCheck, ...]
    ) -> None:
        if any(said == (peer, message) for said in self._direct.values()):
            return
        if sum(asker == peer for asker, _ in self._direct.values()) >= self._policy.messages_per_window:
            return
        self._direct[self._next_direct] = peer, message
        self._direct_questions.append(Question(self._next_direct, checks))
        self._next_direct -= 1

    def _checked_direct(self, ticket: int, holds: bool, now: Timestamp) -> None:
        peer, message = self._direct.pop(ticket)
        if isinstance(message, ChannelUpdate):
            if holds:
                self._say(self._announcer.update_holds(peer, message), now)
            else:
                self._blame(peer, BadGossipSignature(about="channel_update", peer=peer))
        elif holds:
            self._say(self._announcer.half_holds(peer, message), now)
            self._speak_with(peer, now)
        else:
            self._blame(peer, BadAnnouncementSignatures(channel_id=message.channel_id))

    # Speaking

    def _speak(self, now: Timestamp) -> None:
        said, asked = self._announcer.due(now)
        self._to_sign.extend(asked)
        self._say(said, now)

    def _speak_with(self, peer: NodeId, now: Timestamp) -> None:
        said, asked = self._announcer.due_with(peer, now)
        self._to_sign.extend(asked)
        self._say(said, now)

    def _own_keys(self, scid: ShortChannelId, direction: int) -> tuple[Key, ...]:
        """What we tell everybody on account of a channel: the channel, our terms for it, our node."""
        return ("channel", scid, 0), ("update", scid, direction), ("node", self._node_id)

    def _say(self, said: Said, now: Timestamp) -> None:
        for peer, message in said.direct:
            self._send(peer, message)
        for channel_id, half in said.kept:
            self._actions.append(Tell(Address("channel", channel_id), HalfHeard(half)))
        for public in said.public:
            frame = encode(public)
            if isinstance(public, ChannelAnnouncement):
                # Our own channel: the chain was looked at by whoever opened it.
                known = self._ours.at(public.short_channel_id)
                if known is not None and public.short_channel_id not in self.graph:
                    self.graph.add_channel(public, frame, now, known.channel.capacity_sat, known.channel.outpoint)
                    self._intake.release_for(public, now)
                self._own(("channel", public.short_channel_id, 0))
            elif isinstance(public, ChannelUpdate):
                self.graph.set_update(public, frame)
                self._own(("channel", public.short_channel_id, 0))
                self._own(("update", public.short_channel_id, public.channel_flags & 1))
            elif self.graph.knows_node(public.node_id):
                self.graph.set_node(public, frame)
                self._own(("node", public.node_id))

    def _own(self, key: Key) -> None:
        self._relay.own(key)
        self._relay.add(key, self._node_id)

    def _pass_on(self, peer: NodeId, frame: bytes) -> None:
        self._actions.append(PassOn(peer, frame))

    def _send(self, peer: NodeId, message: Record) -> None:
        self._actions.append(Send(peer, message))

    def _blame(self, peer: NodeId, fault: GossipFault) -> None:
        state = self._peers.get(peer)
        if state is None or state.leaving or fault.remedy is Remedy.IGNORE:
            return
        self._send(peer, WarningMessage(ALL_CHANNELS, str(fault).encode()[:1024]))
        if fault.remedy is not Remedy.WARN:
            state.leaving = True
            self._actions.append(HangUp(peer, str(fault)))
