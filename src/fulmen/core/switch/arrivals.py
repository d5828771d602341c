"""An HTLC comes in: read our layer of its onion, and forward it, receive it, or fail it.

BOLT 4, "Onion Decryption" and "Accepting and Forwarding a Payment".
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.ids import HtlcKey, Point
from fulmen.core.base.machine import Address, Event, Keep, Kept, Step, Tell, Topic
from fulmen.core.base.mount import Informed
from fulmen.core.base.outer import Linger, Notify
from fulmen.core.base.units import BlockHeight, Timestamp
from fulmen.core.commitments.htlcs import (
    Htlc,
    HtlcLockedIn,
    circuit_address,
)
from fulmen.core.crypto.hashes import sha256
from fulmen.core.onion.failures import (
    Failure,
    IncorrectOrUnknownPaymentDetails,
    InvalidOnionBlinding,
    InvalidOnionPayload,
    TemporaryChannelFailure,
    TemporaryNodeFailure,
    UnknownNextPeer,
    failure_name,
)
from fulmen.core.onion.payload import Payload, decode_payload
from fulmen.core.onion.sphinx import (
    INVALID_ONION_HMAC,
    BadOnion,
    PayloadUnreadable,
    ephemeral_key,
    peel,
)
from fulmen.core.switch.circuit import (
    Circuit,
    CircuitOpened,
    Forward,
    OfferWaits,
    Phase,
    ReceiveBegun,
    Verdict,
)
from fulmen.core.switch.flood import too_much_under_way
from fulmen.core.switch.links import carriers, link_called, links_of
from fulmen.core.switch.offers import PATIENCE_S, offer
from fulmen.core.switch.relay import final_failure, forward_failure
from fulmen.core.switch.verdicts import claim, fail_with, give_back, give_back_with
from fulmen.core.switch.words import HtlcArrived, invoice_address

INVALID_ONION_BLINDING = InvalidOnionBlinding.code

arrivals = Topic()


class OnionSeen(Kept):
    """A cold row under ("onion", half of its HMAC): this onion has come in one HTLC; in another it is a replay (B4-12).

    Every HTLC that peers make us take costs such a row for days, so it is short: 16 bytes of a hash are as good as all
    for telling HTLCs and onions apart, and whoever finds two alike has only an HTLC of his own fail.
    """

    htlc: bytes
    """Its name: 16 bytes of the SHA-256 of its circuit's address."""


def needs(event: Event) -> tuple[Address, ...]:
    """Whether this onion was here before."""
    return (_seen_at(event.onion),) if isinstance(event, HtlcLockedIn) else ()


@arrivals.on(Informed)
def on_informed(circuit: Circuit, informed: Informed, env: Env) -> Step[Circuit]:
    """An HTLC is irrevocably committed; said again after every reconnect until it is settled."""
    event, seen = informed.event, informed.rows[0]
    assert isinstance(event, HtlcLockedIn)
    step = Step(circuit)
    if circuit.removed:
        return step
    match circuit.phase:
        case Phase.NEW:
            replayed = isinstance(seen, OnionSeen) and seen != _seen_in(circuit.key)
            return _judge(step, event, env, replayed)
        case Phase.RECEIVING:
            return _judge(step, event, env, False)
        case Phase.FORWARDING:
            if circuit.offered or circuit.retry_at:
                return step
            # After a crash. The channel knows whether the offer is on its way, and has time to come back if not.
            return offer(step.fact(OfferWaits(Timestamp(0), Timestamp(env.wall + PATIENCE_S))))
        case Phase.FULFILLED:
            return step.act(claim(circuit))
        case Phase.FAILED:
            return step.act(give_back(circuit))


