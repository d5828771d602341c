"""All that we take from btclib: its script engine as a judge, Core's standardness rules, and BIP 158 filters.

btclib is pure Python and follows Bitcoin Core rule by rule, so this judge runs everywhere and can say why it refuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

from btclib import policy as btclib_policy
from btclib.block.block import Block
from btclib.block.block_context import BlockContext as BtclibContext
from btclib.block.block_filter import BasicBlockFilter
from btclib.consensus import CONSENSUS_PARAMS
from btclib.exceptions import BTClibException, ScriptError
from btclib.fee import FeeRate
from btclib.script.engine import ALL_FLAGS, ScriptFlag, sig_op_cost, verify_input
from btclib.script.sig_hash import PrecomputedTxData
from btclib.script.sig_ops import sig_op_count
from btclib.script.solver import solver
from btclib.tx.tx import Tx as BtclibTx
from btclib.tx.tx_out import TxOut as BtclibTxOut

from fulmen.core.base.faults import Malformed
from fulmen.core.bitcoin.networks import REGTEST
from fulmen.core.bitcoin.opcodes import OP_RESERVED
from fulmen.core.bitcoin.script import parts_of
from fulmen.core.bitcoin.transaction import Tx, TxOut
from fulmen.regtest.judge import BTCLIB, BlockContext

MAX_ELEMENT_BYTES = 520
"""No item on the stack may be larger."""
_REGTEST = CONSENSUS_PARAMS["regtest"]
_POW_LIMIT = REGTEST.pow_limit_bits.to_bytes(4, "big")

# Core's STANDARD_SCRIPT_VERIFY_FLAGS: every rule but SIGPUSHONLY, which IsStandardTx asks itself.
_STANDARD_FLAGS = ALL_FLAGS
for _flag in ScriptFlag:
    if _flag is not ScriptFlag.SIGPUSHONLY:
        _STANDARD_FLAGS |= _flag


class BtclibJudge:
    """btclib's reading of consensus, with reasons."""

    name = BTCLIB

    def scripts(self, tx: bytes, spent: Sequence[TxOut]) -> str:
        """btclib's interpreter under all consensus flags."""
        return _scripts(tx, spent, ALL_FLAGS)

    def block(self, block: bytes, context: BlockContext) -> str:
        """CheckBlock, ContextualCheckBlock and every script, as btclib knows them."""
        try:
            parsed = Block.parse(block, check_validity=False)
            parsed.assert_valid(_POW_LIMIT)
            parsed.assert_valid_contextual(
                BtclibContext(
                    context.height,
                    datetime.fromtimestamp(context.now, UTC),
                    _REGTEST,
                    context.median_time_past,
                    _POW_LIMIT,
                )
            )
        except BTClibException as refused:
            return str(refused)
        for tx, spent in zip(parsed.transactions[1:], context.spent, strict=True):
            if reason := _scripts(tx.serialize(include_witness=True, check_validity=False), spent, ALL_FLAGS):
                return f"block-script-verify-flag-failed ({reason})"
        return ""

    def close(self) -> None:
        """Nothing is held."""


def consensus_scripts(tx: bytes, spent: Sequence[TxOut]) -> str:
    """Whether the scripts obey consensus; empty, or Core's words."""
    return _scripts(tx, spent, ALL_FLAGS)


def standard_scripts(tx: bytes, spent: Sequence[TxOut]) -> str:
    """Whether the scripts also obey the rules that nodes ask before they relay; empty, or Core's words."""
    return _scripts(tx, spent, _STANDARD_FLAGS)


def standard_form(tx: bytes, dust_relay_sat_per_kvb: int) -> str:
    """Core's IsStandardTx: empty, or its reason ("version", "dust", "scriptpubkey" ...)."""
    try:
        btclib_policy.assert_standard_tx(_parsed(tx), dust_relay_fee=FeeRate(sats_per_kvbyte=dust_relay_sat_per_kvb))
    except BTClibException as refused:
        return str(refused)
    return ""


