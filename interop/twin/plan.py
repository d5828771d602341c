"""Which case comes when: a seed is a run, and a case can be made again from its number."""

from __future__ import annotations

from random import Random

from interop.twin.blocks import BASE_HEIGHT, CASES_PER_CHAPTER, GROUP, base_coins, base_rewards
from interop.twin.coins import Coin
from interop.twin.families import FAMILIES
from interop.twin.steps import Case, Mine, Step, World

CLEARED = 0.12
"""How often a case ends with a block, so that the mempool stays small."""


def chapter_of(number: int) -> int:
    """Cases of one chapter share a chain; each chapter begins anew."""
    return number // CASES_PER_CHAPTER


def first_of_chapter(number: int) -> int:
    """The first case of the chapter that this one belongs to."""
    return chapter_of(number) * CASES_PER_CHAPTER


def make_case(seed: int, number: int, world: World, families: tuple[str, ...] = ()) -> Case:
    """The case of this number in the run of this seed, on a chain that stands there.

    Args:
        families: only these, by name; all of them by default.
    """
    rng = Random(f"twin {seed} {number}")
    names = list(families or FAMILIES)
    [name] = rng.choices(names, [FAMILIES[known][0] for known in names])
    steps: list[Step] = list(FAMILIES[name][1](rng, coins_for(number, rng, world), world))
    if rng.random() < CLEARED:
        steps.append(Mine(rng.randrange(3)))
    return Case(number, name, tuple(steps))


def coins_for(number: int, rng: Random, world: World) -> list[Coin]:
    """The coins that belong to a case, and last a reward that is about to be ripe."""
    start = number % CASES_PER_CHAPTER * GROUP
    ripening = min(max(world.height - 99 + rng.choice([-1, 0, 1]), 9), BASE_HEIGHT)
    return [*base_coins()[start : start + GROUP], base_rewards()[ripening]]
