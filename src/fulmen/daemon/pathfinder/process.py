"""The pathfinder in a process of its own, started again when it dies, and replaced in line when it keeps dying."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import structlog

import fulmen
from fulmen.core.routing.words import Answers, FromPathfinder, Settings, ToPathfinder
from fulmen.daemon.pathfinder.face import Outside, Pathfinding, Post
from fulmen.daemon.pathfinder.frames import PipeBroken, Reader, Start, Writer
from fulmen.daemon.pathfinder.in_line import PathfinderInLine

log = structlog.get_logger("pathfinder")
STOP_S = 10.0
"""How long the worker may take to save its graph."""
MAX_DEATHS = 3
"""So many within `LIFE_S` seconds, and the daemon does the work itself."""
LIFE_S = 60.0


class PathfinderProcess(Pathfinding):
    """The usual one."""

    def __init__(
        self, settings: Settings, outside: Outside, post: Post, cache: Path | None = None, compile: bool = True
    ) -> None:
        super().__init__(outside, post)
        self._settings = settings
        self._cache = cache
        self._start = Start(settings, "" if cache is None else str(cache), compile)
        self._writer = Writer()
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._deaths: list[float] = []
        self._replacement: PathfinderInLine | None = None
        self._stopping = False

    @property
    def process_id(self) -> int | None:
        """Of the worker, or None while there is none."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start the worker; it is heard as soon as it has read its cache."""
        await self._spawn()
        self._watch = self._loop.create_task(self._keep())
        self._tick()

    async def stop(self) -> None:
        """Let the worker save its graph and go."""
        self._stopping = True
        self._end()
        if self._replacement is not None:
            await self._replacement.stop()
        self._close_stdin()
        if self._watch is None:
            return
        _, unfinished = await asyncio.wait((self._watch,), timeout=STOP_S)
        if unfinished and self._process is not None:
            log.warning("the pathfinder does not end", process=self._process.pid)
            self._process.kill()
        await self._watch

    def _close_stdin(self) -> None:
        """The worker takes it as a word to end."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    async def _spawn(self) -> None:
        # The worker finds this same fulmen, wherever it lies.
        home = str(Path(fulmen.__file__).parent.parent)
        paths = [home, *filter(None, [os.environ.get("PYTHONPATH", "")])]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "fulmen.daemon.pathfinder.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        if self._stopping:
            # Whoever stops us saw none while this one was being made.
            self._close_stdin()
            return
        self._write(self._process, self._writer.pack(self._start))
        self._retell()

    async def _keep(self) -> None:
        """Read what it says until it ends; then start another, unless we are stopping."""
        while self._process is not None:
            process = self._process
            await self._listen(process)
            code = await process.wait()
            self._close_stdin()
            self._process = None
            if self._stopping:
                return
            now = self._loop.time()
            self._deaths = [then for then in self._deaths if now - then < LIFE_S] + [now]
            log.error("the pathfinder died", code=code, times=len(self._deaths))
            if len(self._deaths) >= MAX_DEATHS:
                await self._do_it_ourselves()
                return
            try:
                await self._spawn()
            except OSError as error:
                # Nothing is left to make a process of: of memory, perhaps, for which the one before was killed.
                log.error("no other pathfinder can be started", why=str(error))
                await self._do_it_ourselves()
                return

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        reader: Reader[FromPathfinder] = Reader(Answers)

        def reply(word: ToPathfinder) -> None:
            if self._process is process:
                self._give(word)

        while data := await process.stdout.read(1 << 16):
            try:
                answers = reader.feed(data)
            except PipeBroken:
                log.exception("the pathfinder speaks no language of ours")
                process.kill()
                return
            for answer in answers:
                try:
                    self._act(answer, reply)
                except Exception:  # what the pathfinder wants done is never worth the node
                    log.exception("doing what the pathfinder wants failed", what=type(answer).__name__)

    async def _do_it_ourselves(self) -> None:
        log.error("the pathfinder keeps dying; searching in line from now on")
        self._replacement = PathfinderInLine(self._settings, self._outside, self._post, self._cache)
        self._replacement.take_over(self)
        await self._replacement.start()

    def _give(self, word: ToPathfinder) -> None:
        if self._replacement is not None:
            self._replacement.tell_at_once(word)
        elif self._process is not None:
            self._write(self._process, self._writer.pack(word))

    def _write(self, process: asyncio.subprocess.Process, data: bytes) -> None:
        if process.stdin is not None and not process.stdin.is_closing():
            process.stdin.write(data)

    def _waiting(self) -> int:
        process = self._process
        if process is None or process.stdin is None:
            return 0
        return process.stdin.transport.get_write_buffer_size()
