"""Failure messages: what went wrong with a payment, in the words of BOLT 4.

A failure message is a two-byte failure_code, the fields of that code, and perhaps more, which everybody ignores.
A code that nobody knows and data too short for its code are read as `OtherFailure`: the code's flags still mean
something, and a peer cannot make us stumble over its words.

BOLT 4, "Failure Messages".
"""

from __future__ import annotations

from typing import Any, ClassVar

from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, Msat

BADONION = 0x8000
PERM = 0x4000
NODE = 0x2000
UPDATE = 0x1000

CHANNEL_UPDATE_TYPE = b"\x01\x02"
"""Old nodes put the message type (258) before the channel_update in a failure."""


class Failure(Record):
    """A failure message, a value on its way back."""

    code: ClassVar[int] = 0

    @property
    def name(self) -> str:
        """The failure's name as BOLT 4 prints it."""
        return failure_name(code_of(self))


class OtherFailure(Failure):
    """A code that we do not know, or one whose data is shorter than it must be."""

    failure_code: int
    data: bytes = b""


class TemporaryNodeFailure(Failure):
    """General temporary failure of the processing node."""

    code: ClassVar[int] = NODE | 2


class PermanentNodeFailure(Failure):
    """General permanent failure of the processing node."""

    code: ClassVar[int] = PERM | NODE | 2


class RequiredNodeFeatureMissing(Failure):
    """The processing node has a required feature which was not in this onion."""

    code: ClassVar[int] = PERM | NODE | 3


class BadOnionFailure(Failure):
    """The onion could not be read where it arrived; `sha256_of_onion` says what arrived there."""

    sha256_of_onion: bytes


class InvalidOnionVersion(BadOnionFailure):
    """The version byte was not understood."""

    code: ClassVar[int] = BADONION | PERM | 4


class InvalidOnionHmac(BadOnionFailure):
    """The HMAC was incorrect."""

    code: ClassVar[int] = BADONION | PERM | 5


class InvalidOnionKey(BadOnionFailure):
    """The ephemeral key was unparsable."""

    code: ClassVar[int] = BADONION | PERM | 6


class InvalidOnionBlinding(BadOnionFailure):
    """An error within a blinded path; nobody may know which."""

    code: ClassVar[int] = BADONION | PERM | 24


class TemporaryChannelFailure(Failure):
    """The outgoing channel cannot handle this HTLC now."""

    code: ClassVar[int] = UPDATE | 7
    channel_update: bytes = b""


class PermanentChannelFailure(Failure):
    """The outgoing channel cannot handle any HTLC."""

    code: ClassVar[int] = PERM | 8


class RequiredChannelFeatureMissing(Failure):
    """The outgoing channel requires features not present in the onion."""

    code: ClassVar[int] = PERM | 9


class UnknownNextPeer(Failure):
    """The short_channel_id matches none leading from the processing node."""

    code: ClassVar[int] = PERM | 10


class AmountBelowMinimum(Failure):
    """The HTLC's amount is below the outgoing channel's htlc_minimum_msat."""

    code: ClassVar[int] = UPDATE | 11
    htlc_msat: Msat
    channel_update: bytes = b""


class FeeInsufficient(Failure):
    """The fee is below what the outgoing channel asks."""

    code: ClassVar[int] = UPDATE | 12
    htlc_msat: Msat
    channel_update: bytes = b""


class IncorrectCltvExpiry(Failure):
    """The distance of the two expiries is below the outgoing channel's cltv_expiry_delta."""

    code: ClassVar[int] = UPDATE | 13
    cltv_expiry: BlockHeight
    channel_update: bytes = b""


class ExpiryTooSoon(Failure):
    """The expiry is too close to the present."""

    code: ClassVar[int] = UPDATE | 14
    channel_update: bytes = b""


class IncorrectOrUnknownPaymentDetails(Failure):
    """The final node does not know this payment, or it pays too little, or too late: it does not say which."""

    code: ClassVar[int] = PERM | 15
    htlc_msat: Msat
    height: BlockHeight


class FinalIncorrectCltvExpiry(Failure):
    """The HTLC's expiry is less than the onion says."""

    code: ClassVar[int] = 18
    cltv_expiry: BlockHeight


class FinalIncorrectHtlcAmount(Failure):
    """The HTLC's amount is less than the onion says."""

    code: ClassVar[int] = 19
    incoming_htlc_amt: Msat


class ChannelDisabled(Failure):
    """The outgoing channel has been disabled."""

    code: ClassVar[int] = UPDATE | 20
    disabled_flags: int = 0
    channel_update: bytes = b""


class ExpiryTooFar(Failure):
    """The expiry is too far in the future."""

    code: ClassVar[int] = 21


