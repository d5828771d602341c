"""Machines are woken once, in order, and not before their time."""

from __future__ import annotations

import asyncio
from typing import Any

from fulmen.core.base.machine import Address
from fulmen.core.base.outer import TimeReached, WantHeight, WantTime
from fulmen.core.base.units import BlockHeight, Timestamp
from fulmen.core.node import WantsChanged
from fulmen.daemon.clock import SPARE, Clock


class Woken:
    def __init__(self) -> None:
        self.events: list[tuple[Address, Any]] = []
        self.now = 1000.0
        self.clock = Clock(self, lambda: self.now)

    def post(self, address: Address, event: Any) -> None:
        self.events.append((address, event))

    def want(self, name: str, at: int) -> tuple[Address, WantTime]:
        wanted = (Address(name), WantTime(Timestamp(at)))
        self.clock.wants_changed(WantsChanged(added=(wanted,)))
        return wanted


def run(test: Any) -> None:
    async def within() -> None:
        woken = Woken()
        try:
            await asyncio.wait_for(test(woken), 20)
        finally:
            woken.clock.close()

    asyncio.run(within())


def test_the_earliest_is_woken_first_and_each_once():
    async def test(woken: Woken) -> None:
        for name, at in (("late", 1030), ("early", 1010), ("never", 9000)):
            woken.want(name, at)
        woken.now = 1009.9
        woken.clock.look()
        assert woken.events == []
        woken.now = 1031.5
        woken.clock.look()
        woken.clock.look()
        assert woken.events == [(Address(name), TimeReached(Timestamp(1031))) for name in ("early", "late")]

    run(test)


def test_who_does_not_want_it_any_more_sleeps_on():
    async def test(woken: Woken) -> None:
        wanted = woken.want("anna", 1010)
        woken.want("bert", 1010)
        other = (Address("anna"), WantHeight(BlockHeight(5)))
        woken.clock.wants_changed(WantsChanged(removed=(wanted, other)))
        woken.now = 1011
        woken.clock.look()
        assert [address.kind for address, _ in woken.events] == ["bert"]

    run(test)


def test_a_clock_that_is_set_back_wakes_nobody_early():
    async def test(woken: Woken) -> None:
        woken.want("anna", 1010)
        woken.now = 10.0
        woken.clock.look()
        assert woken.events == []
        woken.now = 1010.0
        woken.clock.look()
        assert len(woken.events) == 1

    run(test)


def test_what_is_due_already_comes_with_the_next_round_of_the_loop():
    async def test(woken: Woken) -> None:
        woken.want("anna", 0)
        assert woken.events == [], "never from inside the call that wanted it"
        while not woken.events:
            await asyncio.sleep(0)

    run(test)


def test_an_earlier_time_is_not_slept_through_and_the_next_one_comes_after_it():
    async def test(woken: Woken) -> None:
        woken.now = 0.0
        woken.want("late", 50)
        early = woken.want("early", 40)
        woken.want("now", 0)
        while not woken.events:
            await asyncio.sleep(0)
        woken.clock.wants_changed(WantsChanged(removed=(early,)))
        woken.now = 50.0
        woken.want("also", 10)
        while len(woken.events) < 3:
            await asyncio.sleep(0)
        assert [address.kind for address, _ in woken.events] == ["now", "also", "late"]

    run(test)


def test_times_that_nobody_wants_any_more_do_not_pile_up():
    async def test(woken: Woken) -> None:
        woken.want("first", 2000)
        for number in range(3 * SPARE):
            wanted = woken.want(f"invoice {number}", 9000)
            woken.clock.wants_changed(WantsChanged(removed=(wanted,)))
        assert len(woken.clock._heap) <= SPARE + 2
        woken.now = 9000.0
        woken.clock.look()
        assert [address.kind for address, _ in woken.events] == ["first"]

    run(test)
