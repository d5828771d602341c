"""What callers name, found: blocks, transactions, addresses, descriptors, and bytes that must parse."""

from __future__ import annotations

from fulmen.core.base.faults import Malformed
from fulmen.core.base.ids import Txid
from fulmen.core.bitcoin.address import script_of
from fulmen.core.bitcoin.networks import REGTEST
from fulmen.core.bitcoin.opcodes import OP_NOP10
from fulmen.core.bitcoin.script import parts_of
from fulmen.core.bitcoin.transaction import Tx, parse_unlawful_tx
from fulmen.regtest.blocktree import Entry
from fulmen.regtest.btclib_engine import MAX_ELEMENT_BYTES
from fulmen.regtest.coins import Coin, is_unspendable
from fulmen.regtest.node import RegtestNode
from fulmen.regtest.rpc.registry import Code, JsonValue, RpcRefused, hex_of, kind_of

MAX_TX_HEX = 8_000_000
MAX_OPCODE = OP_NOP10[0]


def block_of(node: RegtestNode, block_hash: bytes) -> Entry:
    """The block of this hash, active or not."""
    entry = node.chain.tree.get(block_hash)
    if entry is None:
        raise RpcRefused(Code.INVALID_ADDRESS_OR_KEY, "Block not found")
    return entry


def tx_of(text: JsonValue, shown: str = "TX decode failed. Make sure the tx has at least one input.") -> Tx:
    """A transaction from hex, lawful or not."""
    if not isinstance(text, str):
        raise RpcRefused(Code.TYPE_ERROR, f"JSON value of type {kind_of(text)} is not of expected type string")
    if len(text) > MAX_TX_HEX:
        raise RpcRefused(Code.DESERIALIZATION_ERROR, shown)
    try:
        return parse_unlawful_tx(bytes.fromhex(text))
    except (Malformed, ValueError):
        raise RpcRefused(Code.DESERIALIZATION_ERROR, shown) from None


def script_for(address: str) -> bytes:
    """The script that an address stands for."""
    try:
        return script_of(address, REGTEST)
    except Malformed:
        raise RpcRefused(Code.INVALID_ADDRESS_OR_KEY, "Invalid address") from None


def script_of_descriptor(descriptor: JsonValue) -> bytes:
    """The script of `addr(...)` or `raw(...)`, with or without a checksum."""
    if isinstance(descriptor, dict):
        descriptor = descriptor.get("desc")
    if not isinstance(descriptor, str):
        raise RpcRefused(Code.TYPE_ERROR, "Scan object needs to be either a string or an object")
    body = descriptor.partition("#")[0]
    if body.startswith("addr(") and body.endswith(")"):
        return script_for(body[5:-1])
    if body.startswith("raw(") and body.endswith(")"):
        return hex_of(body[4:-1], "raw")
    raise RpcRefused(Code.INVALID_ADDRESS_OR_KEY, f"'{body[:80]}' is not a valid descriptor function")


def find_tx(node: RegtestNode, txid: Txid) -> tuple[Tx, Entry | None, tuple[Coin, ...]] | None:
    """A transaction of the mempool or the active chain, its block, and what it spent."""
    if (pooled := node.pool.get(txid)) is not None:
        return pooled.tx, None, pooled.coins
    if (place := node.txs.get(txid)) is None:
        return None
    entry, index = place
    undo = node.chain.undo_of(entry)
    return node.chain.block(entry).txs[index], entry, undo[index - 1] if index else ()


def find_in_block(node: RegtestNode, entry: Entry, txid: Txid) -> tuple[Tx, Entry, tuple[Coin, ...]] | None:
    """A transaction of one block, active or not."""
    undo = node.chain.undo_of(entry)
    for index, tx in enumerate(node.chain.block(entry).txs):
        if tx.txid == txid:
            return tx, entry, undo[index - 1] if index and undo else ()
    return None


def burned(tx: Tx) -> int:
    """The most that one output of a transaction throws away."""
    return max((output.amount_sat for output in tx.outputs if _is_lost(output.script_pubkey)), default=0)


def _is_lost(script: bytes) -> bool:
    if is_unspendable(script):
        return True
    try:
        return any(opcode > MAX_OPCODE or len(pushed or b"") > MAX_ELEMENT_BYTES for opcode, pushed in parts_of(script))
    except Malformed:
        return True
