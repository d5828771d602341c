"""The table of families: each makes the steps of one case from dice, coins and what is known of the chain."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from interop.twin.coins import Coin
from interop.twin.steps import Step, World

Family = Callable[[Random, list[Coin], World], list[Step]]

FAMILIES: dict[str, tuple[int, Family]] = {}
"""Name -> how often it is taken, in parts of the sum, and the family."""


def family(weight: int) -> Callable[[Family], Family]:
    """Declare a family."""

    def declare(made: Family) -> Family:
        FAMILIES[made.__name__] = weight, made
        return made

    return declare
