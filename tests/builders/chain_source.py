"""Sources over sockets: the embedded chain's, and servers that answer what a test wants."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from tests.builders.regtest import Wallet, output_of

from fulmen.adapters.chain import CoreSource, Endpoint, RpcClient
from fulmen.adapters.chain.dialects import EMBEDDED, Dialect
from fulmen.core.base.policy import FeeratePolicy
from fulmen.core.bitcoin.networks import REGTEST, Network
from fulmen.regtest.rpc.server import ChainOptions, RunningChain, serve

Play = Callable[..., Coroutine[Any, Any, None]]
"""What a test does with the chain's node, a source, a wallet, and its coins."""
OPTIONS = ChainOptions(judge="btclib")


def a_source(url: str, dialect: Dialect = EMBEDDED, network: Network = REGTEST, timeout_s: float = 5.0) -> CoreSource:
    """A source behind a URL."""
    return CoreSource(RpcClient(Endpoint.from_url(url), timeout_s), network, dialect, FeeratePolicy())


@contextlib.asynccontextmanager
async def an_embedded_chain(
    options: ChainOptions = OPTIONS, dialect: Dialect = EMBEDDED
) -> AsyncIterator[tuple[RunningChain, CoreSource]]:
    """A running chain and a source that speaks to it."""
    async with serve(options) as chain:
        source = a_source(chain.url, dialect)
        try:
            yield chain, source
        finally:
            await source.close()


def on_a_chain(play: Play, dialect: Dialect = EMBEDDED) -> None:
    """Run a test against an embedded chain, with a source and a wallet of three ripe coins."""

    async def run() -> None:
        async with an_embedded_chain(dialect=dialect) as (chain, source):
            wallet = Wallet()
            mined = chain.node.mine(3, wallet.script)
            chain.node.mine(100)
            coins = [output_of(chain.node.chain.block(entry).txs[0]) for entry in mined]
            await play(chain.node, source, wallet, coins)

    asyncio.run(run())


@contextlib.asynccontextmanager
async def a_server(answer: Callable[[bytes], bytes | None]) -> AsyncIterator[str]:
    """A server that answers each request with raw bytes, or hangs up on None; gives its URL."""
    tasks: list[asyncio.Task[None]] = []

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                raw = answer(await reader.readexactly(length))
                if raw is None:
                    break
                writer.write(raw)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    try:
        yield f"http://u:p@127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def http(body: bytes, status: int = 200) -> bytes:
    """An answer of HTTP."""
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