def _judge(step: Step[Circuit], event: HtlcLockedIn, env: Env, replayed: bool) -> Step[Circuit]:
    """Read our layer of the onion and do what it says, or fail the HTLC."""
    htlc, onion = event.htlc, event.onion
    if event.path_key is not None:
        # BOLT 4: "if `path_key` is set in the incoming `update_add_htlc`: MUST return an `invalid_onion_blinding`
        # error." We do not relay in blinded routes.
        return give_back_with(step, htlc, _malformed(INVALID_ONION_BLINDING, sha256(onion)), env)
    try:
        # BOLT 4: "if `hmac` has previously been received: […] MUST abort processing the packet and fail."
        if replayed:
            raise BadOnion(INVALID_ONION_HMAC, onion)
        key = ephemeral_key(onion)
        secret = env.ecdh(key)
        peeled = peel(onion, secret, htlc.payment_hash)
        payload = decode_payload(peeled.payload)
    except BadOnion as bad:
        return give_back_with(step, htlc, _malformed(bad.failure_code, bad.sha256_of_onion), env)
    except PayloadUnreadable as unreadable:
        return fail_with(step, htlc, secret, _invalid_payload(unreadable), env)
    step.act(Keep(_seen_at(onion), _seen_in(htlc.key), _forgotten_above(htlc, payload, env)))
    if event.over_dust_exposure:
        # BOLT 2: "SHOULD fail this HTLC once it's committed"
        return fail_with(step, htlc, secret, TemporaryChannelFailure(), env)
    if payload.blinded:
        return fail_with(step, htlc, secret, InvalidOnionBlinding(sha256(onion)), env)
    try:
        links = links_of(env.views)
        if any(link.unfunded for link in links if link.channel_id == htlc.key.channel_id):
            # Its funding was never in the chain, or is so no more: what came over it is worth nothing.
            return fail_with(step, htlc, secret, TemporaryNodeFailure(), env)
        beyond = too_much_under_way(htlc.key.channel_id, links, env)
        if beyond:
            about = {"incoming": str(htlc.key), "bound": beyond}
            failure = TemporaryNodeFailure() if peeled.next_packet is None else TemporaryChannelFailure()
            return fail_with(step.act(Notify("too much under way", about)), htlc, secret, failure, env)
        if peeled.next_packet is None:
            return _receive(step, htlc, key, secret, payload, env)
        return _forward(step, htlc, key, secret, payload, peeled.next_packet, env)
    except PayloadUnreadable as unreadable:
        return fail_with(step, htlc, secret, _invalid_payload(unreadable), env)


def _receive(step: Step[Circuit], htlc: Htlc, key: Point, secret: bytes, payload: Payload, env: Env) -> Step[Circuit]:
    """The HTLC ends here: ask the invoice that it wants to pay."""
    amount_msat, cltv_expiry = payload.terms()
    failure = final_failure(htlc, amount_msat, cltv_expiry)
    if failure is None and htlc.cltv_expiry > env.height + env.policy.deadlines.max_htlc_cltv:
        failure = IncorrectOrUnknownPaymentDetails(htlc.amount_msat, env.height)
    if failure is not None:
        return fail_with(step, htlc, secret, failure, env)
    data = payload.payment_data
    arrived = HtlcArrived(
        htlc.key,
        htlc.payment_hash,
        htlc.amount_msat,
        htlc.cltv_expiry,
        # BOLT 4: "MUST treat `total_msat` as if it were equal to `amt_to_forward` if it is not present."
        data.total_msat if data is not None else amount_msat,
        amount_msat,
        data.payment_secret if data is not None else None,
        payload.payment_metadata,
    )
    return step.fact(ReceiveBegun(htlc, key)).act(Tell(invoice_address(htlc.payment_hash), arrived))


def _forward(
    step: Step[Circuit], htlc: Htlc, key: Point, secret: bytes, payload: Payload, onion: bytes, env: Env
) -> Step[Circuit]:
    """The HTLC goes on: over the channel that the onion names, or another one to the same peer."""
    amount_msat, cltv_expiry = payload.terms()
    scid = payload.next_channel()
    links = links_of(env.views)
    link = link_called(links, scid)
    # BOLT 4: "if the receiving peer specified by the onion is NOT known: return an `unknown_next_peer` error."
    if link is None:
        return fail_with(step, htlc, secret, UnknownNextPeer(), env)
    failure = forward_failure(htlc, amount_msat, cltv_expiry, link, env)
    if failure is not None:
        return fail_with(step, htlc, secret, failure, env)
    able = carriers(links, link, amount_msat)
    if not able:
        return fail_with(step, htlc, secret, TemporaryChannelFailure(), env)
    forward = Forward(scid, able[0].channel_id, link.node_id, amount_msat, cltv_expiry, onion)
    step.fact(CircuitOpened(htlc, key, forward, env.wall))
    if env.policy.relay.max_delay_ms:
        return step.act(Linger(circuit_address(htlc.key), env.policy.relay.max_delay_ms))
    return offer(step)


def _forgotten_above(htlc: Htlc, payload: Payload, env: Env) -> BlockHeight:
    """The height above which an onion does no harm if it comes again: what it asks for has expired.

    The peer chooses the HTLC's own expiry anew each time, so that of the payload counts as well. And an expiry further
    off than we take is as good as none: the row is not kept for centuries because a peer says so.
    """
    latest = max(htlc.cltv_expiry, payload.outgoing_cltv_value or 0)
    return BlockHeight(min(latest, env.height + env.policy.deadlines.max_htlc_cltv))


def _malformed(failure_code: int, sha256_of_onion: bytes) -> Verdict:
    return Verdict(failure_name(failure_code), b"", failure_code, sha256_of_onion)


def _invalid_payload(fault: PayloadUnreadable) -> Failure:
    return InvalidOnionPayload(fault.type, fault.offset)


def _seen_at(onion: bytes) -> Address:
    return Address("onion", onion[-32:-16])


def _seen_in(key: HtlcKey) -> OnionSeen:
    return OnionSeen(sha256(circuit_address(key).key)[:16])
