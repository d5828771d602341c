"""The embedded chain as a process: own data directory, cookie file, port, graceful stop.

The directory holds `chain.dat` (every block and command, read back at start), `mempool.dat` (what was unconfirmed at a
graceful stop), `.cookie` (user:password, as bitcoind writes it, while it runs), `kernel` (what its judge needs while it
runs) and `port`, which is taken again at the next start if it can be had: who knows this chain by its address finds it
there.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from fulmen.core.base.faults import Malformed, Refused
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.regtest.consensus import Rejected
from fulmen.regtest.judges import open_judge
from fulmen.regtest.node import RegtestNode
from fulmen.regtest.relaypolicy import RelayPolicy
from fulmen.regtest.rpc import dispatch
from fulmen.regtest.rpc.http import HttpServer

COOKIE_USER = "__cookie__"


@dataclass(frozen=True, slots=True)
class ChainOptions:
    """How to run an embedded chain."""

    directory: Path | None = None
    """None: nothing is kept."""
    host: str = "127.0.0.1"
    port: int = 0
    """0: that of the last time, or a free one."""
    user: str = ""
    password: str = ""
    """Accepted besides the cookie, if set."""
    judge: str = ""
    """Empty: the best that is installed."""
    policy: RelayPolicy = field(default_factory=RelayPolicy)


class DirectoryInUse(Refused):
    """Another process runs a chain in this directory."""


class RunningChain:
    """An embedded chain that answers RPC.

    Raises:
        DirectoryInUse, NoSuchJudge
    """

    def __init__(self, options: ChainOptions) -> None:
        self._options = options
        self._cookie = secrets.token_hex(32)
        self.stopped = asyncio.Event()
        """Set when a caller asked it to stop."""
        judge = open_judge(options.judge, options.directory)
        directory = options.directory
        self._lock: IO[bytes] | None = None
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = _locked(directory / ".lock")
        path = None if directory is None else directory / "chain.dat"
        self.node = RegtestNode(judge, lambda: int(time.time()), path, options.policy)
        self.node.on_stop = self.stopped.set
        self._load_mempool()
        credentials = [(COOKIE_USER, self._cookie)]
        if options.user:
            credentials.append((options.user, options.password))
        self._http = HttpServer(self._answer, credentials)
        self.port = 0

    @property
    def url(self) -> str:
        """Where it listens, with what it takes to be let in."""
        return f"http://{COOKIE_USER}:{self._cookie}@{self._options.host}:{self.port}/"

    async def start(self) -> None:
        """Listen, and leave the cookie where callers look for it."""
        self.port = await self._listen()
        if self._options.directory is not None:
            cookie = self._options.directory / ".cookie"
            cookie.touch(mode=0o600)
            cookie.write_text(f"{COOKIE_USER}:{self._cookie}")
            (self._options.directory / "port").write_text(str(self.port))

    async def _listen(self) -> int:
        host, port, directory = self._options.host, self._options.port, self._options.directory
        if not port and directory is not None:
            try:
                return await self._http.start(host, int((directory / "port").read_text()))
            except (OSError, ValueError, OverflowError):
                pass  # never written, not readable, or somebody else's by now
        return await self._http.start(host, port)

    async def stop(self) -> None:
        """Stop listening, keep the mempool, close all files."""
        await self._http.stop()
        directory = self._options.directory
        if directory is not None:
            kept = "".join(f"{pooled.raw.hex()}\n" for pooled in self.node.pool)
            (directory / "mempool.dat").write_text(kept)
            (directory / ".cookie").unlink(missing_ok=True)
        self.node.close()
        if self._lock is not None:
            self._lock.close()

    def _answer(self, body: bytes) -> tuple[int, bytes]:
        return dispatch.answer(self.node, body)

    def _load_mempool(self) -> None:
        if self._options.directory is None:
            return
        path = self._options.directory / "mempool.dat"
        if not path.exists():
            return
        for line in path.read_text().splitlines():
            # What is damaged or no longer fits the chain is left out, as any node would.
            with contextlib.suppress(Rejected, Malformed, ValueError):
                self.node.submit_tx(parse_tx(bytes.fromhex(line)))


def _locked(path: Path) -> IO[bytes]:
    """The lock lasts as long as the file is open; the system lets go of it when the process dies."""
    lock = path.open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise DirectoryInUse(directory=str(path.parent)) from None
    return lock


@contextlib.asynccontextmanager
async def serve(options: ChainOptions) -> AsyncIterator[RunningChain]:
    """An embedded chain that answers for as long as the block lasts."""
    chain = RunningChain(options)
    try:
        await chain.start()
        yield chain
    finally:
        await chain.stop()
