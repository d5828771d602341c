"""News for whoever listens: losable, and never more than a little of it in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import structlog

from fulmen.core.base.outer import Notify
from fulmen.daemon.logs import Detail

log = structlog.get_logger("news")
KEPT = 1000
"""News that wait for one listener; the oldest go first."""
OF_EACH_HTLC = frozenset({"payment attempt", "payment attempt failed", "payment waits", "forward", "htlc failed"})
"""Steps on the way, hundreds a second. Lists tell them afterwards; the log has them where it is asked for every detail.
How a payment ended is none of them: payer and payee have one line of it each."""
WARNINGS = frozenset({"too much under way"})
"""What the operator should know of, and a peer can make happen as often as it likes."""
WARNED_EVERY_S = 60.0


class News:
    """Passes `Notify` on, and writes it to the log."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._listeners: dict[str, list[asyncio.Queue[dict[str, Any]]]] = {}
        self._warned: dict[str, tuple[float, int]] = {}
        """When a warning was last written, and how often it was not since."""

    def tell(self, news: Notify) -> None:
        """Something happened."""
        if news.topic in WARNINGS:
            self._warn(news)
        elif news.topic not in OF_EACH_HTLC:
            say = log.error if news.topic == "frozen" else log.info
            say(news.topic, **news.about)
        elif Detail.messages:
            log.debug(news.topic, **news.about)
        for queue in self._listeners.get(news.topic, ()):
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(news.about)

    def _warn(self, news: Notify) -> None:
        at, left_out = self._warned.get(news.topic, (-WARNED_EVERY_S, 0))
        if self._now() - at < WARNED_EVERY_S:
            self._warned[news.topic] = (at, left_out + 1)
            return
        self._warned[news.topic] = (self._now(), 0)
        log.warning(news.topic, **news.about, **({"more": left_out} if left_out else {}))

    async def about(self, topic: str) -> AsyncIterator[dict[str, Any]]:
        """What is told of a topic from now on."""
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(KEPT)
        self._listeners.setdefault(topic, []).append(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners[topic].remove(queue)
