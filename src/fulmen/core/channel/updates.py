"""Adding and removing HTLCs, and changing the feerate: proposals that pass until a commitment holds them.

BOLT 2, "Adding an HTLC", "Removing an HTLC", "Updating Fees".
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.ids import OFFERED, RECEIVED, HtlcKey
from fulmen.core.base.machine import Event, Step, Tell, Topic
from fulmen.core.base.outer import Send
from fulmen.core.base.units import LOCKTIME_THRESHOLD
from fulmen.core.channel.facts import LocalProposed, PreimageHeld, PreimageLearned, RemoteProposed
from fulmen.core.channel.faults import (
    AddAfterShutdown,
    AlreadySettled,
    AmountBelowMinimum,
    BadOnionBitMissing,
    CannotAfford,
    ExpiryNotAHeight,
    FeerateOutOfRange,
    HtlcIdOutOfOrder,
    HtlcNotCommitted,
    HtlcUnknown,
    NotTheFeePayer,
    PreimageMismatch,
    TooManyFeeChanges,
    TooManyHtlcs,
    TooMuchInFees,
    TooMuchInFlight,
)
from fulmen.core.channel.limits import (
    dust_at,
    feerate_of_ours,
    highest_feerate,
    opener_cost_msat,
    over_dust_exposure,
    over_fee_bound,
    peer_can_afford,
    why_not_offer,
)
from fulmen.core.channel.state import Channel, Link, Phase
from fulmen.core.commitments.htlcs import (
    FailHtlc,
    FailMalformedHtlc,
    Fulfilled,
    FulfillHtlc,
    HtlcOffered,
    OfferForgotten,
    OfferHtlc,
    OfferRefused,
    SeekOffer,
)
from fulmen.core.commitments.updates import Add, FeeChange, Remove
from fulmen.core.crypto.hashes import sha256
from fulmen.core.onion.errors import MAX_REASON_SIZE
from fulmen.core.transactions.formats import Anchors, Format, format_named
from fulmen.core.wire.messages.updates import (
    UpdateAddHtlc,
    UpdateFailHtlc,
    UpdateFailMalformedHtlc,
    UpdateFee,
    UpdateFulfillHtlc,
)

BADONION = 0x8000
MAX_FEE_CHANGES = 32
"""How many feerates of the peer's may wait to become irrevocable: alone of all updates, they have no other bound."""

seeking = Topic()
adds = Topic()
settlements = Topic()
fees = Topic()


class FeeratesChanged(Event):
    """To every channel: the chain source's estimates moved enough to matter."""


# -- adding -----------------------------------------------------------------------------------------------------------


@adds.on(OfferHtlc)
def on_offer_htlc(channel: Channel, event: OfferHtlc, env: Env) -> Step[Channel]:
    """Offer an HTLC to the peer, if the channel can carry it."""
    step = Step(channel)
    known = _offer_of(channel, event)
    if known is not None:
        return step.act(_told_offered(channel, event, known))
    why = _why_closed_to_offers(channel) or why_not_offer(channel, env, event.amount_msat, event.cltv_expiry)
    if why is not None:
        return step.act(Tell(event.owner, OfferRefused(event.ref, channel.terms.channel_id, why)))

    log = channel.local_log
    add = Add(
        log.next_index,
        log.next_id,
        event.amount_msat,
        event.payment_hash,
        event.cltv_expiry,
        event.onion,
        event.path_key,
        event.owner,
        event.ref,
    )
    return step.fact(LocalProposed(add)).act(send_update(channel, add)).act(_told_offered(channel, event, add))


def refuse_offer(channel: Channel, event: OfferHtlc, _env: Env) -> Step[Channel]:
    """In every state that takes no new HTLC: say so to whoever offered."""
    known = _offer_of(channel, event)
    if known is not None:
        return Step(channel).act(_told_offered(channel, event, known))
    return Step(channel).act(Tell(event.owner, OfferRefused(event.ref, channel.channel_id, "ChannelClosed")))


