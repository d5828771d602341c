"""Calls about the mempool: what is there, who spends what, what it takes to be mined."""

from __future__ import annotations

from typing import Any

from fulmen.core.base.ids import OutPoint, Txid
from fulmen.core.bitcoin.block import MAX_BLOCK_WEIGHT
from fulmen.regtest.clusters import chunks_of
from fulmen.regtest.mempool import Pooled
from fulmen.regtest.miner import RESERVED_WEIGHT
from fulmen.regtest.node import RegtestNode
from fulmen.regtest.relaypolicy import MAX_DATACARRIER_BYTES
from fulmen.regtest.rpc.lookups import find_tx
from fulmen.regtest.rpc.registry import Arguments, Code, JsonValue, RpcRefused, call, hash_of, kind_of
from fulmen.regtest.rpc.shapes import btc, per_kvb, shown

MAX_QUERIED = 10_000
MAX_TARGET_BLOCKS = 1008
LEAST_ESTIMATE = 1000
"""Satoshis per 1000 virtual bytes: what Lightning nodes take for the least, whatever is relayed."""


@call("getmempoolinfo")
def getmempoolinfo(node: RegtestNode, _: Arguments) -> JsonValue:
    """How full the mempool is and what it asks."""
    return {
        "loaded": True,
        "size": len(node.pool),
        "bytes": node.pool.total_vsize,
        "usage": node.pool.total_vsize,
        "total_fee": btc(node.pool.total_fee),
        "maxmempool": node.policy.max_mempool_vsize * 4,
        "mempoolminfee": btc(node.policy.min_relay_sat_per_kvb),
        "minrelaytxfee": btc(node.policy.min_relay_sat_per_kvb),
        "incrementalrelayfee": btc(node.policy.incremental_sat_per_kvb),
        "unbroadcastcount": 0,
        "permitbaremultisig": True,
        "maxdatacarriersize": MAX_DATACARRIER_BYTES,
        "limitclustercount": node.policy.max_cluster_count,
        "limitclustersize": node.policy.max_cluster_vsize,
        "optimal": True,
    }


