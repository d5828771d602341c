"""What the mempool takes, in Bitcoin Core's words."""

from __future__ import annotations

import pytest
from tests.builders.regtest import P2A, Wallet, a_funded_node, output_of

from fulmen.core.base.ids import OutPoint, Txid
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.script import nulldata
from fulmen.core.bitcoin.transaction import SEQUENCE_FINAL, Tx, TxIn, TxOut
from fulmen.regtest.consensus import MissingInputs, Rejected
from fulmen.regtest.relaypolicy import RelayPolicy
from fulmen.regtest.replacement import Reconsiderable


def reason_of(node, tx: Tx) -> str:
    with pytest.raises(Rejected) as refused:
        node.submit_tx(tx)
    assert node.pool.get(tx.txid) is None or refused.value.reason.startswith("txn-")
    return str(refused.value)


def test_a_payment_is_taken_and_mined():
    node, wallet, [coin] = a_funded_node()
    tx = wallet.pay(coin, fee=1000)
    admitted = node.submit_tx(tx)
    assert (admitted.fee, admitted.vsize, admitted.txid) == (1000, tx.vsize, tx.txid)
    [entry] = node.mine(1)
    assert node.chain.block(entry).txs[1] == tx
    assert len(node.pool) == 0


def test_a_dry_run_takes_nothing():
    node, wallet, [coin] = a_funded_node()
    node.submit_tx(wallet.pay(coin, fee=1000), dry_run=True)
    assert len(node.pool) == 0


def test_the_same_transaction_twice_is_named():
    node, wallet, [coin] = a_funded_node()
    tx = wallet.pay(coin, fee=1000)
    node.submit_tx(tx)
    assert reason_of(node, tx) == "txn-already-in-mempool"


def test_a_transaction_whose_outputs_stand_in_a_block_is_already_known():
    node, wallet, [coin] = a_funded_node()
    tx = wallet.pay(coin, fee=1000)
    node.submit_tx(tx)
    node.mine(1)
    assert reason_of(node, tx) == "txn-already-known"


def test_an_output_that_is_not_there_is_a_missing_input():
    node, wallet, [coin] = a_funded_node()
    with pytest.raises(MissingInputs, match="bad-txns-inputs-missingorspent"):
        node.submit_tx(wallet.pay((OutPoint(Txid(b"\x01" * 32), 0), coin[1]), fee=1000))


def test_a_young_coinbase_is_not_spent():
    node, wallet, _ = a_funded_node()
    [entry] = node.mine(1, wallet.script)
    coin = output_of(node.chain.block(entry).txs[0])
    assert reason_of(node, wallet.pay(coin, fee=1000)) == (
        "bad-txns-premature-spend-of-coinbase, tried to spend coinbase at depth 1"
    )


def test_a_coinbase_ripens_after_100_blocks():
    node, wallet, _ = a_funded_node()
    [entry] = node.mine(1, wallet.script)
    tx = wallet.pay(output_of(node.chain.block(entry).txs[0]), fee=1000)
    node.mine(98)
    assert reason_of(node, tx).startswith("bad-txns-premature-spend-of-coinbase")
    node.mine(1)
    node.submit_tx(tx)


def test_creating_money_is_refused():
    node, wallet, [coin] = a_funded_node()
    tx = wallet.spend([coin], [TxOut(Sat(coin[1] + 1), wallet.script)])
    assert reason_of(node, tx) == "bad-txns-in-belowout, value in (50.00) < value out (50.00000001)"


def test_too_small_a_fee_is_reconsiderable():
    node, wallet, [coin] = a_funded_node()
    tx = wallet.pay(coin, fee=10)
    with pytest.raises(Reconsiderable, match=r"min relay fee not met, 10 < 11"):
        node.submit_tx(tx)
    node.submit_tx(wallet.pay(coin, fee=11))


def test_dust_is_refused():
    node, wallet, [coin] = a_funded_node()
    outputs = [TxOut(Sat(coin[1] - 2000), wallet.script), TxOut(Sat(293), wallet.script)]
    assert reason_of(node, wallet.spend([coin], outputs)) == "dust, tx with dust output must be 0-fee"
    node.submit_tx(wallet.spend([coin], [outputs[0], TxOut(Sat(294), wallet.script)]))


