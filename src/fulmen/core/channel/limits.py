"""What a channel can carry: reserve, fee, anchors, counts, value in flight, dust.

BOLT 2, "Adding an HTLC", "Updating Fees" and "Bounding exposure to trimmed in-flight HTLCs".
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.policy import CommitmentPolicy
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Msat, Sat, sat_floor, to_msat
from fulmen.core.channel.state import Channel
from fulmen.core.commitments.commitment import (
    Commitment,
    including_local,
    including_remote,
    recount,
    trim_threshold_sat,
)
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC, HTLC_WEIGHT, Anchors, Format, format_named
from fulmen.core.transactions.weights import commitment_fee, commitment_weight, opener_cost

FEERATE_OF_NONE = FeeratePerKw(0)
FEERATE_BUFFER_PER_KW = 2530
"""Ten satoshis per vbyte: dust is bounded at a feerate that is higher by this, or by a quarter, too."""


def opener_cost_msat(
    channel: Channel, commitment: Commitment, more_outputs: int = 0, feerate_per_kw: FeeratePerKw | None = None
) -> Msat:
    """What the opener pays on a commitment: its fee and both anchors."""
    feerate = commitment.feerate_per_kw if feerate_per_kw is None else feerate_per_kw
    form = format_named(channel.terms.format)
    return to_msat(opener_cost(form, feerate, commitment.totals.output_count + more_outputs))


def why_not_offer(channel: Channel, env: Env, amount_msat: Msat, cltv_expiry: BlockHeight) -> str | None:
    """The name of the limit that keeps us from offering this amount until then, or None.

    Checked on the commitments as they will be with all that is pending on both.
    """
    terms = channel.terms
    pending = channel.remote_pending.totals
    if amount_msat < max(1, terms.remote.htlc_minimum_msat):
        return "AmountBelowMinimum"
    # An offer may come late, from before a crash: it could be paid when we can no longer claim upstream.
    if cltv_expiry <= env.height + env.policy.deadlines.offered_grace:
        return "ExpiryTooSoon"
    if _offered(channel) >= terms.remote.max_accepted_htlcs:
        return "TooManyHtlcs"
    if pending.offered_msat + amount_msat > terms.remote.max_htlc_value_in_flight_msat:
        return "TooMuchInFlight"
    if amount_msat > spendable_msat(channel, env):
        return "InsufficientBalance"
    if _dust_after(channel, amount_msat, offered=True) > env.policy.commitment.max_dust_htlc_exposure_msat:
        return "DustExposure"
    # The opener may raise the feerate while this is under way: as far as good ones do, that has to fit as well.
    least = FEERATE_OF_NONE if terms.is_opener else env.policy.commitment.anchor_feerate_cap_per_kw
    if over_fee_bound(channel, env, own=True, more_outputs=1, least_per_kw=least):
        return "FeeExposure"
    return None


def spendable_msat(channel: Channel, env: Env | None = None, *, spike: int = 2) -> Msat:
    """The largest single HTLC we could offer now, above our reserve and, as the opener, the fee with its buffer.

    Source: BOLT 2, "Adding an HTLC" (fee spike buffer: twice the feerate and one more HTLC).
    """
    return within_room(channel, spendable_later_msat(channel, env, spike=spike))


def spendable_later_msat(channel: Channel, env: Env | None = None, *, spike: int = 2) -> Msat:
    """The largest single HTLC we could offer of what is ours now, once the peer's room for HTLCs is free again."""
    multiple = env.policy.commitment.fee_spike_multiple if env is not None else spike
    best = min(_spendable_on(channel, commitment, multiple) for commitment in _next_two(channel))
    return Msat(max(0, min(best, channel.terms.remote.max_htlc_value_in_flight_msat)))


def within_room(channel: Channel, later_msat: Msat) -> Msat:
    """How much of it the peer takes now, with what is under way."""
    if _offered(channel) >= channel.terms.remote.max_accepted_htlcs:
        return Msat(0)
    in_flight = channel.remote_pending.totals.offered_msat
    return Msat(max(0, min(later_msat, channel.terms.remote.max_htlc_value_in_flight_msat - in_flight)))


