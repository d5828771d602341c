"""The outgoing side: offers, and what becomes of those that a channel does not take.

An offer that was never in a signed commitment may be made again, elsewhere or later; BOLT 4, "Non-strict Forwarding".
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.ids import ChannelId
from fulmen.core.base.machine import Step, Topic, Undelivered, to_channel
from fulmen.core.base.outer import Lingered, TimeReached
from fulmen.core.base.units import Timestamp
from fulmen.core.commitments.htlcs import (
    HtlcOffered,
    OfferForgotten,
    OfferHtlc,
    OfferRefused,
    SeekOffer,
    circuit_address,
)
from fulmen.core.onion.failures import (
    TemporaryChannelFailure,
    TemporaryNodeFailure,
)
from fulmen.core.switch.circuit import (
    Circuit,
    CircuitRerouted,
    OfferDenied,
    OfferGiven,
    OfferWaits,
    Phase,
)
from fulmen.core.switch.links import carriers, link_called, links_of
from fulmen.core.switch.relay import EXPIRY_MARGIN
from fulmen.core.switch.verdicts import fail_with, shared_secret
from fulmen.core.switch.words import HtlcArrived

RETRY_AFTER_S = 1
"""How soon an offer that was forgotten is made again."""
PATIENCE_S = 30
"""How long the next peer may take to come back before the HTLC is failed upstream."""

offers = Topic()


def offer(step: Step[Circuit]) -> Step[Circuit]:
    """Offer the outgoing HTLC. The channel knows an offer by its owner and ref, so making it again adds nothing."""
    circuit = step.state
    forward = circuit.forward
    assert forward is not None and circuit.htlc is not None
    event = OfferHtlc(
        circuit_address(circuit.key),
        forward.ref,
        forward.amount_msat,
        circuit.htlc.payment_hash,
        forward.cltv_expiry,
        forward.onion,
    )
    return step.fact(OfferGiven()).act(to_channel(forward.channel_id, event))


@offers.on(HtlcOffered)
def on_htlc_offered(circuit: Circuit, event: HtlcOffered, _env: Env) -> Step[Circuit]:
    """The offer is an HTLC now, or still; nothing changes until it is settled, failed or forgotten."""
    step = Step(circuit)
    return step.fact(OfferGiven()) if circuit.loose and circuit.offers(event.ref) else step


@offers.on(OfferRefused)
def on_offer_refused(circuit: Circuit, event: OfferRefused, env: Env) -> Step[Circuit]:
    """The channel could not take the offer: try another one to the same peer, wait for it, or give up."""
    return _refused(circuit, event.ref, event.channel_id, env)


@offers.on(OfferForgotten)
def on_offer_forgotten(circuit: Circuit, event: OfferForgotten, env: Env) -> Step[Circuit]:
    """The peer left before it had signed for the HTLC: it was never committed, and may be offered again."""
    step = Step(circuit)
    if not circuit.offers(event.ref):
        return step
    return _wait(step, env)


@offers.on(Lingered)
def on_lingered(circuit: Circuit, _event: Lingered, _env: Env) -> Step[Circuit]:
    """The moment between an HTLC that came and the one that goes is over, unless the offer was made meanwhile."""
    step = Step(circuit)
    if circuit.phase is not Phase.FORWARDING or circuit.offered or circuit.retry_at or circuit.removed:
        return step
    return offer(step)


@offers.on(TimeReached)
def on_time_reached(circuit: Circuit, _event: TimeReached, env: Env) -> Step[Circuit]:
    """Time to make the offer again, or to ask whether it was ever made."""
    step = Step(circuit)
    if circuit.loose:
        assert circuit.forward is not None
        sought = SeekOffer(circuit_address(circuit.key), circuit.forward.ref)
        return step.act(to_channel(circuit.forward.channel_id, sought))
    if circuit.phase is not Phase.FORWARDING or not circuit.retry_at or env.wall < circuit.retry_at:
        return step
    return offer(step)


@offers.on(Undelivered)
def on_undelivered(circuit: Circuit, event: Undelivered, env: Env) -> Step[Circuit]:
    """Whoever was told is frozen or gone."""
    told = event.action.event
    if isinstance(told, SeekOffer) and circuit.loose:
        return Step(circuit).fact(OfferWaits(Timestamp(env.wall + PATIENCE_S), Timestamp(0)))
    if isinstance(told, OfferHtlc):
        if circuit.offers(told.ref) and circuit.give_up_at:
            # It may have been committed before a crash, and the channel cannot say so now: wait, never fail (law 10).
            return Step(circuit).fact(OfferWaits(Timestamp(env.wall + PATIENCE_S), circuit.give_up_at))
        return _refused(circuit, told.ref, ChannelId(event.action.to.key), env)
    if isinstance(told, HtlcArrived) and circuit.phase is Phase.RECEIVING:
        assert circuit.htlc is not None
        return fail_with(Step(circuit), circuit.htlc, shared_secret(circuit, env), TemporaryNodeFailure(), env)
    # A claim or a failure that the channel does not take now is told again with the next HtlcLockedIn.
    return Step(circuit)


def _refused(circuit: Circuit, ref: int, channel_id: ChannelId, env: Env) -> Step[Circuit]:
    """The channel does not have this offer and never had it signed: another one may get it."""
    step = Step(circuit)
    forward = circuit.forward
    if not circuit.offers(ref) or not circuit.offered or forward is None or forward.channel_id != channel_id:
        return step
    step.fact(OfferDenied(channel_id))
    if circuit.removed:
        return _give_up(step, env)
    links = links_of(env.views)
    asked = link_called(links, forward.scid)
    able = carriers(links, asked, forward.amount_msat) if asked is not None else []
    for link in able:
        if link.channel_id not in step.state.refused_by:
            return offer(step.fact(CircuitRerouted(link.channel_id, forward.ref + 1)))
    if circuit.give_up_at:
        return _wait(step, env)
    return _give_up(step, env)


def _wait(step: Step[Circuit], env: Env) -> Step[Circuit]:
    """Offer again in a while, unless patience or the time that the outgoing HTLC has left is over.

    Nor is it made again once the HTLC that would pay for it is gone: its channel was closed on the chain meanwhile.
    """
    circuit = step.state
    assert circuit.forward is not None
    give_up_at = circuit.give_up_at or Timestamp(env.wall + PATIENCE_S)
    if circuit.removed or env.wall >= give_up_at or circuit.forward.cltv_expiry <= env.height + EXPIRY_MARGIN:
        return _give_up(step, env)
    return step.fact(OfferWaits(Timestamp(env.wall + RETRY_AFTER_S), give_up_at))


def _give_up(step: Step[Circuit], env: Env) -> Step[Circuit]:
    """No channel has the offer, and none will get it."""
    circuit = step.state
    assert circuit.htlc is not None
    return fail_with(step, circuit.htlc, shared_secret(circuit, env), TemporaryChannelFailure(), env)
