"""What is kept of revoked commitments: for each HTLC one cold row that says in which of the peer's it stood.

Balances are found on the chain by their scripts, the keys come from the chain of revealed secrets, so the hash and the
expiry of HTLCs are all that has to be remembered to punish any revoked commitment (BOLT 5, "Revoked Transaction Close
Handling"). The row is written when the last commitment that held the HTLC is revoked, in the same transaction, and goes
when the end of the channel is deep in the chain.
"""

from __future__ import annotations

from fulmen.core.base.ids import RECEIVED, ChannelId, Direction, HtlcKey, PaymentHash
from fulmen.core.base.machine import Address, Keep, Kept, Tell
from fulmen.core.base.retention import RETENTION, RowsUnwanted
from fulmen.core.base.stretch import Found, Stretch, stretch_key
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Msat, sat_floor
from fulmen.core.commitments.commitment import REMOTE, trim_threshold_sat
from fulmen.core.commitments.htlcs import Htlc
from fulmen.core.commitments.params import ChannelParams
from fulmen.core.commitments.updates import Add

KIND = "revoked"
"""Of the rows' addresses: channel_id 32, number behind the last 6, first number 6, direction 1, id 0 to 8 bytes."""


class RevokedHtlc(Kept):
    """An HTLC that only revoked commitments of the peer hold."""

    amount_msat: Msat
    payment_hash: PaymentHash
    cltv_expiry: BlockHeight


def keep_revoked(params: ChannelParams, add: Add, direction: Direction, gone_at: int) -> Keep | None:
    """The row of an HTLC that the peer's commitment `gone_at` holds no more; none if no commitment had an output of it.

    `direction` is seen from us.
    """
    # What is trimmed at feerate 0 is trimmed at every feerate.
    offered = direction is not RECEIVED
    least = trim_threshold_sat(params, REMOTE, offered=offered, feerate_per_kw=FeeratePerKw(0))
    if sat_floor(add.amount_msat) < least:
        return None
    rest = bytes((direction,)) + add.id.to_bytes((add.id.bit_length() + 7) // 8, "big")
    key = stretch_key(params.channel_id, add.since, gone_at, rest)
    return Keep(Address(KIND, key), RevokedHtlc(add.amount_msat, add.payment_hash, add.cltv_expiry))


def kept_of(channel_id: ChannelId, number: int) -> Stretch:
    """Where the HTLCs of a revoked commitment are, but for those that later commitments hold as well."""
    return Stretch(KIND, channel_id, number)


def forget_revoked(channel_id: ChannelId) -> Tell:
    """The channel's funding is spent so deep that none of its commitments can be published any more."""
    return Tell(RETENTION, RowsUnwanted(KIND, channel_id))


def revoked_htlcs(channel_id: ChannelId, kept: Found) -> tuple[Htlc, ...]:
    """The HTLCs that were found there, with their names."""
    return tuple(
        Htlc(
            HtlcKey(channel_id, Direction(rest[0]), int.from_bytes(rest[1:], "big")),
            row.amount_msat,
            row.payment_hash,
            row.cltv_expiry,
        )
        for rest, row in kept.rows
    )