def test_two_dust_outputs_are_never_standard():
    node, wallet, [coin] = a_funded_node()
    outputs = [TxOut(coin[1], wallet.script), TxOut(Sat(0), P2A), TxOut(Sat(0), P2A)]
    assert reason_of(node, wallet.spend([coin], outputs)) == "dust"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": 4}, "version"),
        ({"outputs": (TxOut(Sat(1000), b"\x51\x52\x53"),)}, "scriptpubkey"),
        ({"outputs": (TxOut(Sat(1000), b""),)}, "scriptpubkey"),
        ({"locktime": 102, "inputs": "not final"}, "non-final"),
    ],
)
def test_what_is_not_standard_is_named(change, reason):
    node, wallet, [coin] = a_funded_node()
    tx = wallet.pay(coin, fee=1000)
    change = {key: tx.inputs if value == "not final" else value for key, value in change.items()}
    assert reason_of(node, wallet.sign(tx.but(**change), [coin[1]])) == reason


def test_64_bytes_without_witness_are_too_few():
    node, wallet, [coin] = a_funded_node()
    assert reason_of(node, wallet.spend([coin], [TxOut(Sat(coin[1] - 1000), P2A)])) == "tx-size-small"


def test_a_locktime_is_reached_with_the_block_before():
    node, wallet, [coin] = a_funded_node()
    tx = wallet.spend([coin], [TxOut(Sat(coin[1] - 1000), wallet.script)], locktime=node.chain.height + 1)
    assert reason_of(node, tx) == "non-final"
    node.mine(1)
    node.submit_tx(tx)


def test_a_locktime_does_not_count_when_every_input_is_final():
    node, wallet, [coin] = a_funded_node()
    outputs = [TxOut(Sat(coin[1] - 1000), wallet.script)]
    node.submit_tx(wallet.spend([coin], outputs, sequence=SEQUENCE_FINAL, locktime=10_000))


def test_a_relative_lock_waits_for_its_blocks():
    node, wallet, [coin] = a_funded_node()
    node.submit_tx(first := wallet.pay(coin, fee=1000))
    node.mine(1)
    outputs = [TxOut(Sat(coin[1] - 2000), wallet.script)]
    tx = wallet.spend([output_of(first)], outputs, sequence=3)
    for _ in range(2):
        assert reason_of(node, tx) == "non-BIP68-final"
        node.mine(1)
    node.submit_tx(tx)


def test_a_relative_lock_by_time_waits_for_the_median():
    node, wallet, [coin] = a_funded_node()
    node.submit_tx(first := wallet.pay(coin, fee=1000))
    node.mine(1)
    tx = wallet.spend([output_of(first)], [TxOut(Sat(coin[1] - 2000), wallet.script)], sequence=1 << 22 | 2)
    node.set_mocktime(node.now() + 2 * 512 + 60)
    assert reason_of(node, tx) == "non-BIP68-final"
    node.mine(11)
    node.submit_tx(tx)


def test_a_wrong_signature_is_refused_with_the_scripts_reason():
    node, wallet, [coin] = a_funded_node()
    tx = wallet.pay(coin, fee=1000)
    other = Wallet(b"someone else").sign(tx.but(), [coin[1]])
    forged = tx.with_witness(0, other.inputs[0].witness[0], wallet.point)
    assert reason_of(node, forged) == (
        "mempool-script-verify-flag-failed (Signature must be zero for failed CHECK(MULTI)SIG operation)"
    )


def test_a_missing_witness_is_refused():
    node, wallet, [coin] = a_funded_node()
    bare = Tx(2, (TxIn(coin[0]),), (TxOut(Sat(coin[1] - 1000), wallet.script),))
    assert reason_of(node, bare).startswith("mempool-script-verify-flag-failed (Witness program")


