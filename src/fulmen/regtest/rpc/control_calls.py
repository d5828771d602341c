"""Calls that move the chain (mining, reorgs, the clock, the faucet) and those about the server itself."""

from __future__ import annotations

from fulmen.core.base.faults import Malformed
from fulmen.core.base.ids import Txid
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.block import WITNESS_RESERVED, WholeBlock, commitment_in, read_block
from fulmen.core.bitcoin.transaction import Tx
from fulmen.regtest.chainstate import BlockUnknown
from fulmen.regtest.consensus import Rejected
from fulmen.regtest.faucet import FaucetDry
from fulmen.regtest.node import RegtestNode
from fulmen.regtest.rpc.lookups import script_for, script_of_descriptor, tx_of
from fulmen.regtest.rpc.registry import CALLS, Arguments, Code, JsonValue, RpcRefused, call, hash_of
from fulmen.regtest.rpc.shapes import shown

MAX_MINED_AT_ONCE = 5000
MAX_TXS_IN_A_BLOCK = 10_000
MAX_TIME = 2**32 - 1


@call("generatetoaddress", "nblocks: number", "address: string", "maxtries: number", required=2)
def generatetoaddress(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """Mine blocks that pay an address."""
    return _mine(node, arguments.whole(0, low=0, high=MAX_MINED_AT_ONCE), script_for(arguments.text(1)))


@call("generatetodescriptor", "num_blocks: number", "descriptor: string", "maxtries: number", required=2)
def generatetodescriptor(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """Mine blocks that pay a descriptor: `addr(...)` or `raw(...)`."""
    return _mine(node, arguments.whole(0, low=0, high=MAX_MINED_AT_ONCE), script_of_descriptor(arguments.text(1)))


@call("generateblock", "output: string", "transactions: array", "submit: bool", required=2)
def generateblock(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """Mine a block with exactly these transactions, each in hex or named as one of the mempool."""
    output = arguments.text(0)
    script = script_of_descriptor(output) if "(" in output else script_for(output)
    txs = tuple(_tx_for_block(node, named) for named in arguments.items(1, MAX_TXS_IN_A_BLOCK))
    if not arguments.flag(2, True):
        raise RpcRefused(Code.INVALID_PARAMETER, "a block that is not submitted cannot be made here")
    try:
        return {"hash": shown(node.mine_exactly(txs, script).hash)}
    except Rejected as why:
        raise RpcRefused(Code.VERIFY_ERROR, f"TestBlockValidity failed: {why}") from None


@call("mine", "nblocks: number", required=0)
def mine(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """Mine blocks that pay the faucet. (Not a call of Bitcoin Core.)"""
    return [shown(entry.hash) for entry in node.mine(arguments.whole(0, 1, 0, MAX_MINED_AT_ONCE))]


@call("faucet", "address: string", "amount")
def faucet(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """Pay bitcoins of the faucet to an address; gives the txid, unconfirmed. (Not a call of Bitcoin Core.)"""
    script, amount_sat = script_for(arguments.text(0)), arguments.amount(1, Sat(0))
    try:
        return shown(node.give(script, amount_sat))
    except FaucetDry as dry:
        raise RpcRefused(Code.INSUFFICIENT_FUNDS, str(dry)) from None
    except Rejected as why:
        raise RpcRefused(Code.VERIFY_REJECTED, str(why)) from None


@call("submitblock", "hexdata: string", "dummy: string", required=1)
def submitblock(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """Take a block from outside: null, or why not."""
    try:
        block = read_block(bytes.fromhex(arguments.text(0)), lawful=False)
    except (Malformed, ValueError):
        raise RpcRefused(Code.DESERIALIZATION_ERROR, "Block decode failed") from None
    try:
        entry = node.submit_block(_with_reserved_value(block))
    except Rejected as why:
        return why.reason
    return None if entry.connected else "inconclusive"


@call("invalidateblock", "blockhash: string")
def invalidateblock(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """Rule a block out with all that stand on it: a reorg on command."""
    try:
        node.invalidate(arguments.hash(0))
    except BlockUnknown:
        raise RpcRefused(Code.INVALID_ADDRESS_OR_KEY, "Block not found") from None
    except Rejected as why:
        raise RpcRefused(Code.MISC_ERROR, str(why)) from None
    return None


@call("reconsiderblock", "blockhash: string")
def reconsiderblock(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """Take an `invalidateblock` back."""
    try:
        node.reconsider(arguments.hash(0))
    except BlockUnknown:
        raise RpcRefused(Code.INVALID_ADDRESS_OR_KEY, "Block not found") from None
    return None


@call("setmocktime", "timestamp: number")
def setmocktime(node: RegtestNode, arguments: Arguments) -> JsonValue:
    """Stop the clock at a time; 0 lets it go on."""
    node.set_mocktime(arguments.whole(0, low=0, high=MAX_TIME))
    return None


@call("uptime")
def uptime(node: RegtestNode, _: Arguments) -> JsonValue:
    """Seconds since the server started."""
    return node.uptime()


@call("stop", "wait: number", required=0)
def stop(node: RegtestNode, _: Arguments) -> JsonValue:
    """Ask the server to stop."""
    node.on_stop()
    return "fulmen regtest stopping"


@call("getpeerinfo")
def getpeerinfo(_: RegtestNode, __: Arguments) -> JsonValue:
    """Nobody: the embedded chain has no peers."""
    return []


@call("getconnectioncount")
def getconnectioncount(_: RegtestNode, __: Arguments) -> JsonValue:
    """None."""
    return 0


@call("getzmqnotifications")
def getzmqnotifications(_: RegtestNode, __: Arguments) -> JsonValue:
    """None: callers poll."""
    return []


@call("help", "command: string", required=0)
def help_(_: RegtestNode, arguments: Arguments) -> JsonValue:
    """The calls, or one of them."""
    name = arguments.text(0)
    if not name:
        return "\n".join(CALLS[known].usage for known in sorted(CALLS))
    if name not in CALLS:
        return f"help: unknown command: {name[:80]}\n"
    return f"{CALLS[name].usage}\n\n{CALLS[name].help}"


def _tx_for_block(node: RegtestNode, named: JsonValue) -> Tx:
    if not isinstance(named, str) or len(named) != 64:
        return tx_of(
            named, f"Transaction decode failed for {str(named)[:80]}. Make sure the tx has at least one input."
        )
    pooled = node.pool.get(Txid(hash_of(named, "transactions")))
    if pooled is None:
        raise RpcRefused(Code.INVALID_ADDRESS_OR_KEY, f"Transaction {named} not in mempool.")
    return pooled.tx


def _with_reserved_value(block: WholeBlock) -> WholeBlock:
    """A coinbase that commits to witnesses and has none gets the usual one, as miners by template leave it out."""
    if not block.txs or not block.txs[0].is_coinbase or block.txs[0].has_witness:
        return block
    coinbase = block.txs[0]
    if commitment_in(coinbase) is None:
        return block
    return block.but(txs=(coinbase.with_witness(0, WITNESS_RESERVED), *block.txs[1:]))


def _mine(node: RegtestNode, count: int, script_pubkey: bytes) -> list[str]:
    return [shown(entry.hash) for entry in node.mine(count, script_pubkey)]
