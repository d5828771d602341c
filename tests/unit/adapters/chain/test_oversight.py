"""A source held against the clock and a second source: one lies, one is late, one stands still, one is away."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.builders.chain_source import a_source, an_embedded_chain, on_a_chain

from fulmen.adapters.chain import Oversight
from fulmen.adapters.chain.oversight import BEHIND, DISAGREE, SECOND_BEHIND, SECOND_FAILS, TIP_OLD
from fulmen.core.base.ids import BlockHash
from fulmen.core.base.outer import Block
from fulmen.core.base.units import BlockHeight
from fulmen.core.bitcoin.networks import LITECOIN_REGTEST
from fulmen.regtest.faucet import SCRIPT_PUBKEY

APART = 3
NOW = 1_800_000_000


class Stalled:
    """A source that has seen nothing above a height."""

    def __init__(self, source: Any, height: int) -> None:
        self._source, self._height = source, BlockHeight(height)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    async def check(self) -> Block:
        found = await self._source.hash_at(self._height)
        return Block(self._height, found)

    async def hash_at(self, height: BlockHeight) -> BlockHash | None:
        found: BlockHash | None = await self._source.hash_at(height)
        return found if height <= self._height else None


class Lying(Stalled):
    """One that has blocks of its own above a height."""

    async def check(self) -> Block:
        tip: Block = await self._source.check()
        return Block(tip.height, BlockHash(b"\x11" * 32))

    async def hash_at(self, height: BlockHeight) -> BlockHash | None:
        found: BlockHash | None = await self._source.hash_at(height)
        return found if height <= self._height or found is None else BlockHash(found[::-1])


def oversight(first: Any, second: Any, old_after_s: float | None = None, wall: int = NOW) -> Oversight:
    return Oversight(first, second, apart=APART, old_after_s=old_after_s, wall=lambda: wall)


async def found(first: Any, second: Any, **more: Any) -> list[str]:
    return [alarm.name for alarm in await oversight(first, second, **more).look()]


def test_two_sources_that_agree_are_no_alarm() -> None:
    async def play(_node: Any, source: Any, _wallet: Any, _coins: Any) -> None:
        assert await found(source, source) == []
        assert await found(source, None) == []

    on_a_chain(play)


def test_a_source_that_stands_still_while_the_other_goes_on() -> None:
    async def play(node: Any, source: Any, _wallet: Any, _coins: Any) -> None:
        height = node.chain.tip.height
        stalled = Stalled(source, height)
        for blocks in range(APART + 1):
            assert await found(stalled, source) == []
            assert await found(source, stalled) == []
            assert node.chain.tip.height == height + blocks
            node.mine(1)
        assert await found(stalled, source) == [BEHIND]
        assert await found(source, stalled) == [SECOND_BEHIND]
        (alarm,) = await oversight(stalled, source).look()
        assert str(height) in alarm.words and str(height + 4) in alarm.words

    on_a_chain(play)


def test_a_source_with_blocks_of_its_own() -> None:
    """Whichever of them lies: a few blocks may differ at any time, and more may not."""

    async def play(node: Any, source: Any, _wallet: Any, _coins: Any) -> None:
        lying = Lying(source, node.chain.tip.height)
        node.mine(APART)
        assert await found(source, lying) == []
        node.mine(1)
        assert await found(source, lying) == [DISAGREE]
        assert await found(lying, source) == [DISAGREE]

    on_a_chain(play)


def test_two_chains_that_parted_long_ago_disagree_however_high_each_is() -> None:
    async def play() -> None:
        async with an_embedded_chain() as (one, first), an_embedded_chain() as (other, second):
            one.node.mine(20)
            other.node.mine(APART, b"\x51")
            assert await found(first, second) == [SECOND_BEHIND]
            other.node.mine(1, SCRIPT_PUBKEY)
            assert await found(first, second) == [DISAGREE]
            assert await found(second, first) == [DISAGREE]

    asyncio.run(play())


@pytest.mark.parametrize("blocks", [0, 1, APART])
def test_a_chain_that_has_hardly_begun_is_compared_from_its_first_block(blocks: int) -> None:
    async def play() -> None:
        async with an_embedded_chain() as (chain, source):
            chain.node.mine(blocks)
            assert await found(source, source) == []

    asyncio.run(play())


def test_a_second_source_that_is_away_or_on_another_network_is_an_alarm_and_the_first_goes_on() -> None:
    async def play() -> None:
        async with an_embedded_chain() as (chain, source):
            chain.node.mine(1)
            away = a_source("http://127.0.0.1:1/")
            (alarm,) = await oversight(source, away).look()
            assert alarm.name == SECOND_FAILS and "SourceUnreachable" in alarm.words
            elsewhere = a_source(chain.url, network=LITECOIN_REGTEST)
            (alarm,) = await oversight(source, elsewhere).look()
            assert alarm.name == SECOND_FAILS and "WrongNetwork" in alarm.words
            await elsewhere.close()
            # That the first one is away is said by whoever asks it all the time.
            assert await found(away, source) == []
            assert await found(away, away) == [SECOND_FAILS]

    asyncio.run(play())


def test_a_first_source_that_goes_away_in_the_middle_is_not_the_seconds_fault() -> None:
    async def play(node: Any, source: Any, _wallet: Any, _coins: Any) -> None:
        class Leaving(Stalled):
            async def hash_at(self, height: BlockHeight) -> BlockHash | None:
                return await a_source("http://127.0.0.1:1/").hash_at(height)

            async def check(self) -> Block:
                tip: Block = await self._source.check()
                return tip

        assert await found(Leaving(source, 0), source) == []
        assert await found(source, Leaving(source, 0)) == [SECOND_FAILS]

    on_a_chain(play)


def test_a_tip_is_as_old_as_its_block_says() -> None:
    """Also where blocks come all the time, each of them later than it was made (time dilation)."""

    async def play(node: Any, source: Any, _wallet: Any, _coins: Any) -> None:
        node.set_mocktime(NOW)
        node.mine(1)
        assert await found(source, None, old_after_s=7200, wall=NOW + 7200) == []
        assert await found(source, None, old_after_s=7200, wall=NOW + 7201) == [TIP_OLD]
        assert await found(source, None, old_after_s=None, wall=NOW + 7201) == []
        (alarm,) = await oversight(source, None, 7200, NOW + 7201).look()
        assert "120 minutes" in alarm.words and str(node.chain.tip.height) in alarm.words
        node.set_mocktime(NOW + 100)
        node.mine(1)
        assert await found(source, None, old_after_s=7200, wall=NOW + 7201) == []
        assert await found(source, source, old_after_s=7200, wall=NOW + 7301) == [TIP_OLD]

    on_a_chain(play)


def test_the_time_of_a_block_that_nobody_knows_is_none() -> None:
    async def play(_node: Any, source: Any, _wallet: Any, _coins: Any) -> None:
        assert await source.time_of(BlockHash(b"\x07" * 32)) is None

    on_a_chain(play)
