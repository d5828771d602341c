"""Amounts, heights and rates: every number that has a unit has a type.

Source: BOLT 2, BOLT 3 ("Fees") and BOLT 7 for where each of them is used.
"""

from __future__ import annotations

from typing import NewType

Msat = NewType("Msat", int)
"""Thousandths of a satoshi."""
Sat = NewType("Sat", int)
"""Satoshis, what an output can carry."""
BlockHeight = NewType("BlockHeight", int)
"""A height of the chain; an expiry is one of these."""
CltvDelta = NewType("CltvDelta", int)
"""A distance in blocks."""
FeeratePerKw = NewType("FeeratePerKw", int)
"""Satoshis per 1000 weight units."""
Weight = NewType("Weight", int)
"""Weight units (BIP 141)."""
Timestamp = NewType("Timestamp", int)
"""Seconds since 1970, wall clock."""
Monotonic = NewType("Monotonic", float)
"""Seconds of a clock that never steps back; only differences mean anything."""

MAX_MONEY_SAT = Sat(21_000_000 * 100_000_000)
LOCKTIME_THRESHOLD = 500_000_000
"""An nLockTime below this is a height (BIP 65)."""
FEERATE_FLOOR_PER_KW = FeeratePerKw(253)
"""The lowest feerate that rounds to at least 1 sat/vB, which nodes relay."""


def sat_floor(amount_msat: Msat) -> Sat:
    """The whole satoshis in an amount: what an output can carry."""
    return Sat(amount_msat // 1000)


def to_msat(amount_sat: Sat) -> Msat:
    """The same amount in thousandths of a satoshi."""
    return Msat(amount_sat * 1000)


def fee_for_weight(feerate_per_kw: FeeratePerKw, weight: Weight) -> Sat:
    """The fee of a transaction, rounded down (BOLT 3, "Fee Calculation")."""
    return Sat(feerate_per_kw * weight // 1000)
