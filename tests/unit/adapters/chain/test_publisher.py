"""What is to be mined is handed over until it is."""

from __future__ import annotations

import asyncio

import pytest
from tests.builders.chain_source import an_embedded_chain
from tests.builders.regtest import Wallet, output_of

from fulmen.adapters.chain import Publisher
from fulmen.adapters.chain.dialects import EMBEDDED
from fulmen.adapters.chain.faults import SourceTimedOut
from fulmen.adapters.chain.source import Published
from fulmen.core.base.ids import OutPoint, Txid
from fulmen.core.base.machine import Address
from fulmen.core.base.outer import PublishFailed
from fulmen.core.base.units import Sat

WALLET = Address("wallet")
CHANNEL = Address("channel", b"\x01" * 32)


def test_a_refusal_is_told_once_and_again_when_its_words_change():
    async def play():
        async with an_embedded_chain() as (chain, source):
            node, wallet, publisher = chain.node, Wallet(), Publisher(source)
            [first] = node.mine(1, wallet.script)
            tx = wallet.pay(output_of(node.chain.block(first).txs[0]), fee=1000)
            publisher.add(WALLET, "withdrawal", tx.serialize())
            too_young = "bad-txns-premature-spend-of-coinbase, tried to spend coinbase at depth {}"
            assert await publisher.publish() == [(WALLET, PublishFailed("withdrawal", tx.txid, too_young.format(1)))]
            assert await publisher.publish() == []
            node.mine(1)
            assert await publisher.publish() == [(WALLET, PublishFailed("withdrawal", tx.txid, too_young.format(2)))]
            node.mine(98)
            assert await publisher.publish() == []
            assert node.pool.get(tx.txid) is not None
            node.mine(1)
            assert await publisher.publish() == []

    asyncio.run(play())


class Choking:
    """A source that fails at one transaction, and refuses all others."""

    def __init__(self, at: bytes) -> None:
        self.at = at
        self.asked: list[bytes] = []

    async def publish(self, tx: bytes) -> Published:
        self.asked.append(tx)
        if tx == self.at:
            raise SourceTimedOut
        return Published(False, "no")

    async def publish_package(self, txs: list[bytes]) -> Published:
        return await self.publish(txs[-1])


def test_a_transaction_at_which_the_source_fails_holds_up_no_other():
    async def play():
        wallet = Wallet()
        parent = wallet.pay((OutPoint(Txid(b"\x01" * 32), 0), Sat(100_000)), fee=1000)
        child = wallet.pay(output_of(parent), fee=1000)
        other = wallet.pay((OutPoint(Txid(b"\x02" * 32), 0), Sat(100_000)), fee=1000)
        source = Choking(child.serialize())
        publisher = Publisher(source)
        for tx in (child, parent, other):
            publisher.add(WALLET, "a claim", tx.serialize())
        for _ in range(2):
            with pytest.raises(SourceTimedOut):
                await publisher.publish()
        assert {parent.serialize(), other.serialize()} <= set(source.asked)
        assert source.asked[-1] == child.serialize()  # it has its turn with every block all the same

    asyncio.run(play())


def test_what_was_refused_before_the_source_failed_is_told_once_it_answers():
    async def play():
        wallet = Wallet()
        refused = wallet.pay((OutPoint(Txid(b"\x01" * 32), 0), Sat(100_000)), fee=1000)
        last = wallet.pay((OutPoint(Txid(b"\x02" * 32), 0), Sat(100_000)), fee=1000)
        source = Choking(last.serialize())
        publisher = Publisher(source)
        for tx in (refused, last):
            publisher.add(WALLET, "a claim", tx.serialize())
        with pytest.raises(SourceTimedOut):
            await publisher.publish()
        source.at = b""
        told = await publisher.publish()
        assert told == [(WALLET, PublishFailed("a claim", tx.txid, "no")) for tx in (refused, last)]
        assert await publisher.publish() == []

    asyncio.run(play())


def test_a_child_that_comes_before_its_parent_is_in_the_mempool_with_it():
    async def play():
        async with an_embedded_chain() as (chain, source):
            node, wallet, publisher = chain.node, Wallet(), Publisher(source)
            [first] = node.mine(1, wallet.script)
            node.mine(100)
            parent = wallet.pay(output_of(node.chain.block(first).txs[0]), fee=1000)
            child = wallet.pay(output_of(parent), fee=1000)
            publisher.add(CHANNEL, "child", child.serialize())
            publisher.add(WALLET, "parent", parent.serialize())
            assert await publisher.publish([(CHANNEL, child.txid), (WALLET, parent.txid)]) == []
            assert node.pool.get(child.txid) is not None

    asyncio.run(play())


