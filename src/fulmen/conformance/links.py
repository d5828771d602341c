"""Links: how a fake peer reaches the node under test. A link carries whole messages and says when it is closed."""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from fulmen.conformance.chain import Coins
from fulmen.core.base.faults import Fault
from fulmen.core.base.ids import ChannelId, NodeId, Secret
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.networks import Network
from fulmen.core.crypto.secp256k1 import ecdh, point_of
from fulmen.core.transport.session import Session

CONNECT_TIMEOUT_S = 10.0
CHUNK = 65_536


class LinkClosed(Exception):
    """The node closed the connection. The text says how it looked from here."""


class CannotConnect(Fault):
    """The node could not be reached, or the handshake failed."""


class HelperFailed(Fault):
    """A command that helps with the run was there before it, and can no longer be started."""


class Link(Protocol):
    """One connection to the node under test."""

    def send(self, frame: bytes) -> None:
        """Send a message: type and payload. On a closed link nothing happens."""

    def receive(self, within_s: float) -> bytes | None:
        """The next message, or None if none came in time.

        Raises:
            LinkClosed: nothing more will come.
        """

    def close(self) -> None:
        """Hang up."""


class Operator(Protocol):
    """Somebody who tells the node under test what to do, as far as `Subject.can_be_told` says."""

    def open_channel(self, node_id: NodeId, amount_sat: Sat) -> None:
        """Have it open a channel to a connected peer."""

    def close_channel(self, channel_id: ChannelId, funding: str) -> None:
        """Have it close a channel together with its peer; `funding` is txid:vout."""


@dataclass(slots=True)
class Subject:
    """The node under test, and what there is around it."""

    node_id: NodeId
    network: Network
    connect: Callable[[Secret], Link]
    """A link of the fake peer with this node key.

    Raises:
        CannotConnect.
    """
    now: Callable[[], float]
    """Seconds since 1970, by the node's clock."""
    wait: Callable[[float], None]
    """Let so many seconds of that clock go by, when there is no connection to wait on."""
    coins: Coins | None = None
    operator: Operator | None = None
    patience: float = 1.0
    """How many times as long as a script says an answer may take: for slow nodes on busy machines."""
    played: dict[str, str] = field(default_factory=dict)
    """The scripts played so far, by name, and why each was not passed; empty when it was."""
    answers_queries: bool = True
    """Until a query was not answered: from then on strangers with filters look at what the node knows."""
    can_be_told: tuple[str, ...] = ("open", "close")
    """Which commands there are to tell it with; without an operator, none."""


class TcpLink:
    """BOLT 8 over a socket of one's own."""

    def __init__(self, host: str, port: int, node_id: NodeId, secret: Secret, ephemeral: Secret) -> None:
        """Connect and shake hands.

        Raises:
            CannotConnect.
        """
        self._messages: deque[bytes] = deque()
        self._why = ""
        self._session = Session.dial(NodeId(point_of(secret)), node_id, ephemeral, lambda point: ecdh(secret, point))
        try:
            self._socket = socket.create_connection((host, port), CONNECT_TIMEOUT_S)
        except OSError as error:
            raise CannotConnect(host=host, port=port, why=str(error)) from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(self._session.opening)
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        while not self._session.ready and not self._why and time.monotonic() < deadline:
            self._read(deadline - time.monotonic())
        if not self._session.ready:
            self._socket.close()
            raise CannotConnect(host=host, port=port, why=self._why or "no answer to the handshake")

    def send(self, frame: bytes) -> None:
        """Send a message; a broken connection is noticed by `receive`."""
        try:
            self._socket.sendall(self._session.seal(frame))
        except OSError:
            return

    def receive(self, within_s: float) -> bytes | None:
        """The next message, or None if none came in time."""
        deadline = time.monotonic() + within_s
        while not self._messages:
            if self._why:
                raise LinkClosed(self._why)
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._read(left)
        return self._messages.popleft()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _read(self, within_s: float) -> None:
        self._socket.settimeout(max(0.001, within_s))
        try:
            data = self._socket.recv(CHUNK)
        except TimeoutError:
            return
        except OSError as error:
            self._why = f"the connection broke: {error.strerror or error}"
            return
        finally:
            self._socket.settimeout(None)
        if not data:
            self._why = "the node hung up"
            return
        try:
            received = self._session.feed(data)
        except Fault as fault:
            self._why = f"{fault.name}: {fault}"
            return
        if received.reply:
            self._socket.sendall(received.reply)
        self._messages.extend(received.messages)


def tcp_connect(host: str, port: int, node_id: NodeId, entropy: Callable[[], bytes]) -> Callable[[Secret], Link]:
    """How fake peers reach a node at an address."""

    def connect(secret: Secret) -> Link:
        return TcpLink(host, port, node_id, secret, Secret(entropy()))

    return connect


__all__ = ["CannotConnect", "HelperFailed", "Link", "LinkClosed", "Operator", "Subject", "TcpLink", "tcp_connect"]
