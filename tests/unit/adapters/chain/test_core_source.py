"""What a Core-like server is asked, and what is made of its answers."""

from __future__ import annotations

import asyncio
import itertools
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
from fulmen.core.bitcoin.block import BlockHeader, WholeBlock, coinbase_tx, has_proof_of_work, merkle_root
from fulmen.core.bitcoin.networks import MAINNET, REGTEST
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut
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


def a_block_of(txs, *, names=None):
    """A block of these transactions that somebody worked for; its header may commit to other names."""
    root, _ = merkle_root(names if names is not None else [tx.txid for tx in txs])
    bare = BlockHeader(4, GENESIS_HASH, root, 1_296_688_602, REGTEST.pow_limit_bits, 0)
    tried = (bare.but(nonce=nonce) for nonce in itertools.count())
    return WholeBlock(next(header for header in tried if has_proof_of_work(header, REGTEST)), tuple(txs))


def test_a_block_that_we_cannot_read_is_watched_by_its_names():
    name = bytes.fromhex("ab" * 32)
    coinbase = coinbase_tx(BlockHeight(1), (TxOut(Sat(50), b"\x51"),), ())
    whole = a_block_of([coinbase], names=[coinbase.txid, name])
    shown = coinbase.txid[::-1].hex()

    def getblock(_hash, verbosity):
        return {"tx": [shown, name[::-1].hex()]} if verbosity else (whole.serialize() + b"\x00").hex()

    def getrawtransaction(txid, _verbosity, _block):
        return coinbase.serialize().hex() if txid == shown else "ff00"

    async def play(source):
        block = await source.block(BlockHeight(1), whole.header.hash)
        first, second = block.txs
        assert first.tx is not None and first.txid == coinbase.txid
        assert (second.txid, second.raw, second.tx) == (name, b"\xff\x00", None)

    with_answers(play, {"getblock": getblock, "getrawtransaction": getrawtransaction})


@pytest.mark.parametrize("named", [[], ["cd" * 32], ["cd" * 32, "ef" * 32]])
def test_names_that_a_header_does_not_commit_to_are_a_lie(named):
    """Else whoever spoils one byte of a block could leave out of it what he likes."""
    whole = a_block_of([coinbase_tx(BlockHeight(1), (TxOut(Sat(50), b"\x51"),), ())])

    def getblock(_hash, verbosity):
        return {"tx": named} if verbosity else (whole.serialize() + b"\x00").hex()

    async def play(source):
        with pytest.raises(SourceLied):
            await source.block(BlockHeight(1), whole.header.hash)

    with_answers(play, {"getblock": getblock, "getrawtransaction": "ff00"})


class TestWhatABlockCommitsTo:
    """A preimage on the chain stands in a witness, which no txid covers."""

    CLAIM = Tx(
        2, (TxIn(OutPoint(Txid(b"\x07" * 32), 0), b"", 0, (b"signature", b"preimage")),), (TxOut(Sat(9), b"\x51"),)
    )

    def given(self, whole, given, network=REGTEST):
        async def play(source):
            return await source.block(BlockHeight(1), whole.header.hash)

        return with_answers(play, {"getblock": given.hex()}, network=network)

    def a_block(self):
        claim = self.CLAIM
        return a_block_of([coinbase_tx(BlockHeight(1), (TxOut(Sat(50), b"\x51"),), (claim,)), claim])

    def test_a_whole_block_is_read(self):
        whole = self.a_block()
        block = self.given(whole, whole.serialize())
        assert block.txs[1].tx == self.CLAIM

    @pytest.mark.parametrize("witness", [(), (b"signature", b"another ")])
    def test_witnesses_left_out_or_changed_are_a_lie(self, witness):
        whole = self.a_block()
        coinbase, claim = whole.txs
        changed = claim.but(inputs=(claim.inputs[0].but(witness=witness),))
        with pytest.raises(SourceLied):
            self.given(whole, whole.but(txs=(coinbase, changed)).serialize())

    def test_a_server_that_serves_blocks_without_witnesses_is_none_for_us(self):
        whole = self.a_block()
        bare = [tx.but(inputs=tuple(each.but(witness=()) for each in tx.inputs)) for tx in whole.txs]
        with pytest.raises(SourceLied):
            self.given(whole, whole.but(txs=tuple(bare)).serialize())

    def test_what_miners_wrote_before_the_rule_was_one_is_read(self):
        whole = a_block_of([coinbase_tx(BlockHeight(1), (TxOut(Sat(50), b"\x51"),), ())])
        coinbase = whole.txs[0].but(inputs=(whole.txs[0].inputs[0].but(witness=()),))
        bare = whole.but(txs=(coinbase,)).serialize()
        assert self.given(whole, bare, REGTEST.but(segwit_height=BlockHeight(2))).txs[0].tx == coinbase
        with pytest.raises(SourceLied):
            self.given(whole, bare)

    def test_a_block_that_is_spoilt_hides_no_witness_either(self):
        whole = self.a_block()
        coinbase, claim = whole.txs
        bare = claim.but(inputs=(claim.inputs[0].but(witness=()),))
        served = {tx.txid[::-1].hex(): tx.serialize().hex() for tx in (coinbase, bare)}

        async def play(source):
            with pytest.raises(SourceLied):
                await source.block(BlockHeight(1), whole.header.hash)

        def getblock(_hash, verbosity):
            return {"tx": list(served)} if verbosity else (whole.serialize() + b"\x00").hex()

        with_answers(play, {"getblock": getblock, "getrawtransaction": lambda txid, *_: served[txid]})

    def test_transactions_left_out_are_a_lie(self):
        whole = self.a_block()
        with pytest.raises(SourceLied):
            self.given(whole, whole.but(txs=whole.txs[:1]).serialize())


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


def test_a_mempool_that_is_too_large_to_be_compared_is_not_asked_for():
    """Its names alone are 20 MB with every look, and beyond 64 MB an answer is refused: then no block would be read."""
    seen = []

    async def play(source):
        assert (await source.tip(with_mempool=True)).mempool is None

    table = {
        "getbestblockhash": "00" * 32,
        "getmempoolinfo": {"size": 300_000},
        "getrawmempool": lambda *_: seen.append(1) or [],
    }
    with_answers(play, table)
    assert not seen


def test_a_mempool_that_fills_up_is_asked_for_no_more():
    """A small one comes with the tip, in one call; when that fails, its size is asked for first again."""
    size, full, looks = [1], [], []

    def names(*_):
        looks.append(size[0])
        return full or ["01" * 32]

    async def play(source):
        for _ in range(3):
            assert (await source.tip(with_mempool=True)).mempool == (Txid(b"\x01" * 32),)
        full.append("no list of names")
        with pytest.raises(SourceGarbage):
            await source.tip(with_mempool=True)
        size[0] = 300_000
        for _ in range(3):
            assert (await source.tip(with_mempool=True)).mempool is None

    table = {
        "getbestblockhash": "00" * 32,
        "getmempoolinfo": lambda *_: {"size": size[0]},
        "getrawmempool": names,
    }
    with_answers(play, table)
    assert looks == [1, 1, 1, 1]


def test_the_largest_transactions_of_a_mempool_fit_into_an_answer():
    largest = 400_000
    """Bytes: a standard transaction weighs 400,000 at most, and witness bytes weigh one each."""

    async def play(source):
        names = [Txid(number.to_bytes(32, "big")) for number in range(100)]
        assert len(await source.transactions(names)) == 100

    with_answers(play, {"getrawtransaction": "00" * largest})


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