class TestReplacement:
    def test_a_better_fee_replaces(self):
        node, wallet, [coin] = a_funded_node()
        node.submit_tx(first := wallet.pay(coin, fee=1000))
        admitted = node.submit_tx(second := wallet.pay(coin, fee=1110))
        assert admitted.replaced == (first.txid,)
        assert [pooled.txid for pooled in node.pool] == [second.txid]

    def test_less_than_the_old_fees_is_refused(self):
        node, wallet, [coin] = a_funded_node()
        node.submit_tx(wallet.pay(coin, fee=1000))
        second = wallet.pay(coin, fee=999)
        assert reason_of(node, second) == (
            f"insufficient fee, rejecting replacement {second.txid[::-1].hex()}, "
            "less fees than conflicting txs; 0.00000999 < 0.00001"
        )

    def test_the_new_bytes_must_be_paid_for(self):
        node, wallet, [coin] = a_funded_node()
        node.submit_tx(wallet.pay(coin, fee=1000))
        second = wallet.pay(coin, fee=1010)
        assert reason_of(node, second) == (
            f"insufficient fee, rejecting replacement {second.txid[::-1].hex()}, "
            "not enough additional fees to relay; 0.0000001 < 0.00000011"
        )

    def test_descendants_are_replaced_too_and_must_be_paid_for(self):
        node, wallet, [coin] = a_funded_node()
        node.submit_tx(first := wallet.pay(coin, fee=1000))
        node.submit_tx(child := wallet.pay(output_of(first), fee=5000))
        assert "less fees than conflicting txs; 0.00005999 < 0.00006" in reason_of(node, wallet.pay(coin, fee=5999))
        assert set(node.submit_tx(wallet.pay(coin, fee=7000)).replaced) == {first.txid, child.txid}

    def test_a_replacement_that_miners_would_not_want_is_refused(self):
        node, wallet, coins = a_funded_node(coins=2)
        small = wallet.pay(coins[0], fee=10_000)
        node.submit_tx(small)
        # More fee in all, spread over many more bytes: a miner filling the first 110 vbytes loses.
        outputs = [TxOut(Sat(1_000_000), wallet.script)] * 100
        total = sum(amount for _, amount in coins)
        outputs.append(TxOut(Sat(total - 100_000_000 - 20_000), wallet.script))
        large = wallet.spend(coins, outputs)
        assert reason_of(node, large) == ("replacement-failed, insufficient feerate: does not improve feerate diagram")

    def test_nobody_spends_what_it_replaces(self):
        node, wallet, [coin] = a_funded_node()
        node.submit_tx(first := wallet.pay(coin, fee=1000))
        both = wallet.spend([coin, output_of(first)], [TxOut(Sat(2 * coin[1] - 50_000), wallet.script)])
        assert reason_of(node, both).startswith("bad-txns-spends-conflicting-tx")


class TestFamilies:
    def test_64_related_transactions_is_the_limit(self):
        node, wallet, [coin, other] = a_funded_node(coins=2)
        node.submit_tx(parent := wallet.pay(coin, fee=10_000, parts=70))
        for vout in range(63):
            node.submit_tx(wallet.pay(output_of(parent, vout), fee=1000))
        assert reason_of(node, wallet.pay(output_of(parent, 63), fee=1000)) == "too-large-cluster"
        # What takes the place of one of them is not one more.
        assert node.submit_tx(wallet.pay(output_of(parent, 62), fee=2000)).replaced
        node.submit_tx(wallet.pay(other, fee=1000))

    def test_a_row_as_long_as_a_cluster_is_fine(self):
        node, wallet, [coin] = a_funded_node()
        for _ in range(64):
            node.submit_tx(tx := wallet.pay(coin, fee=1000))
            coin = output_of(tx)
        assert reason_of(node, wallet.pay(coin, fee=1000)) == "too-large-cluster"

    def test_404_000_weight_units_is_the_limit(self):
        node, wallet, [coin] = a_funded_node()
        big = TxOut(Sat(0), nulldata(bytes(60_000)))
        first = wallet.spend([coin], [TxOut(Sat(coin[1] - 100_000), wallet.script), big])
        node.submit_tx(first)
        room = 404_000 - first.weight
        child = wallet.spend([output_of(first)], [TxOut(Sat(1_000_000), wallet.script), big.but(script_pubkey=b"")])
        spare = (room - child.weight - 40) // 4
        fitting, larger = (
            wallet.spend(
                [output_of(first)],
                [TxOut(Sat(1_000_000), wallet.script), TxOut(Sat(0), nulldata(bytes(spare + more)))],
            )
            for more in (0, 40)
        )
        assert reason_of(node, larger) == "too-large-cluster"
        node.submit_tx(fitting)

    def test_a_full_mempool_takes_no_more(self):
        node, wallet, [coin, other] = a_funded_node(coins=2, policy=RelayPolicy(max_mempool_vsize=200))
        node.submit_tx(wallet.pay(coin, fee=1000))
        assert reason_of(node, wallet.pay(other, fee=1000)) == "mempool full"


