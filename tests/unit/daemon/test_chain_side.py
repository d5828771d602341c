"""A chain source that is away: said once, then at growing intervals, and said when it is back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from fulmen.adapters.chain.faults import SourceUnreachable
from fulmen.adapters.chain.oversight import Alarm
from fulmen.adapters.chain.source import Published
from fulmen.core.base.ids import OutPoint, Txid
from fulmen.core.base.machine import Address
from fulmen.core.base.outer import WantPublished
from fulmen.core.base.policy import FeeratePolicy
from fulmen.core.base.units import FeeratePerKw, Sat
from fulmen.core.bitcoin.networks import MAINNET, REGTEST
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut
from fulmen.core.node import WantsChanged
from fulmen.daemon import chain_side
from fulmen.daemon.chain_side import ChainSide, first_feerates
from fulmen.daemon.complaints import FIRST_S, LONGEST_S, Complaint

TX = Tx(2, (TxIn(OutPoint(Txid(bytes(32)), 0)),), (TxOut(Sat(1000), b"\x51"),), 0)


class Timer:
    """What a loop gives for a call that is to come."""

    def __init__(self, delay: float, call: Callable[[], None]) -> None:
        self.delay, self.call, self.cancelled = delay, call, False

    def cancel(self) -> None:
        self.cancelled = True


def test_what_goes_on_is_said_at_growing_intervals_until_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        loop = asyncio.get_running_loop()
        timers: list[Timer] = []
        said: list[float] = []
        now = 1000.0
        monkeypatch.setattr(loop, "time", lambda: now)
        monkeypatch.setattr(loop, "call_later", lambda delay, call: timers.append(Timer(delay, call)) or timers[-1])
        complaint = Complaint(said.append)
        complaint.begin()
        for _ in range(20):
            now += timers[-1].delay
            timers[-1].call()
        monkeypatch.undo()
        delays = [timer.delay for timer in timers]
        assert delays[:3] == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S] and delays[-1] == LONGEST_S
        assert said[:3] == [FIRST_S, 3 * FIRST_S, 7 * FIRST_S]
        complaint.end()
        assert timers[-1].cancelled

    asyncio.run(play())


class Away:
    """A source that answers nothing until it is back."""

    name, asks_spenders = "away", False

    def __init__(self) -> None:
        self.back = False
        self.tries = 0
        self.tried = asyncio.Event()

    def __getattr__(self, _name: str) -> Any:
        async def nothing(*_words: object, **_more: object) -> None:
            raise SourceUnreachable("no connection")

        return nothing

    async def publish(self, _raw: bytes) -> Published:
        self.tries += 1
        if self.tries == 5:
            self.tried.set()
        if not self.back:
            raise SourceUnreachable("no connection")
        return Published(True)


def test_a_source_that_is_away_is_no_line_for_each_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_side, "FIRST_RETRY_S", 0.001)

    async def play() -> list[str]:
        source = Away()
        side = ChainSide(
            source,
            (),
            lambda _address, _event: None,
            lambda _want: TX.serialize(),
            poll_s=0.01,
            moved=lambda _tip: None,
            priced=lambda _feerates: None,
            joined=lambda _block: None,
            behind=lambda _behind: None,
        )
        with capture_logs() as lines:
            running = asyncio.create_task(side.run())
            side.wants_changed(WantsChanged(added=((Address("wallet"), WantPublished("withdrawal", TX.serialize())),)))
            await source.tried.wait()
            source.back = True
            await side.published(TX.txid)
            await asyncio.sleep(0)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
        return [str(line["event"]) for line in lines]

    said = asyncio.run(play())
    assert said.count("could not publish, trying until it works") == 1
    assert said.count("publishing works again") == 1
    assert said.count("the chain source fails") == 1


def test_a_node_starts_without_an_estimate_as_it_goes_on_without_one() -> None:
    feerates = asyncio.run(first_feerates(Away(), MAINNET, FeeratePolicy()))
    assert (feerates.floor_per_kw, feerates.opening_per_kw, feerates.slow_per_kw) == (253, 2500, 2500)
    capped = asyncio.run(first_feerates(Away(), REGTEST, FeeratePolicy(cap_per_kw=FeeratePerKw(600))))
    assert (capped.floor_per_kw, capped.urgent_per_kw) == (253, 600)


class Looks:
    """An oversight that finds what a test says, look by look; then nothing is heard of it."""

    def __init__(self, *looks: tuple[Alarm, ...]) -> None:
        self.looks = list(looks)
        self.over = asyncio.Event()

    async def look(self) -> tuple[Alarm, ...]:
        if not self.looks:
            self.over.set()
            await asyncio.Event().wait()
        return self.looks.pop(0)


def a_side(source: Any, oversight: Any) -> ChainSide:
    return ChainSide(
        source,
        (),
        lambda _address, _event: None,
        lambda _want: TX.serialize(),
        poll_s=0.0001,
        moved=lambda _tip: None,
        priced=lambda _feerates: None,
        joined=lambda _block: None,
        behind=lambda _behind: None,
        oversight=oversight,
    )


async def _alarmed(*looks: tuple[Alarm, ...]) -> tuple[str, list[tuple[str, str, str]]]:
    """What is shown at the end, and what the log says of alarms."""
    oversight = Looks(*looks)
    side = a_side(Away(), oversight)
    with capture_logs() as lines:
        running = asyncio.create_task(side.run())
        await oversight.over.wait()
        shown = side.trouble
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    said = [(str(one["event"]), str(one["log_level"]), str(one["alarm"])) for one in lines if "alarm" in one]
    return shown, said


def test_an_alarm_is_shown_with_its_newest_words_and_logged_once() -> None:
    old, older, apart = Alarm("old", "120 minutes"), Alarm("old", "121 minutes"), Alarm("apart", "4 blocks")
    shown, said = asyncio.run(_alarmed((old,), (older,), (older, apart)))
    assert shown.endswith("old: 121 minutes; apart: 4 blocks")
    assert "SourceUnreachable" in shown, "what the source itself does wrong stands beside it"
    assert said == [("chain alarm", "error", "old"), ("chain alarm", "error", "apart")]


def test_an_alarm_that_is_over_is_said_to_be_over_and_may_come_again() -> None:
    old = Alarm("old", "120 minutes")
    shown, said = asyncio.run(_alarmed((old,), (), (old,), ()))
    assert "old" not in shown
    assert [event for event, _, _ in said] == ["chain alarm", "a chain alarm is over"] * 2
    assert {level for _, level, _ in said} == {"error", "info"}
