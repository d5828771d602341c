"""Forgetting: channels that were spent, and those of which nobody spoke for two weeks.

BOLT 7, "Pruning the Network View".
"""

from __future__ import annotations

from collections.abc import Iterable

from fulmen.core.base.ids import OutPoint, ShortChannelId
from fulmen.core.base.units import BlockHeight, Timestamp
from fulmen.core.gossip.graph import Graph
from fulmen.core.gossip.policy import GossipPolicy


class Pruning:
    """What is on its way out of the graph."""

    def __init__(self, graph: Graph, policy: GossipPolicy) -> None:
        self._graph = graph
        self._policy = policy
        self._spent: dict[ShortChannelId, BlockHeight] = {
            channel.scid: channel.spent_height for channel in graph.channels() if channel.spent_height is not None
        }
        self._at = 0

    def block(self, height: BlockHeight, spent: Iterable[OutPoint]) -> None:
        """A block is the tip, and spends these outputs."""
        for outpoint in spent:
            scid = self._graph.funded_by(outpoint)
            if scid is not None:
                self._graph.mark_spent(scid, height)
                self._spent[scid] = height
        # BOLT 7: "if the funding output of a channel is spent and received 72 block confirmations: SHOULD be removed"
        gone = [scid for scid, at in self._spent.items() if height - at >= self._policy.forget_spent_after]
        for scid in gone:
            del self._spent[scid]
            self._graph.remove_channel(scid)

    def rewound(self, height: BlockHeight) -> None:
        """What was spent above this height is not spent, and what was funded above it has no place any more.

        Such a channel goes at once: should the chain have it again, its short channel id may be another.
        """
        for scid in self._graph.scids_between((height + 1) << 40, 1 << 64, len(self._graph)):
            self._graph.remove_channel(scid)
        for scid in [scid for scid, at in self._spent.items() if at > height]:
            del self._spent[scid]
            if scid in self._graph:
                self._graph.mark_spent(scid, None)

    def step(self, now: Timestamp) -> None:
        """Look at the next slice of the graph.

        A direction of which nothing was heard for two weeks counts as never heard of, and a channel goes with its last
        direction. BOLT 7 lets a channel go with the first of them already; that would have us ask for it again and
        again, since its other side still speaks.
        """
        scids = self._graph.scids_between(self._at, 1 << 64, self._policy.prune_rows)
        self._at = scids[-1] + 1 if len(scids) == self._policy.prune_rows else 0
        oldest = now - self._policy.stale_s
        for scid in scids:
            heard = False
            for direction in (0, 1):
                stamp = self._graph.timestamp(scid, direction)
                if stamp >= oldest:
                    heard = True
                elif stamp:
                    self._graph.clear_update(scid, direction)
            if not heard and self._graph.seen(scid) < oldest:
                self._graph.remove_channel(scid)
                self._spent.pop(scid, None)
