"""One commitment, spelled out: all that is needed to build its transactions, to sign, check or publish it."""

from __future__ import annotations

from fulmen.core.base.ids import OFFERED, RECEIVED, HtlcKey, Point
from fulmen.core.base.record import Record
from fulmen.core.base.units import FeeratePerKw, Msat
from fulmen.core.commitments.commitment import Commitment, Side, active
from fulmen.core.commitments.htlcs import Htlc
from fulmen.core.commitments.params import ChannelParams, Funding
from fulmen.core.commitments.updates import Add, Log


class CommitmentView(Record):
    """One commitment over one funding. Balances and directions are seen from us, whoever's transaction it is."""

    params: ChannelParams
    funding: Funding
    side: Side
    number: int
    per_commitment_point: Point
    """Of the side that owns the transaction."""
    feerate_per_kw: FeeratePerKw
    local_msat: Msat
    remote_msat: Msat
    htlcs: tuple[Htlc, ...]


def view_of(
    commitment: Commitment, params: ChannelParams, funding: Funding, point: Point, local_log: Log, remote_log: Log
) -> CommitmentView:
    """Spell a commitment out from the logs."""
    offered, received = active(commitment, local_log, remote_log)
    return CommitmentView(
        params,
        funding,
        commitment.side,
        commitment.number,
        point,
        commitment.feerate_per_kw,
        commitment.totals.local_msat,
        commitment.totals.remote_msat,
        (
            *(htlc_of(add, HtlcKey(params.channel_id, OFFERED, add.id)) for add in offered),
            *(htlc_of(add, HtlcKey(params.channel_id, RECEIVED, add.id)) for add in received),
        ),
    )


def htlc_of(add: Add, key: HtlcKey) -> Htlc:
    """A log entry as an HTLC with its name."""
    return Htlc(key, add.amount_msat, add.payment_hash, add.cltv_expiry)
