"""Who is told what of a block."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulmen.core.base.faults import InvariantBroken
from fulmen.core.base.ids import BlockHash, OutPoint, Txid
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
    WantPublished,
    WantScriptWatch,
    WantSpendWatch,
    WantTime,
    WantTxWatch,
)
from fulmen.core.base.units import BlockHeight, Sat, Timestamp
from fulmen.core.bitcoin.script import p2wpkh
from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut
from fulmen.core.crypto.hashes import hash160
from fulmen.core.node.watching import ChainBlock, ChainTx, Rescan, WatchMatcher, chain_tx

CHANNEL, WALLET = Address("channel", b"\x01" * 32), Address("wallet")
SCRIPT = p2wpkh(b"\x07" * 20)
GENESIS = Block(BlockHeight(0), BlockHash(bytes(32)))


def a_tx(spends: OutPoint | None = None, pays: bytes = SCRIPT, marker: int = 0, witness=()) -> Tx:
    outpoint = spends or OutPoint(Txid(marker.to_bytes(32, "big")), 0)
    return Tx(2, (TxIn(outpoint, witness=witness),), (TxOut(Sat(1000 + marker), pays),))


def a_block(on: Block, *txs: Tx) -> ChainBlock:
    block_hash = BlockHash(hash160(on.hash + b"".join(tx.txid for tx in txs)) + bytes(12))
    return ChainBlock(Block(BlockHeight(on.height + 1), block_hash), on.hash, tuple(chain_tx(tx) for tx in txs))


def watching(*wants) -> WatchMatcher:
    matcher = WatchMatcher(GENESIS)
    matcher.change(wants, ())
    return matcher


def test_a_spend_is_told_in_a_block_and_in_the_mempool():
    funding = OutPoint(Txid(b"\x05" * 32), 1)
    matcher = watching((CHANNEL, WantSpendWatch(funding, SCRIPT)))
    spend = a_tx(funding, b"\x51")
    assert matcher.unconfirmed([chain_tx(spend)]) == [(CHANNEL, OutputSpent(funding, spend.serialize(), None))]
    block = a_block(GENESIS, a_tx(marker=9), spend)
    assert matcher.connect(block) == [(CHANNEL, OutputSpent(funding, spend.serialize(), block.block))]


def test_a_confirmation_names_the_block_and_the_place():
    tx = a_tx(marker=1)
    matcher = watching((CHANNEL, WantTxWatch(tx.txid, SCRIPT)))
    assert matcher.unconfirmed([chain_tx(tx)]) == []
    block = a_block(GENESIS, a_tx(marker=2), tx)
    assert matcher.connect(block) == [(CHANNEL, TxConfirmed(tx.txid, tx.serialize(), block.block, 1))]


def test_what_is_published_is_watched_too():
    tx = a_tx(marker=1)
    matcher = watching((WALLET, WantPublished("withdrawal", tx.serialize())))
    block = a_block(GENESIS, tx)
    assert matcher.connect(block) == [(WALLET, TxConfirmed(tx.txid, tx.serialize(), block.block, 0))]


def test_a_script_is_paid_and_then_spent_from():
    matcher = watching((WALLET, WantScriptWatch(SCRIPT)))
    paying = a_tx(marker=1)
    first = a_block(GENESIS, paying)
    assert matcher.connect(first) == [(WALLET, ScriptPaid(paying.txid, paying.serialize(), first.block))]
    spending = a_tx(paying.outpoint(0), b"\x51")
    second = a_block(first.block, spending)
    assert matcher.connect(second) == [(WALLET, ScriptPaid(spending.txid, spending.serialize(), second.block))]


def test_a_spend_by_key_is_known_by_its_witness_alone():
    key = b"\x02" * 33
    matcher = watching((WALLET, WantScriptWatch(p2wpkh(hash160(key)))))
    spending = a_tx(marker=3, pays=b"\x51", witness=(b"signature", key))
    block = a_block(GENESIS, spending)
    assert matcher.connect(block) == [(WALLET, ScriptPaid(spending.txid, spending.serialize(), block.block))]


def test_one_transaction_is_one_event_for_a_script_watcher():
    other = p2wpkh(b"\x08" * 20)
    matcher = watching((WALLET, WantScriptWatch(SCRIPT)), (WALLET, WantScriptWatch(other)))
    both = a_tx(marker=1).but(outputs=(TxOut(Sat(1), SCRIPT), TxOut(Sat(2), other)))
    assert len(matcher.connect(a_block(GENESIS, both))) == 1


def test_what_waits_in_the_mempool_is_told_to_be_gone_when_it_is_not_there_any_more():
    waiting, other = a_tx(marker=1), a_tx(marker=2)
    want = (WALLET, WantMempoolWatch(waiting.txid, (waiting.inputs[0].outpoint,)))
    matcher = watching(want)
    assert matcher.gone_from({waiting.txid, other.txid}) == []
    assert matcher.gone_from({other.txid}) == [(WALLET, TxGone(waiting.txid))]
    matcher.change((), [want])
    assert matcher.gone_from(set()) == []


def test_a_block_that_spends_otherwise_makes_what_waits_impossible():
    waiting = a_tx(marker=1)
    spends = (waiting.inputs[0].outpoint, OutPoint(Txid(b"\x08" * 32), 0))
    want = (WALLET, WantMempoolWatch(waiting.txid, spends))
    rival = Tx(2, tuple(TxIn(outpoint) for outpoint in spends), (TxOut(Sat(1), b"\x51"),))
    matcher = watching(want)
    assert matcher.unconfirmed([chain_tx(rival)]) == [], "the mempool changes its mind; a block does not"
    assert matcher.connect(a_block(GENESIS, a_tx(marker=3), rival)) == [(WALLET, TxGone(waiting.txid))]
    assert watching(want).connect(a_block(GENESIS, waiting)) == []
    matcher = watching(want)
    matcher.change((), [want])
    assert matcher.connect(a_block(GENESIS, rival)) == []


def test_who_waits_for_the_mempool_hears_of_a_rewind():
    waiting = a_tx(marker=1)
    assert watching((WALLET, WantMempoolWatch(waiting.txid, ()))).rewind(GENESIS) == [
        (WALLET, ChainRewound(BlockHeight(0)))
    ]


def test_a_height_is_told_at_once_if_reached_and_with_every_block_after():
    matcher = WatchMatcher(GENESIS)
    assert matcher.change([(CHANNEL, WantHeight(BlockHeight(0)))], ())[0] == [(CHANNEL, HeightReached(GENESIS))]
    assert matcher.change([(WALLET, WantHeight(BlockHeight(2)))], ())[0] == []
    first = a_block(GENESIS)
    assert matcher.connect(first) == [(CHANNEL, HeightReached(first.block))]
    second = a_block(first.block)
    assert matcher.connect(second) == [(CHANNEL, HeightReached(second.block)), (WALLET, HeightReached(second.block))]


def test_a_want_that_names_an_earlier_height_asks_for_those_blocks_again():
    funding = OutPoint(Txid(b"\x05" * 32), 1)
    want = (CHANNEL, WantSpendWatch(funding, SCRIPT, BlockHeight(2)))
    matcher = WatchMatcher(Block(BlockHeight(5), BlockHash(b"\x05" * 32)))
    _, rescans = matcher.change([want], ())
    assert rescans == [Rescan(BlockHeight(2), BlockHeight(5), (want,))]
    passed = a_block(Block(BlockHeight(2), BlockHash(b"\x02" * 32)), a_tx(funding))
    assert [event for _, event in matcher.scan(passed, rescans[0].wants)] == [
        OutputSpent(funding, passed.txs[0].raw, passed.block)
    ]


def test_wants_of_the_future_and_of_other_rooms_need_no_block_again():
    matcher = WatchMatcher(GENESIS)
    wants = [
        (CHANNEL, WantTxWatch(Txid(bytes(32)), SCRIPT, BlockHeight(1))),
        (CHANNEL, WantTime(Timestamp(5))),
        (CHANNEL, WantSpendWatch(OutPoint(Txid(bytes(32)), 0), SCRIPT)),
    ]
    assert matcher.change(wants, ()) == ([], [])
    matcher.change((), wants)
    assert matcher.rewind(GENESIS) == []


def test_a_want_held_twice_stands_until_it_is_dropped_twice():
    tx = a_tx(marker=1)
    want = (CHANNEL, WantTxWatch(tx.txid, SCRIPT))
    matcher = watching(want, want)
    matcher.change((), [want])
    first = a_block(GENESIS, tx)
    assert len(matcher.connect(first)) == 1
    matcher.change((), [want])
    assert matcher.connect(a_block(first.block, tx)) == []


def test_a_rewind_is_told_to_everyone_and_blocks_are_told_again():
    tx = a_tx(marker=1)
    matcher = watching((CHANNEL, WantTxWatch(tx.txid, SCRIPT)), (WALLET, WantHeight(BlockHeight(9))))
    matcher.connect(a_block(GENESIS, tx))
    assert sorted(matcher.rewind(GENESIS), key=lambda each: each[0].kind) == [
        (CHANNEL, ChainRewound(BlockHeight(0))),
        (WALLET, ChainRewound(BlockHeight(0))),
    ]
    assert len(matcher.connect(a_block(GENESIS, a_tx(marker=7), tx))) == 1


def test_a_block_that_does_not_follow_is_our_own_mistake():
    matcher = WatchMatcher(GENESIS)
    with pytest.raises(InvariantBroken):
        matcher.connect(a_block(Block(BlockHeight(0), BlockHash(b"\x09" * 32))))


def test_a_transaction_that_cannot_be_read_is_known_by_its_name():
    name = Txid(b"\x0a" * 32)
    matcher = watching((CHANNEL, WantTxWatch(name, SCRIPT)), (WALLET, WantScriptWatch(SCRIPT)))
    block = ChainBlock(Block(BlockHeight(1), BlockHash(b"\x01" * 32)), GENESIS.hash, (ChainTx(name, b"?", None),))
    assert matcher.connect(block) == [(CHANNEL, TxConfirmed(name, b"?", block.block, 0))]


@given(st.lists(st.integers(0, 5), max_size=12), st.lists(st.integers(0, 5), max_size=12))
def test_wants_that_came_and_went_leave_no_trace(first, second):
    def wants(numbers):
        return [(Address("channel", bytes([n])), WantScriptWatch(p2wpkh(bytes([n % 3]) * 20))) for n in numbers]

    there, fresh = WatchMatcher(GENESIS), WatchMatcher(GENESIS)
    there.change(wants(first), ())
    there.change(wants(second), ())
    there.change((), wants(first))
    fresh.change(wants(second), ())
    block = a_block(GENESIS, *[a_tx(marker=n, pays=p2wpkh(bytes([n]) * 20)) for n in range(3)])
    assert sorted(there.connect(block), key=repr) == sorted(fresh.connect(block), key=repr)