def _offered(channel: Channel) -> int:
    return max(channel.remote_pending.totals.offered_count, channel.local_pending.totals.offered_count)


def _next_two(channel: Channel) -> tuple[Commitment, Commitment]:
    return channel.remote_pending, channel.local_pending


def _spendable_on(channel: Channel, commitment: Commitment, spike: int) -> int:
    terms = channel.terms
    totals = commitment.totals
    # Our own proposals that the peer has not acknowledged are only on its side yet; they bind us on both.
    ours = min(channel.remote_pending.totals.local_msat, totals.local_msat)
    available = ours - to_msat(terms.remote.channel_reserve_sat)
    if terms.is_opener:
        spiked = FeeratePerKw(commitment.feerate_per_kw * spike)
        return available - opener_cost_msat(channel, commitment, 2, spiked)
    # "SHOULD NOT offer `amount_msat` if, once the remote node adds that HTLC to its commitment transaction, it cannot
    # pay the fee": an HTLC too small to have an output adds no weight, so up to that amount the opener is not asked.
    threshold = trim_threshold_sat(terms, commitment.side, offered=True, feerate_per_kw=commitment.feerate_per_kw)
    theirs = totals.remote_msat - to_msat(terms.local.channel_reserve_sat)
    if theirs < opener_cost_msat(channel, commitment, 1):
        return min(available, 1000 * threshold - 1)
    return available


def receivable_msat(channel: Channel) -> Msat:
    """The largest single HTLC the peer could offer now, as far as we know."""
    terms = channel.terms
    totals = channel.local_pending.totals
    available = totals.remote_msat - to_msat(terms.local.channel_reserve_sat)
    if not terms.is_opener:
        available -= opener_cost_msat(channel, channel.local_pending, 2)
    available = min(available, terms.local.max_htlc_value_in_flight_msat - totals.received_msat)
    return Msat(max(0, available))


def peer_can_afford(channel: Channel) -> bool:
    """Whether the peer keeps its reserve, and as the opener its costs, on our next commitment."""
    totals = channel.local_pending.totals
    needed = to_msat(channel.terms.local.channel_reserve_sat)
    if not channel.terms.is_opener:
        needed = Msat(needed + opener_cost_msat(channel, channel.local_pending))
    return totals.remote_msat >= needed


def over_dust_exposure(channel: Channel, env: Env, amount_msat: Msat) -> bool:
    """Whether a received HTLC would leave too much of the channel's value to miners if it closed now."""
    return _dust_after(channel, amount_msat, offered=False) > env.policy.commitment.max_dust_htlc_exposure_msat


def _dust_after(channel: Channel, amount_msat: Msat, *, offered: bool) -> Msat:
    worst = 0
    for commitment in _with_all_proposed(channel):
        for feerate in _feerates_to_come(channel, commitment):
            threshold = trim_threshold_sat(channel.terms, commitment.side, offered=offered, feerate_per_kw=feerate)
            if sat_floor(amount_msat) < threshold:
                worst = max(worst, _dust_on(channel, commitment, feerate) + amount_msat)
    return Msat(worst)