class InvalidOnionPayload(Failure):
    """The payload was not understood: the TLV type at fault, and its byte offset in the payload."""

    code: ClassVar[int] = PERM | 22
    type: int
    offset: int


class MppTimeout(Failure):
    """The other parts of the payment did not arrive in time."""

    code: ClassVar[int] = 23


_CODES: dict[int, type[Failure]] = {
    failure.code: failure
    for failure in (
        TemporaryNodeFailure,
        PermanentNodeFailure,
        RequiredNodeFeatureMissing,
        InvalidOnionVersion,
        InvalidOnionHmac,
        InvalidOnionKey,
        InvalidOnionBlinding,
        TemporaryChannelFailure,
        PermanentChannelFailure,
        RequiredChannelFeatureMissing,
        UnknownNextPeer,
        AmountBelowMinimum,
        FeeInsufficient,
        IncorrectCltvExpiry,
        ExpiryTooSoon,
        IncorrectOrUnknownPaymentDetails,
        FinalIncorrectCltvExpiry,
        FinalIncorrectHtlcAmount,
        ChannelDisabled,
        ExpiryTooFar,
        InvalidOnionPayload,
        MppTimeout,
    )
}
_INTEGER_SIZES = {
    "htlc_msat": 8,
    "incoming_htlc_amt": 8,
    "cltv_expiry": 4,
    "height": 4,
    "disabled_flags": 2,
    "offset": 2,
}
_NAMES = {
    code: "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in failure.__name__)[1:]
    for code, failure in _CODES.items()
}


def encode_failure(failure: Failure) -> bytes:
    """A failure message: its code and its fields in order."""
    if isinstance(failure, OtherFailure):
        return failure.failure_code.to_bytes(2, "big") + failure.data
    parts = [failure.code.to_bytes(2, "big")]
    for field in failure.__struct_fields__:
        value: Any = getattr(failure, field)
        if field == "channel_update":
            parts.append(len(value).to_bytes(2, "big") + value)
        elif field == "sha256_of_onion":
            parts.append(value)
        elif field == "type":
            parts.append(_bigsize(value))
        else:
            parts.append(value.to_bytes(_INTEGER_SIZES[field], "big"))
    return b"".join(parts)


def decode_failure(message: bytes) -> Failure:
    """The failure in a message; total, for any bytes."""
    failure_code, data = int.from_bytes(message[:2], "big"), message[2:]
    kind = _CODES.get(failure_code)
    if kind is None or len(message) < 2:
        return OtherFailure(failure_code, data)
    at = 0
    values: dict[str, Any] = {}
    for field in kind.__struct_fields__:
        if field == "channel_update":
            # BOLT 4: "Nodes which do not provide a `channel_update` are expected to set the `channel_update` `len`
            # field to zero." Some leave the field out.
            size = int.from_bytes(data[at : at + 2], "big")
            update = data[at + 2 : at + 2 + size]
            values[field] = update.removeprefix(CHANNEL_UPDATE_TYPE) if len(update) == size else b""
            at += 2 + size
            continue
        if field == "type":
            first = data[at] if at < len(data) else 0
            at, size = (at, 1) if first < 0xFD else (at + 1, 2 << first - 0xFD)
        else:
            size = 32 if field == "sha256_of_onion" else _INTEGER_SIZES[field]
        raw = data[at : at + size]
        if len(raw) < size:
            return OtherFailure(failure_code, data)
        values[field] = raw if field == "sha256_of_onion" else int.from_bytes(raw, "big")
        at += size
    return kind(**values)


def bad_onion(failure_code: int, sha256_of_onion: bytes) -> Failure:
    """The failure that a malformed HTLC becomes on its way back (BOLT 2, "Removing an HTLC")."""
    kind = _CODES.get(failure_code)
    if kind is not None and issubclass(kind, BadOnionFailure):
        return kind(sha256_of_onion)
    return OtherFailure(failure_code, sha256_of_onion)


def code_of(failure: Failure) -> int:
    """The failure_code, known or not."""
    return failure.failure_code if isinstance(failure, OtherFailure) else failure.code


def failure_name(failure_code: int) -> str:
    """The name that BOLT 4 prints for a code."""
    return _NAMES.get(failure_code) or f"unknown_failure_{failure_code:04x}"


def _bigsize(value: int) -> bytes:
    if value < 0xFD:
        return bytes((value,))
    for prefix, size in ((0xFD, 2), (0xFE, 4)):
        if value < 1 << 8 * size:
            return bytes((prefix,)) + value.to_bytes(size, "big")
    return b"\xff" + value.to_bytes(8, "big")
