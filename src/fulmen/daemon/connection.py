"""One connection: a socket on one side, decoded messages on the other.

An asyncio Protocol with our own framing (BOLT 8), since streams cost many times as much per message. What is sent in
one round of the loop leaves in one write. All buffers are bounded: a peer that does not read is dropped, and nothing
is read while the node is under pressure.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog

from fulmen.core.base.faults import Fault
from fulmen.core.base.ids import NodeId
from fulmen.core.base.machine import Event
from fulmen.core.base.peers import MessageReceived
from fulmen.core.base.record import Record
from fulmen.core.peer.frames import event_of
from fulmen.core.transport.session import Session
from fulmen.core.wire import encode, name_of
from fulmen.daemon.logs import Detail

log = structlog.get_logger("connection")

MAX_UNSENT = 8 << 20
"""Bytes that may wait for a peer to read them, before it is dropped: a fresh peer's gossip fits."""
LINGER_S = 5.0
"""How long a connection that we close may take to send what was said before."""


class Owner(Protocol):
    """Whoever keeps the connections."""

    @property
    def held(self) -> bool:
        """Nothing is read now, not even by a connection that is only being made."""

    def ready(self, connection: Connection) -> None:
        """The handshake is done, `connection.node_id` is proven."""

    def heard(self, connection: Connection, event: Event) -> None:
        """The peer said something."""

    def lost(self, connection: Connection, why: str) -> None:
        """The connection is gone, whether it ever was ready or not."""


class Connection(asyncio.Protocol):
    """From the first byte of the handshake to the last of the stream."""

    def __init__(self, session: Session, owner: Owner, inbound: bool, handshake_timeout_s: float) -> None:
        self.inbound = inbound
        self.node_id: NodeId | None = None
        self.address = ""
        self._session = session
        self._owner = owner
        self._timeout_s = handshake_timeout_s
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._unsent: list[bytes] = []
        self._closing = False
        self._why = "closed by the peer"

    # ---- what the loop calls -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.address = _address(transport.get_extra_info("peername"))
        self._timer = asyncio.get_running_loop().call_later(self._timeout_s, self._too_late)
        if self._owner.held:
            transport.pause_reading()
        if self._session.opening:
            transport.write(self._session.opening)

    def data_received(self, data: bytes) -> None:
        """Bytes came, in any chunks."""
        if self._closing:
            return
        try:
            received = self._session.feed(data)
        except Fault as fault:
            self.drop(f"{fault.name}: {fault}")
            return
        if received.reply and self._transport is not None:
            self._transport.write(received.reply)
        if self.node_id is None and self._session.ready:
            self._handshake_done()
        for frame in received.messages:
            if self._closing:
                return
            self._on_frame(frame)

    def eof_received(self) -> None:
        """The peer will send nothing more; there are no half-open connections in BOLT 8."""
        try:
            self._session.end()
        except Fault as fault:
            self._why = f"{fault.name}: {fault}"

    def connection_lost(self, error: Exception | None) -> None:
        """The socket is closed."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        self._unsent.clear()
        self._transport = None
        if error is not None:
            self._why = f"{type(error).__name__}: {error}"
        self._owner.lost(self, self._why)

    # ---- what the owner calls ------------------------------------------------------------------

    def send(self, message: Record) -> None:
        """Send a message, with everything else that is said in this round of the loop.

        Raises:
            Fault: this message has no form on the wire; nothing was sent.
        """
        if self._closing or self._transport is None:
            return
        frame = self._session.seal(encode(message))
        if Detail.messages:
            log.debug("sent", peer=self._name, message=name_of(message))
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent.append(frame)

    @property
    def unsent(self) -> int:
        """Bytes that wait for the peer to read them."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def send_raw(self, message: bytes) -> None:
        """Send the bytes of a message that is encoded already (gossip)."""
        if self._closing or self._transport is None:
            return
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent.append(self._session.seal(message))

    def close(self, why: str) -> None:
        """Send what was said before, and close."""
        if self._closing or self._transport is None:
            return
        self._flush()
        if self._transport is not None:
            self._closing = True
            self._why = why
            self._transport.close()
            self._linger()

    def drop(self, why: str) -> None:
        """Close at once."""
        if self._transport is not None:
            self._closing = True
            self._why = why
            self._transport.abort()

    def hold(self, on: bool) -> None:
        """Stop reading, or go on."""
        if self._transport is None or self._transport.is_closing():
            return
        if on:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    @property
    def closing(self) -> bool:
        """It is on its way out; what it still brings does not count."""
        return self._closing

    # ---- in between ----------------------------------------------------------------------------

    @property
    def _name(self) -> str:
        return self.node_id.hex() if self.node_id is not None else self.address

    def _handshake_done(self) -> None:
        self.node_id = self._session.remote_static
        if self._timer is not None:
            self._timer.cancel()
        self._owner.ready(self)

    def _on_frame(self, frame: bytes) -> None:
        event = event_of(frame)
        if Detail.messages and isinstance(event, MessageReceived):
            log.debug("received", peer=self._name, message=name_of(event.message))
        self._owner.heard(self, event)

    def _flush(self) -> None:
        transport = self._transport
        if transport is None or not self._unsent:
            return
        transport.write(b"".join(self._unsent))
        self._unsent.clear()
        if transport.get_write_buffer_size() > MAX_UNSENT:
            self.drop("the peer does not read")

    def _linger(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(LINGER_S, self._abort)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _too_late(self) -> None:
        self.drop("the handshake took too long")


def _address(peername: object) -> str:
    """The other end as "host:port"."""
    if not isinstance(peername, tuple) or len(peername) < 2:
        return ""
    host, port = peername[0], peername[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
