"""The socket: calls from local programs, answered one by one or side by side, in bounded memory.

Only the owner of the files may connect (mode 0600), so a caller here may do everything.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path
from typing import Any

import structlog

from fulmen.api.dispatch import Dispatcher
from fulmen.api.errors import BadParameter, TooBusy
from fulmen.api.handle import NodeHandle
from fulmen.api.jsonrpc import Call, Objects, error_text, notification_text, parse_call, result_text
from fulmen.core.base.faults import Fault

MAX_CONNECTIONS = 128
MAX_CALLS = 64
"""Calls of one connection that may be under way; beyond it we read on when one is answered."""
PAUSE_S = 1.0
"""When no file descriptor is left."""
NEWS = (
    *("payment attempt", "payment attempt failed", "payment waits", "payment complete", "payment failed"),
    "invoice paid",
)
"""What a caller who enabled notifications is told."""

log = structlog.get_logger(__name__)


class RpcServer:
    """Serves one node on one unix socket."""

    def __init__(self, node: NodeHandle, path: Path) -> None:
        self._node = node
        self._dispatcher = Dispatcher(node)
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def path(self) -> Path:
        """Where it listens."""
        return self._path

    async def start(self) -> None:
        """Listen. A socket file that a dead process left behind is replaced; the data's lock keeps out a live one."""
        self._path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self._socket.bind(str(self._path))
        finally:
            os.umask(before)
        self._socket.listen(MAX_CONNECTIONS)
        self._socket.setblocking(False)
        self._listen()

    async def close(self) -> None:
        """Stop listening and let go of all callers."""
        asyncio.get_running_loop().remove_reader(self._socket)
        while self._tasks:
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            # Who is done leaves the set in the next round of the loop, and since Python 3.12 `gather` of nothing but
            # such tasks does not wait for one: without this the loop would turn here for ever.
            await asyncio.sleep(0)
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def _listen(self) -> None:
        # Not asyncio's own server: until Python 3.12 it loses callers who come while it closes.
        if self._socket.fileno() >= 0:
            asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        try:
            caller, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # gone before we looked
        except OSError as full:
            log.error("no more callers can be taken for a moment", why=full.strerror)
            asyncio.get_running_loop().remove_reader(self._socket)
            asyncio.get_running_loop().call_later(PAUSE_S, self._listen)
            return
        caller.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._serve(caller))
        self._tasks.add(task)

        def gone(_task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            caller.close()  # closed already, unless the task was cancelled before it began

        task.add_done_callback(gone)

    async def _serve(self, caller: socket.socket) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=caller)
        try:
            if len(self._tasks) > MAX_CONNECTIONS:
                writer.write(error_text(None, TooBusy(f"At most {MAX_CONNECTIONS} callers at once; try again.")))
            else:
                await _Connection(self._node, self._dispatcher, reader, writer).serve()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


class _Connection:
    """One caller."""

    def __init__(
        self,
        node: NodeHandle,
        dispatcher: Dispatcher,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._node = node
        self._dispatcher = dispatcher
        self._reader = reader
        self._writer = writer
        self._places = asyncio.Semaphore(MAX_CALLS)
        self._news: list[asyncio.Task[None]] = []

    async def serve(self) -> None:
        """Until the caller leaves."""
        try:
            async with asyncio.TaskGroup() as calls:
                with contextlib.suppress(ConnectionError):  # the caller is gone
                    await self._read(calls)
        finally:
            for task in self._news:
                task.cancel()
            await asyncio.gather(*self._news, return_exceptions=True)

    async def _read(self, calls: asyncio.TaskGroup) -> None:
        objects = Objects()
        while data := await self._reader.read(65536):
            try:
                for text in objects.feed(data):
                    await self._places.acquire()
                    calls.create_task(self._answer(text))
            except Fault as unreadable:
                await self._send(error_text(None, unreadable))
                return

    async def _answer(self, text: bytes) -> None:
        # A place is taken until the answer has been read: who asks and does not read may not fill our memory.
        try:
            response = await self._response(text)
            with contextlib.suppress(ConnectionError):
                await self._send(response)
        finally:
            self._places.release()

    async def _response(self, text: bytes) -> bytes:
        identity: Any = None
        try:
            call = parse_call(text)
            identity = call.id
            return result_text(identity, await self._result(call))
        except Fault as fault:
            return error_text(identity, fault)

    async def _result(self, call: Call) -> dict[str, Any]:
        if call.method == "notifications":
            self._notifications(call.params)
            return {}
        return await self._dispatcher.call(call.method, call.params)

    def _notifications(self, params: Any) -> None:
        """Core Lightning's `notifications`: whether this connection wants news between answers."""
        enable = params.get("enable") if isinstance(params, dict) else next(iter(params or ()), None)
        if not isinstance(enable, bool):
            raise BadParameter("`notifications` needs 'enable', true or false.", parameter="enable")
        for task in self._news:
            task.cancel()
        self._news = [asyncio.create_task(self._tell(topic)) for topic in NEWS] if enable else []

    async def _tell(self, topic: str) -> None:
        async for about in self._node.news(topic):
            await self._send(notification_text(topic, about))

    async def _send(self, text: bytes) -> None:
        self._writer.write(text)
        await self._writer.drain()
