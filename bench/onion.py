"""Building and peeling onions (BOLT 4), with payloads as payments carry them."""

from __future__ import annotations

from collections.abc import Iterator

from bench.floor import Floor
from bench.measure import Figure, fastest_us
from fulmen.core.base.ids import NodeId, PaymentSecret, Secret, scid
from fulmen.core.base.units import BlockHeight, Msat
from fulmen.core.crypto.secp256k1 import ecdh, point_of
from fulmen.core.onion.payload import Payload, PaymentData, encode_payload
from fulmen.core.onion.sphinx import OnionHop, build_onion, ephemeral_key, peel

HASH = b"\x55" * 32
SESSION = Secret(b"\x66" * 32)


def secret(number: int) -> Secret:
    """The node key of a hop."""
    return Secret((number + 7).to_bytes(32, "big"))


def route(hops: int) -> list[OnionHop]:
    """A route of so many hops, the last one final."""
    amount, height = Msat(50_000_000), BlockHeight(900_000)
    forward = encode_payload(Payload(amount, height, scid(800_000, 5, 1)))
    final = encode_payload(Payload(amount, height, payment_data=PaymentData(PaymentSecret(HASH), amount)))
    return [
        OnionHop(NodeId(point_of(secret(number))), forward if number < hops - 1 else final) for number in range(hops)
    ]


def run(floor: Floor) -> Iterator[Figure]:
    """Construct with 1 to 20 hops; peel as forwarding and as final node."""
    for hops in (1, 3, 10, 20):
        path = route(hops)
        least = hops * (floor.create_key + floor.ecdh)

        def construct(path: list[OnionHop] = path) -> object:
            return build_onion(SESSION, path, HASH)

        actual = fastest_us(construct)
        yield Figure("onion", f"construct, {hops} hop{'s' * (hops > 1)}", actual, floor=least)
    for name, hops, least in (("forward", 3, floor.ecdh + floor.multiply), ("final", 1, floor.ecdh)):
        packet = build_onion(SESSION, route(hops), HASH).packet
        key = secret(0)

        def take(packet: bytes = packet, key: Secret = key) -> object:
            return peel(packet, ecdh(key, ephemeral_key(packet)), HASH)

        yield Figure("onion", f"peel, {name}", fastest_us(take), floor=least, note="one ECDH included")