def _feerates_to_come(channel: Channel, commitment: Commitment) -> tuple[FeeratePerKw, ...]:
    """The feerate, and what it may rise to while an HTLC is under way, where that decides which HTLCs are dust.

    "For channels that don't use `option_anchors`, an increase of the `feerate_per_kw` may trim multiple htlcs from
    commitment transactions, which could create a large increase in dust exposure."
    """
    feerate = commitment.feerate_per_kw
    if not format_named(channel.terms.format).htlc_tx_pays_fee:
        return (feerate,)
    return (feerate, FeeratePerKw(max(feerate + FEERATE_BUFFER_PER_KW, feerate * 5 // 4)))


def _dust_on(channel: Channel, commitment: Commitment, feerate_per_kw: FeeratePerKw) -> Msat:
    if feerate_per_kw == commitment.feerate_per_kw:
        return commitment.totals.trimmed_msat
    raised = commitment.but(feerate_per_kw=feerate_per_kw)
    return recount(raised, channel.terms, channel.local_log, channel.remote_log).trimmed_msat


def dust_at(channel: Channel, feerate_per_kw: FeeratePerKw) -> Msat:
    """The value that would be trimmed at another feerate, on the worse of the next two commitments."""
    return max(_dust_on(channel, commitment, feerate_per_kw) for commitment in _with_all_proposed(channel))


# -- fees ---------------------------------------------------------------------------------------------------------


def highest_feerate(form: Format, limits: CommitmentPolicy) -> FeeratePerKw:
    """The hard cap on the feerate of a commitment of this form, whoever sets it."""
    if form.anchors is Anchors.NONE:
        return limits.feerate_max_per_kw
    return FeeratePerKw(min(limits.feerate_max_per_kw, limits.anchor_feerate_max_per_kw))


def fee_bound_sat(capacity_sat: Sat, limits: CommitmentPolicy, *, own: bool = False) -> Sat:
    """What a commitment of a channel of this size may pay in fees; `own`: as far as it is us who make it pay.

    A fee is taken from the opener, and is lost to the channel if the state ever confirms. An opener that mines would
    put into an old state's fee what has since become ours, and the penalty would find it gone.
    """
    bound = max(limits.commitment_fee_allowance_sat, capacity_sat * limits.max_commitment_fee_ppm // 1_000_000)
    return Sat(bound // 2 if own else bound)


def feerate_of_ours(form: Format, capacity_sat: Sat, env: Env) -> FeeratePerKw:
    """What a commitment should pay now that a channel of ours opens, or is followed by its opener.

    With anchors no more than the cap, for the anchor can add to it; and no more than a share of the channel.
    """
    limits = env.policy.commitment
    wanted = env.feerates.commitment_per_kw
    if form.anchors is not Anchors.NONE:
        wanted = FeeratePerKw(min(wanted, limits.anchor_feerate_cap_per_kw))
    share = fee_bound_sat(capacity_sat, limits, own=True) * 1000 // commitment_weight(form, 0)
    return FeeratePerKw(max(limits.feerate_min_per_kw, min(wanted, highest_feerate(form, limits), share)))


def most_htlcs(capacity_sat: Sat, limits: CommitmentPolicy) -> int:
    """How many HTLCs of the peer's the fee of a channel of this size has room for, at what good openers ask for.

    It is announced as `max_accepted_htlcs`: a peer that knows it does not run into a bound that it cannot know. It is
    what half of the bound has room for, since offers of ours may take the other half.
    """
    bound_sat = fee_bound_sat(capacity_sat, limits, own=True)
    weight = bound_sat * 1000 // max(1, limits.anchor_feerate_cap_per_kw)
    return max(1, (weight - ANCHORS_ZERO_FEE_HTLC.commitment_weight) // HTLC_WEIGHT)


def over_fee_bound(
    channel: Channel,
    env: Env,
    *,
    own: bool = False,
    more_outputs: int = 0,
    least_per_kw: FeeratePerKw = FEERATE_OF_NONE,
) -> bool:
    """Whether a commitment that comes of all that is proposed now would pay too much of the channel in fees.

    Args:
        own: for what we propose ourselves, which takes half of the bound at most.
        more_outputs: HTLCs that are not in it yet.
        least_per_kw: it is reckoned at this feerate, if its own is lower.
    """
    form = format_named(channel.terms.format)
    bound_sat = fee_bound_sat(channel.funding.amount_sat, env.policy.commitment, own=own)
    pending = _next_two(channel)
    # No commitment holds more HTLCs than both together: for nearly every one that settles it.
    most = sum(one.totals.offered_count + one.totals.received_count for one in pending) + more_outputs
    if commitment_fee(form, max(least_per_kw, *(one.feerate_per_kw for one in pending)), most) <= bound_sat:
        return False
    return any(
        commitment_fee(form, max(least_per_kw, one.feerate_per_kw), one.totals.output_count + more_outputs) > bound_sat
        for one in _with_all_proposed(channel)
    )


def _with_all_proposed(channel: Channel) -> tuple[Commitment, Commitment]:
    """Both commitments with what either side has proposed, acknowledged or not."""
    terms, ours, theirs = channel.terms, channel.local_log, channel.remote_log
    return (
        including_remote(channel.remote_pending, terms, ours, theirs, theirs.next_index),
        including_local(channel.local_pending, terms, ours, theirs, ours.next_index),
    )
