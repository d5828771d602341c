"""What an honest peer asks for and offers: the numbers that defaults and scripts share."""

from __future__ import annotations

from fulmen.core.base.units import CltvDelta, FeeratePerKw, Msat, Sat
from fulmen.core.wire.features import (
    BASIC_MPP,
    GOSSIP_QUERIES,
    OPTION_ANCHORS,
    OPTION_CHANNEL_TYPE,
    OPTION_DATA_LOSS_PROTECT,
    OPTION_SCID_ALIAS,
    OPTION_SHUTDOWN_ANYSEGWIT,
    OPTION_STATIC_REMOTEKEY,
    OPTION_SUPPORT_LARGE_CHANNEL,
    OPTION_UPFRONT_SHUTDOWN_SCRIPT,
    PAYMENT_SECRET,
    VAR_ONION_OPTIN,
    optional,
)

FEATURES = optional(
    OPTION_DATA_LOSS_PROTECT,
    OPTION_UPFRONT_SHUTDOWN_SCRIPT,
    GOSSIP_QUERIES,
    VAR_ONION_OPTIN,
    OPTION_STATIC_REMOTEKEY,
    PAYMENT_SECRET,
    BASIC_MPP,
    OPTION_SUPPORT_LARGE_CHANNEL,
    OPTION_ANCHORS,
    OPTION_SHUTDOWN_ANYSEGWIT,
    OPTION_CHANNEL_TYPE,
    OPTION_SCID_ALIAS,
)
"""What a fake peer offers."""
FUNDING_SAT = Sat(1_000_000)
PUSH_MSAT = Msat(400_000_000)
"""What the node gets, so that it can offer HTLCs, too."""
FEERATE_PER_KW = FeeratePerKw(2500)
RESERVE_SAT = Sat(10_000)
DELAY = CltvDelta(144)
HTLC_MSAT = Msat(50_000_000)
FEE_MSAT = Msat(2_000_000)
"""More than any node asks for forwarding an HTLC of that size."""
EXPIRY_DELTA = 300
"""Of an HTLC from now: room for the node's own delta, and no longer than nodes take."""
FINAL_DELTA = 100
CLOSING_FEE_SAT = Sat(2_000)
FAILURE_REASON = bytes(292)
INVALID_ONION_HMAC = 0xC005
MUST_BE_ONE = 1
DIRECTION = 1
"""In `channel_flags`: whether the update is of node_id_2."""
NO_BLOCK = 16_000_000
"""The first of the blocks that will not be found for centuries: where aliases lie."""
PAYMENTS = 100
"""The numbers of payments that a script may use."""
NO_ONION = bytes(1366)
OTHER_CHAIN = bytes([0xAB]) * 32
UNKNOWN_CHANNEL = bytes([0xCD]) * 32
P2PKH = bytes.fromhex("76a914") + bytes(20) + bytes.fromhex("88ac")
P2TR = bytes.fromhex("5120") + bytes.fromhex("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
