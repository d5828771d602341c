"""What we offer in `init`: only what this release carries from end to end (BOLT 9)."""

from __future__ import annotations

from fulmen.core.base.ids import NodeId
from fulmen.core.base.policy import Policy
from fulmen.core.wire.features import (
    GOSSIP_QUERIES,
    GOSSIP_QUERIES_EX,
    OPTION_ANCHORS,
    OPTION_CHANNEL_TYPE,
    OPTION_DATA_LOSS_PROTECT,
    OPTION_SCID_ALIAS,
    OPTION_SHUTDOWN_ANYSEGWIT,
    OPTION_STATIC_REMOTEKEY,
    OPTION_SUPPORT_LARGE_CHANNEL,
    OPTION_UPFRONT_SHUTDOWN_SCRIPT,
    OPTION_ZEROCONF,
    PAYMENT_SECRET,
    VAR_ONION_OPTIN,
    Features,
    optional,
    required,
)

CARRIED = required(
    OPTION_DATA_LOSS_PROTECT, VAR_ONION_OPTIN, OPTION_STATIC_REMOTEKEY, PAYMENT_SECRET, OPTION_CHANNEL_TYPE
) | optional(
    OPTION_UPFRONT_SHUTDOWN_SCRIPT,
    GOSSIP_QUERIES,
    GOSSIP_QUERIES_EX,
    OPTION_SUPPORT_LARGE_CHANNEL,
    OPTION_ANCHORS,
    OPTION_SHUTDOWN_ANYSEGWIT,
    OPTION_SCID_ALIAS,
)

UNDERSTOOD = CARRIED | optional(OPTION_ZEROCONF)
"""What a peer may require."""


def offered(policy: Policy, node_id: NodeId) -> Features:
    """What our `init` says to this peer. Zero-conf is for peers that the operator trusts.

    Where the operator wants no anchors, they are not offered: a peer that sees the bit proposes them, and is refused.
    """
    ours = CARRIED if policy.peer.features is None else Features.from_bytes(policy.peer.features)
    if not policy.opening.anchors:
        ours = ours.without(OPTION_ANCHORS)
    if node_id in policy.opening.zeroconf_peers:
        ours |= optional(OPTION_ZEROCONF)
    return ours


def understood(policy: Policy) -> Features:
    """What a peer may require of us."""
    return UNDERSTOOD if policy.peer.features is None else UNDERSTOOD | Features.from_bytes(policy.peer.features)
