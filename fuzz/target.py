"""What a target is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """One door through which bytes of others come in."""

    name: str
    run: Callable[[bytes], object]
    """Takes any bytes; whatever it raises is a finding. Faults that the door promises are caught within."""
    seeds: Callable[[], Iterable[bytes]]
    """Inputs to begin with."""
    longest: int = 4096
    """How many bytes are worth trying."""
