"""From a commitment spelled out to its transactions: where `local` and `remote` become owner and other."""

from __future__ import annotations

from functools import lru_cache

from fulmen.core.base.ids import OFFERED
from fulmen.core.commitments.commitment import LOCAL, Side
from fulmen.core.commitments.params import ChannelParams, Funding
from fulmen.core.commitments.view import CommitmentView
from fulmen.core.transactions.commitment import CommitmentShape, CommitmentTx, build_commitment
from fulmen.core.transactions.formats import format_named
from fulmen.core.transactions.keys import commitment_keys
from fulmen.core.transactions.numbers import obscuring_factor


def build(view: CommitmentView) -> CommitmentTx:
    """The commitment transaction of a view, with its HTLC transactions, unsigned."""
    params = view.params
    offered = [htlc for htlc in view.htlcs if htlc.key.direction is OFFERED]
    received = [htlc for htlc in view.htlcs if htlc.key.direction is not OFFERED]
    local, remote = params.local.basepoints, params.remote.basepoints
    if view.side is LOCAL:
        keys = commitment_keys(local, remote, view.per_commitment_point)
        balances, htlcs = (view.local_msat, view.remote_msat), (offered, received)
    else:
        keys = commitment_keys(remote, local, view.per_commitment_point)
        balances, htlcs = (view.remote_msat, view.local_msat), (received, offered)
    shape = shape_of(params, view.funding, view.side)
    return build_commitment(shape, view.number, keys, *balances, *htlcs, view.feerate_per_kw)


def shape_of(params: ChannelParams, funding: Funding, side: Side) -> CommitmentShape:
    """What all commitments of one side over one funding share."""
    owner, other = (params.local, params.remote) if side is LOCAL else (params.remote, params.local)
    return CommitmentShape(
        format=format_named(funding.format),
        funding=funding.outpoint,
        funding_sat=funding.amount_sat,
        owner_is_opener=params.is_opener == (side is LOCAL),
        to_self_delay=other.to_self_delay,
        dust_limit_sat=owner.dust_limit_sat,
        obscuring_factor=channel_factor(params),
    )


def channel_factor(params: ChannelParams) -> int:
    """The number with which both sides' commitment numbers are obscured (BOLT 3, "Commitment Transaction")."""
    local, remote = params.local.basepoints.payment_basepoint, params.remote.basepoints.payment_basepoint
    return _factor(local, remote) if params.is_opener else _factor(remote, local)


_factor = lru_cache(maxsize=4096)(obscuring_factor)
