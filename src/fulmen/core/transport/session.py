"""One connection from its first byte: handshake, then messages, whatever the chunks in which bytes arrive.

    session = Session.dial(node_id, remote_id, ephemeral, ecdh)      # or Session.answer(node_id, ephemeral, ecdh)
    send(session.opening)
    for data in socket:
        received = session.feed(data)
        send(received.reply)
        received.messages                                            # and session.remote_static, once `ready`
    send(session.seal(message))

Source: BOLT 8.
"""

from __future__ import annotations

from fulmen.core.base.ids import NodeId, Secret
from fulmen.core.base.record import Record
from fulmen.core.transport.cipher import Opener, Sealer
from fulmen.core.transport.faults import ActLengthWrong, HandshakeUnfinished, TransportFault
from fulmen.core.transport.handshake import (
    ACT_ONE_LENGTH,
    ACT_THREE_LENGTH,
    ACT_TWO_LENGTH,
    Initiator,
    Responder,
    SessionKeys,
    StaticEcdh,
)


class Received(Record):
    """What some bytes of the peer came to."""

    messages: list[bytes]
    """Whole Lightning messages, decrypted, in order."""
    reply: bytes = b""
    """An act of the handshake that has to be sent now, or nothing."""


class Session:
    """Both halves of one encrypted connection."""

    def __init__(self, handshake: Initiator | Responder) -> None:
        """Use `dial` or `answer`."""
        self.opening: bytes = b""
        """What has to be sent before anything is received: act one, or nothing."""
        self.remote_static: NodeId | None = None
        """Who the peer is, once that is proven."""
        self._handshake = handshake
        self._early = bytearray()
        self._act = 1
        self._sealer: Sealer | None = None
        self._opener: Opener | None = None
        self._fault: TransportFault | None = None

    @classmethod
    def dial(cls, local_static: NodeId, remote_static: NodeId, ephemeral: Secret, static_ecdh: StaticEcdh) -> Session:
        """The end that connects.

        Raises:
            NotAPoint, NotASecret: `remote_static` or `ephemeral` cannot be what it should.
        """
        initiator = Initiator(local_static, remote_static, ephemeral, static_ecdh)
        session = cls(initiator)
        session.opening = initiator.act_one()
        session._act = 2
        return session

    @classmethod
    def answer(cls, local_static: NodeId, ephemeral: Secret, static_ecdh: StaticEcdh) -> Session:
        """The end that is connected to."""
        return cls(Responder(local_static, ephemeral, static_ecdh))

    @property
    def ready(self) -> bool:
        """Whether messages can be sent."""
        return self._sealer is not None

    def seal(self, message: bytes) -> bytes:
        """The frame of a message.

        Raises:
            HandshakeUnfinished, MessageTooLong: nothing was sealed.
        """
        if self._sealer is None:
            raise HandshakeUnfinished
        return self._sealer.seal(message)

    def feed(self, data: bytes) -> Received:
        """Take bytes as they come.

        Raises:
            TransportFault: hang up without a word; feeding on raises it again.
        """
        if self._opener is not None:
            return Received(self._opener.feed(data))
        if self._fault is not None:
            raise self._fault
        self._early += data
        try:
            return self._shake_hands()
        except TransportFault as fault:
            self._fault = fault
            self._early.clear()
            raise

    def end(self) -> None:
        """The peer's stream is over.

        Raises:
            ActLengthWrong: it ended within the handshake.
        """
        if self._opener is None and self._fault is None:
            raise ActLengthWrong(act=self._act, length=len(self._early))

    def _shake_hands(self) -> Received:
        reply = b""
        handshake = self._handshake
        if isinstance(handshake, Initiator):
            if (act := self._take(ACT_TWO_LENGTH)) is not None:
                reply, keys = handshake.on_act_two(act)
                return Received(self._open(keys), reply)
            return Received([])
        if self._act == 1 and (act := self._take(ACT_ONE_LENGTH)) is not None:
            reply = handshake.on_act_one(act)
            self._act = 3
        if self._act == 3 and (act := self._take(ACT_THREE_LENGTH)) is not None:
            return Received(self._open(handshake.on_act_three(act)), reply)
        return Received([], reply)

    def _take(self, length: int) -> bytes | None:
        """An act off the front of what came, once it is whole."""
        early = self._early
        # An unknown version is refused with its first byte: what such a peer calls an act may never grow whole.
        if early and early[0] != 0:
            length = len(early)
        if not early or len(early) < length:
            return None
        act = bytes(early[:length])
        del early[:length]
        return act

    def _open(self, keys: SessionKeys) -> list[bytes]:
        """The handshake is over; what came behind its last act are frames already."""
        self.remote_static = keys.remote_static
        self._sealer = Sealer(keys.send_key, keys.chaining_key)
        self._opener = Opener(keys.receive_key, keys.chaining_key)
        rest = bytes(self._early)
        self._early.clear()
        return self._opener.feed(rest)
