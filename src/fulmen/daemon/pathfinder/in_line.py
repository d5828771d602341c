"""The pathfinder on the daemon's own loop, in short slices: for small networks, and where a process cannot be had."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import structlog

from fulmen.core.base.units import Timestamp
from fulmen.core.routing.pathfinder import Pathfinder
from fulmen.core.routing.words import Settings, ToPathfinder
from fulmen.daemon.pathfinder.face import Outside, Pathfinding, Post
from fulmen.daemon.pathfinder.graph_file import read_graph, write_graph

log = structlog.get_logger("pathfinder")
CHECKS = 4
"""Messages whose signatures are verified in one turn of the loop: well below a millisecond."""


class PathfinderInLine(Pathfinding):
    """Everything in this process."""

    def __init__(self, settings: Settings, outside: Outside, post: Post, cache: Path | None = None) -> None:
        super().__init__(outside, post)
        self._settings = settings
        self._cache = cache
        self._pathfinder: Pathfinder | None = None
        self._scheduled: asyncio.Handle | None = None

    async def start(self) -> None:
        """Load the cache beside the loop and begin."""
        graph = None
        if self._cache is not None:
            graph = await asyncio.to_thread(read_graph, self._cache, self._settings.chain_hash)
        self._pathfinder = Pathfinder(self._settings, graph)
        self._retell()
        self._tick()

    async def stop(self) -> None:
        """Save the graph."""
        self._end()
        if self._scheduled is not None:
            self._scheduled.cancel()
        pathfinder, self._pathfinder = self._pathfinder, None
        if pathfinder is not None and self._cache is not None:
            try:
                write_graph(self._cache, pathfinder.gossip.graph, self._settings.chain_hash)
            except OSError as error:
                log.warning("the graph's cache was not saved", why=str(error))

    def tell_at_once(self, word: ToPathfinder) -> None:
        """A word of the one it stands in for."""
        self._give(word)

    def _give(self, word: ToPathfinder) -> None:
        pathfinder = self._pathfinder
        if pathfinder is None:
            return  # not started yet: `start` tells and asks it all
        try:
            pathfinder.hear(word, _now())
        except Exception:  # a bug of gossip must not stop the node
            log.exception("the pathfinder failed", word=type(word).__name__)
        self._speak(pathfinder)
        if self._scheduled is None:
            self._scheduled = self._loop.call_soon(self._work)

    def _work(self) -> None:
        self._scheduled = None
        pathfinder = self._pathfinder
        if pathfinder is None:
            return
        try:
            more = pathfinder.work(_now(), CHECKS)
        except Exception:
            log.exception("the pathfinder failed at work")
            more = False
        self._speak(pathfinder)
        if more and self._scheduled is None:
            self._scheduled = self._loop.call_soon(self._work)

    def _speak(self, pathfinder: Pathfinder) -> None:
        for answer in pathfinder.take():
            self._act(answer, self._give)

    def _waiting(self) -> int:
        return 0


def _now() -> Timestamp:
    return Timestamp(int(time.time()))