def test_after_a_reorg_it_is_handed_over_again_until_nobody_wants_it():
    async def play():
        async with an_embedded_chain() as (chain, source):
            node, wallet, publisher = chain.node, Wallet(), Publisher(source)
            [first] = node.mine(1, wallet.script)
            node.mine(100)
            coin = output_of(node.chain.block(first).txs[0])
            tx = wallet.pay(coin, fee=1000)
            publisher.add(WALLET, "close", tx.serialize())
            await publisher.publish([(WALLET, tx.txid)])
            assert node.pool.get(tx.txid) is not None
            node.pool.remove(node.pool.get(tx.txid))
            await publisher.publish()
            assert node.pool.get(tx.txid) is not None
            node.pool.remove(node.pool.get(tx.txid))
            publisher.drop(WALLET, tx.txid)
            await publisher.publish()
            await publisher.publish([(WALLET, tx.txid)])
            assert node.pool.get(tx.txid) is None

    asyncio.run(play())


def test_who_asks_for_a_transaction_hears_what_the_source_says_now_or_later():
    async def play():
        async with an_embedded_chain() as (chain, source):
            node, wallet, publisher = chain.node, Wallet(), Publisher(source)
            [first] = node.mine(1, wallet.script)
            tx = wallet.pay(output_of(node.chain.block(first).txs[0]), fee=1000)
            early = asyncio.create_task(publisher.outcome(tx.txid))
            await asyncio.sleep(0)
            publisher.add(WALLET, "funding", tx.serialize())
            assert not early.done()
            await publisher.publish()
            assert (await early).reason.startswith("bad-txns-premature-spend")
            assert not (await publisher.outcome(tx.txid)).accepted
            node.mine(100)
            await publisher.publish()
            assert (await publisher.outcome(tx.txid)).accepted
            gone = asyncio.create_task(publisher.outcome(Txid(bytes(32))))
            await asyncio.sleep(0)
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
            await publisher.publish()

    asyncio.run(play())


def a_family(node, wallet, *, parent_fee):
    """A parent and the child that pays for it."""
    [first] = node.mine(1, wallet.script)
    node.mine(100)
    coin = output_of(node.chain.block(first).txs[0])
    parent = wallet.pay(coin, fee=parent_fee)
    return parent, wallet.pay(output_of(parent), fee=5_000)


@pytest.mark.parametrize("said_by_the_child", [False, True])
def test_a_parent_without_a_fee_comes_in_with_its_child(said_by_the_child):
    async def play():
        async with an_embedded_chain() as (chain, source):
            node, wallet, publisher = chain.node, Wallet(), Publisher(source)
            parent, child = a_family(node, wallet, parent_fee=0)
            if said_by_the_child:
                publisher.add(WALLET, "child", child.serialize(), (parent.serialize(),))
            else:
                publisher.add(CHANNEL, "commitment", parent.serialize())
                [(address, failed)] = await publisher.publish()
                assert address == CHANNEL and failed.txid == parent.txid
                publisher.add(WALLET, "child", child.serialize())
            # As with every block, and as when only the child is new.
            for only in (None, [(WALLET, child.txid)]):
                assert await publisher.publish(only) == []
                assert node.pool.get(parent.txid) is not None and node.pool.get(child.txid) is not None
                node.pool.remove_with_descendants(node.pool.get(parent.txid))
            await publisher.publish()
            node.mine(1)
            publisher.drop(CHANNEL, parent.txid)
            assert await publisher.publish() == []

    asyncio.run(play())


@pytest.mark.parametrize("dialect", [EMBEDDED, EMBEDDED.but(packages=False)])
def test_without_packages_parent_and_child_go_one_by_one(dialect):
    async def play():
        async with an_embedded_chain(dialect=dialect) as (chain, source):
            node, wallet, publisher = chain.node, Wallet(), Publisher(source)
            parent, child = a_family(node, wallet, parent_fee=1_000)
            publisher.add(WALLET, "child", child.serialize())
            publisher.add(CHANNEL, "commitment", parent.serialize())
            assert await publisher.publish() == []
            assert node.pool.get(parent.txid) is not None and node.pool.get(child.txid) is not None

    asyncio.run(play())


def test_a_child_that_is_refused_takes_its_parent_with_it_no_more_than_it_must():
    async def play():
        async with an_embedded_chain() as (chain, source):
            node, wallet, publisher = chain.node, Wallet(), Publisher(source)
            parent, child = a_family(node, wallet, parent_fee=1_000)
            broken = child.but(inputs=tuple(i.but(witness=()) for i in child.inputs))
            publisher.add(CHANNEL, "commitment", parent.serialize())
            publisher.add(WALLET, "child", broken.serialize())
            [(address, _)] = await publisher.publish()
            assert address == WALLET and node.pool.get(parent.txid) is not None

    asyncio.run(play())