@call("getrawmempool", "verbose", "mempool_sequence", required=0)
def getrawmempool(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """All txids, or all entries."""
    if arguments.flag(0, False):
        if arguments.flag(1, False):
            raise RpcRefused(Code.INVALID_PARAMETER, "Verbose results cannot contain mempool sequence values.")
        return {shown(pooled.txid): _entry_shape(node, pooled) for pooled in node.pool}
    txids = [shown(pooled.txid) for pooled in node.pool]
    return {"txids": txids, "mempool_sequence": node.pool.sequence} if arguments.flag(1, False) else txids


@call("getmempoolentry", "txid")
def getmempoolentry(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """One transaction of the mempool and its relatives."""
    return _entry_shape(node, _pooled(node, arguments.hash(0)))


@call("getmempoolancestors", "txid", "verbose", required=1)
def getmempoolancestors(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """What a transaction of the mempool depends on."""
    start = _pooled(node, arguments.hash(0))
    return _family(node, start, node.pool.ancestors(start), arguments.flag(1, False))


@call("getmempooldescendants", "txid", "verbose", required=1)
def getmempooldescendants(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """What depends on a transaction of the mempool."""
    start = _pooled(node, arguments.hash(0))
    return _family(node, start, node.pool.descendants(start), arguments.flag(1, False))


@call("gettxspendingprevout", "outputs", "options", required=1)
def gettxspendingprevout(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """Who spends these outputs, in the mempool or in a block."""
    outputs = arguments.items(0, MAX_QUERIED)
    if not outputs:
        raise RpcRefused(Code.INVALID_PARAMETER, "Invalid parameter, outputs are missing")
    options = arguments.raw(1) or {}
    if not isinstance(options, dict):
        raise RpcRefused(Code.TYPE_ERROR, "JSON value of options is not of expected type object")
    return [_spender_shape(node, output, options) for output in outputs]


@call("estimatesmartfee", "conf_target", "estimate_mode", required=1)
def estimatesmartfee(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """What it takes to get into the next blocks: the floor, unless the mempool is full of better payers."""
    target = arguments.whole(0)
    if not 1 <= target <= MAX_TARGET_BLOCKS:
        raise RpcRefused(Code.INVALID_PARAMETER, f"Invalid conf_target, must be between 1 and {MAX_TARGET_BLOCKS}")
    room = target * (MAX_BLOCK_WEIGHT - RESERVED_WEIGHT)
    feerate = btc(max(node.policy.min_relay_sat_per_kvb, LEAST_ESTIMATE))
    if node.pool.total_vsize * 4 > room:
        chunks = sorted(
            (chunk for cluster in node.pool.clusters() for chunk in chunks_of(cluster)),
            key=lambda chunk: -chunk.feerate,
        )
        for chunk in chunks:
            room -= chunk.weight
            if room < 0:
                feerate = max(feerate, per_kvb(chunk.fee * 4, chunk.weight))
                break
    return {"feerate": feerate, "blocks": max(target, 2)}


@call("prioritisetransaction", "txid", "dummy", "fee_delta")
def prioritisetransaction(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """Let mining and replacement see a higher or lower fee."""
    if arguments.raw(1):
        raise RpcRefused(
            Code.INVALID_PARAMETER,
            "Priority is no longer supported, dummy argument must be 0.",
        )
    node.pool.prioritise(Txid(arguments.hash(0)), arguments.whole(2, low=-(10**15), high=10**15))
    return True


@call("getprioritisedtransactions")
def getprioritisedtransactions(node: RegtestNode, _: Arguments) -> JsonValue:
    """What was added to the fees of transactions, here or not."""
    answer = {}
    for txid, delta in node.pool.deltas.items():
        pooled = node.pool.get(txid)
        shape: dict[str, Any] = {"fee_delta": delta, "in_mempool": pooled is not None}
        if pooled is not None:
            shape["modified_fee"] = pooled.modified_fee
        answer[shown(txid)] = shape
    return answer


def _pooled(node: RegtestNode, txid: bytes) -> Pooled:
    pooled = node.pool.get(Txid(txid))
    if pooled is None:
        raise RpcRefused(Code.INVALID_ADDRESS_OR_KEY, "Transaction not in mempool")
    return pooled


def _family(node: RegtestNode, start: Pooled, family: dict[Txid, Pooled], verbose: bool) -> JsonValue:
    others = [pooled for pooled in family.values() if pooled is not start]
    if verbose:
        return {shown(pooled.txid): _entry_shape(node, pooled) for pooled in others}
    return [shown(pooled.txid) for pooled in others]


def _entry_shape(node: RegtestNode, pooled: Pooled) -> dict[str, Any]:
    ancestors = list(node.pool.ancestors(pooled).values())
    descendants = list(node.pool.descendants(pooled).values())
    chunk = next(chunk for chunk in chunks_of(list(node.pool.cluster(pooled).values())) if pooled in chunk.members)
    return {
        "vsize": pooled.vsize,
        "weight": pooled.tx.weight,
        "time": pooled.time,
        "height": pooled.height,
        "descendantcount": len(descendants),
        "descendantsize": sum(each.vsize for each in descendants),
        "ancestorcount": len(ancestors),
        "ancestorsize": sum(each.vsize for each in ancestors),
        "chunkweight": chunk.weight,
        "wtxid": shown(pooled.tx.wtxid),
        "fees": {
            "base": btc(pooled.fee),
            "modified": btc(pooled.modified_fee),
            "ancestor": btc(sum(each.modified_fee for each in ancestors)),
            "descendant": btc(sum(each.modified_fee for each in descendants)),
            "chunk": btc(chunk.fee),
        },
        "depends": [shown(txid) for txid in pooled.parents],
        "spentby": [shown(txid) for txid in pooled.children],
        "unbroadcast": False,
    }


def _spender_shape(node: RegtestNode, output: JsonValue, options: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(output, dict):
        raise RpcRefused(Code.TYPE_ERROR, f"JSON value of type {kind_of(output)} is not of expected type object")
    txid, vout = output.get("txid"), output.get("vout")
    if not isinstance(txid, str) or isinstance(vout, bool) or not isinstance(vout, int):
        raise RpcRefused(Code.TYPE_ERROR, "an output is a txid (string) and a vout (number)")
    if not 0 <= vout < 1 << 32:
        raise RpcRefused(Code.INVALID_PARAMETER, "Invalid parameter, vout cannot be negative")
    outpoint = OutPoint(Txid(hash_of(txid, "txid")), vout)
    shape: dict[str, Any] = {"txid": txid, "vout": vout}
    pooled = node.pool.spender(outpoint)
    spender = pooled.txid if pooled is not None else None
    if spender is None and options.get("mempool_only") is not True:
        spender = node.txs.spender(outpoint)
    if spender is None:
        return shape
    shape["spendingtxid"] = shown(spender)
    found = find_tx(node, spender)
    assert found is not None
    tx, entry, _ = found
    if options.get("return_spending_tx") is True:
        shape["spendingtx"] = tx.serialize().hex()
    if entry is not None:
        shape["blockhash"] = shown(entry.hash)
    return shape
