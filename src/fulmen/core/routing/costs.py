"""What a path costs, in integers, so that every machine and both twins agree to the bit.

The cost of a hop is its fee, plus a price for locking the money, plus a price for the chance that the attempt fails:
a chance p costs -log2(p) times what halving it is worth (`Weights`). Everything stays below 2^63 as long as amounts
stay within `MAX_AMOUNT_MSAT`, which is what lets the compiled twin use machine integers.
"""

from __future__ import annotations

from array import array

from fulmen.core.base.units import Msat

CHANCE_BITS = 12
"""Chances are counted in 2^-12."""
CHANCE_ONE = 1 << CHANCE_BITS
DOUBT_ONE = 1024
"""Doubt is -log2(chance) in 1/1024: one halving of the chance."""
MAX_DOUBT = (CHANCE_BITS + 1) * DOUBT_ONE


def forwarding_fee(amount_msat: int, fee_base_msat: int, fee_proportional_millionths: int) -> Msat:
    """What a node keeps for passing an amount on.

    Source: BOLT 7, "HTLC Fees": fee_base_msat + ( amount_to_forward * fee_proportional_millionths / 1000000 ).
    """
    return Msat(fee_base_msat + amount_msat * fee_proportional_millionths // 1_000_000)


def chance(amount_msat: int, lower_msat: int, upper_msat: int) -> int:
    """The chance, in 2^-12, that a channel direction holds an amount.

    Its liquidity is somewhere from `lower_msat` to `upper_msat`, every value as likely as the others.
    """
    if amount_msat <= lower_msat:
        return CHANCE_ONE
    if amount_msat > upper_msat:
        return 0
    return ((upper_msat - amount_msat + 1) << CHANCE_BITS) // (upper_msat - lower_msat + 1)


def _log2(value: int) -> int:
    """floor(1024 * log2(value)), by squaring: no floating point, so the same everywhere."""
    whole = value.bit_length() - 1
    mantissa = value << (40 - whole)
    fraction = 0
    for _ in range(10):
        mantissa = mantissa * mantissa >> 40
        fraction <<= 1
        if mantissa >> 41:
            mantissa >>= 1
            fraction |= 1
    return whole * DOUBT_ONE + fraction


def _doubts() -> array[int]:
    known = (CHANCE_BITS * DOUBT_ONE - _log2(value) for value in range(1, CHANCE_ONE + 1))
    return array("q", [MAX_DOUBT, *known])


DOUBT = _doubts()
"""Chance (0 … 4096) -> doubt; a chance below 2^-12 counts as half of that."""
