"""A running node behind a real socket, in a thread of its own, for what calls it from outside."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.builders.handle import RunningNode

import fulmen.api.commands  # noqa: F401  (fills the registry)
from fulmen.api.server import RpcServer
from fulmen.api.socketpath import socket_to_serve


@contextlib.contextmanager
def served(directory: Path, node: RunningNode) -> Iterator[RunningNode]:
    """Serve until the block is left."""
    directory.mkdir(parents=True, exist_ok=True)
    up, down = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def run() -> None:
        server = RpcServer(node, socket_to_serve(directory))
        await server.start()
        up.set()
        await down.wait()
        await server.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    try:
        assert up.wait(10)
        yield node
    finally:
        loop.call_soon_threadsafe(down.set)
        thread.join(10)
        loop.close()
