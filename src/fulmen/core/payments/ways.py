"""The way of an HTLC: what is asked of path finding, the onion for a route, and a route at another price."""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.faults import Malformed
from fulmen.core.base.ids import NodeId, Secret
from fulmen.core.base.units import BlockHeight, CltvDelta, Msat
from fulmen.core.crypto.secp256k1 import is_secret
from fulmen.core.invoices.invoice import HopHint
from fulmen.core.onion.payload import Payload, PaymentData, encode_payload
from fulmen.core.onion.sphinx import OnionHop, build_onion, session_secrets
from fulmen.core.payments.payment import Attempt, Payment
from fulmen.core.payments.sending import PaymentTerms
from fulmen.core.routing.requests import ExcludedChannel, FirstHop, HintHop, Route, RouteHop, RouteRequest
from fulmen.core.switch.links import links_of, names_of
from fulmen.core.wire import decode
from fulmen.core.wire.messages.gossip import ChannelUpdate

FINAL_MARGIN = CltvDelta(2)
"""Blocks that may be found while the HTLC is on its way."""
MAX_SHADOW = 144
CHANNEL_UPDATE_TYPE = b"\x01\x02"


def draw_shadow(env: Env) -> CltvDelta:
    """A random offset to the final expiry (BOLT 7, "Recommendations for Routing")."""
    return CltvDelta(int.from_bytes(env.entropy("shadow", 4), "big") % (MAX_SHADOW + 1))


def draw_session_key(env: Env) -> Secret:
    """A fresh key for one onion."""
    while True:
        key = env.entropy("session key", 32)
        if is_secret(key):
            return Secret(key)


def route_request(payment: Payment, shadow: CltvDelta, env: Env) -> RouteRequest:
    """What is asked of path finding for the next attempt."""
    terms, limits = payment.terms, payment.limits
    assert terms is not None and limits is not None
    return RouteRequest(
        source=env.node_id,
        destination=terms.destination,
        amount_msat=terms.amount_msat,
        height=env.height,
        final_cltv_expiry_delta=CltvDelta(terms.min_final_cltv_expiry_delta + FINAL_MARGIN + shadow),
        first_hops=first_hops(env, payment.excluded_channels),
        hints=tuple(tuple(map(_hint_hop, hint)) for hint in terms.hints),
        max_fee_msat=limits.max_fee_msat,
        max_cltv_expiry_delta=limits.max_cltv_expiry_delta,
        excluded_channels=payment.excluded_channels,
        excluded_nodes=payment.excluded_nodes,
    )


def first_hops(env: Env, excluded: tuple[ExcludedChannel, ...] = ()) -> tuple[FirstHop, ...]:
    """Our channels that can send now, less those that refused this payment."""
    hops = []
    refused = [channel.scid for channel in excluded]
    for link in links_of(env.views):
        names = names_of(link)
        if link.usable and names and names[0] not in refused:
            hops.append(FirstHop(link.channel_id, names[0], link.node_id, link.spendable_msat, link.htlc_minimum_msat))
    return tuple(hops)


def onion_of(attempt: Attempt, terms: PaymentTerms) -> bytes:
    """The packet for an attempt: the same whenever it is asked for.

    Raises:
        RouteTooLong: the payloads do not fit; metadata of the invoice may be too long for this route.
    """
    hops = attempt.route.hops
    payloads = [Payload(following.amount_msat, following.cltv_expiry, following.scid) for following in hops[1:]]
    payloads.append(_final_payload(hops[-1], terms))
    return build_onion(
        attempt.session_key,
        [OnionHop(hop.node_id, encode_payload(payload)) for hop, payload in zip(hops, payloads, strict=True)],
        terms.payment_hash,
    ).packet


def secrets_of(attempt: Attempt) -> tuple[bytes, ...]:
    """The secrets shared with the nodes of an attempt's route, in order."""
    return session_secrets(attempt.session_key, [NodeId(hop.node_id) for hop in attempt.route.hops])


def _final_payload(hop: RouteHop, terms: PaymentTerms) -> Payload:
    # BOLT 4: "if the recipient provided `payment_secret`: MUST include `payment_data`, MUST set `payment_secret` to the
    # one provided, MUST set `total_msat` to the total amount it will send"
    data = None if terms.payment_secret is None else PaymentData(terms.payment_secret, hop.amount_msat)
    return Payload(hop.amount_msat, hop.cltv_expiry, payment_data=data, payment_metadata=terms.payment_metadata)


def _hint_hop(hop: HopHint) -> HintHop:
    return HintHop(
        hop.node_id,
        hop.short_channel_id,
        Msat(hop.fee_base_msat),
        hop.fee_proportional_millionths,
        hop.cltv_expiry_delta,
    )


def repriced(route: Route, failed_at: int, raw_update: bytes) -> Route | None:
    """The same way at the price of a `channel_update` that a failure carried; None if that says nothing useful.

    BOLT 4 allows it for retries of this payment, and for nothing else. `failed_at` is the place of the node that sent
    the failure; its update is for the channel behind it.
    """
    update = _update_of(raw_update)
    if update is None or failed_at + 1 >= len(route.hops):
        return None
    out = route.hops[failed_at + 1]
    if update.short_channel_id != out.scid or update.channel_flags & 3 != out.direction:
        return None
    if not update.htlc_minimum_msat <= out.amount_msat <= update.htlc_maximum_msat:
        return None
    hops = list(route.hops)
    fee = update.fee_base_msat + out.amount_msat * update.fee_proportional_millionths // 1_000_000
    later = max(0, out.cltv_expiry + update.cltv_expiry_delta - hops[failed_at].cltv_expiry)
    for index in range(failed_at, -1, -1):
        old, old_next, new_next = hops[index], route.hops[index + 1], hops[index + 1]
        if index < failed_at:
            # What this node asks for in proportion is not known here; all of its fee grown in proportion is enough.
            fee = -(-old.fee_msat * new_next.amount_msat // old_next.amount_msat)
        hops[index] = old.but(
            amount_msat=Msat(new_next.amount_msat + fee),
            fee_msat=Msat(fee),
            cltv_expiry=BlockHeight(old.cltv_expiry + later),
        )
    changed = route.but(hops=tuple(hops))
    return None if changed == route or changed.sent_msat < route.sent_msat else changed


def _update_of(raw: bytes) -> ChannelUpdate | None:
    try:
        message = decode(CHANNEL_UPDATE_TYPE + raw)
    except Malformed:
        return None
    return message if isinstance(message, ChannelUpdate) else None
