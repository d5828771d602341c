"""A start without a chain: waited for where that helps, and no longer than was said."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from fulmen.adapters.chain.faults import (
    SourceGarbage,
    SourceTimedOut,
    SourceUnauthorized,
    SourceUnreachable,
    SourceUntrusted,
    SourceWarmingUp,
    WrongNetwork,
)
from fulmen.api.errors import sentence_of
from fulmen.core.base.faults import Fault
from fulmen.daemon import chain_away as room
from fulmen.daemon.chain_away import ChainNotRunning, NoChain, await_chain


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "RETRY_S", 0.001)


class Source:
    """Fails so often, and is there then."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = list(faults)
        self.asked = 0

    async def reach(self) -> str:
        self.asked += 1
        if self.faults:
            raise self.faults.pop(0)
        return "there"


@pytest.mark.parametrize("away", [ChainNotRunning(), SourceUnreachable(), SourceTimedOut(), SourceWarmingUp()])
def test_a_chain_that_comes_later_is_waited_for_and_that_is_said_once(away: Fault) -> None:
    source = Source([away] * 3)
    with capture_logs() as lines:
        assert asyncio.run(await_chain(source.reach, 60)) == "there"
    assert [line["event"] for line in lines] == ["waiting for the chain", "the chain is there"]
    assert lines[0]["why"] == sentence_of(away)
    assert lines[0]["seconds_left"] == 60


def test_that_it_is_away_in_another_way_is_said_too() -> None:
    source = Source(
        [SourceUnreachable(), SourceUnreachable(), SourceWarmingUp("Loading block index"), SourceWarmingUp()]
    )
    with capture_logs() as lines:
        asyncio.run(await_chain(source.reach, 60))
    assert [line.get("why") for line in lines] == [
        "No connection to the chain source, or it went away in the middle of an answer.",
        "Loading block index.",
        "The chain source is still starting.",
        None,
    ]


def test_nothing_is_said_of_a_chain_that_is_there() -> None:
    with capture_logs() as lines:
        asyncio.run(await_chain(Source([]).reach, 60))
    assert lines == []


@pytest.mark.parametrize("wrong", [SourceUnauthorized(), SourceUntrusted(), SourceGarbage(), WrongNetwork(), NoChain()])
def test_what_no_waiting_mends_ends_the_start_at_once(wrong: Fault) -> None:
    source = Source([SourceUnreachable(), wrong])
    with pytest.raises(type(wrong)):
        asyncio.run(await_chain(source.reach, 60))
    assert source.asked == 2


def test_after_the_time_the_last_reason_is_given() -> None:
    source = Source([SourceUnreachable()] * 10_000)
    with pytest.raises(SourceUnreachable):
        asyncio.run(await_chain(source.reach, 0.05))
    assert 1 < source.asked < 100


def test_without_any_time_there_is_one_attempt() -> None:
    source = Source([SourceUnreachable()] * 2)
    with pytest.raises(SourceUnreachable):
        asyncio.run(await_chain(source.reach, 0))
    assert source.asked == 1
