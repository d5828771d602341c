"""Following a chain: blocks in order, reorgs, unconfirmed spends, restarts of either side, sources that lie."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.builders.chain_source import a_source, on_a_chain
from tests.builders.regtest import output_of

from fulmen.adapters.chain import AnotherChain, ChainWatcher, SourceLied, SourceUnreachable, SourceWarmingUp
from fulmen.adapters.chain.dialects import EMBEDDED, LITECOIND
from fulmen.adapters.chain.source import TipStatus
from fulmen.core.base.ids import BlockHash, Txid
from fulmen.core.base.machine import Address
from fulmen.core.base.outer import (
    Block,
    ChainRewound,
    HeightReached,
    OutputSpent,
    ScriptPaid,
    TxConfirmed,
    TxGone,
    WantHeight,
    WantMempoolWatch,
    WantScriptWatch,
    WantSpendWatch,
    WantTime,
    WantTxWatch,
)
from fulmen.core.base.units import BlockHeight, Sat, Timestamp
from fulmen.core.bitcoin.accounts import KeyPath, accounts_of, public_accounts
from fulmen.core.bitcoin.bip32 import from_seed
from fulmen.core.node import WantsChanged
from fulmen.core.wallet.machine import wants as wallet_wants
from fulmen.core.wallet.state import Coin, Wallet
from fulmen.regtest.consensus import Rejected
from fulmen.regtest.rpc.server import ChainOptions, serve

CHANNEL, WALLET = Address("channel", b"\x01" * 32), Address("wallet")


class Told:
    """What a watcher delivered."""

    def __init__(self) -> None:
        self.events: list = []
        self.tips: list[Block] = []
        self.blocks: list = []
        self.troubles: list[str] = []

    async def deliver(self, events, tip) -> None:
        self.events.extend(event for _, event in events)
        self.tips.append(tip)

    def troubled(self, fault) -> None:
        self.troubles.append("" if fault is None else fault.name)

    def take(self) -> list:
        events, self.events = self.events, []
        return events


def a_watcher(source, passed=(), poll_s=0.01) -> tuple[ChainWatcher, Told]:
    told = Told()
    watcher = ChainWatcher(
        source, passed, told.deliver, poll_s=poll_s, blocks=told.blocks.append, troubled=told.troubled
    )
    return watcher, told


def wants(*added) -> WantsChanged:
    return WantsChanged(tuple(added))


def at(entry) -> Block:
    return Block(BlockHeight(entry.height), entry.hash)


def test_a_new_node_begins_at_the_sources_tip_and_gets_every_block_after():
    async def play(node, source, _wallet, _coins):
        watcher, told = a_watcher(source)
        assert watcher.tip is None
        await watcher.step()
        mined = node.mine(3)
        await watcher.step()
        await watcher.step()
        assert [tip.height for tip in told.tips] == [103, 104, 105, 106]
        assert [block.block.hash for block in told.blocks] == [entry.hash for entry in mined]
        assert watcher.tip == at(node.chain.tip)

    on_a_chain(play)


def test_a_watcher_is_behind_until_it_has_read_the_chain_and_whenever_more_than_one_block_is_missing():
    async def play(node, source, _wallet, _coins):
        said: list[bool | int] = []

        async def deliver(_events, tip):
            said.append(tip.height)

        watcher = ChainWatcher(source, [at(node.chain.at(102))], deliver, behind=said.append)
        await watcher.step()
        assert said == [102, 103, False]
        node.mine(1)
        await watcher.step()
        assert said[3:] == [104]
        node.mine(3)
        await watcher.step()
        assert said[4:] == [105, True, 106, 107, False]

    on_a_chain(play)


def test_a_source_that_fails_once_its_tip_is_read_leaves_nobody_behind():
    async def play(node, source, _wallet, _coins):
        class Dying:
            name, asks_spenders = "dying", True

            def __getattr__(self, name):
                return getattr(source, name)

            async def hash_at(self, height):
                if height > node.chain.height:
                    raise SourceUnreachable()
                return await source.hash_at(height)

        said: list[bool] = []
        watcher = ChainWatcher(Dying(), [at(node.chain.at(100))], nobody, behind=said.append)
        with pytest.raises(SourceUnreachable):
            await watcher.step()
        assert watcher.tip.height == node.chain.height
        assert said == [False]

    async def nobody(_events, _tip):
        pass

    on_a_chain(play)


def test_a_stored_place_is_gone_on_from():
    async def play(node, source, _wallet, _coins):
        watcher, told = a_watcher(source, [at(node.chain.at(100))])
        await watcher.step()
        assert [tip.height for tip in told.tips] == [100, 101, 102, 103]

    on_a_chain(play)


@pytest.mark.parametrize("dialect", [EMBEDDED, LITECOIND])
def test_a_spend_is_told_unconfirmed_and_confirmed(dialect):
    async def play(node, source, wallet, coins):
        watcher, told = a_watcher(source)
        watcher.wants_changed(wants((CHANNEL, WantSpendWatch(coins[0][0], wallet.script))))
        await watcher.step()
        tx = wallet.pay(coins[0], fee=1000)
        node.submit_tx(tx)
        await watcher.step()
        await watcher.step()
        assert told.take() == [OutputSpent(coins[0][0], tx.serialize(), None)]
        [entry] = node.mine(1)
        await watcher.step()
        await watcher.step()
        assert told.take() == [OutputSpent(coins[0][0], tx.serialize(), at(entry))]

    on_a_chain(play, dialect)


@pytest.mark.parametrize("dialect", [EMBEDDED, LITECOIND])
def test_a_replaced_spend_is_told_again(dialect):
    async def play(node, source, wallet, coins):
        watcher, told = a_watcher(source)
        watcher.wants_changed(wants((CHANNEL, WantSpendWatch(coins[0][0], wallet.script))))
        node.submit_tx(wallet.pay(coins[0], fee=1000))
        await watcher.step()
        node.submit_tx(better := wallet.pay(coins[0], fee=9000))
        await watcher.step()
        assert told.take()[-1] == OutputSpent(coins[0][0], better.serialize(), None)

    on_a_chain(play, dialect)


@pytest.mark.parametrize("dialect", [EMBEDDED, LITECOIND])
def test_a_payment_that_is_replaced_by_another_is_told_to_be_gone(dialect):
    async def play(node, source, wallet, coins):
        watcher, told = a_watcher(source)
        watcher.wants_changed(wants((WALLET, WantScriptWatch(wallet.script))))
        first = wallet.pay(coins[0], fee=1000)
        node.submit_tx(first)
        await watcher.step()
        watcher.wants_changed(wants((WALLET, WantMempoolWatch(first.txid, (coins[0][0],)))))
        await watcher.step()
        assert told.take() == [ScriptPaid(first.txid, first.serialize(), None)]
        node.submit_tx(better := wallet.pay(coins[0], fee=9000))
        await watcher.step()
        assert told.take() == [TxGone(first.txid), ScriptPaid(better.txid, better.serialize(), None)]

    on_a_chain(play, dialect)


@pytest.mark.parametrize("dialect", [EMBEDDED, LITECOIND])
def test_a_spend_that_is_in_the_mempool_already_is_told_to_who_asks_later(dialect):
    async def play(node, source, wallet, coins):
        watcher, told = a_watcher(source)
        watcher.wants_changed(wants((WALLET, WantScriptWatch(wallet.script))))
        tx = wallet.pay(coins[0], fee=1000)
        node.submit_tx(tx)
        await watcher.step()
        assert told.take() == [ScriptPaid(tx.txid, tx.serialize(), None)]
        watcher.wants_changed(wants((CHANNEL, WantSpendWatch(coins[0][0], wallet.script))))
        await watcher.step()
        assert OutputSpent(coins[0][0], tx.serialize(), None) in told.take()

    on_a_chain(play, dialect)


def test_payments_to_the_wallet_are_told_in_order_even_unconfirmed():
    async def play(node, source, wallet, coins):
        watcher, told = a_watcher(source)
        watcher.wants_changed(wants((WALLET, WantScriptWatch(wallet.script))))
        await watcher.step()
        first = wallet.pay(coins[0], fee=1000)
        second = wallet.pay(output_of(first), fee=1000)
        node.submit_tx(first)
        node.submit_tx(second)
        await watcher.step()
        assert [event.txid for event in told.take()] == [first.txid, second.txid]

    on_a_chain(play)


def test_what_happened_before_a_want_came_is_found():
    async def play(node, source, wallet, coins):
        node.submit_tx(tx := wallet.pay(coins[0], fee=1000))
        [entry] = node.mine(1)
        node.mine(45)
        watcher, told = a_watcher(source)
        await watcher.step()
        since = BlockHeight(101)
        watcher.wants_changed(
            wants(
                (CHANNEL, WantSpendWatch(coins[0][0], wallet.script, since)),
                (CHANNEL, WantSpendWatch(coins[1][0], wallet.script, since)),
                (CHANNEL, WantTxWatch(tx.txid, wallet.script, since)),
                (CHANNEL, WantHeight(BlockHeight(10))),
            )
        )
        for _ in range(5):
            await watcher.step()
        assert sorted(told.take(), key=repr) == sorted(
            [
                HeightReached(at(node.chain.tip)),
                OutputSpent(coins[0][0], tx.serialize(), at(entry)),
                TxConfirmed(tx.txid, tx.serialize(), at(entry), 1),
            ],
            key=repr,
        )
        assert not watcher._owed

    on_a_chain(play)


def test_a_coin_that_is_found_again_was_spent_in_a_block_that_had_been_read():
    """As a rescan finds it: its spend was read while nobody knew of the coin, and pays nobody that we know."""

    async def play(node, source, wallet, coins):
        watcher, told = a_watcher(source)
        node.submit_tx(wallet.pay(coins[0], fee=1000))
        node.mine(2)
        await watcher.step()
        accounts = public_accounts(accounts_of(from_seed(b"fulmen's test wallet"), 1))
        coin = Coin(coins[0][0], coins[0][1], wallet.script, KeyPath(86, 0, 0), at(node.chain.at(1)))
        asked = wallet_wants(Wallet(accounts, settled=(coin,)))
        watcher.wants_changed(wants(*((WALLET, want) for want in asked)))
        for _ in range(10):
            await watcher.step()
        assert [event.outpoint for event in told.take() if isinstance(event, OutputSpent)] == [coins[0][0]]

    on_a_chain(play)


def test_old_blocks_are_not_fetched_for_what_nobody_wants_any_more():
    async def play(node, source, wallet, coins):
        watcher, _told = a_watcher(source)
        node.submit_tx(wallet.pay(coins[0], fee=1000))
        node.mine(1)
        await watcher.step()
        fetched = []
        block = source.block
        source.block = lambda height, block_hash: fetched.append(height) or block(height, block_hash)
        want = (CHANNEL, WantSpendWatch(coins[0][0], wallet.script, BlockHeight(1)))
        watcher.wants_changed(wants(want))
        watcher.wants_changed(WantsChanged(removed=(want,)))
        await watcher.step()
        assert not fetched

    on_a_chain(play)


def test_blocks_that_several_wants_look_back_to_are_read_once_for_all_of_them(monkeypatch):
    """A stranger may have as many fundings watched for as there are openings, each since another block."""
    monkeypatch.setattr("fulmen.adapters.chain.watcher.CACHED_BYTES", 0)

    async def play(node, source, wallet, coins):
        node.submit_tx(tx := wallet.pay(coins[0], fee=1000))
        [entry] = node.mine(1)
        node.mine(39)
        read: list[int] = []

        class Counting:
            def __getattr__(self, name):
                return getattr(source, name)

            async def block(self, height, block_hash):
                read.append(height)
                return await source.block(height, block_hash)

        watcher, told = a_watcher(Counting())
        await watcher.step()
        since = [BlockHeight(height) for height in (101, 110, 120, 130)]
        never = [WantTxWatch(Txid(bytes([height]) * 32), wallet.script, height) for height in since]
        mine = WantTxWatch(tx.txid, wallet.script, since[0])
        watcher.wants_changed(wants(*((CHANNEL, want) for want in (never[3], never[1], mine, never[2], never[0]))))
        while watcher._changes or watcher._owed:
            await watcher.step()
        assert told.take() == [TxConfirmed(tx.txid, tx.serialize(), at(entry), 1)]
        assert read == list(range(101, node.chain.height + 1))

    on_a_chain(play)


def test_a_reorg_is_a_rewind_and_other_blocks():
    async def play(node, source, wallet, coins):
        watcher, told = a_watcher(source)
        tx = wallet.pay(coins[0], fee=1000)
        watcher.wants_changed(wants((CHANNEL, WantTxWatch(tx.txid, wallet.script))))
        await watcher.step()
        node.submit_tx(tx)
        [first, *_] = node.mine(3)
        await watcher.step()
        assert told.take() == [TxConfirmed(tx.txid, tx.serialize(), at(first), 1)]
        node.invalidate(first.hash)
        await watcher.step()
        assert told.take() == [ChainRewound(BlockHeight(103))]
        assert watcher.tip == at(node.chain.tip)
        other = node.mine(5)
        await watcher.step()
        assert told.take() == [TxConfirmed(tx.txid, tx.serialize(), at(other[0]), 1)]
        assert watcher.tip == at(node.chain.tip)

    on_a_chain(play)


def test_the_source_is_asked_for_nothing_that_can_wait_or_is_none_of_its_business():
    async def play(_node, source, _wallet, coins):
        asked = 0
        tip = source.tip

        async def counted(*, with_mempool):
            nonlocal asked
            asked += 1
            return await tip(with_mempool=with_mempool)

        source.tip = counted
        watcher, told = a_watcher(source, poll_s=60)
        watching = asyncio.create_task(watcher.run())
        async with asyncio.timeout(10):
            while not told.tips or not asked:
                await asyncio.sleep(0)
            watcher.wants_changed(wants((CHANNEL, WantTime(Timestamp(5))), (CHANNEL, WantHeight(BlockHeight(104)))))
            for _ in range(20):
                await asyncio.sleep(0)
            assert asked == 1
            watcher.wants_changed(wants((CHANNEL, WantHeight(BlockHeight(103)))))
            while not told.events:
                await asyncio.sleep(0)
        assert told.take() == [HeightReached(watcher.tip)]
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    on_a_chain(play)


def test_a_reorg_while_the_node_was_off_is_found_at_start():
    async def play(node, source, _wallet, _coins):
        lost = node.mine(4)
        node.invalidate(lost[1].hash)
        node.mine(7)
        for passed in ([at(entry) for entry in lost], [at(lost[-1])]):
            watcher, told = a_watcher(source, passed)
            watcher.wants_changed(wants((CHANNEL, WantHeight(BlockHeight(5000)))))
            await watcher.step()
            assert told.take() == [ChainRewound(BlockHeight(104))]
            assert watcher.tip == at(node.chain.tip)

    on_a_chain(play)


def test_a_source_that_has_none_of_our_blocks_is_on_another_chain():
    async def play(node, source, _wallet, _coins):
        node.mine(200)
        ours = [Block(BlockHeight(height), BlockHash(bytes([height]) * 32)) for height in (88, 89, 90)]
        watcher, told = a_watcher(source, ours)
        watcher.wants_changed(wants((CHANNEL, WantHeight(BlockHeight(5000)))))
        for _ in range(2):
            with pytest.raises(AnotherChain, match="none of the blocks"):
                await watcher.step()
            assert told.take() == [], "nothing is undone, and nothing is read"

    on_a_chain(play)


def test_a_source_that_is_behind_us_is_waited_for():
    async def play(_node, source, _wallet, _coins):
        watcher, told = a_watcher(source, [Block(BlockHeight(500), BlockHash(b"\x01" * 32))])
        with pytest.raises(SourceWarmingUp):
            await watcher.step()
        assert told.take() == []

    on_a_chain(play)


def test_a_source_that_lost_its_last_blocks_is_waited_for_and_undoes_nothing():
    """A server whose machine lost its power begins hours ago. At the height of then, HTLCs would seem to have time."""

    async def play(node, source, wallet, _coins):
        watcher, told = a_watcher(source)
        watcher.wants_changed(wants((CHANNEL, WantScriptWatch(wallet.script))))
        node.mine(8)
        await watcher.step()
        told.take()
        tip = watcher.tip
        lost = node.chain.at(node.chain.tip.height - 7).hash
        node.invalidate(lost)
        with pytest.raises(SourceWarmingUp):
            await watcher.step()
        assert (watcher.tip, told.take()) == (tip, [])
        node.mine(1)  # other blocks are no loss but a reorg
        await watcher.step()
        assert watcher.tip == at(node.chain.tip)
        assert told.take()[0] == ChainRewound(BlockHeight(tip.height - 8))

    on_a_chain(play)


def test_a_source_whose_blocks_do_not_stand_on_each_other_is_a_liar():
    async def play(node, source, _wallet, _coins):
        class Liar:
            name, asks_spenders = "liar", True

            def __getattr__(self, name):
                return getattr(source, name)

            async def block(self, height, block_hash):
                real = await source.block(height, block_hash)
                return real.but(previous=BlockHash(b"\x01" * 32))

        watcher, _ = a_watcher(Liar())
        await watcher.step()
        node.mine(1)
        with pytest.raises(SourceLied):
            await watcher.step()

    on_a_chain(play)


def test_a_block_that_cannot_be_read_is_an_alarm_and_goes_on_by_names():
    async def play(node, source, wallet, coins):
        class Blind:
            name, asks_spenders = "blind", True

            def __getattr__(self, name):
                return getattr(source, name)

            async def block(self, height, block_hash):
                real = await source.block(height, block_hash)
                return real.but(txs=tuple([seen.but(tx=None) for seen in real.txs]))

        watcher, told = a_watcher(Blind())
        tx = wallet.pay(coins[0], fee=1000)
        watcher.wants_changed(wants((CHANNEL, WantTxWatch(tx.txid, wallet.script))))
        await watcher.step()
        node.submit_tx(tx)
        [entry] = node.mine(1)
        await watcher.step()
        assert told.troubles == ["BlockUnreadable"]
        assert told.take() == [TxConfirmed(tx.txid, tx.serialize(), at(entry), 1)]

    on_a_chain(play)


def test_a_mempool_is_read_in_slices_and_what_was_read_stays_read():
    """The whole of it may be 300 MB; and a source that fails in the middle need not tell the rest again."""

    async def play(node, source, wallet, _coins):
        asked, failing = [], True

        class Named:
            name, asks_spenders = "named", False
            names = tuple(bytes([n % 256, n // 256]) * 16 for n in range(250))

            def __getattr__(self, name):
                return getattr(source, name)

            async def tip(self, *, with_mempool):
                return TipStatus(node.chain.tip.hash, self.names)

            async def transactions(self, txids):
                if failing and len(asked) == 2:
                    raise SourceUnreachable
                asked.append(len(txids))
                return dict.fromkeys(txids, b"")

        watcher, _told = a_watcher(Named())
        watcher.wants_changed(wants((WALLET, WantScriptWatch(wallet.script))))
        with pytest.raises(SourceUnreachable):
            await watcher.step()
        failing = False
        await watcher.step()
        assert asked == [100, 100, 50]

    on_a_chain(play)


def test_trouble_is_told_once_and_so_is_its_end(tmp_path):
    async def play():
        options = ChainOptions(directory=tmp_path, user="u", password="p", judge="btclib")
        async with serve(options) as chain:
            port = chain.port
            chain.node.mine(3)
        source = a_source(f"http://u:p@127.0.0.1:{port}/")
        troubles: asyncio.Queue = asyncio.Queue()
        heights: asyncio.Queue = asyncio.Queue()

        async def deliver(_events, tip):
            heights.put_nowait(tip.height)

        watcher = ChainWatcher(source, (), deliver, poll_s=0.01, troubled=troubles.put_nowait)
        running = asyncio.create_task(watcher.run())
        assert isinstance(await troubles.get(), SourceUnreachable)
        async with serve(dataclasses.replace(options, port=port)) as chain:
            assert await troubles.get() is None
            chain.node.mine(2)
            assert [await heights.get() for _ in range(3)] == [3, 4, 5]
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
        assert troubles.empty()
        await source.close()

    asyncio.run(play())


moves = st.lists(
    st.tuples(st.sampled_from(["mine", "spend", "undo", "redo", "look"]), st.integers(0, 5)), min_size=5, max_size=25
)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(moves)
def test_after_any_history_what_was_told_is_what_the_chain_says(history):
    """Folded over rewinds, the confirmations told are those of the chain in the end."""

    async def play(node, source, wallet, coins):
        node.submit_tx(split := wallet.pay(coins[0], fee=10_000, parts=6))
        node.mine(1)
        watcher, told = a_watcher(source)
        watched = [output_of(split, vout) for vout in range(6)]
        watcher.wants_changed(wants(*[(CHANNEL, WantSpendWatch(coin[0], wallet.script)) for coin in watched]))
        await watcher.step()
        undone = []
        for move, number in history:
            if move == "mine":
                node.mine(1 + number % 3)
            elif move == "spend" and node.chain.coins.get(watched[number][0]) is not None:
                with contextlib.suppress(Rejected):
                    node.submit_tx(wallet.pay(watched[number], fee=1000 + 500 * len(undone)))
            elif move == "undo" and node.chain.height - number > 104:
                entry = node.chain.at(node.chain.height - number)
                undone.append(entry.hash)
                node.invalidate(entry.hash)
            elif move == "redo" and undone:
                node.reconsider(undone.pop())
            else:
                # It waits for a source that has lost many blocks and found no other.
                with contextlib.suppress(SourceWarmingUp):
                    await watcher.step()
        node.mine(1)
        await watcher.step()
        assert watcher.tip == at(node.chain.tip)
        confirmed: dict = {}
        for event in told.take():
            if isinstance(event, ChainRewound):
                confirmed = {spent: block for spent, block in confirmed.items() if block.height <= event.to}
            elif isinstance(event, OutputSpent) and event.block is not None:
                confirmed[event.outpoint] = event.block
        truth = {}
        for coin, amount in watched:
            assert amount > Sat(0)
            spender = node.txs.spender(coin)
            if spender is not None:
                truth[coin] = at(node.txs.get(spender)[0])
        assert confirmed == truth

    on_a_chain(play)
