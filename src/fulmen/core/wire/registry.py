"""Which number is which message: bytes to messages and back.

BOLT 1, "Lightning Message Format": a u16 type, the payload, and an optional extension that is a TLV stream.
"""

from __future__ import annotations

from fulmen.core.base.faults import Malformed
from fulmen.core.base.record import Record
from fulmen.core.wire.declare import KIND_OF, KINDS
from fulmen.core.wire.faults import MessageTooLong, TooShort, Unencodable

MAX_MESSAGE = 65535
"""BOLT 1: "the maximum possible size is 65535 bytes" """


class UnknownMessage(Record):
    """A message whose type we do not know, whole: the odd ones are ignored, the even ones end the connection."""

    type: int
    payload: bytes

    @property
    def must_be_understood(self) -> bool:
        """BOLT 1: "upon receiving a message of _even_, unknown type: MUST close the connection"."""
        return self.type % 2 == 0


def decode(frame: bytes) -> Record:
    """The message in a frame, or `UnknownMessage`.

    Raises:
        Malformed: in one of the ways that `fulmen.core.wire.faults` names; its details say which message it was.
    """
    if len(frame) < 2:
        raise TooShort(length=len(frame))
    if len(frame) > MAX_MESSAGE:
        raise MessageTooLong(length=len(frame))
    number = frame[0] << 8 | frame[1]
    kind = KINDS.get(number)
    if kind is None:
        return UnknownMessage(number, frame[2:])
    try:
        record: Record = kind.read(frame, 2, len(frame))[0]
        return record
    except Malformed as fault:
        fault.details.setdefault("message", kind.name)
        raise


def encode(message: Record) -> bytes:
    """The frame of a message, type included.

    Raises:
        Unencodable: a value does not fit its field, or the whole is longer than a message may be.
    """
    if isinstance(message, UnknownMessage):
        frame = message.type.to_bytes(2, "big") + message.payload
    else:
        kind = KIND_OF[type(message)]
        frame = kind.number.to_bytes(2, "big") + kind.write(message)
    if len(frame) > MAX_MESSAGE:
        raise Unencodable(length=len(frame))
    return frame


def name_of(message: Record) -> str:
    """The message's name in the BOLTs; of one we do not know, its number."""
    if isinstance(message, UnknownMessage):
        return f"unknown message {message.type}"
    return KIND_OF[type(message)].name


def type_of(message: Record) -> int:
    """The message's number."""
    return message.type if isinstance(message, UnknownMessage) else KIND_OF[type(message)].number


def is_message(record: Record) -> bool:
    """True if this Record stands on the wire."""
    return type(record) in KIND_OF or isinstance(record, UnknownMessage)
