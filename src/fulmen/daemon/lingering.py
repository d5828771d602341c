"""Machines that are to wait for a moment of which nobody knows how long it is: the shell draws it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from fulmen.core.base.machine import Address, Event
from fulmen.core.base.outer import Linger, Lingered

_chance = random.SystemRandom()


class Lingering:
    """Gives `Lingered` to whoever asked for it, some time between at once and the most that was asked for."""

    def __init__(self, post: Callable[[Address, Event], None], draw: Callable[[], float] = _chance.random) -> None:
        self._post = post
        self._draw = draw
        self._timers: dict[Address, asyncio.TimerHandle] = {}

    def linger(self, action: Linger) -> None:
        """Begin to wait; who waits already goes on doing so."""
        if action.to in self._timers:
            return
        delay_s = self._draw() * action.at_most_ms / 1000
        self._timers[action.to] = asyncio.get_running_loop().call_later(delay_s, self._over, action.to)

    def close(self) -> None:
        """Nobody waits any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _over(self, address: Address) -> None:
        del self._timers[address]
        self._post(address, Lingered())