@seeking.on(SeekOffer)
def on_seek_offer(channel: Channel, event: SeekOffer, _env: Env) -> Step[Channel]:
    """In every state, also before the first and after the last: whether this offer was made and not forgotten."""
    known = _offer_of(channel, event)
    if known is not None:
        return Step(channel).act(_told_offered(channel, event, known))
    return Step(channel).act(Tell(event.owner, OfferForgotten(event.ref, channel.channel_id)))


def _told_offered(channel: Channel, event: OfferHtlc | SeekOffer, add: Add) -> Tell:
    return Tell(event.owner, HtlcOffered(event.ref, HtlcKey(channel.channel_id, OFFERED, add.id)))


def _offer_of(channel: Channel, event: OfferHtlc | SeekOffer) -> Add | None:
    for add in reversed(channel.local_log.adds):
        if add.ref == event.ref and add.owner == event.owner:
            return add
    return None


def _why_closed_to_offers(channel: Channel) -> str | None:
    # Law 8: no new update. But it says so, and what it holds, for nobody else could.
    if channel.frozen:
        return "ChannelFrozen"
    if channel.shutdown_wanted is not None:
        return "ChannelClosing"
    if channel.link is not Link.READY:
        return "ChannelOffline"
    # "MUST NOT send an `update_add_htlc` after a `shutdown`."
    if channel.phase is not Phase.NORMAL:
        return "ChannelClosing" if channel.phase is not Phase.AWAITING_READY else "ChannelNotReady"
    return None


@adds.on(UpdateAddHtlc)
def on_update_add_htlc(channel: Channel, msg: UpdateAddHtlc, env: Env) -> Step[Channel]:
    """The peer offers an HTLC; it counts once both sides have irrevocably committed to it.

    Raises:
        HtlcIdOutOfOrder, AmountBelowMinimum, ExpiryNotAHeight, TooManyHtlcs, TooMuchInFlight, CannotAfford,
        AddAfterShutdown: the peer broke BOLT 2.
        TooMuchInFees: as the opener it broke our bound on what a commitment may leave to miners. An HTLC cannot be
            given back before both commitments hold it, and then there is a state with that fee.
    """
    terms = channel.terms
    log = channel.remote_log
    if channel.shutdown_received is not None:
        raise AddAfterShutdown(id=msg.id)
    # "MUST increase the value of `id` by 1 for each successive offer."
    if msg.id != log.next_id:
        raise HtlcIdOutOfOrder(id=msg.id, expected=log.next_id)
    # "receiving an `amount_msat` equal to 0, OR less than its own `htlc_minimum_msat`"
    if msg.amount_msat < max(1, terms.local.htlc_minimum_msat):
        raise AmountBelowMinimum(id=msg.id, amount_msat=msg.amount_msat)
    # "if sending node sets `cltv_expiry` to greater or equal to 500000000"
    if msg.cltv_expiry >= LOCKTIME_THRESHOLD:
        raise ExpiryNotAHeight(id=msg.id, cltv_expiry=msg.cltv_expiry)

    over_dust = over_dust_exposure(channel, env, msg.amount_msat)
    add = Add(
        log.next_index,
        msg.id,
        msg.amount_msat,
        msg.payment_hash,
        msg.cltv_expiry,
        msg.onion_routing_packet,
        msg.path_key,
        over_dust_exposure=over_dust,
    )
    step = Step(channel).fact(RemoteProposed(add))
    totals = step.state.local_pending.totals
    if totals.received_count > terms.local.max_accepted_htlcs:
        raise TooManyHtlcs(id=msg.id, count=totals.received_count)
    if totals.received_msat > terms.local.max_htlc_value_in_flight_msat:
        raise TooMuchInFlight(id=msg.id, in_flight_msat=totals.received_msat)
    # "receiving an `amount_msat` that the sending node cannot afford at the current `feerate_per_kw` (while
    # maintaining its channel reserve and any `to_local_anchor` and `to_remote_anchor` costs)"
    if not peer_can_afford(step.state):
        raise CannotAfford(id=msg.id, amount_msat=msg.amount_msat, left_msat=totals.remote_msat)
    # The bound is against an opener that mines. A fee of ours is lost only if the channel fails, so for that it does
    # not: `max_accepted_htlcs` and the feerate, which is ours too, bound what it may come to.
    if not terms.is_opener and over_fee_bound(step.state, env):
        raise TooMuchInFees(id=msg.id, feerate_per_kw=step.state.local_pending.feerate_per_kw)
    return step


