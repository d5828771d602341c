"""All connections: listening, dialing, one per peer, and who may have one.

What a connection means is for the peer machine to say; here are sockets, and the bounds on what strangers cost before
they have proven who they are (law 7).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Protocol

import structlog

from fulmen.core.base.faults import Fault, Refused
from fulmen.core.base.ids import NodeId, Point, Secret
from fulmen.core.base.machine import Address, Disconnected, Event
from fulmen.core.base.outer import HangUp, Send, WantConnection
from fulmen.core.base.peers import Connected, ConnectFailed
from fulmen.core.node import WantsChanged
from fulmen.core.transport.session import Session
from fulmen.daemon.connection import Connection
from fulmen.daemon.sparing import Sparing

log = structlog.get_logger("connections")

MAX_STRANGERS = 100
"""Inbound connections that have not finished their handshake. The oldest makes room for a newer one: who wants to talk
takes a second for it, and who only wants to take the places would have to come again all the time."""
MAX_INBOUND = 1000
"""Inbound connections at all."""
FULL = 1 << 20
"""Unsent bytes from which on a peer gets no more gossip for now."""
DIAL_TIMEOUT_S = 15.0
HANDSHAKE_TIMEOUT_S = 10.0
MAX_ADDRESSES = 8
"""How many addresses that gossip has of a node one attempt tries, after those that it was given."""

LINES_A_MINUTE = 120
"""Of the log, about connections that others made: a handshake costs a stranger next to nothing."""
NO_HOST_NAME = "no host has such a name"


class CannotListen(Refused):
    """The address cannot be listened on."""


class BadAddress(Refused):
    """An address looks like host:port, or [IPv6]:port."""


class Inbox(Protocol):
    """Where events go: the driver."""

    def post(self, address: Address, event: Event) -> None:
        """Give an event to a machine."""


class Connections:
    """The sockets of one node.

    `ecdh` is that of the node key, `ephemeral` draws a fresh private key, `known` gives the addresses that gossip has.
    """

    def __init__(
        self,
        node_id: NodeId,
        inbox: Inbox,
        *,
        ecdh: Callable[[Point], bytes],
        ephemeral: Callable[[], Secret],
        known: Callable[[NodeId], tuple[str, ...]] = lambda _node_id: (),
    ) -> None:
        self._node_id = node_id
        self._inbox = inbox
        self._ecdh = ecdh
        self._ephemeral = ephemeral
        self._known = known
        self._peers: dict[NodeId, Connection] = {}
        self._all: dict[Connection, None] = {}
        self._dialing: dict[NodeId, asyncio.Task[None]] = {}
        self._waiting: dict[Connection, asyncio.Future[str]] = {}
        self._servers: list[asyncio.Server] = []
        self.held = False
        """Nothing is read: the node is under pressure, or does not know yet how high the chain is."""
        self._closed = False
        self._strangers_told = Sparing(1)
        self._inbound_told = Sparing(LINES_A_MINUTE)

    # ---- what the daemon calls -----------------------------------------------------------------

    async def listen(self, host: str, port: int) -> int:
        """Take connections; gives the port (of use when 0 was asked for).

        Raises:
            CannotListen: the address is taken, or not ours.
        """
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(self._answer, host, port)
        except OSError as error:
            raise CannotListen(host=host, port=port, why=error.strerror or str(error)) from error
        except ValueError as error:
            raise CannotListen(host=host[:80], port=port, why=NO_HOST_NAME) from error
        self._servers.append(server)
        bound: int = server.sockets[0].getsockname()[1]
        log.info("listening", host=host, port=bound)
        return bound

    def send(self, action: Send) -> None:
        """Perform a `Send`. Without a connection the message is lost: what is owed is said again after a reconnect."""
        connection = self._peers.get(action.to)
        if connection is not None:
            connection.send(action.message)

    def send_gossip(self, node_id: NodeId, message: bytes) -> bool:
        """Send bytes of gossip; False if that peer is gone."""
        connection = self._peers.get(node_id)
        if connection is None:
            return False
        connection.send_raw(message)
        return True

    def full_outboxes(self) -> tuple[NodeId, ...]:
        """Peers that are slow to read: gossip has to wait for them."""
        return tuple(node_id for node_id, connection in self._peers.items() if connection.unsent > FULL)

    def hang_up(self, action: HangUp) -> None:
        """Perform a `HangUp`: after what was sent before it."""
        connection = self._peers.get(action.to)
        if connection is not None:
            connection.close(f"we hung up: {action.reason}")

    def wants_changed(self, changed: WantsChanged) -> None:
        """Dial whom a machine wants to be connected to; give up on whom none wants any more."""
        for _, want in changed.removed:
            if isinstance(want, WantConnection):
                task = self._dialing.pop(want.node_id, None)
                if task is not None:
                    task.cancel()
        for owner, want in changed.added:
            if isinstance(want, WantConnection) and want.node_id not in self._dialing and not self._closed:
                task = asyncio.get_running_loop().create_task(self._dial(owner, want))
                self._dialing[want.node_id] = task

    def hold(self, on: bool) -> None:
        """Stop reading all sockets, or go on."""
        self.held = on
        for connection in self._all:
            connection.hold(on)

    @property
    def connected(self) -> tuple[NodeId, ...]:
        """Whom we have a connection with."""
        return tuple(self._peers)

    async def close(self) -> None:
        """Close everything."""
        self._closed = True
        for server in self._servers:
            server.close()
        tasks = tuple(self._dialing.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in tuple(self._all):
            connection.close("the node stops")
        while self._all:
            await asyncio.sleep(0.005)

    # ---- what connections call -----------------------------------------------------------------

    def ready(self, connection: Connection) -> None:
        """One connection per peer: a newer one replaces the one before it."""
        node_id = connection.node_id
        assert node_id is not None
        if self._closed or node_id == self._node_id:
            connection.drop("that is ourselves" if node_id == self._node_id else "the node stops")
            return
        older = self._peers.get(node_id)
        self._peers[node_id] = connection
        if older is not None:
            older.close("replaced by a newer connection")
        waiting = self._waiting.get(connection)
        if waiting is not None and not waiting.done():
            waiting.set_result("")
        more = self._inbound_told.line() if connection.inbound else {}
        if more is not None:
            log.info("connected", peer=node_id.hex(), address=connection.address, inbound=connection.inbound, **more)
        self._inbox.post(Address("peer", node_id), Connected(connection.inbound, connection.address))

    def heard(self, connection: Connection, event: Event) -> None:
        """The peer said something; of a connection that was replaced, nothing counts any more."""
        node_id = connection.node_id
        if node_id is not None and self._peers.get(node_id) is connection:
            self._inbox.post(Address("peer", node_id), event)

    def lost(self, connection: Connection, why: str) -> None:
        """The connection is gone."""
        self._all.pop(connection, None)
        waiting = self._waiting.get(connection)
        if waiting is not None and not waiting.done():
            waiting.set_result(why)
        node_id = connection.node_id
        if node_id is not None and self._peers.get(node_id) is connection:
            del self._peers[node_id]
            more = self._inbound_told.line() if connection.inbound else {}
            if more is not None:
                log.info("disconnected", peer=node_id.hex(), address=connection.address, why=why, **more)
            self._inbox.post(Address("peer", node_id), Disconnected())
        elif node_id is None:
            self._without_handshake(connection, why)

    # ---- making connections --------------------------------------------------------------------

    def _without_handshake(self, connection: Connection, why: str) -> None:
        more = self._strangers_told.line() if connection.inbound else {}
        if more is not None:
            log.info("no handshake", address=connection.address, inbound=connection.inbound, why=why, **more)

    def _answer(self) -> Connection:
        """Somebody connects. Too many strangers at once: the oldest is turned away."""
        session = Session.answer(self._node_id, self._ephemeral(), self._ecdh)
        inbound = [known for known in self._all if known.inbound and not known.closing]
        strangers = [known for known in inbound if known.node_id is None]
        full = len(inbound) >= MAX_INBOUND or self._closed
        if not full and len(strangers) >= MAX_STRANGERS:
            strangers[0].drop("too many strangers")
        return self._keep(_TurnedAway(session, self) if full else _Connection(session, self, inbound=True))

    def _keep(self, connection: Connection) -> Connection:
        self._all[connection] = None
        return connection

    async def _dial(self, owner: Address, want: WantConnection) -> None:
        """One attempt over all addresses."""
        tried: list[str] = []
        try:
            known = self._known(want.node_id)[:MAX_ADDRESSES]
            for address in dict.fromkeys((*want.addresses, *known)):
                why = await self._try(want.node_id, address)
                if not why:
                    return
                tried.append(f"{address}: {why}")
                log.info("could not connect", peer=want.node_id.hex(), address=address, why=why)
        finally:
            if self._dialing.get(want.node_id) is asyncio.current_task():
                del self._dialing[want.node_id]
        self._inbox.post(owner, ConnectFailed("; ".join(tried) or "no address is known", want.asked_by))

    async def _try(self, node_id: NodeId, address: str) -> str:
        """One address; gives why it did not work, or nothing."""
        loop = asyncio.get_running_loop()
        try:
            host, port = host_and_port(address)
            session = Session.dial(self._node_id, node_id, self._ephemeral(), self._ecdh)
        except Fault as fault:
            return str(fault)
        connection = _Connection(session, self, inbound=False)
        outcome: asyncio.Future[str] = loop.create_future()
        self._waiting[connection] = outcome
        try:
            self._keep(connection)
            async with asyncio.timeout(DIAL_TIMEOUT_S):
                await loop.create_connection(lambda: connection, host, port)
            return await outcome
        except TimeoutError:
            self._all.pop(connection, None)
            return "nobody answered in time"
        except OSError as error:
            self._all.pop(connection, None)
            return _why(error)
        except ValueError:
            # The codec of host names says so (UnicodeError), of a label that is empty or longer than 63 letters.
            self._all.pop(connection, None)
            return NO_HOST_NAME
        except asyncio.CancelledError:
            # With a result it stands, and is not wanted because it does; our own wait for it was cancelled with us.
            if outcome.cancelled() or not outcome.done():
                self._all.pop(connection, None)
                connection.drop("not wanted any more")
            raise
        finally:
            del self._waiting[connection]


class _Connection(Connection):
    def __init__(self, session: Session, owner: Connections, inbound: bool) -> None:
        super().__init__(session, owner, inbound, HANDSHAKE_TIMEOUT_S)


class _TurnedAway(_Connection):
    """Accepted by the kernel before we could say no."""

    def __init__(self, session: Session, owner: Connections) -> None:
        super().__init__(session, owner, inbound=True)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it without a word."""
        super().connection_made(transport)
        self.drop("too many connections")


def _why(error: OSError) -> str:
    """What the system says, without the words that asyncio puts around an address that the reader has already."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)


def host_and_port(address: str, *, listening: bool = False) -> tuple[str, int]:
    """The two halves of "host:port" or "[IPv6]:port". To listen on, port 0 is any free one.

    Raises:
        BadAddress: it does not look like that.
    """
    host, colon, port = address.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not (
        colon and host and port.isascii() and port.isdigit() and len(port) < 6 and (not listening) <= int(port) < 65536
    ):
        raise BadAddress(address=address[:80])
    return host, int(port)
