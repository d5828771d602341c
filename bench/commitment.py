"""Building and signing commitments (BOLT 3), and checking the peer's signatures on ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.floor import Floor
from bench.measure import Figure, fastest_us
from fulmen.core.base.env import Basepoints
from fulmen.core.base.ids import OFFERED, ChannelId, HtlcKey, OutPoint, PaymentHash, Point, Secret, Signature, Txid
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Msat, Sat
from fulmen.core.crypto.hashes import sha256
from fulmen.core.crypto.secp256k1 import point_of, sign_ecdsa, verify_many
from fulmen.core.transactions.commitment import CommitmentShape, CommitmentTx, build_commitment
from fulmen.core.transactions.formats import format_named
from fulmen.core.transactions.keys import commitment_keys
from fulmen.core.transactions.numbers import obscuring_factor

CHANNEL = ChannelId(bytes(32))
FUNDING_SAT = Sat(100_000_000)
COUNTS = (0, 1, 10, 100, 483)


class Offer(Record):
    """An HTLC as commitments want it."""

    key: HtlcKey
    amount_msat: Msat
    payment_hash: PaymentHash
    cltv_expiry: BlockHeight


def secret(name: str) -> Secret:
    """A private key by its name."""
    return Secret(sha256(name.encode()))


def basepoints(end: str) -> Basepoints:
    """One end's."""
    return Basepoints(
        *(point_of(secret(f"{end} {name}")) for name in ("funding", "revocation", "payment", "delayed", "htlc"))
    )


OURS, THEIRS = basepoints("ours"), basepoints("theirs")
SHAPE = CommitmentShape(
    format=format_named("anchors_zero_fee_htlc"),
    funding=OutPoint(Txid(b"\x77" * 32), 0),
    funding_sat=FUNDING_SAT,
    owner_is_opener=True,
    to_self_delay=144,
    dust_limit_sat=Sat(354),
    obscuring_factor=obscuring_factor(OURS.payment_basepoint, THEIRS.payment_basepoint),
)


def offers(count: int) -> list[Offer]:
    """HTLCs of 20,000 sat each."""
    return [
        Offer(
            HtlcKey(CHANNEL, OFFERED, number),
            Msat(20_000_000),
            PaymentHash(sha256(b"%d" % number)),
            BlockHeight(900_000 + number),
        )
        for number in range(count)
    ]


def commitment(number: int, htlcs: list[Offer], point: Point) -> CommitmentTx:
    """Our commitment with this number."""
    keys = commitment_keys(OURS, THEIRS, point)
    spent = sum(htlc.amount_msat for htlc in htlcs)
    ours = Msat(FUNDING_SAT * 500 - spent)
    return build_commitment(SHAPE, number, keys, ours, Msat(FUNDING_SAT * 500), htlcs, (), FeeratePerKw(1000))


def run(floor: Floor) -> Iterator[Figure]:
    """Send and receive of one commitment_signed with so many HTLCs, keys of the new point included."""
    derive = 3 * floor.add_tweak + 2 * floor.multiply + floor.combine
    points = [point_of((1000 + number).to_bytes(32, "big")) for number in range(512)]
    funding_key, htlc_key = secret("theirs funding"), secret("theirs htlc")
    for count in COUNTS:
        htlcs = offers(count)
        place = iter(range(1 << 60))

        def fresh(htlcs: list[Offer] = htlcs, place: Iterator[int] = place) -> CommitmentTx:
            commitment_keys.cache_clear()
            number = next(place)
            return commitment(number, htlcs, points[number % len(points)])

        def send(fresh: Callable[[], CommitmentTx] = fresh) -> list[Signature]:
            made = fresh()
            return [
                sign_ecdsa(funding_key, made.digest),
                *(sign_ecdsa(htlc_key, digest) for digest in made.htlc_digests()),
            ]

        built = commitment(7, htlcs, points[7])
        signed: list[tuple[Point, Signature]] = [
            (THEIRS.funding_pubkey, sign_ecdsa(funding_key, built.digest)),
            *((point_of(htlc_key), sign_ecdsa(htlc_key, digest)) for digest in built.htlc_digests()),
        ]

        def receive(htlcs: list[Offer] = htlcs, signed: list[tuple[Point, Signature]] = signed) -> list[bool]:
            commitment_keys.cache_clear()
            made = commitment(7, htlcs, points[7])
            digests = [made.digest, *made.htlc_digests()]
            return verify_many((key, digest, each) for (key, each), digest in zip(signed, digests, strict=True))

        if not all(receive()):
            raise AssertionError("a signature of this benchmark does not verify")
        each_send, each_check = (count + 1) * floor.sign, (count + 1) * floor.verify
        named = f"{count} HTLC{'s' * (count != 1)}"
        yield Figure("commitment", f"build and sign, {named}", fastest_us(send), floor=derive + each_send)
        yield Figure("commitment", f"build and check, {named}", fastest_us(receive), floor=derive + each_check)
