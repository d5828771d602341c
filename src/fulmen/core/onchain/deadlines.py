"""By when an output has to be ours, what that may cost, and what is due for the next block.

BOLT 5: what spends an output is replaceable, and is replaced "up to the deadline". While there is time a transaction
of ours pays what the market asks; over the last blocks before the deadline the fee follows the square of the time that
has gone by, up to its budget: a share of what is at stake, and for a penalty all of it, since a cheater who pays miners
more than that has lost it to them. What only we can ever spend has no deadline: it pays what the market asks for
patience, and in the end what it asks for haste. Whatever was bid for an output once is never bid lower (a batch that
has to be made again begins where the one before stood).
"""

from __future__ import annotations

from collections.abc import Sequence

from fulmen.core.base.env import Env
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Sat
from fulmen.core.bitcoin.script import dust_limit
from fulmen.core.bitcoin.transaction import fee_at
from fulmen.core.onchain.matters import Matter, Purpose
from fulmen.core.onchain.state import Onchain

MILLION = 1_000_000


class Stake(Record):
    """What a transaction of ours is worth paying for."""

    budget_sat: Sat
    """The most that its fee may be."""
    since: BlockHeight
    """From when on the fee rises."""
    last_block: BlockHeight | None
    """The last block in which it is sure to be in time, if there is one."""
    bid_per_kw: FeeratePerKw = FeeratePerKw(0)
    """What has been bid for any of its outputs before."""
    hurries: bool = False
    """From the first block on, whatever the deadline is."""
    at_risk_sat: Sat | None = None
    """What the fee may rise to for the sake of the deadline, where that is less than the whole budget."""


def last_block_of(matter: Matter, env: Env) -> BlockHeight | None:
    """The last block in which nobody else can take this output, or in which taking it still serves its purpose."""
    deadlines = env.policy.deadlines
    if matter.punished is not None:
        delay = matter.punished.to_self_delay
        # BOLT 5, "Revoked Transaction Close Handling", on `security_delay`: "we recommend 18 blocks".
        if matter.purpose is Purpose.PUNISH_HTLC:
            delay = min(delay, deadlines.security_delay)
        return BlockHeight(matter.height + max(1, delay) - 1)
    if matter.output is None:
        return None
    if matter.purpose.needs_preimage:
        # The peer's timeout may stand in the block after the expiry.
        return matter.output.cltv_expiry
    if matter.purpose.is_offered:
        return back_by(matter.output.cltv_expiry, env)
    return None


def back_by(cltv_expiry: BlockHeight, env: Env) -> BlockHeight:
    """By when an HTLC that we offered should be back: while the one that pays for it upstream has all its time left.

    BOLT 2, "cltv_expiry_delta Selection": of the blocks between both expiries, the last 2R+G+S are for what comes
    after, the rest is for this.
    """
    deadlines = env.policy.deadlines
    return BlockHeight(cltv_expiry + max(1, deadlines.cltv_expiry_delta - deadlines.fulfilled_deadline))


def is_pressing(last_block: BlockHeight | None, env: Env) -> bool:
    """Whether a deadline is so near that nothing else may stand in the way."""
    return last_block is not None and last_block - env.height <= env.policy.deadlines.security_delay


def stake_of(state: Onchain, lot: Sequence[Matter], env: Env) -> Stake:
    """What is at stake in outputs that one transaction takes."""
    bids = [state.bid_on[matter.outpoint] for matter in lot if matter.outpoint in state.bid_on]
    lasts = [last for last in (last_block_of(matter, env) for matter in lot) if last is not None]
    punishes = any(matter.punished is not None for matter in lot)
    since = min((bid.since for bid in bids), default=env.height)
    return Stake(
        Sat(sum(budget_of(matter, state.destination, env) for matter in lot)),
        min(matter.height for matter in lot) if punishes else since,
        min(lasts, default=None),
        max((bid.feerate_per_kw for bid in bids), default=FeeratePerKw(0)),
        punishes,
    )


def budget_of(matter: Matter, destination: bytes, env: Env) -> Sat:
    """What taking an output may cost at most."""
    if matter.punished is not None:
        return Sat(max(0, matter.amount_sat - dust_limit(destination)))
    return share_of(matter.amount_sat, env)


def share_of(amount_sat: int, env: Env) -> Sat:
    """The part of an amount that may go into fees."""
    return Sat(amount_sat * env.policy.sweep.budget_ppm // MILLION)


def fee_due(stake: Stake, weight: int, env: Env) -> Sat:
    """What a transaction of this weight should pay for its place in the next block."""
    market = fee_at(market_per_kw(stake, env), weight)
    cap = fee_at(env.policy.feerates.cap_per_kw, weight)
    due = min(max(market, rising(stake, env)), stake.budget_sat, cap)
    return Sat(max(due, fee_at(floor_of(env), weight), fee_at(stake.bid_per_kw, weight)))


def feerate_due(stake: Stake, weight: int, env: Env) -> FeeratePerKw:
    """The same as a feerate."""
    return clamped(FeeratePerKw(fee_due(stake, weight, env) * 1000 // weight), env)


def rising(stake: Stake, env: Env) -> Sat:
    """The part of the budget that the time gone by has set free."""
    if stake.last_block is None:
        return Sat(0)
    # The tip under which the last block is made.
    last_tip = stake.last_block - 1
    most = stake.budget_sat if stake.at_risk_sat is None else min(stake.at_risk_sat, stake.budget_sat)
    if env.height >= last_tip:
        return most
    start = stake.since if stake.hurries else max(stake.since, last_tip - env.policy.sweep.rises_over)
    window = max(1, last_tip - start)
    gone = max(0, min(window, env.height - start))
    return Sat(most * gone * gone // (window * window))


def market_per_kw(stake: Stake, env: Env) -> FeeratePerKw:
    """What others pay who have as much time."""
    patient, hasty = env.feerates.closing_per_kw, env.feerates.urgent_per_kw
    most = max(1, env.policy.sweep.patience)
    if stake.hurries:
        waited = most
    elif stake.last_block is None:
        waited = env.height - stake.since
    else:
        near = env.policy.deadlines.security_delay
        waited = most - max(0, stake.last_block - env.height - near)
    waited = max(0, min(most, waited))
    return clamped(FeeratePerKw(patient + max(0, hasty - patient) * waited // most), env)


def clamped(feerate_per_kw: FeeratePerKw, env: Env) -> FeeratePerKw:
    """A feerate within our floor and cap."""
    return max(floor_of(env), min(feerate_per_kw, env.policy.feerates.cap_per_kw))


def floor_of(env: Env) -> FeeratePerKw:
    """The least feerate that we use."""
    return min(max(env.policy.feerates.floor_per_kw, env.feerates.floor_per_kw), env.policy.feerates.cap_per_kw)
