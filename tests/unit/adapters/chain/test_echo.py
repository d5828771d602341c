"""A second way to the miners."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from tests.builders.chain_source import a_source, an_embedded_chain
from tests.builders.regtest import Wallet, output_of

from fulmen.adapters.chain import Echo, Publisher, SourceUnreachable
from fulmen.adapters.chain.echo import MOST_WAITING
from fulmen.adapters.chain.source import Published
from fulmen.core.base.machine import Address

WALLET = Address("wallet")


@contextlib.asynccontextmanager
async def running(echo: Echo) -> Any:
    task = asyncio.create_task(echo.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Heard:
    """A second source that writes down what it gets."""

    def __init__(self, *, away: bool = False, takes_packages: bool = True) -> None:
        self.away, self.takes_packages = away, takes_packages
        self.got: list[tuple[str, ...]] = []
        self.enough = asyncio.Event()
        self.after = 1

    async def publish(self, tx: bytes) -> Published:
        return self._take((tx.decode(),), accepted=True)

    async def publish_package(self, txs: tuple[bytes, ...]) -> Published:
        return self._take(tuple(tx.decode() for tx in txs), accepted=self.takes_packages)

    def _take(self, what: tuple[str, ...], *, accepted: bool) -> Published:
        self.got.append(what)
        if len(self.got) >= self.after:
            self.enough.set()
        if self.away:
            raise SourceUnreachable("no connection")
        return Published(accepted)

    def until(self, count: int) -> Any:
        self.after = count
        self.enough.clear()
        return asyncio.wait_for(self.enough.wait(), 5)


@pytest.mark.parametrize("first_is_away", [False, True])
def test_the_second_source_gets_what_is_published_also_while_the_first_is_away(first_is_away: bool) -> None:
    async def play() -> None:
        async with an_embedded_chain() as (chain, there), an_embedded_chain() as (other, second):
            wallet = Wallet()
            [block] = other.node.mine(1, wallet.script)
            other.node.mine(100)
            parent = wallet.pay(output_of(other.node.chain.block(block).txs[0]), fee=1000)
            child = wallet.pay(output_of(parent), fee=1000)
            first = a_source("http://127.0.0.1:1/") if first_is_away else there
            echo = Echo(second)
            publisher = Publisher(first, echo.hand_over)
            publisher.add(WALLET, "child", child.serialize(), (parent.serialize(),))
            if first_is_away:
                with pytest.raises(SourceUnreachable):
                    await publisher.publish()
            else:
                # Another chain, where nobody knows these coins: the first one's answer is the one that counts.
                ((_, refused),) = await publisher.publish()
                assert refused.txid == child.txid
                assert chain.node.pool.get(child.txid) is None
            async with running(echo):
                while other.node.pool.get(child.txid) is None:
                    await asyncio.sleep(0.01)
            assert other.node.pool.get(parent.txid) is not None

    asyncio.run(asyncio.wait_for(play(), 20))


def test_what_a_package_does_not_bring_goes_alone() -> None:
    async def play() -> None:
        heard = Heard(takes_packages=False)
        echo = Echo(heard)
        async with running(echo):
            echo.hand_over((b"parent", b"child"))
            await heard.until(2)
        assert heard.got == [("parent", "child"), ("child",)]

    asyncio.run(play())


def test_a_second_source_that_is_away_gets_it_when_it_comes_again() -> None:
    async def play() -> None:
        heard = Heard(away=True)
        echo = Echo(heard)
        async with running(echo):
            echo.hand_over((b"one",))
            echo.hand_over((b"two",))
            await heard.until(1)
            # It failed at the first: nobody waits in a queue for days.
            await asyncio.sleep(0)
            heard.away = False
            echo.hand_over((b"two",))
            await heard.until(2)
        assert heard.got == [("one",), ("two",)]

    asyncio.run(play())


def test_what_waits_is_bounded_and_nothing_waits_twice() -> None:
    async def play() -> None:
        heard = Heard()
        echo = Echo(heard)
        for number in [*range(MOST_WAITING + 5), 0]:
            echo.hand_over((b"%d" % number,))
        async with running(echo):
            await heard.until(MOST_WAITING)
        assert len(heard.got) == MOST_WAITING == len(set(heard.got))

    asyncio.run(play())
