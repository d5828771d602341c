"""A commitment as integers: a number, two prefixes of the logs, a feerate, and totals.

Signing and revoking move these integers. The totals are kept as the prefixes grow, so that a limit is checked without
walking over all HTLCs; `recount` is the definition they have to agree with.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from fulmen.core.base.record import Record
from fulmen.core.base.units import FeeratePerKw, Msat, Sat, sat_floor
from fulmen.core.commitments.params import ChannelParams
from fulmen.core.commitments.updates import Add, Log, Updates, active_adds
from fulmen.core.transactions.formats import format_named
from fulmen.core.transactions.weights import offered_threshold, received_threshold


class Side(enum.IntEnum):
    """Whose commitment transaction it is: who can publish it."""

    LOCAL = 0
    REMOTE = 1


LOCAL = Side.LOCAL
REMOTE = Side.REMOTE


class Totals(Record):
    """Sums over one commitment, seen from us whichever side it is on."""

    local_msat: Msat
    """Ours, HTLCs apart, before fees and anchors."""
    remote_msat: Msat
    offered_count: int = 0
    offered_msat: Msat = Msat(0)
    received_count: int = 0
    received_msat: Msat = Msat(0)
    output_count: int = 0
    """HTLCs that have an output of their own."""
    trimmed_msat: Msat = Msat(0)
    """The value of those that have none."""


class Commitment(Record):
    """One commitment of one side."""

    side: Side
    number: int
    local_upto: int
    """How much of our log is in it."""
    remote_upto: int
    feerate_per_kw: FeeratePerKw
    totals: Totals


def first_commitment(side: Side, feerate_per_kw: FeeratePerKw, local_msat: Msat, remote_msat: Msat) -> Commitment:
    """Commitment number 0, from the opening."""
    return Commitment(side, 0, 0, 0, feerate_per_kw, Totals(local_msat, remote_msat))


def trim_threshold_sat(params: ChannelParams, side: Side, *, offered: bool, feerate_per_kw: FeeratePerKw) -> Sat:
    """An HTLC below this many satoshis has no output on that side's commitment transaction (BOLT 3, "Trimmed Outputs").

    `offered` is seen from us.
    """
    owner = params.local if side is LOCAL else params.remote
    threshold = offered_threshold if offered == (side is LOCAL) else received_threshold
    return threshold(format_named(params.format), feerate_per_kw, owner.dust_limit_sat)


def including_local(
    commitment: Commitment, params: ChannelParams, local_log: Log, remote_log: Log, upto: int
) -> Commitment:
    """The commitment with our log included up to `upto`."""
    updates = local_log.between(commitment.local_upto, upto)
    return _including(commitment.but(local_upto=upto), params, local_log, remote_log, updates, ours=True)


def including_remote(
    commitment: Commitment, params: ChannelParams, local_log: Log, remote_log: Log, upto: int
) -> Commitment:
    """The commitment with the peer's log included up to `upto`."""
    updates = remote_log.between(commitment.remote_upto, upto)
    return _including(commitment.but(remote_upto=upto), params, local_log, remote_log, updates, ours=False)


def active(commitment: Commitment, local_log: Log, remote_log: Log) -> tuple[tuple[Add, ...], tuple[Add, ...]]:
    """The HTLCs in a commitment: offered by us, received by us, each in the order of their ids."""
    return (
        active_adds(local_log, commitment.local_upto, remote_log, commitment.remote_upto),
        active_adds(remote_log, commitment.remote_upto, local_log, commitment.local_upto),
    )


def recount(commitment: Commitment, params: ChannelParams, local_log: Log, remote_log: Log) -> Totals:
    """The totals but for the two balances, counted from the logs."""
    offered, received = active(commitment, local_log, remote_log)
    totals = Totals(commitment.totals.local_msat, commitment.totals.remote_msat)
    totals = _added(totals, offered, _threshold(commitment, params, ours=True), ours=True)
    return _added(totals, received, _threshold(commitment, params, ours=False), ours=False, moving=False)


def _including(
    commitment: Commitment, params: ChannelParams, local_log: Log, remote_log: Log, updates: Updates, *, ours: bool
) -> Commitment:
    if updates.fees:
        commitment = commitment.but(feerate_per_kw=updates.fees[-1].feerate_per_kw)
    totals = commitment.totals
    if updates.adds:
        totals = _added(totals, updates.adds, _threshold(commitment, params, ours=ours), ours=ours, moving=True)
    if updates.removes:
        others = remote_log if ours else local_log
        threshold = _threshold(commitment, params, ours=not ours)
        for remove in updates.removes:
            add = others.add(remove.id)
            assert add is not None, "a removal is in the log only while its HTLC is"
            totals = _removed(totals, add, threshold, fulfilled=remove.preimage is not None, ours=not ours)
    commitment = commitment.but(totals=totals)
    # Which HTLCs are trimmed depends on the feerate in the formats whose HTLC transactions pay a fee themselves.
    if updates.fees and format_named(params.format).htlc_tx_pays_fee:
        commitment = commitment.but(totals=recount(commitment, params, local_log, remote_log))
    return commitment


def _threshold(commitment: Commitment, params: ChannelParams, *, ours: bool) -> Sat:
    return trim_threshold_sat(params, commitment.side, offered=ours, feerate_per_kw=commitment.feerate_per_kw)


def _added(totals: Totals, adds: Iterable[Add], threshold: Sat, *, ours: bool, moving: bool = False) -> Totals:
    count = value = outputs = trimmed = 0
    for add in adds:
        count += 1
        value += add.amount_msat
        if sat_floor(add.amount_msat) < threshold:
            trimmed += add.amount_msat
        else:
            outputs += 1
    totals = totals.but(output_count=totals.output_count + outputs, trimmed_msat=Msat(totals.trimmed_msat + trimmed))
    if ours:
        return totals.but(
            local_msat=Msat(totals.local_msat - (value if moving else 0)),
            offered_count=totals.offered_count + count,
            offered_msat=Msat(totals.offered_msat + value),
        )
    return totals.but(
        remote_msat=Msat(totals.remote_msat - (value if moving else 0)),
        received_count=totals.received_count + count,
        received_msat=Msat(totals.received_msat + value),
    )


def _removed(totals: Totals, add: Add, threshold: Sat, *, fulfilled: bool, ours: bool) -> Totals:
    amount = add.amount_msat
    if sat_floor(amount) < threshold:
        totals = totals.but(trimmed_msat=Msat(totals.trimmed_msat - amount))
    else:
        totals = totals.but(output_count=totals.output_count - 1)
    # What was fulfilled belongs to whom it was offered to; what failed goes back.
    to_us = fulfilled != ours
    if to_us:
        totals = totals.but(local_msat=Msat(totals.local_msat + amount))
    else:
        totals = totals.but(remote_msat=Msat(totals.remote_msat + amount))
    if ours:
        return totals.but(offered_count=totals.offered_count - 1, offered_msat=Msat(totals.offered_msat - amount))
    return totals.but(received_count=totals.received_count - 1, received_msat=Msat(totals.received_msat - amount))
