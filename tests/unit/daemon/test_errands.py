"""What the pathfinder wants done outside: channels are looked up few at a time, and trouble with that is said once."""

from __future__ import annotations

import asyncio
from typing import Any

from structlog.testing import capture_logs

from fulmen.adapters.chain import SourceUnreachable
from fulmen.adapters.chain.source import FundingOutput
from fulmen.core.base.ids import ShortChannelId
from fulmen.daemon.errands import MAX_LOOKUPS, Errands


class Source:
    """A chain source that is away, and at last is back."""

    def __init__(self, away: int) -> None:
        self.away = away
        self.asked = self.most = 0

    async def funding_output(self, _scid: ShortChannelId) -> FundingOutput | None:
        self.asked += 1
        self.most = max(self.most, self.asked)
        await asyncio.sleep(0)
        self.asked -= 1
        self.away -= 1
        if self.away >= 0:
            raise SourceUnreachable()
        return None


def test_a_source_that_is_away_is_said_once_and_not_for_every_channel() -> None:
    async def play() -> None:
        source: Any = Source(away=100)
        nobody: Any = None
        errands = Errands(nobody, nobody, source)
        answers: list[bool] = []
        for number in range(101):
            errands.look_up(ShortChannelId(number), lambda _output, failed: answers.append(failed))
        while len(answers) < 101:
            await asyncio.sleep(0)
        assert answers == [True] * 100 + [False]
        assert source.most == MAX_LOOKUPS

    with capture_logs() as lines:
        asyncio.run(play())
    assert [line["fault"] for line in lines] == ["SourceUnreachable"]
