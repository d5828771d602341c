"""Whom we ask for gossip: enough peers that we take it live from, one after the other for what we may have missed.

BOLT 7, "Query Messages" and "Initial Sync". What is asked of one peer, and in which order, is in `sync`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fulmen.core.base.ids import NodeId
from fulmen.core.base.record import Record
from fulmen.core.base.units import Timestamp
from fulmen.core.gossip.graph import Graph
from fulmen.core.gossip.intake import Intake
from fulmen.core.gossip.peers import Peer
from fulmen.core.gossip.policy import GossipPolicy
from fulmen.core.gossip.sync import Phase
from fulmen.core.wire.messages.gossip import ReplyChannelRange, ReplyShortChannelIdsEnd

MAX_FAILURES = 3
"""Queries a peer may leave unanswered before we ask others."""


class Asking:
    """Our questions to all peers."""

    def __init__(
        self,
        graph: Graph,
        policy: GossipPolicy,
        node_id: NodeId,
        intake: Intake,
        peers: Mapping[NodeId, Peer],
        send: Callable[[NodeId, Record], None],
    ) -> None:
        self._graph = graph
        self._policy = policy
        self._node_id = node_id
        self._intake = intake
        self._peers = peers
        self._send = send
        self._next_resync = Timestamp(0)

    def somebody(self, now: Timestamp) -> None:
        """Have enough peers that we take live gossip from; those that never answered come last."""
        active = sum(state.sync.phase is not Phase.PASSIVE for state in self._peers.values())
        passive = [state for state in self._peers.values() if state.asks and state.sync.phase is Phase.PASSIVE]
        for state in sorted(passive, key=lambda state: state.failures)[: max(0, self._policy.sync_peers - active)]:
            if state.failures < MAX_FAILURES:
                self._start(state, now)

    def again(self, now: Timestamp) -> None:
        """Now and then, ask the peer that was asked longest ago for everything that it knows.

        If it is one that we do not listen to, it takes the place of one that we do: whoever came first, and holds all
        the places, would else decide for as long as it stays what we know of the network.
        """
        if now < self._next_resync:
            return
        self._next_resync = Timestamp(now + self._policy.resync_s)
        live = [state for state in self._peers.values() if state.sync.phase is Phase.LIVE]
        oldest = min(live, key=lambda state: state.synced_at, default=None)
        if oldest is None:
            return
        idle = [state for state in self._peers.values() if state.asks and state.sync.phase is Phase.PASSIVE]
        able = [state for state in idle if state.failures < MAX_FAILURES and state.synced_at <= oldest.synced_at]
        if able:
            self._send(oldest.node_id, oldest.sync.passive())
        self._start(min(able, key=lambda state: state.synced_at, default=oldest), now)

    def go_on(self, state: Peer, now: Timestamp) -> None:
        """The next query to a peer, or another peer where this one does not answer."""
        sync = state.sync
        if sync.timed_out(now):
            state.failures += 1
            if state.failures >= MAX_FAILURES:
                self._send(state.node_id, sync.passive())
                self.somebody(now)
                return
        # Nothing more is asked for while much of what came is still being looked at.
        if self._intake.pending_of(state.node_id) < self._policy.scids_per_query:
            query = sync.next_query(now, self._graph)
            if query is not None:
                self._send(state.node_id, query)

    def on_reply(self, state: Peer, message: ReplyChannelRange | ReplyShortChannelIdsEnd, now: Timestamp) -> None:
        """A peer answers."""
        if isinstance(message, ReplyChannelRange):
            state.sync.on_reply_channel_range(message, self._graph, now, now - self._policy.stale_s)
        else:
            state.sync.on_reply_short_channel_ids_end(message)
            state.failures = 0
        self.go_on(state, now)

    def orphans(self) -> None:
        """Have channels that only an update spoke of asked for, from who spoke."""
        for scid, peer in self._intake.wanted.items():
            state = self._peers.get(peer)
            if state is not None and state.sync.phase in (Phase.CHANNELS, Phase.LIVE):
                state.sync.want(scid)
        self._intake.wanted.clear()

    def _start(self, state: Peer, now: Timestamp) -> None:
        state.synced_at = now
        # From where our knowledge ends. LDK answers no query_short_channel_ids: who asks for more than the last six
        # hours gets everything, and anybody else nothing of the past.
        known = min(now, self._graph.newest(self._node_id))
        since = max(0, known - 2 * self._policy.flush_interval_s)
        for message in state.sync.start(now, since):
            self._send(state.node_id, message)
