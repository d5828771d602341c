"""How sure a rate is."""

from math import sqrt

TWO_SIDED_95 = 1.959964


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share, after Wilson (1927): it does not fall over at 0 and 1."""
    if of == 0:
        return 0.0, 1.0
    z2 = TWO_SIDED_95**2
    middle = (hits + z2 / 2) / (of + z2)
    half = TWO_SIDED_95 / (of + z2) * sqrt(hits * (of - hits) / of + z2 / 4)
    return middle - half, middle + half
