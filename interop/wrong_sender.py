"""A node of ours whose payments have something wrong: `python -m interop.wrong_sender …`.

The file `wrong` in its directory says what, from the next attempt on; without it all is as it should be. So others can
be asked for each of their failures: what is written there reaches them in an onion, and an HTLC, of ours. It tells the
keys of its sessions as a `telling_node` does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from fulmen.cli.main import main
from fulmen.core.base.ids import NodeId, Secret
from fulmen.core.base.machine import to_channel
from fulmen.core.base.record import Record
from fulmen.core.commitments.htlcs import OfferHtlc
from fulmen.core.crypto.secp256k1 import point_of
from fulmen.core.onion.payload import Payload, decode_payload, encode_payload
from fulmen.core.onion.sphinx import OnionHop, build_onion
from fulmen.core.payments import attempts, ways
from interop.telling_node import home, tell
from interop.us import Us

FILE = "wrong"
VERSION, KEY, HMAC = 0, 1, 1365
"""Where in an onion packet a change makes what unreadable."""


class Mistake(Record):
    """What is changed in a payment: None leaves it as it should be."""

    htlc_msat: int | None = None
    """What the first hop is given."""
    htlc_expiry: int | None = None
    first: Payload | None = None
    """What stands here is changed in what the first hop reads, be it the last or not."""
    changed_byte: int | None = None
    """Of the packet that the first hop gets."""
    for_nobody: bool = False
    """What is meant for the second hop is encrypted for a node that nobody is."""


@contextmanager
def mistaken(us: Us, mistake: Mistake) -> Iterator[None]:
    """Only while this lasts there is something wrong with what a node that runs as this module sends."""
    path = us.home / FILE
    path.write_bytes(msgspec.msgpack.encode(mistake))
    try:
        yield
    finally:
        path.unlink()


def _mistake() -> Mistake:
    try:
        return msgspec.msgpack.decode((home() / FILE).read_bytes(), type=Mistake)
    except FileNotFoundError:
        return Mistake()


def _wrong_onion(session_key: Secret, hops: list[OnionHop], associated_data: bytes) -> Any:
    wrong = _mistake()
    hops = list(hops)
    if wrong.first is not None:
        payload = decode_payload(hops[0].payload)
        said = {field: getattr(wrong.first, field) for field in Payload.__struct_fields__}
        changes = {field: value for field, value in said.items() if value}
        hops[0] = hops[0].but(payload=encode_payload(payload.but(**changes)))
    if wrong.for_nobody:
        hops[1] = hops[1].but(node_id=NodeId(point_of(Secret(os.urandom(32)))))
    built = build_onion(session_key, hops, associated_data)
    if wrong.changed_byte is None:
        return built
    packet = bytearray(built.packet)
    # Neither a version nor the first byte of a key: 0xff.
    packet[wrong.changed_byte] ^= 0xFF
    return built.but(packet=bytes(packet))


def _wrong_offer(channel_id: Any, event: Any) -> Any:
    wrong = _mistake()
    if isinstance(event, OfferHtlc):
        if wrong.htlc_msat is not None:
            event = event.but(amount_msat=wrong.htlc_msat)
        if wrong.htlc_expiry is not None:
            event = event.but(cltv_expiry=wrong.htlc_expiry)
    return to_channel(channel_id, event)


if __name__ == "__main__":
    tell()
    vars(ways).update(build_onion=_wrong_onion)
    vars(attempts).update(to_channel=_wrong_offer)
    main()
