"""The rules that the mempool shares with blocks, and those of a block as a whole. Reasons are Bitcoin Core's words.

Scripts are the judge's (`judges`). Every deployment up to taproot is active from the first block, as in Core's regtest.

Source: Bitcoin Core, consensus/tx_check.cpp, consensus/tx_verify.cpp, validation.cpp (CheckBlock,
ContextualCheckBlock, ConnectBlock); BIP 34, 68, 113, 141.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fulmen.core.base.faults import Refused
from fulmen.core.base.record import Record
from fulmen.core.base.units import LOCKTIME_THRESHOLD, MAX_MONEY_SAT, Sat
from fulmen.core.bitcoin.block import (
    COINBASE_MATURITY,
    MAX_BLOCK_WEIGHT,
    BitsMalformed,
    BlockHeader,
    ProofOfWorkMissing,
    WholeBlock,
    WitnessCommitmentWrong,
    WitnessReservedWrong,
    WitnessUnexpected,
    check_proof_of_work,
    check_witness_commitment,
    merkle_root,
)
from fulmen.core.bitcoin.networks import REGTEST
from fulmen.core.bitcoin.script import number
from fulmen.core.bitcoin.transaction import NULL_OUTPOINT, SEQUENCE_FINAL, WITNESS_SCALE, Tx
from fulmen.regtest.coins import Coin
from fulmen.regtest.params import MAX_BLOCK_SIGOPS_COST, MAX_FUTURE_BLOCK_TIME, subsidy

SEQUENCE_LOCK_DISABLED = 1 << 31
SEQUENCE_LOCK_BY_TIME = 1 << 22
SEQUENCE_LOCK_MASK = 0xFFFF
SEQUENCE_LOCK_GRANULARITY = 9
"""Relative times count in units of 512 seconds (BIP 68)."""


class Rejected(Refused):
    """A transaction or block is refused: `reason` is Core's reject reason, `debug` what Core adds to it."""

    def __init__(self, reason: str, debug: str = "") -> None:
        super().__init__(f"{reason}, {debug}" if debug else reason)
        self.reason = reason
        self.debug = debug


class Mutated(Rejected):
    """A block's witnesses are wrong, which says nothing about its header."""


class MissingInputs(Rejected):
    """An output that is spent does not exist, or is spent already."""

    def __init__(self) -> None:
        super().__init__("bad-txns-inputs-missingorspent")


def check_transaction(tx: Tx) -> None:
    """The rules that need nothing but the transaction.

    Raises:
        Rejected: with Core's reason.
    """
    if not tx.inputs:
        raise Rejected("bad-txns-vin-empty")
    if not tx.outputs:
        raise Rejected("bad-txns-vout-empty")
    if len(tx.base) * 4 > MAX_BLOCK_WEIGHT:
        raise Rejected("bad-txns-oversize")
    total = 0
    for output in tx.outputs:
        if output.amount_sat >> 63:
            raise Rejected("bad-txns-vout-negative")
        if output.amount_sat > MAX_MONEY_SAT:
            raise Rejected("bad-txns-vout-toolarge")
        total += output.amount_sat
        if total > MAX_MONEY_SAT:
            raise Rejected("bad-txns-txouttotal-toolarge")
    outpoints = [spent.outpoint for spent in tx.inputs]
    if len(set(outpoints)) != len(outpoints):
        raise Rejected("bad-txns-inputs-duplicate")
    if tx.is_coinbase:
        if not 2 <= len(tx.inputs[0].script_sig) <= 100:
            raise Rejected("bad-cb-length")
    elif NULL_OUTPOINT in outpoints:
        raise Rejected("bad-txns-prevout-null")


def check_inputs(tx: Tx, coins: Sequence[Coin], height: int) -> Sat:
    """Maturity and amounts of what a transaction spends in a block of this height; gives the fee.

    Raises:
        Rejected: with Core's reason.
    """
    for coin in coins:
        if coin.coinbase and height - coin.height < COINBASE_MATURITY:
            raise Rejected(
                "bad-txns-premature-spend-of-coinbase", f"tried to spend coinbase at depth {height - coin.height}"
            )
    spent = sum(coin.output.amount_sat for coin in coins)
    if spent > MAX_MONEY_SAT:
        raise Rejected("bad-txns-inputvalues-outofrange")
    created = sum(output.amount_sat for output in tx.outputs)
    if spent < created:
        raise Rejected("bad-txns-in-belowout", f"value in ({money(spent)}) < value out ({money(created)})")
    return Sat(spent - created)


def is_final(tx: Tx, height: int, median_time_past: int) -> bool:
    """Whether its locktime lets a transaction into a block of this height whose parent has this median time."""
    if tx.locktime == 0:
        return True
    reached = height if tx.locktime < LOCKTIME_THRESHOLD else median_time_past
    return tx.locktime < reached or all(spent.sequence == SEQUENCE_FINAL for spent in tx.inputs)


class SequenceLocks(Record):
    """The last height and the last median time past at which relative locktimes still hold a transaction back."""

    height: int = -1
    time: int = -1

    def pass_at(self, height: int, median_time_past: int) -> bool:
        """Whether they let it into a block of this height whose parent has this median time past."""
        return self.height < height and self.time < median_time_past


