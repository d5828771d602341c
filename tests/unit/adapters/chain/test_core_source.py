"""What a Core-like server is asked, and what is made of its answers."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import pytest
from tests.builders.chain_source import a_server, a_source, http, on_a_chain
from tests.builders.regtest import P2A, output_of

from fulmen.adapters.chain import SourceGarbage, SourceLied, SourceRefused, SourceWarmingUp, WrongNetwork
from fulmen.adapters.chain.dialects import BTCD, CORE, LITECOIND, DialectUnknown, dialect_named
from fulmen.adapters.chain.feerates import per_kw
from fulmen.core.base.ids import BlockHash, OutPoint, Txid, scid
from fulmen.core.base.units import BlockHeight, Sat
from fulmen.core.bitcoin.networks import MAINNET, REGTEST
from fulmen.core.bitcoin.transaction import TxOut
from fulmen.regtest.params import GENESIS_BLOCK

GENESIS_HASH = BlockHash(REGTEST.chain_hash)


def with_answers(play, answers, dialect=CORE, network=REGTEST):
    """Run a test against a server that answers methods from a table; what is missing is no method."""

    def one(request):
        result = answers.get(request["method"])
        if callable(result):
            result = result(*request["params"])
        if isinstance(result, SourceRefused):
            return {"result": None, "error": {"code": result.code, "message": result.words}, "id": request["id"]}
        if request["method"] not in answers:
            return {"result": None, "error": {"code": -32601, "message": "Method not found"}, "id": request["id"]}
        return {"result": result, "error": None, "id": request["id"]}

    def answer(body):
        requests = json.loads(body)
        replies = [one(each) for each in requests] if isinstance(requests, list) else one(requests)
        return http(json.dumps(replies).encode())

    async def run():
        async with a_server(answer) as url:
            source = a_source(url, dialect, network)
            try:
                return await play(source)
            finally:
                await source.close()

    return asyncio.run(run())


def test_the_start_check_gives_the_tip():
    async def play(node, source, _wallet, _coins):
        tip = await source.check()
        assert (tip.height, tip.hash) == (103, node.chain.tip.hash)

    on_a_chain(play)
    on_a_chain(play, dialect=BTCD)


def test_another_chain_is_refused_by_name():
    async def play(source):
        with pytest.raises(WrongNetwork):
            await source.check()

    with_answers(play, {"getblockhash": "11" * 32})


def test_a_real_chain_that_syncs_is_waited_for():
    async def play(source):
        with pytest.raises(SourceWarmingUp, match="still syncing"):
            await source.check()

    info = {"blocks": 5, "headers": 900_000, "bestblockhash": "11" * 32, "initialblockdownload": True}
    answers = {"getblockhash": MAINNET.chain_hash[::-1].hex(), "getblockchaininfo": info}
    with_answers(play, answers, network=MAINNET)


def test_blocks_are_found_by_height_and_hash():
    async def play(node, source, _wallet, _coins):
        entry = node.chain.at(50)
        assert await source.hash_at(BlockHeight(50)) == entry.hash
        assert await source.hash_at(BlockHeight(5000)) is None
        assert await source.parent_of(entry.hash) == entry.parent.hash
        assert await source.parent_of(BlockHash(b"\x01" * 32)) is None
        assert await source.height_of(entry.hash) == 50
        block = await source.block(BlockHeight(50), entry.hash)
        assert (block.block.hash, block.previous, len(block.txs)) == (entry.hash, entry.parent.hash, 1)
        node.invalidate(entry.hash)
        assert await source.height_of(entry.hash) is None
        assert await source.parent_of(entry.hash) == entry.parent.hash

    on_a_chain(play)


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        ("", SourceGarbage),
        ("zz", SourceGarbage),
        ("00" * 79, SourceGarbage),
        ((GENESIS_BLOCK[:76] + bytes(4) + GENESIS_BLOCK[80:]).hex(), SourceLied),
    ],
)
def test_a_block_that_is_none_or_another_is_named(raw, fault):
    async def play(source):
        with pytest.raises(fault):
            await source.block(BlockHeight(0), GENESIS_HASH)

    with_answers(play, {"getblock": raw})


def test_a_block_that_we_cannot_read_is_watched_by_its_names():
    name = "ab" * 32
    good = GENESIS_BLOCK[81:].hex()
    coinbase = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"

    def getblock(_hash, verbosity):
        return {"tx": [coinbase, name]} if verbosity else (GENESIS_BLOCK + b"\x00").hex()

    def getrawtransaction(txid, _verbosity, _block):
        return good if txid == coinbase else "ff00"

    async def play(source):
        block = await source.block(BlockHeight(0), GENESIS_HASH)
        first, second = block.txs
        assert first.tx is not None and first.txid[::-1].hex() == coinbase
        assert (second.txid[::-1].hex(), second.raw, second.tx) == (name, b"\xff\x00", None)

    with_answers(play, {"getblock": getblock, "getrawtransaction": getrawtransaction})


class TestPublishing:
    def test_once_and_again_and_when_confirmed(self):
        async def play(node, source, wallet, coins):
            tx = wallet.pay(coins[0], fee=1000)
            for confirmed in (False, False):
                outcome = await source.publish(tx.serialize())
                assert (outcome.accepted, outcome.confirmed) == (True, confirmed)
            node.mine(1)
            assert (await source.publish(tx.serialize())).confirmed is True

        on_a_chain(play)

    def test_a_refusal_has_the_sources_words(self):
        async def play(_node, source, wallet, coins):
            outcome = await source.publish(wallet.pay(coins[0], fee=1).serialize())
            assert (outcome.accepted, outcome.reason) == (False, "min relay fee not met, 1 < 11")

        on_a_chain(play)

    def test_any_feerate_may_be_paid(self):
        async def play(_node, source, wallet, coins):
            assert (await source.publish(wallet.pay(coins[0], fee=100_000_000).serialize())).accepted

        on_a_chain(play)

    @pytest.mark.parametrize(
        ("code", "words", "accepted", "confirmed"),
        [
            (-27, "Transaction outputs already in utxo set", True, True),
            (-27, "transaction already in block chain", True, True),
            (-26, "txn-already-in-mempool", True, False),
            (-26, "txn-already-known", True, True),
            (-25, "already have transaction in mempool 00", True, False),
            (-25, "bad-txns-inputs-missingorspent", False, False),
            (-26, "dust", False, False),
        ],
    )
    def test_the_words_of_all_dialects_are_known(self, code, words, accepted, confirmed):
        async def play(source):
            outcome = await source.publish(b"\x00")
            assert (outcome.accepted, outcome.confirmed) == (accepted, confirmed)

        with_answers(play, {"sendrawtransaction": lambda *_: SourceRefused(code, words)})

    def test_btcd_is_asked_with_a_truth_value(self):
        seen = []

        async def play(source):
            await source.publish(b"\x00")

        with_answers(play, {"sendrawtransaction": lambda *params: seen.append(params) or "ok"}, dialect=BTCD)
        assert seen == [("00", True)]

    def test_packages_go_together_where_the_server_can(self):
        async def play(node, source, wallet, coins):
            coin, spare = coins[:2]
            parent = wallet.spend([coin], [TxOut(coin[1], wallet.script), TxOut(Sat(0), P2A)], version=3)
            child = wallet.spend(
                [(parent.outpoint(1), Sat(0)), spare], [TxOut(Sat(spare[1] - 5000), wallet.script)], version=3
            )
            raws = [parent.serialize(), child.serialize()]
            assert (await source.publish_package(raws)).accepted
            assert len(node.pool) == 2
            node.mine(1)
            assert (await source.publish_package(raws)).accepted

        on_a_chain(play)

    def test_packages_go_one_by_one_where_it_cannot(self):
        async def play(node, source, wallet, coins):
            parent = wallet.pay(coins[0], fee=1000)
            child = wallet.pay(output_of(parent), fee=1000)
            assert (await source.publish_package([parent.serialize(), child.serialize()])).accepted
            assert len(node.pool) == 2
            refused = await source.publish_package([wallet.pay(coins[1], fee=0).serialize()] * 2)
            assert not refused.accepted

        on_a_chain(play, dialect=LITECOIND)


def test_unconfirmed_spenders_are_found():
    async def play(node, source, wallet, coins):
        tx = wallet.pay(coins[0], fee=1000)
        node.submit_tx(tx)
        spenders = await source.spenders([coins[0][0], coins[1][0]])
        assert spenders == {coins[0][0]: tx.txid}
        assert await source.transactions([tx.txid, Txid(bytes(32))]) == {tx.txid: tx.serialize()}
        assert (await source.tip(with_mempool=True)).mempool == (tx.txid,)
        node.mine(1)
        assert await source.spenders([coins[0][0]]) == {}

    on_a_chain(play)


def test_a_funding_output_is_verified_by_its_short_channel_id():
    async def play(node, source, wallet, coins):
        found = await source.funding_output(scid(1, 0, 0))
        assert (found.outpoint, found.output, found.confirmations) == (
            coins[0][0],
            TxOut(coins[0][1], wallet.script),
            103,
        )
        assert await source.unspent(coins[0][0]) == found.output
        for nowhere in (scid(1, 5, 0), scid(1, 0, 9), scid(5000, 0, 0)):
            assert await source.funding_output(nowhere) is None
        node.submit_tx(wallet.pay(coins[0], fee=1000))
        assert await source.funding_output(scid(1, 0, 0)) is not None
        node.mine(1)
        assert await source.funding_output(scid(1, 0, 0)) is None
        assert await source.unspent(OutPoint(coins[0][0].txid, 5)) is None

    on_a_chain(play)


NO_NUMBERS = ["NaN", "sNaN", "Infinity", "-Infinity", "1e999999", "-1e999999", "1e999999999999999999"]
"""Strings that are read as a Decimal all the same."""


@pytest.mark.parametrize("value", [-1, 0.000000001, 22_000_000, "1e-999999", f"1.{'0' * 40}1", *NO_NUMBERS])
def test_an_amount_that_cannot_be_is_garbage(value):
    async def play(source):
        with pytest.raises(SourceGarbage):
            await source.unspent(OutPoint(Txid(bytes(32)), 0))

    with_answers(play, {"gettxout": {"value": value, "scriptPubKey": {"hex": "51"}, "confirmations": 1}})


def test_zero_is_an_amount_however_it_is_written():
    async def play(source):
        assert await source.unspent(OutPoint(Txid(bytes(32)), 0)) == TxOut(Sat(0), b"\x51")

    for value in (0, "0e999999999", "-0.0", "0e-999999999"):
        with_answers(play, {"gettxout": {"value": value, "scriptPubKey": {"hex": "51"}, "confirmations": 1}})


def test_the_largest_amount_is_read_to_the_satoshi():
    async def play(source):
        assert (await source.unspent(OutPoint(Txid(bytes(32)), 0))).amount_sat == 2_099_999_999_999_999

    answer = {"value": "20999999.999999990", "scriptPubKey": {"hex": "51"}, "confirmations": 1}
    with_answers(play, {"gettxout": answer})


def test_a_number_that_nothing_can_hold_is_garbage_where_any_value_may_come():
    async def run():
        async with a_server(
            lambda _body: http(b'[{"id":0,"result":""},{"id":1,"result":1e99999999999999999999}]')
        ) as url:
            source = a_source(url)
            with pytest.raises(SourceGarbage):
                await source.tip(with_mempool=True)
            await source.close()

    asyncio.run(run())


@pytest.mark.parametrize("made_at", [-1, 1 << 32, 10**400])
def test_a_time_that_no_header_can_hold_is_garbage(made_at):
    async def play(source):
        with pytest.raises(SourceGarbage):
            await source.time_of(GENESIS_HASH)

    with_answers(play, {"getblockheader": {"height": 0, "time": made_at}})


class TestFeerates:
    def test_the_embedded_chain_asks_the_floor(self):
        async def play(_node, source, _wallet, _coins):
            feerates = await source.feerates()
            assert (feerates.floor_per_kw, feerates.opening_per_kw, feerates.urgent_per_kw) == (253, 253, 253)

        on_a_chain(play)

    def test_estimates_are_kept_within_floor_and_cap(self):
        async def play(source):
            feerates = await source.feerates()
            assert feerates.urgent_per_kw == 250_000
            assert feerates.closing_per_kw == 500
            assert feerates.floor_per_kw == 500
            assert feerates.slow_per_kw == 500

        estimates = {2: 0.5, 6: 0.0001, 12: 0.00000001, 100: 0.0001}
        answers = {
            "estimatesmartfee": lambda target, _mode: {"feerate": estimates[target], "blocks": target},
            "getmempoolinfo": {"mempoolminfee": 0.00002},
        }
        with_answers(play, answers)

    def test_no_estimate_is_a_fallback_and_then_the_last_one(self):
        table = {"estimatesmartfee": {"errors": ["Insufficient data"], "blocks": 2}, "getmempoolinfo": {}}

        async def play(source):
            assert (await source.feerates()).opening_per_kw == 1000
            table["estimatesmartfee"] = {"feerate": 0.0002}
            assert (await source.feerates()).opening_per_kw == 5000
            table["estimatesmartfee"] = {"errors": []}
            assert (await source.feerates()).opening_per_kw == 5000

        with_answers(play, table)

    def test_btcd_estimates_with_a_plain_number(self):
        async def play(source):
            assert (await source.feerates()).opening_per_kw == 2500
            assert (await source.feerates()).floor_per_kw == 253
            assert (await source.feerates()).slow_per_kw == 500

        # btcd gives an error for more than 25 blocks ahead.
        estimates = {2: 0.0001, 6: 0.0001, 12: 0.0001, 25: 0.00002}
        with_answers(play, {"estimatefee": lambda target: estimates[target]}, dialect=BTCD)

    @pytest.mark.parametrize("estimate", [None, -1, 0, 5, *NO_NUMBERS])
    def test_an_estimate_that_cannot_be_is_none(self, estimate):
        assert per_kw(None if estimate is None else Decimal(estimate)) is None

    @pytest.mark.parametrize("word", NO_NUMBERS)
    @pytest.mark.parametrize("dialect", [CORE, BTCD])
    def test_an_estimate_that_is_no_number_is_a_fallback(self, word, dialect):
        async def play(source):
            feerates = await source.feerates()
            assert (feerates.opening_per_kw, feerates.urgent_per_kw, feerates.floor_per_kw) == (1000, 1000, 253)

        answers = {
            "estimatesmartfee": {"feerate": word},
            "estimatefee": word,
            "getmempoolinfo": {"mempoolminfee": word},
        }
        with_answers(play, answers, dialect=dialect)


def test_dialects_have_names():
    assert dialect_named("btcd") is BTCD
    with pytest.raises(DialectUnknown):
        dialect_named("klingon")
