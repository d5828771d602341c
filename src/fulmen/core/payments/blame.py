"""Whose failure it is: what a failed attempt says about the route, and whether another attempt makes sense.

BOLT 4, "Receiving Failure Codes".
"""

from __future__ import annotations

from fulmen.core.base.ids import NodeId, scid_text
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight
from fulmen.core.commitments.htlcs import Failed
from fulmen.core.onion.errors import unwrap
from fulmen.core.onion.failures import (
    BADONION,
    NODE,
    PERM,
    Failure,
    FinalIncorrectCltvExpiry,
    FinalIncorrectHtlcAmount,
    IncorrectOrUnknownPaymentDetails,
    code_of,
    decode_failure,
    failure_name,
)
from fulmen.core.payments.payment import Attempt
from fulmen.core.payments.sending import PaymentTerms
from fulmen.core.payments.ways import secrets_of
from fulmen.core.routing.requests import ExcludedChannel, Outcome, Route


class Blame(Record):
    """What a failed attempt means."""

    outcome: Outcome
    """For the liquidity memory."""
    why: str
    """For people."""
    retry: bool
    """False where no other way can help."""
    excluded_channels: tuple[ExcludedChannel, ...] = ()
    excluded_nodes: tuple[NodeId, ...] = ()


def blame(attempt: Attempt, terms: PaymentTerms, failed: Failed) -> Blame:
    """Read the failure of an attempt."""
    route = attempt.route
    if failed.on_chain:
        outcome = Outcome(route, False)
        return Blame(outcome, "our own channel was closed on chain", True, (_channel(route, 0),))
    if failed.failure_code:
        # The first peer could not read the onion that we made for it.
        outcome = Outcome(route, False, 0, failed.failure_code)
        why = f"{failure_name(failed.failure_code)} from our own peer"
        return Blame(outcome, why, len(route.hops) > 1, (), (route.hops[0].node_id,))
    returned = unwrap(secrets_of(attempt), failed.reason)
    if returned is None:
        # Somebody changed it on its way. Leave the channel behind our peer, which is the least that can help.
        retry = len(route.hops) > 1
        channels = (_channel(route, 1),) if retry else ()
        return Blame(Outcome(route, False), "a failure that no node of the route can have sent", retry, channels)
    failure = decode_failure(returned.message)
    update = getattr(failure, "channel_update", b"")
    outcome = Outcome(route, False, returned.hop, code_of(failure), update)
    if returned.hop == len(route.hops) - 1:
        return _by_payee(outcome, failure, terms)
    return _by_forwarder(outcome, failure, returned.hop)


def _by_payee(outcome: Outcome, failure: Failure, terms: PaymentTerms) -> Blame:
    route = outcome.route
    last = len(route.hops) - 1
    why = f"{failure.name} from the payee"
    # BOLT 4: "if the PERM bit is set: SHOULD fail the payment."
    if isinstance(failure, IncorrectOrUnknownPaymentDetails):
        # Its height tells a wrong payment from one that blocks have overtaken on its way.
        needed = BlockHeight(failure.height + terms.min_final_cltv_expiry_delta)
        overtaken = route.hops[-1].cltv_expiry < needed and failure.height < route.hops[-1].cltv_expiry
        return Blame(outcome, why, overtaken)
    if code_of(failure) & PERM:
        return Blame(outcome, why, False)
    tampered = isinstance(failure, FinalIncorrectCltvExpiry | FinalIncorrectHtlcAmount)
    if last == 0:
        return Blame(outcome, why, False)
    # Either the node before the payee changed the HTLC, or another way may find the payee in a better mood.
    nodes = (route.hops[last - 1].node_id,) if tampered else ()
    return Blame(outcome, why, True, () if nodes else (_channel(route, last),), nodes)


def _by_forwarder(outcome: Outcome, failure: Failure, hop: int) -> Blame:
    route, code = outcome.route, code_of(failure)
    node, out = route.hops[hop], route.hops[hop + 1]
    why = f"{failure.name} from node {node.node_id.hex()[:16]}… for channel {scid_text(out.scid)}"
    if code & NODE and not code & BADONION:
        # BOLT 4: "if the NODE bit is set: SHOULD remove all channels connected with the erring node from
        # consideration."
        return Blame(outcome, why, True, (), (node.node_id,))
    direction = None if code & PERM else out.direction
    return Blame(outcome, why, True, (ExcludedChannel(out.scid, direction),))


def _channel(route: Route, hop: int) -> ExcludedChannel:
    return ExcludedChannel(route.hops[hop].scid, None)
