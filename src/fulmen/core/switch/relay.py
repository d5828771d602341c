"""What forwarding asks for: the checks of a forwarding node, in the order in which BOLT 4 lists its failures.

The failures carry no `channel_update`: applying one fingerprints the sender, and BOLT 4 wants nodes to stop sending
them. A policy that was just changed still admits what the old one did.
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.policy import ForwardPolicy
from fulmen.core.base.units import BlockHeight, CltvDelta, Msat
from fulmen.core.commitments.htlcs import Htlc, LinkView
from fulmen.core.onion.failures import (
    AmountBelowMinimum,
    ChannelDisabled,
    ExpiryTooFar,
    ExpiryTooSoon,
    Failure,
    FeeInsufficient,
    FinalIncorrectCltvExpiry,
    FinalIncorrectHtlcAmount,
    IncorrectCltvExpiry,
    TemporaryChannelFailure,
)

EXPIRY_MARGIN = CltvDelta(6)
"""An outgoing HTLC that expires within so many blocks could not be settled in time on chain."""


def forward_fee(policy: ForwardPolicy, amount_msat: Msat) -> Msat:
    """What forwarding an amount costs (BOLT 7, "HTLC Fees")."""
    return Msat(policy.fee_base_msat + amount_msat * policy.fee_proportional_millionths // 1_000_000)


def policies_of(link: LinkView, env: Env) -> tuple[ForwardPolicy, ...]:
    """The policies that an HTLC may meet: the present one, and for ten minutes the one before.

    Source: BOLT 7: "SHOULD keep accepting the previous channel parameters for 10 minutes".
    """
    present = link.forward or env.policy.forward
    if link.previous_forward is not None and env.wall < link.previous_forward_until:
        return (present, link.previous_forward)
    return (present,)


def forward_failure(
    htlc: Htlc, amount_msat: Msat, cltv_expiry: BlockHeight, link: LinkView, env: Env
) -> Failure | None:
    """Why a received HTLC may not go out as (amount, expiry) over a channel; None if it may.

    Source: BOLT 4, "Failure Messages", requirements of a forwarding node.
    """
    least = env.policy.deadlines.cltv_expiry_delta
    failures = [_policy_failure(htlc, amount_msat, cltv_expiry, link, p, least) for p in policies_of(link, env)]
    if None not in failures:
        return failures[0]
    # BOLT 4: "if the `cltv_expiry` is unreasonably near the present […] return an `expiry_too_soon` error."
    if cltv_expiry <= env.height + EXPIRY_MARGIN:
        return ExpiryTooSoon()
    # BOLT 4: "if the `cltv_expiry` is more than `max_htlc_cltv` in the future: return an `expiry_too_far` error."
    if htlc.cltv_expiry > env.height + env.policy.deadlines.max_htlc_cltv:
        return ExpiryTooFar()
    # BOLT 4: "if the channel is disabled: […] return a `channel_disabled` error."
    if link.disabled:
        return ChannelDisabled()
    return None


def final_failure(htlc: Htlc, amount_msat: Msat, cltv_expiry: BlockHeight) -> Failure | None:
    """Why an HTLC that ends here differs from what its onion says; None if it does not.

    Source: BOLT 4, "Failure Messages", requirements of the final node.
    """
    # BOLT 4: "if the `cltv_expiry` from the final node's HTLC is below `outgoing_cltv_value`: MUST return
    # `final_incorrect_cltv_expiry` error."
    if htlc.cltv_expiry < cltv_expiry:
        return FinalIncorrectCltvExpiry(htlc.cltv_expiry)
    # BOLT 4: "if `amount_msat` from the final node's HTLC is below `amt_to_forward`: MUST return a
    # `final_incorrect_htlc_amount` error."
    if htlc.amount_msat < amount_msat:
        return FinalIncorrectHtlcAmount(htlc.amount_msat)
    return None


def _policy_failure(
    htlc: Htlc, amount_msat: Msat, cltv_expiry: BlockHeight, link: LinkView, policy: ForwardPolicy, least: CltvDelta
) -> Failure | None:
    # BOLT 4: "if the HTLC amount is less than the currently specified minimum amount: report the amount of the
    # outgoing HTLC […] return an `amount_below_minimum` error."
    if amount_msat < max(1, policy.htlc_minimum_msat, link.htlc_minimum_msat):
        return AmountBelowMinimum(amount_msat)
    # BOLT 4: "if the HTLC does NOT pay a sufficient fee: report the amount of the incoming HTLC […] return a
    # `fee_insufficient` error."
    if htlc.amount_msat - amount_msat < forward_fee(policy, amount_msat):
        return FeeInsufficient(htlc.amount_msat)
    # BOLT 4: "if the incoming `cltv_expiry` minus the `outgoing_cltv_value` is below the `cltv_expiry_delta` for the
    # outgoing channel: report the `cltv_expiry` of the outgoing HTLC […] return an `incorrect_cltv_expiry` error."
    # And never below what the deadlines on the chain reckon with, whatever a policy of old may say.
    if htlc.cltv_expiry - cltv_expiry < max(least, policy.cltv_expiry_delta):
        return IncorrectCltvExpiry(cltv_expiry)
    if policy.htlc_maximum_msat is not None and amount_msat > policy.htlc_maximum_msat:
        return TemporaryChannelFailure()
    return None
