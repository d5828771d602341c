"""From the graph that gossip keeps to the arrays that searches read: policies in place, topology built anew."""

from __future__ import annotations

from collections.abc import Iterator

from fulmen.core.gossip.graph import Changes, DirectionPolicy, Graph, GraphChannel
from fulmen.core.routing.edges import EdgeChannel, EdgePolicy
from fulmen.core.routing.finder import Finder


class Feed:
    """Keeps a finder in step with a graph.

    Building anew costs in proportion to the whole graph, so while gossip pours in the caller says how often it is
    worth it; meanwhile the arrays are those of a little while ago.
    """

    def __init__(self, graph: Graph, finder: Finder) -> None:
        self._graph = graph
        self._finder = finder
        self._changes: Changes = graph.watch()
        self._stale = True

    @property
    def stale(self) -> bool:
        """True when channels came or went since the arrays were built."""
        self._take()
        return self._stale

    def refresh(self, rebuild: bool = True) -> bool:
        """Bring the arrays up to date; True when they were built anew (and only if `rebuild` allows it)."""
        self._take()
        if not (self._stale and rebuild):
            return False
        self._finder.rebuild(edge_channels(self._graph))
        self._stale = False
        return True

    def _take(self) -> None:
        channels_changed, policies = self._changes.take()
        self._stale = self._stale or channels_changed
        for scid, direction in policies:
            policy = self._graph.policy(scid, direction)
            self._finder.update(scid, direction, _policy(policy) or _SILENT)


def edge_channels(graph: Graph) -> Iterator[EdgeChannel]:
    """Every channel that is not spent, as path finding wants it."""
    return (edge_channel(channel) for channel in graph.channels() if channel.spent_height is None)


def edge_channel(channel: GraphChannel) -> EdgeChannel:
    """One channel."""
    capacity = None if channel.capacity_sat is None else 1000 * channel.capacity_sat
    forth, back = channel.policies
    return EdgeChannel(channel.scid, channel.node_id_1, channel.node_id_2, capacity, (_policy(forth), _policy(back)))


def _policy(policy: DirectionPolicy | None) -> EdgePolicy | None:
    if policy is None:
        return None
    return EdgePolicy(
        policy.fee_base_msat,
        policy.fee_proportional_millionths,
        policy.cltv_expiry_delta,
        policy.htlc_minimum_msat,
        policy.htlc_maximum_msat,
        policy.enabled,
    )


_SILENT = EdgePolicy(0, 0, 0, 0, 0, enabled=False)
"""A direction that says nothing (any more)."""
