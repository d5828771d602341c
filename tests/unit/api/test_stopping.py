"""The end of the socket's server, whatever its callers are doing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.builders.handle import RunningNode

import fulmen.api.commands  # noqa: F401  (fills the registry)
from fulmen.api.server import RpcServer
from fulmen.api.socketpath import socket_to_serve


# A loop that turns for ever cannot be ended from within: hence a limit.
@pytest.mark.timeout(20)
@pytest.mark.parametrize("rounds", range(12))
def test_a_caller_who_leaves_at_that_moment_does_not_keep_it_from_ending(tmp_path: Path, rounds: int) -> None:
    async def close_so_many_rounds_of_the_loop_after_a_caller_left() -> None:
        server = RpcServer(RunningNode(), socket_to_serve(tmp_path))
        await server.start()
        reader, writer = await asyncio.open_unix_connection(str(socket_to_serve(tmp_path)))
        writer.write(b'{"jsonrpc": "2.0", "id": 1, "method": "getinfo", "params": {}}')
        assert await reader.read(1) == b"{"
        writer.close()
        for _ in range(rounds):
            await asyncio.sleep(0)
        await server.close()
        assert not socket_to_serve(tmp_path).exists()

    asyncio.run(close_so_many_rounds_of_the_loop_after_a_caller_left())
