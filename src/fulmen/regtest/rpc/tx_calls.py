"""Calls that read, try and send transactions."""

from __future__ import annotations

from typing import Any

from fulmen.core.base.ids import Txid
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.block import parse_block
from fulmen.core.bitcoin.transaction import Tx
from fulmen.regtest.consensus import MissingInputs, Rejected
from fulmen.regtest.manners import Admitted
from fulmen.regtest.node import RegtestNode
from fulmen.regtest.packages import AlreadyThere, PackageOutcome, is_child_with_parents, try_all
from fulmen.regtest.params import GENESIS_BLOCK
from fulmen.regtest.relaypolicy import MAX_PACKAGE_COUNT, fee_at
from fulmen.regtest.rpc.lookups import burned, find_in_block, find_tx, tx_of
from fulmen.regtest.rpc.registry import Arguments, Code, JsonValue, RpcRefused, call, hash_of
from fulmen.regtest.rpc.shapes import btc, per_kvb, shown, tx_shape

DEFAULT_MAX_SAT_PER_KVB = Sat(10_000_000)
"""0.10 BTC/kvB: more is taken for a mistake."""
MAX_TXS_LISTED = 10_000
GENESIS_COINBASE = parse_block(GENESIS_BLOCK).txs[0].txid


@call("testmempoolaccept", "rawtxs: array", "maxfeerate", required=1)
def testmempoolaccept(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """Whether transactions would be taken."""
    ceiling = _count_then_ceiling(arguments)
    txs = _several_txs(arguments)
    if len(txs) > 1:
        outcome = try_all(node.admission, txs)
    else:
        try:
            outcome = PackageOutcome("", {txs[0].wtxid: node.submit_tx(txs[0], dry_run=True)})
        except Rejected as refused:
            outcome = PackageOutcome("", {txs[0].wtxid: refused})
    answer = []
    stopped = False
    for tx in txs:
        shape: dict[str, Any] = {"txid": shown(tx.txid), "wtxid": shown(tx.wtxid)}
        if outcome.refused:
            shape["package-error"] = outcome.refused
        match None if stopped else outcome.outcomes.get(tx.wtxid):
            case Admitted() as admitted if ceiling and admitted.fee > fee_at(ceiling, admitted.vsize):
                shape |= {"allowed": False, "reject-reason": "max-fee-exceeded"}
                stopped = True
            case Admitted() as admitted:
                shape |= {"allowed": True, "vsize": admitted.vsize, "fees": _fees_shape(admitted)}
            case MissingInputs():
                shape |= {"allowed": False, "reject-reason": "missing-inputs"}
            case Rejected() as why:
                shape |= {"allowed": False, "reject-reason": why.reason, "reject-details": str(why)}
        answer.append(shape)
    return answer


@call("sendrawtransaction", "hexstring: string", "maxfeerate", "maxburnamount", required=1)
def sendrawtransaction(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """Put a transaction into the mempool; one that is there already is fine."""
    tx = tx_of(arguments.raw(0))
    _check_burn(tx, arguments.amount(2, Sat(0)))
    ceiling = arguments.feerate(1, DEFAULT_MAX_SAT_PER_KVB)
    if any(node.chain.coins.get(tx.outpoint(vout)) for vout in range(len(tx.outputs))):
        raise RpcRefused(Code.VERIFY_ALREADY_IN_UTXO_SET, "Transaction outputs already in utxo set")
    if node.pool.get(tx.txid) is not None:
        return shown(tx.txid)
    try:
        if ceiling and node.submit_tx(tx, dry_run=True).fee > fee_at(ceiling, tx.vsize):
            raise RpcRefused(Code.VERIFY_ERROR, "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)")
        node.submit_tx(tx)
        node.pool.sent_from_here(tx.txid)
    except MissingInputs as why:
        raise RpcRefused(Code.VERIFY_ERROR, str(why)) from None
    except Rejected as why:
        raise RpcRefused(Code.VERIFY_REJECTED, str(why)) from None
    return shown(tx.txid)


@call("submitpackage", "package: array", "maxfeerate", "maxburnamount", required=1)
def submitpackage(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """Put a child and its parents into the mempool together."""
    ceiling = _count_then_ceiling(arguments)
    txs = _several_txs(arguments)
    for tx in txs:
        _check_burn(tx, arguments.amount(2, Sat(0)))
    if len(txs) > 1 and not is_child_with_parents(txs):
        raise RpcRefused(
            Code.VERIFY_ERROR,
            "package topology disallowed. not child-with-parents or parents depend on each other.",
        )
    outcome = node.submit_package(txs, max_sat_per_kvb=ceiling)
    results: dict[str, Any] = {}
    replaced: dict[Txid, None] = {}
    for tx in txs:
        shape: dict[str, Any] = {"txid": shown(tx.txid)}
        match outcome.outcomes.get(tx.wtxid):
            case Admitted() as admitted:
                shape |= {"vsize": admitted.vsize, "fees": _fees_shape(admitted)}
                replaced |= dict.fromkeys(admitted.replaced)
            case AlreadyThere() as there if there.wtxid != tx.wtxid:
                shape["other-wtxid"] = shown(there.wtxid)
            case AlreadyThere() as there:
                shape |= {"vsize": there.vsize, "fees": {"base": btc(there.fee)}}
            case Rejected() as why:
                shape["error"] = str(why)
            case None:
                shape["error"] = "package-not-validated"
        results[shown(tx.wtxid)] = shape
    return {
        "package_msg": outcome.refused or "success",
        "tx-results": results,
        "replaced-transactions": sorted(shown(txid) for txid in replaced),
    }


@call("getrawtransaction", "txid: string", "verbosity", "blockhash: string", required=1)
def getrawtransaction(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """A transaction: 0 in hex, 1 as an object, 2 with what it spent."""
    txid = Txid(hash_of(arguments.text(0), "parameter 1"))
    if txid == GENESIS_COINBASE:
        raise RpcRefused(
            Code.INVALID_ADDRESS_OR_KEY,
            "The genesis block coinbase is not considered an ordinary transaction and cannot be retrieved",
        )
    verbosity = arguments.verbosity(1, 0)
    block = None
    if arguments.raw(2) is not None:
        block = node.chain.tree.get(hash_of(arguments.text(2), "parameter 3"))
        if block is None:
            raise RpcRefused(Code.INVALID_ADDRESS_OR_KEY, "Block hash not found")
    found = find_tx(node, txid) if block is None else find_in_block(node, block, txid)
    if found is None:
        where = "mempool or blockchain transaction" if block is None else "transaction found in the provided block"
        raise RpcRefused(Code.INVALID_ADDRESS_OR_KEY, f"No such {where}. Use gettransaction for wallet transactions.")
    tx, entry, spent = found
    if verbosity <= 0:
        return tx.serialize().hex()
    # Core does not say what an unconfirmed transaction spends.
    known = spent if verbosity > 1 and entry is not None else ()
    shape = tx_shape(tx, known, prevouts=True)
    if block is not None:
        shape["in_active_chain"] = node.chain.is_active(block)
    if entry is not None:
        shape["blockhash"] = shown(entry.hash)
        if node.chain.is_active(entry):
            shape |= {
                "confirmations": node.chain.height - entry.height + 1,
                "time": entry.time,
                "blocktime": entry.time,
            }
        else:
            shape["confirmations"] = 0
    return shape


@call("decoderawtransaction", "hexstring: string", "iswitness: bool", required=1)
def decoderawtransaction(_: RegtestNode, arguments: Arguments) -> JsonValue:
    """A transaction in hex as an object."""
    return tx_shape(tx_of(arguments.raw(0), "TX decode failed"), with_hex=False)


def _fees_shape(admitted: Admitted) -> dict[str, Any]:
    return {
        "base": btc(admitted.fee),
        "effective-feerate": per_kvb(admitted.effective_fee, admitted.effective_vsize),
        "effective-includes": [shown(wtxid) for wtxid in admitted.includes],
    }


def _count_then_ceiling(arguments: Arguments) -> Sat:
    """The highest feerate allowed, once there are neither too few nor too many transactions."""
    if not 1 <= len(arguments.items(0, MAX_TXS_LISTED)) <= MAX_PACKAGE_COUNT:
        raise RpcRefused(Code.INVALID_PARAMETER, f"Array must contain between 1 and {MAX_PACKAGE_COUNT} transactions.")
    return arguments.feerate(1, DEFAULT_MAX_SAT_PER_KVB)


def _several_txs(arguments: Arguments) -> list[Tx]:
    items = arguments.items(0, MAX_TXS_LISTED)
    return [tx_of(item, f"TX decode failed: {item} Make sure the tx has at least one input.") for item in items]


def _check_burn(tx: Tx, most: Sat) -> None:
    if burned(tx) > most:
        raise RpcRefused(Code.VERIFY_ERROR, "Unspendable output exceeds maximum configured by user (maxburnamount)")
