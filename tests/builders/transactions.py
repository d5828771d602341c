"""Commitments of the published BOLT 3 vectors, and of anything else."""

from typing import Any

from tests.builders.vectors import vector_json

from fulmen.core.base.env import Basepoints
from fulmen.core.base.ids import (
    ChannelId,
    Direction,
    HtlcKey,
    OutPoint,
    PaymentHash,
    Point,
    Preimage,
    Secret,
    Txid,
)
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Msat, Sat
from fulmen.core.crypto.hashes import sha256
from fulmen.core.crypto.secp256k1 import point_of
from fulmen.core.transactions.commitment import CommitmentShape, CommitmentTx, build_commitment
from fulmen.core.transactions.formats import Format
from fulmen.core.transactions.keys import CommitmentKeys, commitment_keys
from fulmen.core.transactions.numbers import obscuring_factor

CHANNEL = ChannelId(b"\x0c" * 32)


class AnHtlc(Record):
    """An HTLC of a test, with what redeems it."""

    key: HtlcKey
    amount_msat: Msat
    payment_hash: PaymentHash
    cltv_expiry: BlockHeight
    payment_preimage: Preimage = Preimage(bytes(32))


def an_htlc(
    direction: Direction, id: int, amount_msat: int = 10_000_000, cltv_expiry: int = 500, **changes: Any
) -> AnHtlc:
    preimage = changes.pop("preimage", sha256(bytes((direction, id & 0xFF))))
    key = HtlcKey(CHANNEL, direction, id)
    return AnHtlc(key, Msat(amount_msat), PaymentHash(sha256(preimage)), BlockHeight(cltv_expiry), Preimage(preimage))


def secret(name: str) -> Secret:
    """A private key by its name."""
    return Secret(sha256(name.encode()))


def basepoints(end: str) -> Basepoints:
    """The five basepoints of an end; their secrets are `secret("<end> <name>")`."""
    return Basepoints(
        *(point_of(secret(f"{end} {name}")) for name in ("funding", "revocation", "payment", "delayed", "htlc"))
    )


OWNER, OTHER = basepoints("owner"), basepoints("other")
PER_COMMITMENT_SECRET = secret("per commitment")
KEYS = commitment_keys(OWNER, OTHER, point_of(PER_COMMITMENT_SECRET))


def a_shape(format: Format, **changes: Any) -> CommitmentShape:
    shape = CommitmentShape(
        format=format,
        funding=OutPoint(Txid(b"\xf0" * 32), 1),
        funding_sat=Sat(1_000_000),
        owner_is_opener=True,
        to_self_delay=144,
        dust_limit_sat=Sat(546),
        obscuring_factor=0x2BB038521914,
    )
    return shape.but(**changes)


def a_commitment(
    format: Format,
    offered: tuple[AnHtlc, ...] = (),
    received: tuple[AnHtlc, ...] = (),
    to_other_msat: int = 300_000_000,
    feerate_per_kw: int = 253,
    number: int = 42,
    **changes: Any,
) -> CommitmentTx:
    shape = a_shape(format, **changes)
    to_owner = shape.funding_sat * 1000 - to_other_msat - sum(htlc.amount_msat for htlc in (*offered, *received))
    return build_commitment(
        shape, number, KEYS, Msat(to_owner), Msat(to_other_msat), offered, received, FeeratePerKw(feerate_per_kw)
    )


class Bolt3:
    """The keys, secrets and HTLCs of BOLT 3, appendices C and F."""

    def __init__(self, name: str) -> None:
        self.file = vector_json(f"bolt03/{name}.json")
        keys = {key: Point(bytes.fromhex(value)) for key, value in self.file["keys"].items()}
        self.secrets = {key: Secret(bytes.fromhex(value)) for key, value in self.file["secrets"].items()}
        self.common = self.file["common"]
        unused = keys["local_payment_basepoint"]
        self.local = Basepoints(
            keys["local_funding_pubkey"],
            unused,
            keys["local_payment_basepoint"],
            keys["local_delayed_payment_basepoint"],
            keys["local_htlc_basepoint"],
        )
        self.remote = Basepoints(
            keys["remote_funding_pubkey"],
            keys["remote_revocation_basepoint"],
            keys["remote_payment_basepoint"],
            unused,
            keys["remote_htlc_basepoint"],
        )
        self.point = keys["local_per_commitment_point"]
        self.keys: CommitmentKeys = commitment_keys(self.local, self.remote, self.point)
        self.htlcs = {
            htlc["id"]: an_htlc(
                Direction[htlc["direction"].upper()],
                htlc["id"],
                htlc["amount_msat"],
                htlc["cltv_expiry"],
                preimage=bytes.fromhex(htlc["payment_preimage"]),
            )
            for htlc in self.file["htlcs"]
        }

    def commitment(
        self,
        format: Format,
        to_local_msat: int,
        to_remote_msat: int,
        feerate_per_kw: int,
        htlc_ids: list[int],
        dust: int,
    ) -> CommitmentTx:
        """The local commitment of one case."""
        shape = CommitmentShape(
            format=format,
            funding=OutPoint(
                Txid(bytes.fromhex(self.common["funding_tx_id"])[::-1]), self.common["funding_output_index"]
            ),
            funding_sat=Sat(self.common["funding_amount_satoshi"]),
            owner_is_opener=True,
            to_self_delay=self.common["local_delay"],
            dust_limit_sat=Sat(dust),
            obscuring_factor=obscuring_factor(self.local.payment_basepoint, self.remote.payment_basepoint),
        )
        htlcs = [self.htlcs[id] for id in htlc_ids]
        return build_commitment(
            shape,
            self.common["commitment_number"],
            self.keys,
            Msat(to_local_msat),
            Msat(to_remote_msat),
            [htlc for htlc in htlcs if htlc.key.direction is Direction.OFFERED],
            [htlc for htlc in htlcs if htlc.key.direction is Direction.RECEIVED],
            FeeratePerKw(feerate_per_kw),
        )