def test_what_has_waited_for_two_weeks_leaves_with_the_next_arrival():
    node, wallet, [coin, other] = a_funded_node(coins=2)
    node.submit_tx(old := wallet.pay(coin, fee=1000))
    node.set_mocktime(node.now() + 336 * 3600 + 1)
    assert reason_of(node, wallet.pay(output_of(old), fee=1000)) == "mempool full"
    assert len(node.pool) == 0
    node.submit_tx(wallet.pay(other, fee=1000))


def test_what_pays_nothing_is_not_mined():
    node, wallet, [coin] = a_funded_node()
    node.pool.prioritise(wallet.pay(coin, fee=0).txid, 1000)
    node.submit_tx(tx := wallet.pay(coin, fee=0))
    node.pool.prioritise(tx.txid, -1000)
    node.mine(1)
    assert node.pool.get(tx.txid) is not None


def test_the_miner_takes_a_child_with_its_cheap_parent_before_a_middling_payment():
    node, wallet, [coin, other] = a_funded_node(coins=2)
    node.submit_tx(cheap := wallet.pay(coin, fee=200))
    node.submit_tx(middling := wallet.pay(other, fee=5000))
    node.submit_tx(child := wallet.pay(output_of(cheap), fee=50_000))
    [entry] = node.mine(1)
    assert [tx.txid for tx in node.chain.block(entry).txs[1:]] == [cheap.txid, child.txid, middling.txid]


def test_priority_counts_for_mining():
    node, wallet, [coin, other] = a_funded_node(coins=2)
    node.submit_tx(first := wallet.pay(coin, fee=200))
    node.submit_tx(second := wallet.pay(other, fee=5000))
    node.pool.prioritise(first.txid, 10_000)
    [entry] = node.mine(1)
    assert [tx.txid for tx in node.chain.block(entry).txs[1:]] == [first.txid, second.txid]


def test_a_block_takes_conflicts_out_of_the_mempool():
    node, wallet, [coin] = a_funded_node()
    node.submit_tx(mined := wallet.pay(coin, fee=1000))
    [entry] = node.mine(1)
    node.invalidate(entry.hash)
    node.submit_tx(other := wallet.pay(coin, fee=5000))
    node.submit_tx(child := wallet.pay(output_of(other), fee=5000))
    node.reconsider(entry.hash)
    assert (node.pool.get(other.txid), node.pool.get(child.txid)) == (None, None)
    assert node.txs.get(mined.txid) is not None


def test_a_reorg_brings_transactions_back_and_drops_what_lost_its_coins():
    node, wallet, [coin] = a_funded_node()
    node.submit_tx(parent := wallet.pay(coin, fee=1000))
    [entry] = node.mine(1)
    node.submit_tx(child := wallet.pay(output_of(parent), fee=1000))
    node.invalidate(entry.hash)
    assert [pooled.txid for pooled in node.pool] == [child.txid, parent.txid]
    assert list(node.pool.get(child.txid).parents) == [parent.txid]
    first = node.chain.at(1)
    node.invalidate(first.hash)
    assert len(node.pool) == 0


def test_the_faucet_mines_until_it_can_give():
    node, wallet, _ = a_funded_node()
    txid = node.give(wallet.script, Sat(20_000_000_000))
    assert node.pool.get(txid) is not None
    assert node.chain.height > 101
