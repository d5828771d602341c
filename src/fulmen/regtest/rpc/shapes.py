"""How blocks, transactions and scripts look in JSON.

Source: Bitcoin Core, core_io.cpp (TxToUniv, ScriptToUniv) and rpc/blockchain.cpp (blockToJSON, blockheaderToJSON).
"""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any

from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.address import ScriptWithoutAddress, address_of
from fulmen.core.bitcoin.block import parse_header, target_of
from fulmen.core.bitcoin.networks import REGTEST
from fulmen.core.bitcoin.script import asm
from fulmen.core.bitcoin.transaction import Tx
from fulmen.regtest.blocktree import Entry
from fulmen.regtest.btclib_engine import output_type
from fulmen.regtest.chainstate import ChainState
from fulmen.regtest.coins import Coin
from fulmen.regtest.rpc.descriptors import describe

JsonObject = dict[str, Any]

_MAX_TARGET_OF_DIFFICULTY_1 = 0xFFFF << 208


def btc(amount_sat: int) -> Decimal:
    """Satoshis as bitcoins with eight places."""
    return Decimal(amount_sat).scaleb(-8)


def per_kvb(fee_sat: int, vsize: int) -> Decimal:
    """A feerate in bitcoins per 1000 virtual bytes, rounded down."""
    return btc(fee_sat * 1000 // vsize)


def shown(hash_bytes: bytes) -> str:
    """A hash as explorers print it."""
    return hash_bytes[::-1].hex()


def script_shape(script: bytes) -> JsonObject:
    """A script_pubkey."""
    shape: JsonObject = {"asm": asm(script), "desc": describe(script), "hex": script.hex()}
    with suppress(ScriptWithoutAddress):
        shape["address"] = address_of(script, REGTEST)
    shape["type"] = output_type(script)
    return shape


def tx_shape(tx: Tx, spent: tuple[Coin, ...] = (), *, prevouts: bool = False, with_hex: bool = True) -> JsonObject:
    """A transaction; with what it spent, its fee too."""
    inputs = []
    for index, each in enumerate(tx.inputs):
        entry: JsonObject = {}
        if tx.is_coinbase:
            entry["coinbase"] = each.script_sig.hex()
        else:
            entry |= {"txid": shown(each.outpoint.txid), "vout": each.outpoint.vout}
            entry["scriptSig"] = {"asm": asm(each.script_sig, signatures=True), "hex": each.script_sig.hex()}
        if each.witness:
            entry["txinwitness"] = [item.hex() for item in each.witness]
        if spent and prevouts:
            coin = spent[index]
            entry["prevout"] = {
                "generated": coin.coinbase,
                "height": coin.height,
                "value": btc(coin.output.amount_sat),
                "scriptPubKey": script_shape(coin.output.script_pubkey),
            }
        entry["sequence"] = each.sequence
        inputs.append(entry)
    shape: JsonObject = {
        "txid": shown(tx.txid),
        "hash": shown(tx.wtxid),
        "version": tx.version,
        "size": len(tx.serialize()),
        "vsize": tx.vsize,
        "weight": tx.weight,
        "locktime": tx.locktime,
        "vin": inputs,
        "vout": [
            {"value": btc(output.amount_sat), "n": vout, "scriptPubKey": script_shape(output.script_pubkey)}
            for vout, output in enumerate(tx.outputs)
        ],
    }
    if spent:
        paid = sum(coin.output.amount_sat for coin in spent)
        shape["fee"] = btc(paid - sum(output.amount_sat for output in tx.outputs))
    if with_hex:
        shape["hex"] = tx.serialize().hex()
    return shape


def header_shape(chain: ChainState, entry: Entry) -> JsonObject:
    """A block's header and its place."""
    header = parse_header(entry.header)
    active = chain.is_active(entry)
    shape: JsonObject = {
        "hash": shown(entry.hash),
        "confirmations": chain.height - entry.height + 1 if active else -1,
        "height": entry.height,
        "version": header.version,
        "versionHex": f"{header.version:08x}",
        "merkleroot": shown(header.merkle_root),
        "time": header.time,
        "mediantime": entry.median_time_past,
        "nonce": header.nonce,
        "bits": f"{header.bits:08x}",
        "target": f"{header.target:064x}",
        "difficulty": difficulty(header.bits),
        "chainwork": f"{entry.chainwork:064x}",
        "nTx": entry.tx_count,
    }
    if entry.parent is not None:
        shape["previousblockhash"] = shown(entry.parent.hash)
    if active and (following := chain.at(entry.height + 1)) is not None:
        shape["nextblockhash"] = shown(following.hash)
    return shape


def block_shape(chain: ChainState, entry: Entry, verbosity: int) -> JsonObject:
    """A block: 1 with txids, 2 with transactions, 3 with what they spent as well."""
    block = chain.block(entry)
    undo = chain.undo_of(entry)
    shape = header_shape(chain, entry)
    shape |= {
        "strippedsize": len(entry.raw) - sum(len(tx.serialize()) - len(tx.base) for tx in block.txs),
        "size": len(entry.raw),
        "weight": block.weight,
        "coinbase_tx": _coinbase_shape(block.txs[0]),
    }
    if verbosity == 1:
        shape["tx"] = [shown(tx.txid) for tx in block.txs]
    else:
        shape["tx"] = [
            tx_shape(tx, undo[index - 1] if index and undo else (), prevouts=verbosity > 2)
            for index, tx in enumerate(block.txs)
        ]
    return shape


def _coinbase_shape(coinbase: Tx) -> JsonObject:
    [mint] = coinbase.inputs
    shape: JsonObject = {
        "version": coinbase.version,
        "locktime": coinbase.locktime,
        "sequence": mint.sequence,
        "coinbase": mint.script_sig.hex(),
    }
    if mint.witness:
        shape["witness"] = mint.witness[0].hex()
    return shape


def coin_shape(coin: Coin, tip: Entry, *, unconfirmed: bool) -> JsonObject:
    """An unspent output, as `gettxout` gives it."""
    return {
        "bestblock": shown(tip.hash),
        "confirmations": 0 if unconfirmed else tip.height - coin.height + 1,
        "value": btc(Sat(coin.output.amount_sat)),
        "scriptPubKey": script_shape(coin.output.script_pubkey),
        "coinbase": coin.coinbase,
    }


def difficulty(bits: int) -> float:
    """How much harder than difficulty 1 a target is, in sixteen digits."""
    return float(f"{_MAX_TARGET_OF_DIFFICULTY_1 / target_of(bits):.16g}")
