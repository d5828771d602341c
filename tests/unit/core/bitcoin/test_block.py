"""Blocks: the genesis blocks, a chain's rules, and broken blocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulmen.core.base.faults import Malformed
from fulmen.core.base.ids import BlockHash, OutPoint, Txid
from fulmen.core.base.units import BlockHeight, Sat
from fulmen.core.bitcoin import block as b
from fulmen.core.bitcoin.networks import (
    LITECOIN_REGTEST,
    MAINNET,
    NETWORKS,
    REGTEST,
    TESTNET,
    NetworkUnknown,
    network_named,
    network_of_chain,
)
from fulmen.core.bitcoin.opcodes import OP_CHECKSIG
from fulmen.core.bitcoin.script import push
from fulmen.core.bitcoin.transaction import NULL_OUTPOINT, SEQUENCE_FINAL, Tx, TxIn, TxOut

GENESIS_KEY = (
    "04678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb6"
    "49f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5f"
)
GENESIS_TEXT = b"The Times 03/Jan/2009 Chancellor on brink of second bailout for banks"


def genesis_coinbase() -> Tx:
    script_sig = bytes.fromhex("04ffff001d0104") + push(GENESIS_TEXT)
    mint = TxIn(NULL_OUTPOINT, script_sig, SEQUENCE_FINAL)
    return Tx(1, (mint,), (TxOut(Sat(50_0000_0000), push(bytes.fromhex(GENESIS_KEY)) + OP_CHECKSIG),))


def genesis(time: int, bits: int, nonce: int) -> b.WholeBlock:
    coinbase = genesis_coinbase()
    return b.WholeBlock(b.BlockHeader(1, BlockHash(bytes(32)), coinbase.txid, time, bits, nonce), (coinbase,))


@pytest.mark.parametrize(
    ("network", "time", "bits", "nonce"),
    [
        (MAINNET, 1231006505, 0x1D00FFFF, 2083236893),
        (TESTNET, 1296688602, 0x1D00FFFF, 414098458),
        (REGTEST, 1296688602, 0x207FFFFF, 2),
    ],
    ids=["mainnet", "testnet", "regtest"],
)
def test_the_genesis_blocks_have_their_hashes_and_their_proof_of_work(
    network: object, time: int, bits: int, nonce: int
) -> None:
    assert network in NETWORKS
    first = genesis(time, bits, nonce)
    chain = network_of_chain(first.header.hash)
    assert chain == network
    b.check_proof_of_work(first.header, chain)
    assert b.parse_block(first.serialize()) == first


def test_litecoin_proves_work_with_scrypt() -> None:
    """The header of Litecoin's regtest genesis block: the same time, bits and nonce 0, its own coinbase."""
    root = bytes.fromhex("97ddfbbae6be97fd6cdf3e7ca13232a3afff2353e29badfab7f73011edd4ced9")[::-1]
    header = b.BlockHeader(1, BlockHash(bytes(32)), root, 1296688602, 0x207FFFFF, 0)
    assert header.hash == LITECOIN_REGTEST.chain_hash
    b.check_proof_of_work(header, LITECOIN_REGTEST)


def test_a_header_without_enough_work_is_refused() -> None:
    header = genesis(1231006505, 0x1D00FFFF, 7).header
    with pytest.raises(b.ProofOfWorkMissing):
        b.check_proof_of_work(header, MAINNET)
    with pytest.raises(b.ProofOfWorkMissing):  # an easy target on a chain that has none so easy
        b.check_proof_of_work(genesis(1296688602, 0x207FFFFF, 2).header, MAINNET)


@pytest.mark.parametrize("bits", [0, 0x1D800001, 0x217FFFFF, 0xFF123456, 0x01000000, 0x00123456])
def test_targets_that_are_none_are_refused(bits: int) -> None:
    with pytest.raises(b.BitsMalformed):
        b.target_of(bits)


@given(st.integers(1, 2**255))
def test_a_target_survives_its_compact_form_up_to_rounding(target: int) -> None:
    again = b.target_of(b.bits_of(target))
    assert again <= target
    assert b.bits_of(again) == b.bits_of(target)


def a_spend(n: int) -> Tx:
    return Tx(2, (TxIn(OutPoint(Txid(bytes([n]) * 32), 0), witness=(b"\x01",)),), (TxOut(Sat(5), b"\x51"),))


