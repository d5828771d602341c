"""Moments of a length that nobody knows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from fulmen.core.base.machine import Address, Event
from fulmen.core.base.outer import Linger, Lingered
from fulmen.daemon.lingering import Lingering

ONE, OTHER = Address("circuit", b"1"), Address("circuit", b"2")


class Timers:
    """What the loop was asked to call later."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.set: list[tuple[float, Callable[[], None]]] = []
        self.cancelled = 0
        monkeypatch.setattr(asyncio.get_running_loop(), "call_later", self._call_later)

    def _call_later(self, delay: float, call: Callable[..., None], *arguments: Any) -> Any:
        self.set.append((delay, lambda: call(*arguments)))
        return self

    def cancel(self) -> None:
        self.cancelled += 1


def test_each_machine_waits_for_a_moment_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        drawn = iter((0.0, 0.25))
        posted: list[tuple[Address, Event]] = []
        lingering = Lingering(lambda to, event: posted.append((to, event)), lambda: next(drawn))
        with monkeypatch.context() as patched:
            timers = Timers(patched)
            lingering.linger(Linger(ONE, 200))
            lingering.linger(Linger(OTHER, 200))
            lingering.linger(Linger(ONE, 200))
        assert [delay for delay, _ in timers.set] == [0.0, 0.05]
        timers.set[1][1]()
        assert posted == [(OTHER, Lingered())]
        lingering.close()
        assert timers.cancelled == 1, "the other one was over"

    asyncio.run(play())


def test_a_moment_is_drawn_within_its_bound() -> None:
    async def play() -> None:
        over = asyncio.Event()
        lingering = Lingering(lambda _to, _event: over.set())
        lingering.linger(Linger(ONE, 1))
        await asyncio.wait_for(over.wait(), 5)

    asyncio.run(play())
