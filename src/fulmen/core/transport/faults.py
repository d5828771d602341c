"""What can be wrong with a peer's bytes before they are a message. BOLT 8 knows one remedy: hang up, without a word."""

from __future__ import annotations

from typing import Any, ClassVar

from fulmen.core.base.faults import PeerFault, Refused, Remedy


class TransportFault(PeerFault):
    """The stream is not what BOLT 8 says; the connection ends without any further message."""

    says: ClassVar[str] = "the transport is broken"

    def __init__(self, **details: Any) -> None:
        super().__init__(self.says, Remedy.CLOSE_CONNECTION, bolt=8, **details)


class ActLengthWrong(TransportFault):
    """An act has another length than BOLT 8 says; the stream may have ended within it."""

    says = "a handshake act has another length"


class UnknownHandshakeVersion(TransportFault):
    """The version byte of an act is not 0."""

    says = "unknown handshake version"


class HandshakeKeyInvalid(TransportFault):
    """An ephemeral or static key is not a point of the curve."""

    says = "a key of the handshake is not on the curve"


class HandshakeMacMismatch(TransportFault):
    """The tag of an act does not fit: the peer does not know our key, or somebody stands between us."""

    says = "the MAC of a handshake act does not fit"


class FrameMacMismatch(TransportFault):
    """The tag of a message or of its length does not fit."""

    says = "the MAC of a message does not fit"


class MessageTooLong(Refused):
    """A Lightning message has at most 65535 bytes."""


class HandshakeUnfinished(Refused):
    """No message can be sent before the handshake is over."""