# -- removing ---------------------------------------------------------------------------------------------------------


@settlements.on(FulfillHtlc)
def on_fulfill_htlc(channel: Channel, event: FulfillHtlc, _env: Env) -> Step[Channel]:
    """Hold the preimage of a received HTLC for good, and claim it on the wire when the wire is there."""
    add = channel.remote_log.add(event.key.id)
    if add is None:
        return Step(channel)
    step = Step(channel)
    if not any(held.id == add.id for held in channel.held_preimages):
        step.fact(PreimageHeld(add.id, event.preimage, event.fee_msat))
    return step.then(lambda state: propose_fulfill(state, add, event))


def propose_fulfill(channel: Channel, add: Add, event: FulfillHtlc) -> Step[Channel]:
    """Say `update_fulfill_htlc`, if it can be said now and was not said before."""
    step = Step(channel)
    # Law 8: frozen, it takes preimages but proposes nothing; what it holds is claimed on the chain.
    if channel.frozen or not _removable(channel, add):
        return step
    remove = Remove(channel.local_log.next_index, add.id, preimage=event.preimage)
    return step.fact(LocalProposed(remove)).act(send_update(channel, remove))


@settlements.on(FailHtlc)
def on_fail_htlc(channel: Channel, event: FailHtlc, _env: Env) -> Step[Channel]:
    """Give a received HTLC back. Its circuit says so again after a reconnect, should this be forgotten."""
    return _fail(channel, event.key, Remove(0, event.key.id, reason=event.reason))


@settlements.on(FailMalformedHtlc)
def on_fail_malformed_htlc(channel: Channel, event: FailMalformedHtlc, _env: Env) -> Step[Channel]:
    """Give back a received HTLC whose onion nobody could read."""
    remove = Remove(0, event.key.id, failure_code=event.failure_code, sha256_of_onion=event.sha256_of_onion)
    return _fail(channel, event.key, remove)


def _fail(channel: Channel, key: HtlcKey, remove: Remove) -> Step[Channel]:
    step = Step(channel)
    add = channel.remote_log.add(key.id)
    # Law 5: once its preimage is known an HTLC is never failed upstream.
    if add is None or any(held.id == key.id for held in channel.held_preimages) or not _removable(channel, add):
        return step
    remove = remove.but(index=channel.local_log.next_index)
    return step.fact(LocalProposed(remove)).act(send_update(channel, remove))


def locked_in(channel: Channel, add: Add) -> bool:
    """Whether a received HTLC is irrevocably committed on both sides."""
    return add.index < channel.remote.remote_upto


def _removable(channel: Channel, add: Add) -> bool:
    # "until the corresponding HTLC is irrevocably committed in both sides' commitment transactions: MUST NOT send an
    # `update_fulfill_htlc`, `update_fail_htlc`, or `update_fail_malformed_htlc`."
    if channel.link is not Link.READY or channel.phase not in (Phase.NORMAL, Phase.SHUTDOWN):
        return False
    return locked_in(channel, add) and channel.local_log.removal(add.id) is None


