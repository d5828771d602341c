"""Taking gossip in: rules, then signatures, then the funding output, then the graph. Bounded at every step (law 7).

Signatures and chain are looked at outside: `take_checks` and `take_lookups` say what is wanted, `checked` and
`looked_up` bring the answers, in any order. What came before its channel is held for a while, so that the order of
arrival does not matter.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import TypeVar

from fulmen.core.base.ids import NodeId, OutPoint, ShortChannelId
from fulmen.core.base.record import Record
from fulmen.core.base.units import Sat, Timestamp
from fulmen.core.bitcoin.script import multisig, p2wsh
from fulmen.core.gossip.addresses import AddressTooShort, parse_addresses
from fulmen.core.gossip.faults import BadAddresses, BadGossipSignature, GossipFault, Ignored
from fulmen.core.gossip.graph import Graph
from fulmen.core.gossip.policy import GossipPolicy
from fulmen.core.gossip.rules import Judge
from fulmen.core.gossip.signatures import SignatureCheck, announcement_checks, node_checks, update_checks
from fulmen.core.wire.messages.gossip import ChannelAnnouncement, ChannelUpdate, NodeAnnouncement

K = TypeVar("K")
GossipMessage = ChannelAnnouncement | ChannelUpdate | NodeAnnouncement
Key = tuple[str, ShortChannelId, int] | tuple[str, NodeId]
"""What a message is about: ("channel", scid, 0), ("update", scid, direction) or ("node", node_id)."""
MAX_FAILURES = 5
"""How often the chain source may fail to say what a funding output is: some blocks it may have no more."""
MAX_PER_SCID = 8
"""Announcements of one short channel id, each of another peer, that wait for the chain to tell which is right."""


class Question(Record):
    """These checks, and where their answer goes."""

    ticket: int
    checks: tuple[SignatureCheck, ...]


class FundingOutput(Record):
    """What stands on the chain where a short channel id points."""

    outpoint: OutPoint
    amount_sat: Sat
    script_pubkey: bytes


class Pending(Record):
    """A message that is being looked at."""

    peer: NodeId
    message: GossipMessage
    frame: bytes


class Intake:
    """Everything between a peer's message and the graph."""

    def __init__(
        self, graph: Graph, judge: Judge, policy: GossipPolicy, accepted: Callable[[Key, NodeId], None]
    ) -> None:
        self._graph = graph
        self._judge = judge
        self._policy = policy
        self._accepted = accepted
        self._next_ticket = 0
        self._questions: list[Question] = []
        self._pending: dict[int, Pending] = {}
        self._frames: dict[bytes, None] = {}
        self._of_peer: dict[NodeId, int] = {}
        self._announced: dict[ShortChannelId, dict[NodeId, None]] = {}
        """Which peers have a pending announcement of a short channel id: a liar alone keeps nobody out."""
        self._awaiting: dict[ShortChannelId, list[Pending]] = {}
        """Signed well, and waiting for the chain."""
        self._unasked: dict[ShortChannelId, None] = {}
        """Those of them that nobody was asked to look up yet; the others are being looked up."""
        self._failed: dict[ShortChannelId, int] = {}
        """Those of them that the chain source could not say yet, and how often it was asked …"""
        self._resting: dict[ShortChannelId, None] = {}
        """… and of these, those that it is to be asked for in a while."""
        self._held: dict[Key, dict[NodeId, Pending]] = {}
        """What came before its channel, by whom: of several peers one may be lying."""
        self._held_of_peer: dict[NodeId, int] = {}
        self._rejected: dict[ShortChannelId, None] = {}
        self.ignored: dict[Ignored, int] = {}
        """How often each reason was met: for the operator."""
        self.wanted: dict[ShortChannelId, NodeId] = {}
        """Channels that an update spoke of and nobody announced, with who spoke: to be asked for."""

    def pending_of(self, peer: NodeId) -> int:
        """How many messages of a peer are being looked at."""
        return self._of_peer.get(peer, 0)

    def offer(self, peer: NodeId, message: GossipMessage, frame: bytes, now: Timestamp) -> Ignored | None:
        """A message came from a peer.

        Raises:
            BadAddresses: the peer passed on what no node may say.
        """
        ignored = self._offer(peer, message, frame, now)
        if ignored is not None:
            self.ignored[ignored] = self.ignored.get(ignored, 0) + 1
        return ignored

    def take_checks(self) -> list[Question]:
        """The signatures to verify, oldest first; each is asked once."""
        questions, self._questions = self._questions, []
        return questions

    def checked(self, ticket: int, holds: bool, now: Timestamp) -> GossipFault | None:
        """The answer to a question. A bad signature is its peer's fault."""
        pending = self._pending.pop(ticket)
        self._close(pending)
        message = pending.message
        if not holds:
            return BadGossipSignature(about=type(message).__name__, peer=pending.peer)
        if isinstance(message, ChannelAnnouncement):
            if self._policy.check_funding:
                self._await_chain(pending)
            else:
                self._take_channel(pending, None, now)
        else:
            self._take(pending, now)
        return None

    def take_lookups(self) -> list[ShortChannelId]:
        """Funding outputs to look for, as many as may be under way at once."""
        under_way = len(self._awaiting) - len(self._unasked) - len(self._resting)
        asked = list(islice(self._unasked, max(0, self._policy.max_lookups - under_way)))
        for scid in asked:
            del self._unasked[scid]
        return asked

    def looked_up(self, scid: ShortChannelId, funding: FundingOutput | None, now: Timestamp) -> None:
        """What the chain has where a short channel id points; None: nothing, or it is spent."""
        for pending in self._answered(scid):
            message = pending.message
            assert isinstance(message, ChannelAnnouncement)
            # BOLT 7: "if the `short_channel_id`'s output does NOT correspond to a P2WSH (using `bitcoin_key_1` and
            # `bitcoin_key_2` ...) OR the output is spent: MUST ignore the message"
            if funding is None or funding.script_pubkey != funding_script(message):
                self.ignored[Ignored.NO_FUNDING] = self.ignored.get(Ignored.NO_FUNDING, 0) + 1
                if funding is None:
                    self._reject(scid)
            else:
                self._take_channel(pending, funding, now)

    def lookup_failed(self, scid: ShortChannelId) -> None:
        """The chain could not be asked: `ask_again` does, and in the end nobody does.

        A source that is away, or that has pruned the block, says so at once. Were it asked at once, every channel that
        anybody invents in an old block would keep both busy for ever.
        """
        if scid not in self._awaiting or scid in self._unasked:
            return
        failures = self._failed.get(scid, 0) + 1
        if failures < MAX_FAILURES:
            self._failed[scid] = failures
            self._resting[scid] = None
            return
        for _ in self._answered(scid):
            self.ignored[Ignored.NOT_LOOKED_UP] = self.ignored.get(Ignored.NOT_LOOKED_UP, 0) + 1
        self._reject(scid)

    def ask_again(self) -> None:
        """Some time has passed: the chain may say now what it could not."""
        self._unasked |= self._resting
        self._resting.clear()

    def release_for(self, message: ChannelAnnouncement, now: Timestamp) -> None:
        """A channel is in the graph now: what came before it can be looked at."""
        scid = message.short_channel_id
        held: tuple[Key, ...] = (
            ("update", scid, 0),
            ("update", scid, 1),
            ("node", message.node_id_1),
            ("node", message.node_id_2),
        )
        for key in held:
            self._release(key, now)

    def forget_rejected(self) -> None:
        """A block came or went: what funded nothing may do so now."""
        self._rejected.clear()

    # What came

    def _offer(self, peer: NodeId, message: GossipMessage, frame: bytes, now: Timestamp) -> Ignored | None:
        if frame in self._frames:
            return Ignored.DUPLICATE
        if isinstance(message, ChannelAnnouncement):
            scid = message.short_channel_id
            ignored = self._judge.channel(message, frame)
            if ignored is None and scid in self._rejected:
                ignored = Ignored.NO_FUNDING
            rivals = self._announced.get(scid, {})
            if ignored is None and (peer in rivals or len(rivals) >= MAX_PER_SCID):
                ignored = Ignored.BUSY
            return ignored or self._ask(peer, message, frame, announcement_checks)
        if isinstance(message, ChannelUpdate):
            ignored = self._judge.update(message, frame, now)
            if ignored is Ignored.UNKNOWN_CHANNEL:
                self._want(message.short_channel_id, peer)
                self._hold(("update", message.short_channel_id, message.channel_flags & 1), peer, message, frame)
            return ignored or self._ask(peer, message, frame, self._update_checks)
        ignored = self._judge.node(message, frame, now)
        if ignored is Ignored.UNKNOWN_NODE:
            self._hold(("node", message.node_id), peer, message, frame)
        if ignored is None:
            _require_addresses(message, peer)
        return ignored or self._ask(peer, message, frame, node_checks)

    def _update_checks(self, message: ChannelUpdate, frame: bytes) -> tuple[SignatureCheck, ...]:
        ends = self._graph.ends(message.short_channel_id)
        assert ends is not None
        # BOLT 7: "`node_id_1` if the least-significant bit of flags is 0 or `node_id_2` otherwise"
        return update_checks(message.signature, frame, ends[message.channel_flags & 1])

    def _ask(
        self,
        peer: NodeId,
        message: GossipMessage,
        frame: bytes,
        checks: Callable[..., tuple[SignatureCheck, ...]],
    ) -> Ignored | None:
        mine = self.pending_of(peer)
        if len(self._frames) >= self._policy.max_pending or mine >= self._policy.max_pending_per_peer:
            return Ignored.BUSY
        ticket = self._next_ticket
        self._next_ticket += 1
        self._pending[ticket] = Pending(peer, message, frame)
        self._frames[frame] = None
        self._of_peer[peer] = mine + 1
        if isinstance(message, ChannelAnnouncement):
            scid = message.short_channel_id
            self._announced.setdefault(scid, {})[peer] = None
            self.wanted.pop(scid, None)
        self._questions.append(Question(ticket, checks(message, frame)))
        return None

    def _close(self, pending: Pending) -> None:
        """A message is no longer being looked at (or, of a channel, by the verifier alone)."""
        self._frames.pop(pending.frame, None)
        _less(self._of_peer, pending.peer)
        if isinstance(pending.message, ChannelAnnouncement):
            scid = pending.message.short_channel_id
            rivals = self._announced[scid]
            del rivals[pending.peer]
            if not rivals:
                del self._announced[scid]

    # What is believed

    def _answered(self, scid: ShortChannelId) -> list[Pending]:
        """Who waited for the chain's word about a place; nobody does any more."""
        self._failed.pop(scid, None)
        self._resting.pop(scid, None)
        waited = self._awaiting.pop(scid, [])
        for pending in waited:
            self._close(pending)
        return waited

    def _await_chain(self, pending: Pending) -> None:
        assert isinstance(pending.message, ChannelAnnouncement)
        scid = pending.message.short_channel_id
        # Still pending, for all caps.
        self._frames[pending.frame] = None
        self._of_peer[pending.peer] = self.pending_of(pending.peer) + 1
        self._announced.setdefault(scid, {})[pending.peer] = None
        if scid not in self._awaiting:
            self._unasked[scid] = None
        self._awaiting.setdefault(scid, []).append(pending)

    def _take_channel(self, pending: Pending, funding: FundingOutput | None, now: Timestamp) -> None:
        message = pending.message
        assert isinstance(message, ChannelAnnouncement)
        if self._judge.channel(message, pending.frame) is not None:
            return
        scid = message.short_channel_id
        ends = self._graph.ends(scid)
        if ends is not None:
            # BOLT 7: "if it has previously received a valid `channel_announcement`, for the same transaction, in the
            # same block, but for a different `node_id_1` or `node_id_2`: SHOULD blacklist ... AND forget any channels
            # connected"
            for node_id in (*ends, message.node_id_1, message.node_id_2):
                self._judge.put_on_blacklist(node_id)
                for gone in self._graph.channels_of(node_id):
                    self._graph.remove_channel(gone)
            return
        if funding is None:
            self._graph.add_channel(message, pending.frame, now)
        else:
            self._graph.add_channel(message, pending.frame, now, funding.amount_sat, funding.outpoint)
        self._accepted(("channel", scid, 0), pending.peer)
        self.release_for(message, now)

    def _take(self, pending: Pending, now: Timestamp) -> None:
        message, frame = pending.message, pending.frame
        if isinstance(message, ChannelUpdate):
            if self._judge.update(message, frame, now) is None:
                half = message.short_channel_id, message.channel_flags & 1
                self._graph.set_update(message, frame)
                self._judge.accepted(half)
                self._accepted(("update", *half), pending.peer)
        elif isinstance(message, NodeAnnouncement) and self._judge.node(message, frame, now) is None:
            self._graph.set_node(message, frame)
            self._judge.accepted(message.node_id)
            self._accepted(("node", message.node_id), pending.peer)

    # What came too early, or not at all

    def _want(self, scid: ShortChannelId, peer: NodeId) -> None:
        unknown = scid not in self._announced and scid not in self._rejected
        if unknown and len(self.wanted) < self._policy.max_wanted:
            self.wanted.setdefault(scid, peer)

    def _hold(self, key: Key, peer: NodeId, message: ChannelUpdate | NodeAnnouncement, frame: bytes) -> None:
        by_peer = self._held.get(key, {})
        known = by_peer.get(peer)
        if known is None:
            mine = self._held_of_peer.get(peer, 0)
            if mine >= self._policy.max_held_per_peer or len(by_peer) >= MAX_PER_SCID:
                return
            if sum(self._held_of_peer.values()) >= self._policy.max_held:
                self._drop(next(iter(self._held)))
            self._held_of_peer[peer] = self._held_of_peer.get(peer, 0) + 1
        elif isinstance(known.message, ChannelAnnouncement) or known.message.timestamp >= message.timestamp:
            return
        self._held.setdefault(key, {})[peer] = Pending(peer, message, frame)

    def _drop(self, key: Key) -> list[Pending]:
        held = list(self._held.pop(key, {}).values())
        for pending in held:
            _less(self._held_of_peer, pending.peer)
        return held

    def _release(self, key: Key, now: Timestamp) -> None:
        for pending in self._drop(key):
            try:
                self.offer(pending.peer, pending.message, pending.frame, now)
            except BadAddresses:
                # Its peer was not wrong to pass on what nobody could look into yet; it is just of no use.
                continue

    def _reject(self, scid: ShortChannelId) -> None:
        self._rejected[scid] = None
        if len(self._rejected) > self._policy.max_rejected:
            del self._rejected[next(iter(self._rejected))]


def funding_script(message: ChannelAnnouncement) -> bytes:
    """The scriptPubKey that a channel's funding output must have (BOLT 3, "Funding Transaction Output")."""
    # BOLT 3: "`pubkey1` is the lexicographically lesser of the two `funding_pubkey`s in compressed format"
    return p2wsh(multisig(2, *sorted((message.bitcoin_key_1, message.bitcoin_key_2))))


def _require_addresses(message: NodeAnnouncement, peer: NodeId) -> None:
    try:
        parse_addresses(message.addresses)
    except AddressTooShort as fault:
        raise BadAddresses(peer=peer) from fault


def _less(counts: dict[K, int], key: K) -> None:
    """One less of what is counted, and nothing kept of what is none."""
    left = counts[key] - 1
    if left:
        counts[key] = left
    else:
        del counts[key]
