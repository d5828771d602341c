"""How many HTLCs of each peer come to nothing.

Whoever probes balances pays nothing for it: an HTLC that is bound to fail tells how far it came. Most that fail are
honest, so nobody is refused for it; the operator sees who makes how many of them, and decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from fulmen.api.handle import FailedHtlcs
from fulmen.core.base.ids import ChannelId, NodeId
from fulmen.core.base.outer import Notify

log = structlog.get_logger("news")
FAILED = "htlc failed"


@dataclass(slots=True)
class _Count:
    total: int = 0
    minute: int = 0
    """Which minute `now` counts."""
    now: int = 0
    before: int = 0
    """In the minute before."""


class FailingHtlcs:
    """Counts, since the start, from the news of circuits. There is one count for each peer that had a channel.

    `warned_above` so many in one minute, the log has a warning, one a minute for each peer; 0: never.
    """

    def __init__(
        self,
        peer_of: Callable[[ChannelId], NodeId | None],
        warned_above: int,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._peer_of = peer_of
        self._warned_above = warned_above
        self._now = now
        self._counts: dict[NodeId, _Count] = {}

    def heard(self, news: Notify) -> None:
        """Something happened; most of it is nothing to us."""
        if news.topic != FAILED:
            return
        node_id = self._peer_of(ChannelId(bytes.fromhex(news.about["channel_id"])))
        if node_id is None:
            return
        count = self._counts.setdefault(node_id, _Count())
        self._turn(count)
        count.total += 1
        count.now += 1
        if count.now == self._warned_above + 1 > 1:
            log.warning("many HTLCs of a peer fail", peer=node_id.hex(), in_a_minute=count.now, since_start=count.total)

    def of(self, node_id: NodeId) -> FailedHtlcs:
        """How many of this peer's."""
        count = self._counts.get(node_id)
        if count is None:
            return FailedHtlcs(0, 0)
        self._turn(count)
        return FailedHtlcs(count.total, max(count.now, count.before))

    def _turn(self, count: _Count) -> None:
        minute = int(self._now() // 60)
        if minute != count.minute:
            count.before = count.now if minute == count.minute + 1 else 0
            count.now = 0
            count.minute = minute