def a_block(height: int = 100, spends: int = 3) -> b.WholeBlock:
    txs = tuple(a_spend(n) for n in range(spends))
    coinbase = b.coinbase_tx(BlockHeight(height), (TxOut(Sat(50), b"\x51"),), txs, b"fulmen")
    every = (coinbase, *txs)
    root, _ = b.merkle_root([tx.txid for tx in every])
    return b.WholeBlock(b.BlockHeader(4, BlockHash(bytes(32)), root, 0, 0x207FFFFF, 0), every)


@pytest.mark.parametrize("height", [0, 1, 16, 17, 127, 128, 255, 256, 32767, 32768, 840_000])
def test_a_coinbase_says_its_height_and_commits_to_the_witnesses(height: int) -> None:
    block = a_block(height)
    assert b.coinbase_height(block.txs[0]) == height
    assert 2 <= len(block.txs[0].inputs[0].script_sig) <= 100
    b.check_witness_commitment(block)
    assert b.parse_block(block.serialize()) == block
    assert block.weight == 4 * 81 + sum(tx.weight for tx in block.txs)


def test_a_changed_witness_breaks_the_commitment() -> None:
    block = a_block()
    changed = block.txs[1].with_witness(0, b"\x02")
    with pytest.raises(b.WitnessCommitmentWrong):
        b.check_witness_commitment(block.but(txs=(block.txs[0], changed, *block.txs[2:])))
    with pytest.raises(b.WitnessCommitmentWrong):
        b.check_witness_commitment(b.WholeBlock(block.header, (genesis_coinbase(), *block.txs[1:])))
    b.check_witness_commitment(genesis(0, 0x207FFFFF, 0))  # nothing to commit to


@pytest.mark.parametrize("script_sig", ["", "0200", "4c0105", "0181", "020500", "6a"])
def test_a_coinbase_that_does_not_begin_with_a_height_is_refused(script_sig: str) -> None:
    coinbase = genesis_coinbase()
    changed = coinbase.but(inputs=(coinbase.inputs[0].but(script_sig=bytes.fromhex(script_sig)),))
    with pytest.raises(b.CoinbaseHeightWrong):
        b.coinbase_height(changed)


def test_a_block_must_be_what_its_header_says() -> None:
    block = a_block(spends=2)
    with pytest.raises(b.MerkleRootWrong):
        b.parse_block(block.but(txs=block.txs[:2]).serialize())
    with pytest.raises(b.MerkleRootWrong):  # CVE-2012-2459: the last one repeated has the same root
        b.parse_block(block.but(txs=(*block.txs, block.txs[-1])).serialize())
    with pytest.raises(b.BlockWithoutCoinbase):
        b.parse_block(block.but(txs=block.txs[1:]).serialize())
    with pytest.raises(b.BlockWithoutCoinbase):
        b.parse_block(block.but(txs=(block.txs[0], block.txs[0])).serialize())
    with pytest.raises(b.BlockWithoutCoinbase):
        b.parse_block(block.header.serialize() + b"\x00")
    with pytest.raises(b.BlockTooLarge):
        b.parse_block(bytes(4_000_001))
    with pytest.raises(b.HeaderLengthWrong):
        b.parse_header(bytes(79))


@given(st.data())
def test_a_block_cut_short_is_refused_by_name(data: st.DataObject) -> None:
    raw = a_block().serialize()
    with pytest.raises(Malformed):
        b.parse_block(raw[: data.draw(st.integers(0, len(raw) - 1))])


def test_subsidies_halve_and_end() -> None:
    assert MAINNET.subsidy(BlockHeight(209_999)) == 50_0000_0000
    assert MAINNET.subsidy(BlockHeight(210_000)) == 25_0000_0000
    assert REGTEST.subsidy(BlockHeight(150)) == 25_0000_0000
    assert MAINNET.subsidy(BlockHeight(210_000 * 64)) == 0


def test_networks_are_found_by_name_and_chain_hash() -> None:
    assert network_named("mainnet") is MAINNET
    assert network_named("regtest") is REGTEST
    assert len({network.chain_hash for network in NETWORKS}) == len(NETWORKS)
    assert len({network.bolt11_prefix for network in NETWORKS if network.name != "testnet4"}) == len(NETWORKS) - 1
    for ask in (lambda: network_named("dogecoin"), lambda: network_of_chain(bytes(32))):
        with pytest.raises(NetworkUnknown):
            ask()