@settlements.on(UpdateFulfillHtlc)
def on_update_fulfill_htlc(channel: Channel, msg: UpdateFulfillHtlc, _env: Env) -> Step[Channel]:
    """The peer showed the preimage of an HTLC we offered; its owner claims the money upstream in the same batch.

    We do not wait for the commitments to drop the HTLC: a preimage is worth its amount from the moment we know it,
    and nothing once we forget it.

    Raises:
        HtlcUnknown, HtlcNotCommitted, AlreadySettled, PreimageMismatch: the peer broke BOLT 2.
    """
    add = _settleable(channel, msg.id)
    if sha256(msg.payment_preimage) != add.payment_hash:
        raise PreimageMismatch(id=msg.id)
    step = Step(channel)
    if not any(known.id == add.id for known in channel.learned_preimages):
        step.fact(PreimageLearned(add.id, msg.payment_preimage))
    step.fact(RemoteProposed(Remove(channel.remote_log.next_index, add.id, preimage=msg.payment_preimage)))
    if add.owner is not None:
        key = HtlcKey(channel.terms.channel_id, OFFERED, add.id)
        step.act(Tell(add.owner, Fulfilled(add.ref, key, msg.payment_preimage)))
    return step


@settlements.on(UpdateFailHtlc)
def on_update_fail_htlc(channel: Channel, msg: UpdateFailHtlc, _env: Env) -> Step[Channel]:
    """The peer gives an HTLC back; its owner hears of it once the removal is irrevocable."""
    add = _settleable(channel, msg.id)
    # BOLT 4: a return packet has at most 32768 bytes; what is longer is good for nothing and is not stored.
    reason = msg.reason[:MAX_REASON_SIZE]
    return Step(channel).fact(RemoteProposed(Remove(channel.remote_log.next_index, add.id, reason=reason)))


@settlements.on(UpdateFailMalformedHtlc)
def on_update_fail_malformed_htlc(channel: Channel, msg: UpdateFailMalformedHtlc, _env: Env) -> Step[Channel]:
    """The peer could not read the onion."""
    add = _settleable(channel, msg.id)
    # "if the `BADONION` bit in `failure_code` is not set"
    if not msg.failure_code & BADONION:
        raise BadOnionBitMissing(id=msg.id, failure_code=msg.failure_code)
    remove = Remove(
        channel.remote_log.next_index, add.id, failure_code=msg.failure_code, sha256_of_onion=msg.sha256_of_onion
    )
    return Step(channel).fact(RemoteProposed(remove))


def _settleable(channel: Channel, htlc_id: int) -> Add:
    """The offered HTLC with this id, if the peer may remove it now."""
    add = channel.local_log.add(htlc_id)
    if add is None:
        if htlc_id < channel.local_log.next_id:
            raise AlreadySettled(id=htlc_id)
        # "if the `id` does not correspond to an HTLC in its current commitment transaction"
        raise HtlcUnknown(id=htlc_id)
    # We revoked the commitment before it on our side: then both have it, and neither can go back.
    if add.index >= channel.local.local_upto:
        raise HtlcNotCommitted(id=htlc_id)
    if channel.remote_log.removal(htlc_id) is not None:
        raise AlreadySettled(id=htlc_id)
    return add


# -- fees -------------------------------------------------------------------------------------------------------------


@fees.on(UpdateFee)
def on_update_fee(channel: Channel, msg: UpdateFee, env: Env) -> Step[Channel]:
    """The opener sets another feerate.

    Raises:
        NotTheFeePayer, FeerateOutOfRange, CannotAfford: the peer broke BOLT 2.
        TooMuchInFees: "the `update_fee` is […] unreasonably large" for this channel.
        TooManyFeeChanges: it broke our bound on what it may cost us (law 7).
    """
    limits = env.policy.commitment
    # "The node _not responsible_ for paying the Bitcoin fee: MUST NOT send `update_fee`."
    if channel.terms.is_opener:
        raise NotTheFeePayer(feerate_per_kw=msg.feerate_per_kw)
    if len(channel.remote_log.fees) >= MAX_FEE_CHANGES:
        raise TooManyFeeChanges(feerate_per_kw=msg.feerate_per_kw)
    if not limits.feerate_min_per_kw <= msg.feerate_per_kw <= highest_feerate(_format(channel), limits):
        raise FeerateOutOfRange(feerate_per_kw=msg.feerate_per_kw)
    # Without anchors nothing can be added to the fee later: what the mempool does not take confirms too late.
    if msg.feerate_per_kw < channel.local_pending.feerate_per_kw and (
        _format(channel).anchors is Anchors.NONE and 2 * msg.feerate_per_kw < env.feerates.floor_per_kw
    ):
        raise FeerateOutOfRange(feerate_per_kw=msg.feerate_per_kw, why="too low to confirm in time")
    if msg.feerate_per_kw > channel.local_pending.feerate_per_kw and (
        dust_at(channel, msg.feerate_per_kw) > limits.max_dust_htlc_exposure_msat
    ):
        raise FeerateOutOfRange(feerate_per_kw=msg.feerate_per_kw, why="too much of our value would be trimmed")
    change = FeeChange(channel.remote_log.next_index, msg.feerate_per_kw)
    step = Step(channel).fact(RemoteProposed(change))
    # "if the sender cannot afford the new fee rate on the receiving node's current commitment transaction"
    if step.state.local_pending.totals.remote_msat < opener_cost_msat(step.state, step.state.local_pending):
        raise CannotAfford(feerate_per_kw=msg.feerate_per_kw)
    if msg.feerate_per_kw > channel.local_pending.feerate_per_kw and over_fee_bound(step.state, env):
        raise TooMuchInFees(feerate_per_kw=msg.feerate_per_kw)
    return step


