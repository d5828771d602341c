"""What can be wrong with bytes from the wire: each way has its name.

BOLT 1, "Lightning Message Format" and "Type-Length-Value Format".
"""

from __future__ import annotations

from fulmen.core.base.faults import InvariantBroken, Malformed


class TooShort(Malformed):
    """Known fields go on where the bytes end."""


class LengthOutOfBounds(Malformed):
    """A length says more bytes than are left."""


class MessageTooLong(Malformed):
    """More than 65535 bytes."""


class NotMinimal(Malformed):
    """A bigsize or a truncated integer is not encoded in the shortest way."""


class TlvNotIncreasing(Malformed):
    """TLV types go down or come twice."""


class UnknownEvenTlv(Malformed):
    """A TLV that we must understand and do not."""


class TlvLengthMismatch(Malformed):
    """A known TLV is longer than its encoding."""


class NotUtf8(Malformed):
    """Bytes that are no UTF-8 text."""


class NotAList(Malformed):
    """Bytes that are no whole number of elements."""


class Unencodable(InvariantBroken):
    """We tried to send a value that does not fit its field."""
