"""Calls about the chain: what it is, its blocks and headers, its unspent outputs."""

from __future__ import annotations

from typing import Any

from fulmen.core.base.faults import Malformed
from fulmen.core.base.ids import OutPoint, Txid
from fulmen.core.bitcoin.address import script_of
from fulmen.core.bitcoin.networks import REGTEST
from fulmen.core.bitcoin.script import witness_program
from fulmen.regtest import coinset
from fulmen.regtest.btclib_engine import output_type
from fulmen.regtest.node import RegtestNode
from fulmen.regtest.rpc.descriptors import describe
from fulmen.regtest.rpc.lookups import block_of, script_of_descriptor
from fulmen.regtest.rpc.registry import Arguments, Code, JsonValue, RpcRefused, call, hash_of
from fulmen.regtest.rpc.shapes import block_shape, btc, coin_shape, difficulty, header_shape, shown

CORE_VERSION = 310000
"""The version of Bitcoin Core whose answers these are: callers choose their dialect by it."""
PROTOCOL_VERSION = 70016
MAX_SCANNED = 1000
_BURIED = {"bip34": 1, "bip66": 1, "bip65": 1, "csv": 1, "segwit": 0}
"""Soft forks and the heights from which they hold on regtest. Taproot always does and is not listed."""
_SCRIPT_TYPES = ("scripthash", "witness_v0_scripthash", "witness_v1_taproot", "anchor")
_SCRIPT_FLAGS = ("CHECKLOCKTIMEVERIFY", "CHECKSEQUENCEVERIFY", "DERSIG", "NULLDUMMY", "P2SH", "TAPROOT", "WITNESS")


@call("getblockchaininfo")
def getblockchaininfo(node: RegtestNode, _: Arguments) -> JsonValue:
    """The state of the chain."""
    tip = node.chain.tip
    return {
        "chain": "regtest",
        "blocks": tip.height,
        "headers": tip.height,
        "bestblockhash": shown(tip.hash),
        "bits": f"{REGTEST.pow_limit_bits:08x}",
        "target": header_shape(node.chain, tip)["target"],
        "difficulty": difficulty(REGTEST.pow_limit_bits),
        "time": tip.time,
        "mediantime": tip.median_time_past,
        "verificationprogress": 1,
        "initialblockdownload": False,
        "chainwork": f"{tip.chainwork:064x}",
        "size_on_disk": sum(len(entry.raw) for entry in node.chain.entries()),
        "pruned": False,
        "warnings": [],
    }


@call("getnetworkinfo")
def getnetworkinfo(node: RegtestNode, _: Arguments) -> JsonValue:
    """What version this answers for, and what it relays. There are no peers."""
    return {
        "version": CORE_VERSION,
        "subversion": f"/Satoshi:{CORE_VERSION // 10000}.{CORE_VERSION // 100 % 100}.0/",
        "protocolversion": PROTOCOL_VERSION,
        "localservices": "0000000000000409",
        "localservicesnames": ["NETWORK", "WITNESS", "NETWORK_LIMITED"],
        "localrelay": True,
        "timeoffset": 0,
        "networkactive": False,
        "connections": 0,
        "connections_in": 0,
        "connections_out": 0,
        "networks": [],
        "relayfee": btc(node.policy.min_relay_sat_per_kvb),
        "incrementalfee": btc(node.policy.incremental_sat_per_kvb),
        "localaddresses": [],
        "warnings": [],
        "judge": node.judge.name,
    }


@call("getblockcount")
def getblockcount(node: RegtestNode, _: Arguments) -> JsonValue:
    """The height of the tip."""
    return node.chain.height


@call("getbestblockhash")
def getbestblockhash(node: RegtestNode, _: Arguments) -> JsonValue:
    """The hash of the tip."""
    return shown(node.chain.tip.hash)


