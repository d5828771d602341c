"""What a submitted block is told, in Bitcoin Core's words."""

from __future__ import annotations

import pytest
from interop.twin.blocks import make_block
from interop.twin.coins import pay
from tests.builders.regtest import JUDGES, Wallet, a_funded_node, a_node, output_of

from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.transaction import Tx, TxOut
from fulmen.regtest.node import RegtestNode
from fulmen.regtest.rpc.dispatch import run

NOW = 1_700_000_000


def a_block(node: RegtestNode, *txs: Tx, below: int = 0, **how) -> str:
    tip = node.chain.tip
    for _ in range(below):
        tip = tip.parent
    return make_block(tip.hash, tip.height + 1, tip.median_time_past, node.now(), txs, **how).hex()


def submitted(node: RegtestNode, raw: str):
    return run(node, "submitblock", [raw])


@pytest.mark.parametrize(
    ("defect", "first", "second"),
    [
        ("merkle", "bad-txnmrklroot", "bad-txnmrklroot"),
        ("twice", "bad-txns-duplicate", "bad-txns-duplicate"),
        ("no-coinbase", "bad-cb-missing", "bad-cb-missing"),
        ("two-coinbases", "bad-cb-multiple", "bad-cb-multiple"),
        ("sigops", "bad-blk-sigops", "bad-blk-sigops"),
        ("work", "high-hash", "high-hash"),
        ("bits", "bad-diffbits", "bad-diffbits"),
        ("old", "time-too-old", "time-too-old"),
        ("future", "time-too-new", "time-too-new"),
        ("version", "bad-version(0x00000003)", "bad-version(0x00000003)"),
        ("orphan", "prev-blk-not-found", "prev-blk-not-found"),
        # These are remembered: the header was good.
        ("height", "bad-cb-height", "duplicate-invalid"),
        ("reward", "bad-cb-amount", "duplicate-invalid"),
        # These are not: the same header may come with better witnesses.
        ("commitment", "bad-witness-merkle-match", "bad-witness-merkle-match"),
        ("no-commitment", "unexpected-witness", "unexpected-witness"),
        ("nonce-size", "bad-witness-nonce-size", "bad-witness-nonce-size"),
    ],
)
def test_each_defect_has_its_name(defect, first, second):
    node, wallet, [coin] = a_funded_node(now=NOW)
    tx = wallet.pay(coin, fee=0)
    raw = a_block(node, tx, wallet.pay(output_of(tx), fee=0), defect=defect)
    assert submitted(node, raw) == first
    assert submitted(node, raw) == second
    assert node.chain.height == 101


def test_nobody_writes_over_an_output_that_is_not_spent():
    node, wallet, [coin] = a_funded_node(now=NOW)
    tx = wallet.pay(coin, fee=0)
    assert submitted(node, a_block(node, tx)) is None
    assert submitted(node, a_block(node, tx)) == "bad-txns-BIP30"


@pytest.mark.parametrize("judge", JUDGES)
def test_a_bad_script_in_a_block_has_a_reason_whoever_judges(judge):
    node, _, [coin] = a_funded_node(judge=judge, now=NOW)
    thief = Wallet(b"thief")
    stolen = thief.sign(thief.spend([(coin[0], Sat(0))], [TxOut(Sat(1000), thief.script)]), [coin[1]])
    assert submitted(node, a_block(node, stolen)).startswith("block-script-verify-flag-failed (")
    node.close()


def test_a_block_beside_the_chain_is_kept_and_not_judged():
    node, wallet, [coin] = a_funded_node(now=NOW)
    raw = a_block(node, wallet.pay(coin, fee=0), below=1)
    assert submitted(node, raw) == "inconclusive"
    assert submitted(node, raw) == "duplicate"
    tips = {tip["status"]: tip["height"] for tip in run(node, "getchaintips", [])}
    assert tips == {"active": 101, "valid-headers": 101}


def test_amounts_beyond_all_money_are_named():
    node = a_node(now=NOW)
    for amount, reason in ((1 << 63, "bad-txns-vout-negative"), (21_000_001 * 10**8, "bad-txns-vout-toolarge")):
        assert submitted(node, a_block(node, outputs=[pay("wsh", amount)])) == reason


def test_a_commitment_without_its_witness_is_completed_as_for_miners_by_template():
    node, wallet, [coin] = a_funded_node(now=NOW)
    tx = wallet.pay(coin, fee=0)
    raw = bytes.fromhex(a_block(node, tx))
    # Take marker, flag and witness out of the coinbase.
    coinbase = raw[81 : raw.index(tx.serialize())]
    bare = coinbase[:4] + coinbase[6:-38] + coinbase[-4:]
    assert submitted(node, (raw[:81] + bare + tx.serialize()).hex()) is None
    assert node.txs.get(tx.txid) is not None


def test_two_chains_with_the_same_coins_have_the_same_hash_of_them():
    one, wallet, [coin] = a_funded_node(now=NOW)
    other = a_node(now=NOW)
    one.submit_tx(tx := wallet.pay(coin, fee=1000))
    one.submit_tx(wallet.pay(output_of(tx), fee=1000))
    one.mine(1)
    for entry in list(one.chain.entries())[1:]:
        assert submitted(other, entry.raw.hex()) is None
    for kind in ("hash_serialized_3", "muhash"):
        assert run(one, "gettxoutsetinfo", [kind]) == run(other, "gettxoutsetinfo", [kind])
    one.mine(1)
    assert (
        run(one, "gettxoutsetinfo", [])["hash_serialized_3"] != run(other, "gettxoutsetinfo", [])["hash_serialized_3"]
    )