@fees.on(FeeratesChanged)
def on_feerates_changed(channel: Channel, _event: FeeratesChanged, env: Env) -> Step[Channel]:
    """News of what the chain asks for."""
    return follow_feerate(channel, env)


def follow_feerate(channel: Channel, env: Env) -> Step[Channel]:
    """As the opener, follow the chain's feerate when it moved by a fifth and we can afford it.

    Done at each reconnection as well: then an `update_fee` of ours may have been forgotten (law 2d), and the feerate
    may have moved while the peer was away.
    """
    step = Step(channel)
    if not channel.terms.is_opener or channel.link is not Link.READY or channel.phase is not Phase.NORMAL:
        return step
    wanted = feerate_of_ours(_format(channel), channel.funding.amount_sat, env)
    now = channel.remote_pending.feerate_per_kw
    if 5 * abs(wanted - now) < now:
        return step
    totals = channel.remote_pending.totals
    afford = totals.local_msat - 1000 * channel.terms.remote.channel_reserve_sat
    if afford < opener_cost_msat(channel, channel.remote_pending, 0, wanted):
        return step
    if wanted > now and dust_at(channel, wanted) > env.policy.commitment.max_dust_htlc_exposure_msat:
        return step
    change = FeeChange(channel.local_log.next_index, wanted)
    changed = step.fact(LocalProposed(change)).act(send_update(channel, change))
    if wanted > now and over_fee_bound(changed.state, env, own=True):
        return Step(channel)
    return changed


def _format(channel: Channel) -> Format:
    return format_named(channel.terms.format)


# -- saying it --------------------------------------------------------------------------------------------------------


def send_update(channel: Channel, update: Add | Remove | FeeChange) -> Send:
    """The message of an update of ours: at first, and unchanged after a reconnect."""
    terms = channel.terms
    channel_id = terms.channel_id
    if isinstance(update, Add):
        return Send(
            terms.node_id,
            UpdateAddHtlc(
                channel_id,
                update.id,
                update.amount_msat,
                update.payment_hash,
                update.cltv_expiry,
                update.onion,
                update.path_key,
            ),
        )
    if isinstance(update, FeeChange):
        return Send(terms.node_id, UpdateFee(channel_id, update.feerate_per_kw))
    if update.preimage is not None:
        return Send(terms.node_id, UpdateFulfillHtlc(channel_id, update.id, update.preimage))
    if update.failure_code:
        return Send(
            terms.node_id,
            UpdateFailMalformedHtlc(channel_id, update.id, update.sha256_of_onion, update.failure_code),
        )
    return Send(terms.node_id, UpdateFailHtlc(channel_id, update.id, update.reason))


def received_key(channel: Channel, add: Add) -> HtlcKey:
    """The name of a received HTLC of this channel."""
    return HtlcKey(channel.terms.channel_id, RECEIVED, add.id)