@call("getblockhash", "height: number")
def getblockhash(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """The hash of the active block at a height."""
    entry = node.chain.at(arguments.whole(0))
    if entry is None:
        raise RpcRefused(Code.INVALID_PARAMETER, "Block height out of range")
    return shown(entry.hash)


@call("getblock", "blockhash: string", "verbosity", required=1)
def getblock(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """A block: 0 in hex, 1 with txids, 2 with transactions, 3 with what they spent."""
    block_hash, verbosity = arguments.hash(0), arguments.verbosity(1, 1)
    entry = block_of(node, block_hash)
    return entry.raw.hex() if verbosity <= 0 else block_shape(node.chain, entry, verbosity)


@call("getblockheader", "blockhash: string", "verbose: bool", required=1)
def getblockheader(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """A header, as an object or in hex."""
    entry = block_of(node, hash_of(arguments.text(0), "hash"))
    return header_shape(node.chain, entry) if arguments.flag(1, True) else entry.header.hex()


@call("getdifficulty")
def getdifficulty(_: RegtestNode, __: Arguments) -> JsonValue:
    """The difficulty of every block: regtest's."""
    return difficulty(REGTEST.pow_limit_bits)


@call("getchaintips")
def getchaintips(node: RegtestNode, _: Arguments) -> JsonValue:
    """The ends of all branches."""
    answer = []
    tips = node.chain.tree.tips()
    if node.chain.tip not in tips:
        tips.append(node.chain.tip)
    for tip in sorted(tips, key=lambda entry: -entry.height):
        fork, length = tip, 0
        while not node.chain.is_active(fork):
            assert fork.parent is not None
            fork, length = fork.parent, length + 1
        if tip is node.chain.tip:
            status = "active"
        elif tip.invalid:
            status = "invalid"
        else:
            status = "valid-fork" if tip.connected else "valid-headers"
        answer.append({"height": tip.height, "hash": shown(tip.hash), "branchlen": length, "status": status})
    return answer


@call("getdeploymentinfo", "blockhash: string", required=0)
def getdeploymentinfo(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """Which soft forks are active: all of them."""
    entry = node.chain.tip if arguments.raw(0) is None else block_of(node, arguments.hash(0))
    deployments: dict[str, Any] = {
        name: {"type": "buried", "active": True, "height": height} for name, height in _BURIED.items()
    }
    return {
        "hash": shown(entry.hash),
        "height": entry.height,
        "script_flags": list(_SCRIPT_FLAGS),
        "deployments": deployments,
    }


@call("getindexinfo", "index_name: string", required=0)
def getindexinfo(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """Which indexes there are; all follow the tip."""
    wanted = arguments.text(0)
    return {
        name: {"synced": True, "best_block_height": node.chain.height}
        for name in ("txindex", "basic block filter index", "txospenderindex")
        if not wanted or name == wanted
    }


@call("getblockfilter", "blockhash: string", "filtertype: string", required=1)
def getblockfilter(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """The BIP 158 basic filter of an active block."""
    block_hash = arguments.hash(0)
    if arguments.text(1, "basic") != "basic":
        raise RpcRefused(Code.INVALID_ADDRESS_OR_KEY, "Unknown filtertype")
    entry = block_of(node, block_hash)
    if not node.chain.is_active(entry):
        raise RpcRefused(Code.INVALID_ADDRESS_OR_KEY, "Block was not connected to active chain.")
    content, header = node.filters.get(entry)
    return {"filter": content.hex(), "header": header.hex()}


@call("gettxout", "txid: string", "n: number", "include_mempool: bool", required=2)
def gettxout(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """An unspent output, or null."""
    outpoint = OutPoint(Txid(arguments.hash(0)), arguments.unsigned(1))
    coin = node.chain.coins.get(outpoint)
    tip = node.chain.tip
    if not arguments.flag(2, True):
        return None if coin is None else coin_shape(coin, tip, unconfirmed=False)
    if node.pool.spender(outpoint) is not None:
        return None
    if coin is not None:
        return coin_shape(coin, tip, unconfirmed=False)
    unconfirmed = node.pool.coin(outpoint, tip.height + 1)
    return None if unconfirmed is None else coin_shape(unconfirmed, tip, unconfirmed=True)


@call("gettxoutsetinfo", "hash_type: string", "hash_or_height", "use_index: bool", required=0)
def gettxoutsetinfo(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """The set of unspent outputs: how many, how much, and a hash to compare two nodes by."""
    if arguments.raw(1) is not None:
        raise RpcRefused(Code.INVALID_PARAMETER, "Querying specific block heights requires coinstatsindex")
    coins = node.chain.coins
    hashed: dict[str, str] = {}
    match arguments.text(0, "hash_serialized_3"):
        case "hash_serialized_3":
            hashed = {"hash_serialized_3": shown(coinset.serialized_hash(coins))}
        case "muhash":
            hashed = {"muhash": shown(coinset.muhash(coins))}
        case "none":
            pass
        case other:
            raise RpcRefused(Code.INVALID_PARAMETER, f"'{other[:80]}' is not a valid hash_type")
    answer: dict[str, Any] = {
        "height": node.chain.height,
        "bestblock": shown(node.chain.tip.hash),
        "txouts": len(coins),
        "bogosize": coinset.bogo_size(coins),
        **hashed,
        "total_amount": btc(sum(coin.output.amount_sat for _, coin in coins.items())),
        "transactions": len({outpoint.txid for outpoint, _ in coins.items()}),
        "disk_size": 0,
    }
    return answer


@call("scantxoutset", "action: string", "scanobjects: array", required=1)
def scantxoutset(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """The unspent outputs of some scripts (`addr(...)` and `raw(...)`)."""
    match arguments.text(0):
        case "abort":
            return False
        case "status":
            return None
        case "start":
            pass
        case other:
            raise RpcRefused(Code.INVALID_PARAMETER, f"Invalid action '{other[:80]}'")
    if arguments.raw(1) is None:
        raise RpcRefused(Code.MISC_ERROR, "scanobjects argument is required for the start action")
    scripts = dict.fromkeys(script_of_descriptor(each) for each in arguments.items(1, MAX_SCANNED))
    coins = {outpoint: coin for script in scripts for outpoint, coin in node.scripts.unspent(script).items()}
    found: list[dict[str, Any]] = []
    for outpoint, coin in sorted(coins.items()):
        entry = node.chain.at(coin.height)
        assert entry is not None
        script = coin.output.script_pubkey
        found.append(
            {
                "txid": shown(outpoint.txid),
                "vout": outpoint.vout,
                "scriptPubKey": script.hex(),
                "desc": describe(script),
                "amount": btc(coin.output.amount_sat),
                "coinbase": coin.coinbase,
                "height": coin.height,
                "blockhash": shown(entry.hash),
                "confirmations": node.chain.height - coin.height + 1,
            }
        )
    return {
        "success": True,
        "txouts": len(node.chain.coins),
        "height": node.chain.height,
        "bestblock": shown(node.chain.tip.hash),
        "unspents": found,
        "total_amount": btc(sum(coin.output.amount_sat for coin in coins.values())),
    }


@call("validateaddress", "address: string")
def validateaddress(_: RegtestNode, arguments: Arguments) -> JsonValue:
    """Whether a text is an address of this chain, and what it stands for."""
    address = arguments.text(0)
    try:
        script = script_of(address, REGTEST)
    except Malformed as fault:
        return {"isvalid": False, "error_locations": [], "error": fault.message}
    answer = {
        "isvalid": True,
        "address": address,
        "scriptPubKey": script.hex(),
        "isscript": output_type(script) in _SCRIPT_TYPES,
        "iswitness": False,
    }
    if (program := witness_program(script)) is not None:
        answer |= {"iswitness": True, "witness_version": program[0], "witness_program": program[1].hex()}
    return answer
