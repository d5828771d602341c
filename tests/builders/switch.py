"""Nodes, links, onions and HTLCs for the tests of circuits, invoices and payments."""

from __future__ import annotations

from typing import Any

from tests.builders.env import an_env

from fulmen.core.base.env import Env
from fulmen.core.base.ids import (
    OFFERED,
    RECEIVED,
    ChannelId,
    HtlcKey,
    NodeId,
    PaymentHash,
    Preimage,
    Secret,
    ShortChannelId,
)
from fulmen.core.base.machine import Event, Step, Tell
from fulmen.core.base.mount import Informed
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, Msat
from fulmen.core.commitments.htlcs import Htlc, HtlcLockedIn, LinkView
from fulmen.core.crypto.hashes import sha256
from fulmen.core.crypto.secp256k1 import ecdh, point_of
from fulmen.core.onion.payload import Payload, PaymentData, encode_payload
from fulmen.core.onion.sphinx import Onion, OnionHop, build_onion

ALICE_KEY, BOB_KEY, CAROL_KEY = (Secret(letter * 32) for letter in (b"\x0a", b"\x0b", b"\x0c"))
ALICE, BOB, CAROL = (NodeId(point_of(key)) for key in (ALICE_KEY, BOB_KEY, CAROL_KEY))
PREIMAGE = Preimage(b"p" * 32)
HASH = PaymentHash(sha256(PREIMAGE))
SESSION_KEY = Secret(b"\x41" * 32)
FROM_ALICE = ChannelId(b"a" * 32)
TO_CAROL = ChannelId(b"c" * 32)
ALSO_TO_CAROL = ChannelId(b"d" * 32)
SCID = ShortChannelId(100 << 40 | 1 << 16)
HEIGHT = BlockHeight(1000)
INCOMING = HtlcKey(FROM_ALICE, RECEIVED, 7)
OUTGOING = HtlcKey(TO_CAROL, OFFERED, 3)


def a_link(
    channel_id: ChannelId = TO_CAROL, node_id: NodeId = CAROL, scid: int | None = SCID, **changes: Any
) -> LinkView:
    """A usable channel with room for a bitcoin."""
    fields: dict[str, Any] = {
        "channel_id": channel_id,
        "node_id": node_id,
        "usable": True,
        "spendable_msat": Msat(10**11),
        "receivable_msat": Msat(10**11),
        "capacity_msat": Msat(3 * 10**11),
        "htlc_minimum_msat": Msat(1),
        "scid": scid,
        "local_alias": None,
        "remote_alias": None,
        "announced": True,
    }
    return LinkView(**(fields | changes))


def bob(*links: LinkView, **changes: Any) -> Env:
    """Bob's env: his key opens onions, and these are his channels."""
    fields: dict[str, Any] = {
        "height": HEIGHT,
        "node_id": BOB,
        "ecdh": lambda point: ecdh(BOB_KEY, point),
        "views": {f"channel:{link.channel_id.hex()}": link for link in links},
    }
    return an_env(**(fields | changes))


def onion_through_bob(
    amount_msat: int = 100_000, cltv_expiry: int = HEIGHT + 30, scid: int = SCID, to_bob: Payload | None = None
) -> Onion:
    """Alice's onion for Carol, and what Bob is told: forward this amount until this height."""
    forward = to_bob or Payload(Msat(amount_msat), BlockHeight(cltv_expiry), ShortChannelId(scid))
    final = Payload(Msat(amount_msat), BlockHeight(cltv_expiry), payment_data=PaymentData(b"s" * 32, amount_msat))
    hops = [OnionHop(BOB, encode_payload(forward)), OnionHop(CAROL, encode_payload(final))]
    return build_onion(SESSION_KEY, hops, HASH)


def onion_for_bob(final: Payload) -> Onion:
    """Alice's onion that ends at Bob."""
    return build_onion(SESSION_KEY, [OnionHop(BOB, encode_payload(final))], HASH)


def an_htlc(amount_msat: int = 101_100, cltv_expiry: int = HEIGHT + 110, key: HtlcKey = INCOMING) -> Htlc:
    """An HTLC from Alice that pays a thousand and some msat of fee, and 80 blocks."""
    return Htlc(key, Msat(amount_msat), HASH, BlockHeight(cltv_expiry))


def locked_in(onion: Onion | bytes, htlc: Htlc | None = None, seen: Record | None = None, **changes: Any) -> Informed:
    """The channel tells a circuit of its HTLC, with what the cold store knows of its onion."""
    packet = onion if isinstance(onion, bytes) else onion.packet
    return Informed(HtlcLockedIn(htlc or an_htlc(), packet, **changes), (seen,))


def told(step: Step[Any]) -> list[Event]:
    """What a step tells other machines."""
    return [action.event for action in step.actions if isinstance(action, Tell)]
