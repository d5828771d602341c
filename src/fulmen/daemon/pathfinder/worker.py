"""The pathfinder's own process: words come in on standard input, answers go out on standard output.

It alone imports numba, which loads and compiles on a thread while the plain search answers. It ends when its input
does, so it never outlives the daemon.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fulmen.core.base.units import Timestamp
from fulmen.core.routing.edges import Edges
from fulmen.core.routing.finder import SearchFunction
from fulmen.core.routing.pathfinder import Pathfinder
from fulmen.core.routing.words import Heard, PassFrame, ToPathfinder, Words
from fulmen.daemon.pathfinder.frames import Reader, Start, Writer
from fulmen.daemon.pathfinder.graph_file import read_graph, write_graph

CHECKS = 16
"""Messages whose signatures are verified between two looks at the pipe: some two milliseconds."""
SAVE_S = 3600
MAX_OUT = 32 << 20
"""Bytes of answers that may wait for the daemon; beyond that, frames for peers are dropped."""


class Worker:
    """One pathfinder between two pipes."""

    def __init__(self, start: Start, incoming: int, outgoing: int) -> None:
        self._start = start
        self._in, self._out = incoming, outgoing
        self._reader: Reader[ToPathfinder] = Reader(Words)
        self._writer = Writer()
        self._unsent = bytearray()
        self._compiled: Callable[[Edges], SearchFunction] | None = None
        self._cache = Path(start.cache) if start.cache else None
        graph = None if self._cache is None else read_graph(self._cache, start.settings.chain_hash)
        self._pathfinder = Pathfinder(start.settings, graph)
        self._changes = self._pathfinder.gossip.graph.watch()
        self._changes.take()
        self._saved_at = time.monotonic()

    def run(self) -> None:
        """Until the input ends."""
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        if self._start.compile:
            threading.Thread(target=self._load_compiled, daemon=True).start()
        busy = True
        while self._pipes(0.0 if busy else 1.0):
            self._speed_up()
            busy = self._guarded(partial(self._pathfinder.work, _now(), CHECKS))
            self._speak()
            if time.monotonic() - self._saved_at > SAVE_S:
                self._save()
        self._save()

    def _pipes(self, timeout: float) -> bool:
        """Write what can be written, hear what came; False when the daemon is gone."""
        readable, writable, _ = select.select([self._in], [self._out] if self._unsent else [], [], timeout)
        if writable:
            try:
                del self._unsent[: os.write(self._out, self._unsent[: 1 << 20])]
            except BrokenPipeError:
                return False
        if readable:
            data = os.read(self._in, 1 << 20)
            if not data:
                return False
            words = self._reader.feed(data)
            # Who waits for an answer does not wait for gossip that came in the same piece.
            for word in sorted(words, key=lambda word: isinstance(word, Heard)):
                self._guarded(partial(self._pathfinder.hear, word, _now()))
        return True

    def _guarded(self, do: Callable[[], bool | None]) -> bool:
        """A bug is said on standard error (the daemon's log), and the next word may go well."""
        try:
            return bool(do())
        except Exception:
            traceback.print_exc()
            return False

    def _speak(self) -> None:
        for answer in self._pathfinder.take():
            if len(self._unsent) < MAX_OUT or not isinstance(answer, PassFrame):
                self._unsent += self._writer.pack(answer)

    def _load_compiled(self) -> None:
        try:
            from fulmen.core.routing.compiled import CompiledSearch, warm_up

            warm_up()
        except ImportError:
            return  # the plain search serves well enough

        def compile(edges: Edges) -> SearchFunction:
            return CompiledSearch(edges).shortest_path

        self._compiled = compile

    def _speed_up(self) -> None:
        if self._compiled is not None:
            self._pathfinder.speed_up(self._compiled)
            self._compiled = None

    def _save(self) -> None:
        self._saved_at = time.monotonic()
        changed, policies = self._changes.take()
        if self._cache is None or not (changed or policies):
            return
        try:
            write_graph(self._cache, self._pathfinder.gossip.graph, self._start.settings.chain_hash)
        except OSError as error:
            print(f"the graph's cache was not saved: {error}", file=sys.stderr)


def main() -> None:
    """Between standard input and what standard output was; whatever is printed by mistake goes to standard error."""
    # Ctrl-C in a terminal, and a supervisor's SIGTERM, reach the whole group; the daemon decides when this ends.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    incoming, outgoing = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    first: Reader[Start] = Reader(Start)
    started: list[Start] = []
    while not started:
        # Byte by byte, so that nothing of what follows is taken along.
        data = os.read(incoming, 1)
        if not data:
            return
        started = first.feed(data)
    Worker(started[0], incoming, outgoing).run()


def _now() -> Timestamp:
    return Timestamp(int(time.time()))


if __name__ == "__main__":
    main()
