"""News for whoever listens: losable, and never more than a little of it in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import structlog

from fulmen.core.base.outer import Notify
from fulmen.daemon.logs import Detail
from fulmen.daemon.sparing import Sparing

log = structlog.get_logger("news")
KEPT = 1000
"""News that wait for one listener; the oldest go first."""
OF_EACH_HTLC = frozenset({"payment attempt", "payment attempt failed", "payment waits", "forward", "htlc failed"})
"""Steps on the way, hundreds a second. Lists tell them afterwards; the log has them where it is asked for every detail.
How a payment ended is none of them: payer and payee have one line of it each."""
WARNINGS = frozenset({"too much under way"})
"""What the operator should know of, and a peer can make happen as often as it likes."""
OF_PEERS = frozenset(
    {"peer_connected", "peer_disconnected", "peer_error", "peer_warning", "peer_fault", "opening_refused"}
)
"""What a stranger can make happen as often as it likes."""
LINES_A_MINUTE = 60
"""Of each of these."""


class News:
    """Passes `Notify` on, and writes it to the log."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._listeners: dict[str, list[asyncio.Queue[dict[str, Any]]]] = {}
        self._sparing = {topic: Sparing(1, now) for topic in WARNINGS}
        self._sparing |= {topic: Sparing(LINES_A_MINUTE, now) for topic in OF_PEERS}

    def tell(self, news: Notify) -> None:
        """Something happened."""
        if news.topic in self._sparing:
            self._tell_sparingly(news)
        elif news.topic not in OF_EACH_HTLC:
            say = log.error if news.topic == "frozen" else log.info
            say(news.topic, **news.about)
        elif Detail.messages:
            log.debug(news.topic, **news.about)
        for queue in self._listeners.get(news.topic, ()):
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(news.about)

    def _tell_sparingly(self, news: Notify) -> None:
        more = self._sparing[news.topic].line()
        if more is not None:
            say = log.warning if news.topic in WARNINGS else log.info
            say(news.topic, **(news.about | more))

    async def about(self, topic: str) -> AsyncIterator[dict[str, Any]]:
        """What is told of a topic from now on."""
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(KEPT)
        self._listeners.setdefault(topic, []).append(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners[topic].remove(queue)
