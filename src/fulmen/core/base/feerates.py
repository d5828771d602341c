"""The feerates that an owner may name, whoever is asked: from what nodes relay up to our cap."""

from __future__ import annotations

from fulmen.core.base.env import Feerates
from fulmen.core.base.faults import Refused
from fulmen.core.base.policy import FeeratePolicy
from fulmen.core.base.units import FeeratePerKw


class FeerateOutOfRange(Refused):
    """The feerate is below what nodes relay, or above our cap."""


def check_feerate(
    feerate_per_kw: FeeratePerKw, policy: FeeratePolicy, feerates: Feerates, least: FeeratePerKw | None = None
) -> None:
    """Refuse what is below the policy's floor, the mempool's, and `least`, or above the policy's cap.

    Raises:
        FeerateOutOfRange
    """
    floor = max(policy.floor_per_kw, feerates.floor_per_kw, least or 0)
    if not floor <= feerate_per_kw <= policy.cap_per_kw:
        raise FeerateOutOfRange(feerate_per_kw=feerate_per_kw, floor_per_kw=floor, cap_per_kw=policy.cap_per_kw)
