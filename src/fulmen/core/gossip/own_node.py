"""Our node_announcement kept up to date. BOLT 7, "The `node_announcement` Message"."""

from __future__ import annotations

from fulmen.core.base.ids import NodeId
from fulmen.core.base.units import Timestamp
from fulmen.core.gossip.graph import Graph
from fulmen.core.gossip.own import OwnNode, ToSign, node_announcement, to_sign
from fulmen.core.gossip.policy import GossipPolicy
from fulmen.core.gossip.signatures import NO_SIGNATURE
from fulmen.core.wire import decode, encode
from fulmen.core.wire.messages.gossip import NodeAnnouncement


class NodeAnnouncer:
    """What we say of our node."""

    def __init__(self, graph: Graph, policy: GossipPolicy, node_id: NodeId) -> None:
        self._graph = graph
        self._policy = policy
        self._node_id = node_id
        self._node: OwnNode | None = None
        self._said: NodeAnnouncement | None = None

    def set(self, node: OwnNode) -> None:
        """What we want to say of it.

        Raises:
            BadAlias, BadAddress: it cannot be said; what was said before stays.
        """
        node_announcement(node, self._node_id, Timestamp(1))
        self._node = node

    def said(self, message: NodeAnnouncement) -> None:
        """Our newest one has its signature."""
        self._said = message

    def due(self, now: Timestamp) -> ToSign | None:
        """The next one, if it is time for one."""
        # BOLT 7: a node without a channel that was announced is ignored by everybody.
        if self._node is None or not self._graph.knows_node(self._node_id):
            return None
        last = self._said
        if last is None and (frame := self._graph.node_announcement(self._node_id)):
            known = decode(frame)
            assert isinstance(known, NodeAnnouncement)
            last = self._said = known
        stamp = max(now, 1, 0 if last is None else last.timestamp + 1)
        wanted = node_announcement(self._node, self._node_id, Timestamp(stamp))
        if last is not None:
            same = last.but(signature=NO_SIGNATURE, timestamp=stamp) == wanted
            wait = self._policy.refresh_s if same else self._policy.min_update_interval_s
            if now - last.timestamp < wait and encode(last) == self._graph.node_announcement(self._node_id):
                return None
        return to_sign(wanted)
