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
from fulmen.regtest.rpc.registry import Arguments, Code, JsonValue, RpcRefused, call, check_fields, hash_of
from fulmen.regtest.rpc.shapes import btc, per_kvb, shown

MAX_QUERIED = 10_000
MAX_TARGET_BLOCKS = 1008
ESTIMATE_MODES = ("unset", "economical", "conservative")
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
        "unbroadcastcount": sum(pooled.unbroadcast for pooled in node.pool),
        "permitbaremultisig": True,
        "maxdatacarriersize": MAX_DATACARRIER_BYTES,
        "limitclustercount": node.policy.max_cluster_count,
        "limitclustersize": node.policy.max_cluster_vsize,
        "optimal": True,
    }


@call("getrawmempool", "verbose: bool", "mempool_sequence: bool", required=0)
def getrawmempool(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """All txids, or all entries."""
    if arguments.flag(0, False):
        if arguments.flag(1, False):
            raise RpcRefused(Code.INVALID_PARAMETER, "Verbose results cannot contain mempool sequence values.")
        return {shown(pooled.txid): _entry_shape(node, pooled) for pooled in node.pool}
    txids = [shown(pooled.txid) for pooled in node.pool]
    return {"txids": txids, "mempool_sequence": node.pool.sequence} if arguments.flag(1, False) else txids


@call("getmempoolentry", "txid: string")
def getmempoolentry(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """One transaction of the mempool and its relatives."""
    return _entry_shape(node, _pooled(node, arguments.hash(0)))


@call("getmempoolancestors", "txid: string", "verbose: bool", required=1)
def getmempoolancestors(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """What a transaction of the mempool depends on."""
    start = _pooled(node, arguments.hash(0))
    return _family(node, start, node.pool.ancestors(start), arguments.flag(1, False))


@call("getmempooldescendants", "txid: string", "verbose: bool", required=1)
def getmempooldescendants(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """What depends on a transaction of the mempool."""
    start = _pooled(node, arguments.hash(0))
    return _family(node, start, node.pool.descendants(start), arguments.flag(1, False))


@call("gettxspendingprevout", "outputs: array", "options: object", required=1)
def gettxspendingprevout(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """Who spends these outputs, in the mempool or in a block."""
    outputs = arguments.items(0, MAX_QUERIED)
    if not outputs:
        raise RpcRefused(Code.INVALID_PARAMETER, "Invalid parameter, outputs are missing")
    fields = {"mempool_only": "bool", "return_spending_tx": "bool"}
    options = check_fields(arguments.raw(1) or {}, fields, all_of_them=False)
    wanted = [_outpoint(output) for output in outputs]
    # Core looks through the mempool first, for all of them.
    answers = [
        (place, _spender_shape(node, *each, options)) for place, each in enumerate(zip(outputs, wanted, strict=True))
    ]
    unconfirmed_first = sorted(answers, key=lambda item: (_asks_the_index(node, wanted[item[0]], options), item[0]))
    return [shape for _, shape in unconfirmed_first]


@call("estimatesmartfee", "conf_target: number", "estimate_mode: string", required=1)
def estimatesmartfee(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """What it takes to get into the next blocks: the floor, unless the mempool is full of better payers."""
    target = arguments.whole(0)
    if not 1 <= target <= MAX_TARGET_BLOCKS:
        raise RpcRefused(Code.INVALID_PARAMETER, f"Invalid conf_target, must be between 1 and {MAX_TARGET_BLOCKS}")
    if arguments.text(1, "unset").lower() not in ESTIMATE_MODES:
        modes = '", "'.join(ESTIMATE_MODES)
        raise RpcRefused(Code.INVALID_PARAMETER, f'Invalid estimate_mode parameter, must be one of: "{modes}"')
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


@call("prioritisetransaction", "txid: string", "dummy: number", "fee_delta: number")
def prioritisetransaction(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """Let mining and replacement see a higher or lower fee."""
    txid = Txid(arguments.hash(0))
    if arguments.raw(1):
        raise RpcRefused(
            Code.INVALID_PARAMETER,
            "Priority is no longer supported, dummy argument to prioritisetransaction must be 0.",
        )
    node.pool.prioritise(txid, arguments.whole(2, low=-(10**15), high=10**15))
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
        "unbroadcast": pooled.unbroadcast,
    }


def _outpoint(output: JsonValue) -> OutPoint:
    fields = check_fields(output, {"txid": "string", "vout": "number"}, all_of_them=True)
    txid, vout = hash_of(fields["txid"], "txid"), fields["vout"]
    if not isinstance(vout, int) or not -(2**31) <= vout < 2**31:
        raise RpcRefused(Code.MISC_ERROR, "JSON integer out of range")
    if vout < 0:
        raise RpcRefused(Code.INVALID_PARAMETER, "Invalid parameter, vout cannot be negative")
    return OutPoint(Txid(txid), vout)


def _asks_the_index(node: RegtestNode, outpoint: OutPoint, options: dict[str, Any]) -> bool:
    return options.get("mempool_only") is not True and node.pool.spender(outpoint) is None


def _spender_shape(
    node: RegtestNode, output: dict[str, Any], outpoint: OutPoint, options: dict[str, Any]
) -> dict[str, Any]:
    shape: dict[str, Any] = dict(output)
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
