"""Whatever is mined, spent and undone: the coins, the indexes and the mempool are those of the active chain."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.builders.regtest import NOW, Clock, Wallet, a_funded_node, a_node, output_of

from fulmen.core.base.ids import OutPoint
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.transaction import TxOut
from fulmen.regtest.coins import Coin, is_unspendable
from fulmen.regtest.consensus import Rejected
from fulmen.regtest.judges import open_judge
from fulmen.regtest.node import RegtestNode

RIPE = 100


def a_kept_node(path: Path) -> RegtestNode:
    return RegtestNode(open_judge("btclib"), Clock(NOW), path)


def coins_recomputed(node: RegtestNode) -> dict[OutPoint, Coin]:
    """The unspent outputs of the active chain, from nothing."""
    coins: dict[OutPoint, Coin] = {}
    for entry in list(node.chain.entries())[1:]:
        for index, tx in enumerate(node.chain.block(entry).txs):
            if index:
                for spent in tx.inputs:
                    del coins[spent.outpoint]
            for vout, output in enumerate(tx.outputs):
                if not is_unspendable(output.script_pubkey):
                    coins[tx.outpoint(vout)] = Coin(output, entry.height, index == 0)
    return coins


class Reorgs(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.node = a_node()
        self.wallet = Wallet()
        self.node.mine(6, self.wallet.script)
        self.node.mine(RIPE)
        self.ruled_out: list[bytes] = []

    @rule(count=st.integers(1, 3))
    def mine(self, count):
        self.node.mine(count, self.wallet.script)

    @rule(which=st.integers(0, 1000), fee=st.integers(150, 5000), parts=st.integers(1, 3))
    def spend(self, which, fee, parts):
        coins = list(self.node.scripts.unspent(self.wallet.script).items())
        coins += [(pooled.tx.outpoint(0), Coin(pooled.tx.outputs[0], 0, False)) for pooled in self.node.pool]
        if coins:
            outpoint, coin = coins[which % len(coins)]
            try:
                self.node.submit_tx(self.wallet.pay((outpoint, coin.output.amount_sat), fee=fee, parts=parts))
            except Rejected as why:
                assert why.reason

    @rule(depth=st.integers(0, 4))
    def invalidate(self, depth):
        entry = self.node.chain.at(self.node.chain.height - depth)
        self.node.invalidate(entry.hash)
        self.ruled_out.append(entry.hash)

    @precondition(lambda self: self.ruled_out)
    @rule(which=st.integers(0, 1000))
    def reconsider(self, which):
        self.node.reconsider(self.ruled_out.pop(which % len(self.ruled_out)))

    @invariant()
    def the_coins_are_those_of_a_naive_recomputation(self):
        assert dict(self.node.chain.coins.as_mapping()) == coins_recomputed(self.node)

    @invariant()
    def the_script_index_agrees_with_the_coins(self):
        mine = {
            outpoint: coin
            for outpoint, coin in self.node.chain.coins.items()
            if coin.output.script_pubkey == self.wallet.script
        }
        assert self.node.scripts.unspent(self.wallet.script) == mine

    @invariant()
    def every_unconfirmed_transaction_could_be_mined_next(self):
        spent: set[OutPoint] = set()
        for pooled in self.node.pool:
            for each in pooled.tx.inputs:
                assert each.outpoint not in spent
                spent.add(each.outpoint)
                known = self.node.chain.coins.get(each.outpoint) or self.node.pool.get(each.outpoint.txid)
                assert known is not None
            assert self.node.txs.get(pooled.txid) is None
            assert list(pooled.parents) == list(
                dict.fromkeys(each.outpoint.txid for each in pooled.tx.inputs if self.node.pool.get(each.outpoint.txid))
            )

    @invariant()
    def the_tip_has_the_most_work_of_all_valid_blocks(self):
        best = (
            max(tip.height for tip in self.node.chain.tree.tips() if not tip.invalid)
            if any(not tip.invalid for tip in self.node.chain.tree.tips())
            else 0
        )
        assert self.node.chain.height >= best

    def teardown(self):
        self.node.mine(1)
        assert len(self.node.pool) == 0
        height = self.node.chain.height
        self.node.close()
        assert height > 0


TestReorgs = Reorgs.TestCase
TestReorgs.settings = settings(
    max_examples=20, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_a_chain_read_back_from_its_file_is_the_same(tmp_path):
    path = tmp_path / "chain.dat"
    node = a_kept_node(path)
    wallet = Wallet()
    [first, *_] = node.mine(101, wallet.script)
    node.submit_tx(wallet.pay(output_of(node.chain.block(first).txs[0]), fee=1000))
    lost = node.mine(2)
    node.invalidate(lost[0].hash)
    node.set_mocktime(NOW + 500)
    node.mine(4)
    node.close()
    again = a_kept_node(path)
    assert again.chain.tip.hash == node.chain.tip.hash
    assert again.chain.coins.as_mapping() == node.chain.coins.as_mapping()
    assert again.now() == NOW + 500
    again.mine(1)
    again.close()


def test_a_file_cut_short_by_a_crash_is_read_to_its_last_whole_record(tmp_path):
    path = tmp_path / "chain.dat"
    node = a_kept_node(path)
    node.mine(5)
    node.close()
    path.write_bytes(path.read_bytes()[:-7])
    again = a_kept_node(path)
    assert again.chain.height == 4
    again.mine(2)
    again.close()
    third = a_kept_node(path)
    assert third.chain.height == 6
    third.close()


def test_a_relative_lock_on_an_unconfirmed_output_leaves_with_the_blocks_it_was_reckoned_by():
    node, wallet, [coin] = a_funded_node()
    node.submit_tx(parent := wallet.pay(coin, fee=1000))
    outputs = [TxOut(Sat(coin[1] - 5000), wallet.script)]
    child = wallet.spend([output_of(parent)], outputs, sequence=0)
    node.submit_tx(child)
    node.invalidate(node.chain.tip.hash)
    # Core keeps what it reckoned: a lock of no block at all, from the height that came next then.
    assert (node.pool.get(child.txid), node.pool.get(parent.txid) is not None) == (None, True)
    node.submit_tx(child)


def test_what_waits_for_a_week_stays_when_blocks_only_come():
    node, wallet, [coin] = a_funded_node()
    node.pool.prioritise(wallet.pay(coin, fee=0).txid, 1000)
    node.submit_tx(tx := wallet.pay(coin, fee=0))
    node.pool.prioritise(tx.txid, -1000)
    node.set_mocktime(node.now() + 337 * 3600)
    node.mine(1)
    assert node.pool.get(tx.txid) is not None
    node.invalidate(node.chain.tip.hash)
    assert node.pool.get(tx.txid) is None


def test_a_command_brings_back_what_ten_blocks_had_confirmed_and_no_more():
    node, wallet, coins = a_funded_node(coins=12)
    sent = []
    for coin in coins:
        node.submit_tx(tx := wallet.pay(coin, fee=1000))
        sent.append(tx)
        node.mine(1)
    late = wallet.pay(output_of(sent[0]), fee=1000)
    node.submit_tx(late)
    first = node.chain.at(node.chain.height - 11)
    assert first is not None
    node.invalidate(first.hash)
    assert [pooled.txid for pooled in node.pool] == [tx.txid for tx in reversed(sent[2:])]