def standard_inputs(tx: bytes, spent: Sequence[TxOut]) -> tuple[str, str] | None:
    """Core's ValidateInputsStandardness and IsWitnessStandard: None, or the reason and what Core adds to it."""
    parsed, outputs = _parsed(tx), _outputs(spent)
    try:
        standard = btclib_policy.are_inputs_standard(outputs, parsed)
    except BTClibException:
        standard = False
    if not standard:
        return "bad-txns-nonstandard-inputs", _not_standard(parsed, spent)
    try:
        standard = btclib_policy.is_witness_standard(outputs, parsed)
    except BTClibException:
        standard = False
    return None if standard else ("bad-witness-nonstandard", "")


def _not_standard(tx: BtclibTx, spent: Sequence[TxOut]) -> str:
    """Which input is not standard, in Core's words."""
    for index, (tx_in, out) in enumerate(zip(tx.vin, spent, strict=True)):
        match output_type(out.script_pubkey):
            case "nonstandard":
                return f"input {index} script unknown"
            case "witness_unknown":
                return f"input {index} witness program is undefined"
            case "scripthash":
                try:
                    parts = list(parts_of(tx_in.script_sig))
                except Malformed:
                    parts = [(OP_RESERVED[0], None)]
                if any(opcode == OP_RESERVED[0] or len(pushed or b"") > MAX_ELEMENT_BYTES for opcode, pushed in parts):
                    return f"p2sh scriptsig malformed (input {index})"
                if not parts:
                    return f"input {index} P2SH redeemscript missing"
                count = sig_op_count(parts[-1][1] or b"", accurate=True)
                if count > btclib_policy.MAX_P2SH_SIGOPS:
                    limit = btclib_policy.MAX_P2SH_SIGOPS
                    return f"p2sh redeemscript sigops exceed limit (input {index}: {count} > {limit})"
    return "non-witness sigops exceed bip54 limit"


def output_type(script_pubkey: bytes) -> str:
    """What Core calls this kind of output ("witness_v0_keyhash", "nulldata" ...)."""
    return solver(script_pubkey)[0]


def dust_outputs(tx: bytes, dust_relay_sat_per_kvb: int) -> list[int]:
    """The indexes of outputs that cost more to spend than they hold."""
    return btclib_policy.dust_outputs(_parsed(tx), dust_relay_fee=FeeRate(sats_per_kvbyte=dust_relay_sat_per_kvb))


def sigops_cost(tx: bytes, spent: Sequence[TxOut]) -> int:
    """The signature checks of a transaction in units of BIP 141; `spent` is empty for a coinbase."""
    return sig_op_cost(_outputs(spent), _parsed(tx), ALL_FLAGS)


def legacy_sigops(tx: Tx) -> int:
    """The signature checks in a transaction's own scripts, each OP_CHECKMULTISIG counted as twenty."""
    scripts = [spent.script_sig for spent in tx.inputs] + [output.script_pubkey for output in tx.outputs]
    return sum(sig_op_count(script, accurate=False) for script in scripts)


def basic_filter(block: bytes, spent: Sequence[bytes], previous_header: bytes) -> tuple[bytes, bytes]:
    """BIP 158's basic filter and its header (as explorers print it). `spent` are the scripts of the spent outputs."""
    found = BasicBlockFilter.from_block(Block.parse(block, check_validity=False), list(spent), check_validity=False)
    return found.serialize(check_validity=False), found.header(previous_header)


def _scripts(tx: bytes, spent: Sequence[TxOut], flags: ScriptFlag) -> str:
    try:
        parsed = _parsed(tx)
        if len(parsed.vin) != len(spent):
            return "spent outputs do not match inputs"
        outputs = _outputs(spent)
        shared = PrecomputedTxData(parsed, outputs)
        for index in range(len(outputs)):
            verify_input(outputs, parsed, index, flags, shared)
    except ScriptError as refused:
        return refused.code.description
    except BTClibException as refused:
        return str(refused)
    return ""


@lru_cache(maxsize=128)
def _parsed(tx: bytes) -> BtclibTx:
    """Several rules ask for the same transaction one after another; none of them changes it."""
    return BtclibTx.parse(tx, check_validity=False)


def _outputs(spent: Sequence[TxOut]) -> list[BtclibTxOut]:
    return [BtclibTxOut(out.amount_sat, out.script_pubkey, check_validity=False) for out in spent]
