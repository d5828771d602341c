"""Both judges say the same of the same blocks and transactions."""

from __future__ import annotations

import time

import pytest
from tests.builders.regtest import JUDGES, Wallet, a_funded_node, a_node

from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.block import BlockHeader, WholeBlock, coinbase_tx, has_proof_of_work, merkle_root
from fulmen.core.bitcoin.networks import REGTEST
from fulmen.core.bitcoin.script import p2wsh
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut
from fulmen.core.crypto.hashes import sha256
from fulmen.regtest.consensus import Rejected
from fulmen.regtest.judge import BlockContext
from fulmen.regtest.judges import NoSuchJudge, open_judge
from fulmen.regtest.node import RegtestNode

TODAY = int(time.time())


@pytest.fixture(params=JUDGES)
def judge(request):
    return request.param


def test_an_unknown_judge_is_refused_by_name():
    with pytest.raises(NoSuchJudge):
        open_judge("solomon")


def test_a_good_spend_passes(judge):
    node, wallet, [coin] = a_funded_node(judge=judge, now=TODAY)
    tx = wallet.pay(coin, fee=1000)
    assert node.judge.scripts(tx.serialize(), [TxOut(coin[1], wallet.script)]) == ""
    node.close()


@pytest.mark.parametrize("change", [{"amount_sat": Sat(1)}, {"script_pubkey": p2wsh(sha256(b""))}])
def test_a_spend_of_another_output_than_was_signed_fails(judge, change):
    node, wallet, [coin] = a_funded_node(judge=judge, now=TODAY)
    tx = wallet.pay(coin, fee=1000)
    assert node.judge.scripts(tx.serialize(), [TxOut(coin[1], wallet.script).but(**change)]) != ""
    node.close()


def test_a_spend_with_a_missing_prevout_fails(judge):
    node, wallet, [coin] = a_funded_node(judge=judge, now=TODAY)
    assert node.judge.scripts(wallet.pay(coin, fee=1000).serialize(), []) != ""
    node.close()


def test_blocks_connect_and_reorgs_are_followed(judge):
    node, wallet, [coin] = a_funded_node(judge=judge, now=TODAY)
    node.submit_tx(wallet.pay(coin, fee=1000))
    [first] = node.mine(1)
    node.invalidate(first.hash)
    [second, third] = node.mine(2)
    assert node.chain.tip is third
    node.reconsider(first.hash)
    assert node.chain.tip is third
    node.invalidate(second.hash)
    assert node.chain.tip is first
    node.mine(1)
    assert node.chain.height == 103
    node.close()


def test_a_bad_signature_in_a_block_is_refused(judge):
    node, wallet, [coin] = a_funded_node(judge=judge, now=TODAY)
    good = wallet.pay(coin, fee=1000)
    bad = good.but(outputs=(good.outputs[0].but(amount_sat=Sat(good.outputs[0].amount_sat - 1)),))
    with pytest.raises(Rejected):
        node.submit_block(a_block_with(node, bad))
    assert node.chain.height == 101
    [entry] = node.mine(1)
    assert node.chain.tip is entry
    node.close()


@pytest.mark.parametrize("judge_name", JUDGES)
def test_a_judge_alone_refuses_a_coinbase_that_takes_too_much(judge_name):
    node = a_node("btclib", now=TODAY)
    block = a_block_with(node, reward=5_000_000_001)
    judge = open_judge(judge_name)
    context = BlockContext(1, node.chain.tip.median_time_past, TODAY, [], lambda: ())
    if judge_name == "kernel":
        assert judge.block(block.serialize(), context).startswith("block refused: consensus")
    with pytest.raises(Rejected, match="bad-cb-amount"):
        node.submit_block(block)
    judge.close()


def test_a_judge_alone_refuses_a_block_without_work(judge):
    node = a_node("btclib", now=TODAY)
    alone = open_judge(judge)
    block = a_block_with(node, without_work=True)
    assert alone.block(block.serialize(), BlockContext(1, 0, TODAY, [], lambda: ())) != ""
    alone.close()


def test_a_judge_alone_refuses_a_wrong_height(judge):
    node = a_node("btclib", now=TODAY)
    alone = open_judge(judge)
    block = a_block_with(node, height=2)
    assert alone.block(block.serialize(), BlockContext(1, 0, TODAY, [], lambda: ())) != ""
    alone.close()


def test_a_mocked_future_is_judged_too(judge):
    node, wallet, [coin] = a_funded_node(judge=judge, now=TODAY)
    node.set_mocktime(TODAY + 30 * 24 * 3600)
    node.submit_tx(wallet.pay(coin, fee=1000))
    node.mine(3)
    assert node.chain.height == 104
    assert len(node.pool) == 0
    with pytest.raises(Rejected):
        node.submit_block(a_block_with(node, a_theft(node)))
    node.close()


def a_theft(node: RegtestNode) -> Tx:
    """A ripe coin of the faucet, spent without a witness."""
    first = node.chain.at(2)
    assert first is not None
    outpoint = node.chain.block(first).txs[0].outpoint(0)
    return Tx(2, (TxIn(outpoint),), (TxOut(Sat(1000), Wallet().script),))


def a_block_with(
    node: RegtestNode, *txs: Tx, reward: int = 1, height: int = 0, without_work: bool = False
) -> WholeBlock:
    tip = node.chain.tip
    coinbase = coinbase_tx(height or tip.height + 1, (TxOut(Sat(reward), Wallet().script),), txs, b"test")
    whole = (coinbase, *txs)
    root, _ = merkle_root([tx.txid for tx in whole])
    nonce = 0
    while True:
        time_ = max(tip.median_time_past + 1, node.now())
        header = BlockHeader(0x20000000, tip.hash, root, time_, REGTEST.pow_limit_bits, nonce)
        if has_proof_of_work(header, REGTEST) != without_work:
            return WholeBlock(header, whole)
        nonce += 1
