"""Fees, and which outputs are too small to exist.

Source: BOLT 3, "Trimmed Outputs", "Fees" and "Dust Limits".
"""

from __future__ import annotations

from fulmen.core.base.units import FeeratePerKw, Sat, Weight, fee_for_weight
from fulmen.core.transactions.formats import HTLC_WEIGHT, Format

DUST_P2WPKH = Sat(294)
DUST_P2WSH = Sat(330)
DUST_UNKNOWN_SEGWIT = Sat(354)


def commitment_weight(format: Format, untrimmed_htlcs: int) -> Weight:
    """The expected weight, with both main outputs and the longest signatures."""
    return Weight(format.commitment_weight + HTLC_WEIGHT * untrimmed_htlcs)


def commitment_fee(format: Format, feerate_per_kw: FeeratePerKw, untrimmed_htlcs: int) -> Sat:
    """The base fee: what the opener pays, anchors apart."""
    return fee_for_weight(feerate_per_kw, commitment_weight(format, untrimmed_htlcs))


def opener_cost(format: Format, feerate_per_kw: FeeratePerKw, untrimmed_htlcs: int) -> Sat:
    """Base fee and anchors: what is taken from the opener's balance."""
    return Sat(commitment_fee(format, feerate_per_kw, untrimmed_htlcs) + format.anchors_cost_sat)


def htlc_timeout_fee(format: Format, feerate_per_kw: FeeratePerKw) -> Sat:
    """What an HTLC that the owner offered loses in its HTLC-timeout transaction."""
    # BOLT 3: "If `option_anchors` applies: 1. MUST be 0."
    return fee_for_weight(feerate_per_kw, format.htlc_timeout_weight) if format.htlc_tx_pays_fee else Sat(0)


def htlc_success_fee(format: Format, feerate_per_kw: FeeratePerKw) -> Sat:
    """What an HTLC that the owner received loses in its HTLC-success transaction."""
    return fee_for_weight(feerate_per_kw, format.htlc_success_weight) if format.htlc_tx_pays_fee else Sat(0)


def offered_threshold(format: Format, feerate_per_kw: FeeratePerKw, dust_limit_sat: Sat) -> Sat:
    """An HTLC that the owner offered is trimmed below this (dust limit of the owner)."""
    return Sat(dust_limit_sat + htlc_timeout_fee(format, feerate_per_kw))


def received_threshold(format: Format, feerate_per_kw: FeeratePerKw, dust_limit_sat: Sat) -> Sat:
    """An HTLC that the owner received is trimmed below this (dust limit of the owner)."""
    return Sat(dust_limit_sat + htlc_success_fee(format, feerate_per_kw))
