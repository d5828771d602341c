"""What goes out to peers: news as it is flushed, answers to their queries, the past; each within a budget.

BOLT 7, "Rebroadcasting" and "Query Messages".
"""

from __future__ import annotations

from collections.abc import Callable

from fulmen.core.base.ids import ChainHash, NodeId
from fulmen.core.base.units import Timestamp
from fulmen.core.gossip.answers import filtered, range_replies, scid_replies
from fulmen.core.gossip.faults import QueryTooSoon
from fulmen.core.gossip.graph import Graph
from fulmen.core.gossip.peers import Peer
from fulmen.core.gossip.policy import GossipPolicy
from fulmen.core.gossip.relay import Relay
from fulmen.core.wire.messages.gossip import GossipTimestampFilter, QueryChannelRange, QueryShortChannelIds

LOOKING = 1_000
"""What an empty frame of a stream counts for, in bytes."""


class Serving:
    """Frames for all peers, and the budget that they share."""

    def __init__(
        self,
        graph: Graph,
        policy: GossipPolicy,
        chain_hash: ChainHash,
        relay: Relay,
        pass_on: Callable[[NodeId, bytes], None],
    ) -> None:
        self._graph = graph
        self._policy = policy
        self._chain_hash = chain_hash
        self._relay = relay
        self._pass_on = pass_on
        self._budget = float(policy.answer_burst_bytes)

    def refill(self, passed: int) -> None:
        """Seconds have passed: all peers together may be sent more."""
        per_s = self._policy.answer_all_bytes_per_s
        self._budget = min(per_s * 2, self._budget + passed * per_s)

    def refill_of(self, state: Peer, passed: int) -> None:
        """And so may this one."""
        policy = self._policy
        state.budget = min(policy.answer_burst_bytes, state.budget + passed * policy.answer_bytes_per_s)

    def on_question(
        self, state: Peer, message: GossipTimestampFilter | QueryChannelRange | QueryShortChannelIds, now: Timestamp
    ) -> None:
        """A peer says what it wants to hear, or asks for something.

        Raises:
            QueryTooSoon: its last question is still being answered.
        """
        if isinstance(message, GossipTimestampFilter):
            if message.chain_hash == self._chain_hash:
                state.wanted = message
                # Who asks for nothing of the past costs no look at it.
                state.backlog = filtered(self._graph, message) if message.first_timestamp <= now else None
        elif isinstance(message, QueryChannelRange):
            # BOLT 7: "if it has not sent all `reply_channel_range` to a previously received ...: MAY send a `warning`"
            if state.ranges is not None:
                raise QueryTooSoon(about="query_channel_range")
            state.ranges = range_replies(self._graph, message, self._chain_hash, self._policy.scids_per_reply)
        else:
            if state.scids is not None:
                raise QueryTooSoon(about="query_short_channel_ids")
            state.scids = scid_replies(self._graph, message, self._chain_hash)

    def flush(self, state: Peer, now: Timestamp) -> None:
        """Take what is new for a peer, if its moment has come."""
        if now < state.next_flush:
            return
        state.next_flush = Timestamp(now + self._policy.flush_interval_s)
        # BOLT 7: "SHOULD NOT forward gossip messages to peers who sent `networks` in `init` and did not specify" our
        # chain
        if not state.hears:
            state.place = self._relay.end
        elif len(state.outgoing) < self._policy.max_flush:
            frames, state.place = self._relay.flush(state.node_id, state.place, state.wanted)
            state.outgoing.extend(frames)

    def pump(self, state: Peer) -> None:
        """Send as much as the budgets allow: what was flushed first, then answers, then the past."""
        while state.budget > 0 and self._budget > 0 and not state.leaving:
            frame = _next_frame(state)
            if frame is None:
                return
            cost = len(frame) or LOOKING
            state.budget -= cost
            self._budget -= cost
            if frame:
                self._pass_on(state.node_id, frame)


def _next_frame(state: Peer) -> bytes | None:
    if state.outgoing:
        return state.outgoing.popleft()
    if state.scids is not None:
        if (frame := next(state.scids, None)) is not None:
            return frame
        state.scids = None
    if state.ranges is not None:
        if (frame := next(state.ranges, None)) is not None:
            return frame
        state.ranges = None
    if state.backlog is not None:
        if (frame := next(state.backlog, None)) is not None:
            return frame
        state.backlog = None
    return None
