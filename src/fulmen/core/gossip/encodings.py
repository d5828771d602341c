"""The encoded arrays of gossip queries: short channel ids, flags, timestamps.

BOLT 7, "Query Messages". "`1`: Previously used for zlib compression, this encoding MUST NOT be used": only 0 is left.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from fulmen.core.base.faults import Malformed
from fulmen.core.base.ids import ShortChannelId
from fulmen.core.gossip.faults import BadArray, UnknownEncoding
from fulmen.core.wire.bigsize import read_bigsize, write_bigsize

WANT_ANNOUNCEMENT, WANT_UPDATE_1, WANT_UPDATE_2, WANT_NODE_1, WANT_NODE_2 = 1, 2, 4, 8, 16
"""Bits of a query flag."""
WANT_ALL = 31
WANT_TIMESTAMPS, WANT_CHECKSUMS = 1, 2
"""Bits of query_option_flags."""
_PLAIN = b"\0"


def encode_scids(scids: Sequence[int]) -> bytes:
    """Rising short channel ids as `encoded_short_ids`."""
    return _PLAIN + struct.pack(f">{len(scids)}Q", *scids)


def decode_scids(data: bytes) -> tuple[ShortChannelId, ...]:
    """The ids of `encoded_short_ids`, as many as the bytes hold.

    Raises:
        UnknownEncoding, BadArray.
    """
    body = _plain(data)
    if len(body) % 8:
        raise BadArray(length=len(body), element=8)
    return tuple(map(ShortChannelId, struct.unpack(f">{len(body) // 8}Q", body)))


def encode_flags(flags: Iterable[int]) -> bytes:
    """One flag per short channel id as `query_flags`."""
    return _PLAIN + b"".join(map(write_bigsize, flags))


def decode_flags(data: bytes, count: int) -> tuple[int, ...]:
    """Exactly `count` flags.

    Raises:
        UnknownEncoding, BadArray.
    """
    body = _plain(data)
    flags: list[int] = []
    at = 0
    # BOLT 7: "if `encoded_query_flags` does not decode to exactly one flag per `short_channel_id`"
    while at < len(body) and len(flags) < count:
        try:
            flag, at = read_bigsize(body, at, len(body))
        except Malformed as fault:
            raise BadArray(why=fault.name) from fault
        flags.append(flag)
    if at != len(body) or len(flags) != count:
        raise BadArray(flags=len(flags), count=count)
    return tuple(flags)


def encode_timestamps(stamps: Sequence[int]) -> bytes:
    """Two timestamps per short channel id, one after the other, as `timestamps_tlv`."""
    return _PLAIN + struct.pack(f">{len(stamps)}I", *stamps)


def decode_timestamps(data: bytes, count: int) -> tuple[int, ...]:
    """2 * `count` timestamps.

    Raises:
        UnknownEncoding, BadArray.
    """
    body = _plain(data)
    if len(body) != 8 * count:
        raise BadArray(length=len(body), count=count)
    return struct.unpack(f">{2 * count}I", body)


def _plain(data: bytes) -> bytes:
    if data[:1] != _PLAIN:
        raise UnknownEncoding(encoding=data[0] if data else None)
    return data[1:]