NO_LOCKS = SequenceLocks()


def sequence_locks(tx: Tx, coin_heights: Sequence[int], median_time_at: Callable[[int], int]) -> SequenceLocks:
    """What BIP 68 makes of a transaction's sequences.

    `coin_heights` are those of the spent outputs; `median_time_at(h)` is the median time past of block h.
    """
    height = time = -1
    if tx.version >= 2:
        for spent, coin_height in zip(tx.inputs, coin_heights, strict=True):
            if spent.sequence & SEQUENCE_LOCK_DISABLED:
                continue
            distance = spent.sequence & SEQUENCE_LOCK_MASK
            if spent.sequence & SEQUENCE_LOCK_BY_TIME:
                since = median_time_at(max(coin_height - 1, 0))
                time = max(time, since + (distance << SEQUENCE_LOCK_GRANULARITY) - 1)
            else:
                height = max(height, coin_height + distance - 1)
    return SequenceLocks(height, time)


def check_block(block: WholeBlock, legacy_sigops: Callable[[Tx], int]) -> None:
    """The rules that need nothing but the block.

    Args:
        legacy_sigops: counts the signature checks in a transaction's own scripts.

    Raises:
        Rejected: with Core's reason.
    """
    try:
        check_proof_of_work(block.header, REGTEST)
    except (BitsMalformed, ProofOfWorkMissing):
        raise Rejected("high-hash", "proof of work failed") from None
    root, repeated = merkle_root([tx.txid for tx in block.txs]) if block.txs else (bytes(32), False)
    if root != block.header.merkle_root:
        raise Rejected("bad-txnmrklroot", "hashMerkleRoot mismatch")
    if repeated:
        raise Rejected("bad-txns-duplicate", "duplicate transaction")
    size = len(block.header.serialize()) + sum(len(tx.base) for tx in block.txs)
    if not block.txs or size * WITNESS_SCALE > MAX_BLOCK_WEIGHT:
        raise Rejected("bad-blk-length", "size limits failed")
    if not block.txs[0].is_coinbase:
        raise Rejected("bad-cb-missing", "first tx is not coinbase")
    if any(tx.is_coinbase for tx in block.txs[1:]):
        raise Rejected("bad-cb-multiple", "more than one coinbase")
    for tx in block.txs:
        check_transaction(tx)
    if sum(legacy_sigops(tx) for tx in block.txs) * WITNESS_SCALE > MAX_BLOCK_SIGOPS_COST:
        raise Rejected("bad-blk-sigops", "out-of-bounds SigOpCount")


def check_header_in_context(header: BlockHeader, median_time_past: int, now: int) -> None:
    """The rules that need the header's place: difficulty, times, version.

    Raises:
        Rejected: with Core's reason.
    """
    if header.bits != REGTEST.pow_limit_bits:
        raise Rejected("bad-diffbits", "incorrect proof of work")
    if header.time <= median_time_past:
        raise Rejected("time-too-old", "block's timestamp is too early")
    if header.time > now + MAX_FUTURE_BLOCK_TIME:
        raise Rejected("time-too-new", "block timestamp too far in the future")
    if not 4 <= header.version < 1 << 31:
        raise Rejected(f"bad-version(0x{header.version:08x})", f"rejected nVersion=0x{header.version:08x} block")


def check_block_in_context(block: WholeBlock, height: int, median_time_past: int) -> None:
    """The rules that need the block's place: finality, height, witness commitment, weight.

    Raises:
        Rejected: with Core's reason; `Mutated` when another block may have the same header and be good.
    """
    if not all(is_final(tx, height, median_time_past) for tx in block.txs):
        raise Rejected("bad-txns-nonfinal", "non-final transaction")
    if not block.txs[0].inputs[0].script_sig.startswith(number(height)):
        raise Rejected("bad-cb-height", "block height mismatch in coinbase")
    try:
        check_witness_commitment(block)
    except WitnessReservedWrong:
        raise Mutated("bad-witness-nonce-size", "invalid witness reserved value size") from None
    except WitnessUnexpected:
        raise Mutated("unexpected-witness", "unexpected witness data found") from None
    except WitnessCommitmentWrong:
        raise Mutated("bad-witness-merkle-match", "witness merkle commitment mismatch") from None
    if block.weight > MAX_BLOCK_WEIGHT:
        raise Rejected("bad-blk-weight", "weight limit failed")


def check_coinbase_amount(coinbase: Tx, fees: Sat, height: int) -> None:
    """The coinbase may create the subsidy and collect the fees, no more.

    Raises:
        Rejected: it creates more.
    """
    created = sum(output.amount_sat for output in coinbase.outputs)
    if created > subsidy(height) + fees:
        raise Rejected("bad-cb-amount", f"coinbase pays too much (actual={created} vs limit={subsidy(height) + fees})")


def money(amount_sat: int) -> str:
    """An amount as Core prints it: bitcoins with eight places, trailing zeros cut to two."""
    whole, rest = divmod(amount_sat, 100_000_000)
    return f"{whole}.{f'{rest:08d}'[:2]}{f'{rest:08d}'[2:].rstrip('0')}"
