"""The transaction that ends a channel in agreement, both variants.

Source: BOLT 3, "Legacy Closing Transaction" and "Closing Transaction".
"""

from __future__ import annotations

from fulmen.core.base.faults import Refused
from fulmen.core.base.ids import OutPoint
from fulmen.core.base.units import Msat, Sat, Weight
from fulmen.core.bitcoin.opcodes import OP_RETURN
from fulmen.core.bitcoin.transaction import SEQUENCE_FINAL, SEQUENCE_RBF, Tx, TxIn, TxOut
from fulmen.core.transactions.funding import (
    COMMON_WEIGHT,
    FUNDING_INPUT_WITNESS_WEIGHT,
    INPUT_WEIGHT,
    output_weight,
)


class ClosesToNothing(Refused):
    """No output would be left."""


class FeeAboveBalance(Refused):
    """The end that pays the fee has less than it."""


def legacy_closing_tx(
    funding: OutPoint,
    opener_msat: Msat,
    opener_script: bytes,
    accepter_msat: Msat,
    accepter_script: bytes,
    fee_sat: Sat,
    dust_limit_sat: Sat,
    *,
    without_opener: bool = False,
    without_accepter: bool = False,
) -> Tx:
    """The transaction of `closing_signed`; the opener of the channel pays the fee.

    Args:
        dust_limit_sat: of the node whose signature it is: both may disagree about what is dust.
        without_opener, without_accepter: an end may leave its own output out.

    Raises:
        FeeAboveBalance, ClosesToNothing: there is no such transaction.
    """
    # BOLT 3: "MUST subtract the fee given by `fee_satoshis` from the output to the funder."
    opener_sat = opener_msat // 1000 - fee_sat
    if opener_sat < 0:
        raise FeeAboveBalance(fee_sat=fee_sat, balance_msat=opener_msat)
    outputs = []
    # BOLT 3: "MUST remove any output below its own `dust_limit_satoshis`."
    if opener_sat >= dust_limit_sat and not without_opener:
        outputs.append(TxOut(Sat(opener_sat), opener_script))
    if accepter_msat // 1000 >= dust_limit_sat and not without_accepter:
        outputs.append(TxOut(Sat(accepter_msat // 1000), accepter_script))
    return _closing(funding, outputs, SEQUENCE_FINAL, 0)


def simple_closing_tx(
    funding: OutPoint,
    closer_msat: Msat,
    closer_script: bytes,
    closee_msat: Msat,
    closee_script: bytes,
    fee_sat: Sat,
    locktime: int,
    *,
    closer_output: bool = True,
    closee_output: bool = True,
) -> Tx:
    """The transaction of `closing_complete` and `closing_sig`; the closer pays the fee.

    Args:
        closer_output, closee_output: which of the outputs the signature's TLV says are there.

    Raises:
        FeeAboveBalance, ClosesToNothing: there is no such transaction.
    """
    closer_sat = closer_msat // 1000 - fee_sat
    if closer_sat < 0:
        raise FeeAboveBalance(fee_sat=fee_sat, balance_msat=closer_msat)
    outputs = []
    # BOLT 3: "MUST set the output amount to 0 if the `scriptpubkey` is `OP_RETURN`."
    if closer_output:
        outputs.append(TxOut(Sat(0 if _is_op_return(closer_script) else closer_sat), closer_script))
    if closee_output:
        outputs.append(TxOut(Sat(0 if _is_op_return(closee_script) else closee_msat // 1000), closee_script))
    return _closing(funding, outputs, SEQUENCE_RBF, locktime)


def closing_weight(*script_pubkeys: bytes) -> Weight:
    """Expected weight of a closing transaction that pays to these scripts."""
    return Weight(COMMON_WEIGHT + INPUT_WEIGHT + FUNDING_INPUT_WITNESS_WEIGHT + sum(map(output_weight, script_pubkeys)))


def _closing(funding: OutPoint, outputs: list[TxOut], sequence: int, locktime: int) -> Tx:
    if not outputs:
        raise ClosesToNothing
    outputs.sort(key=lambda output: (output.amount_sat, output.script_pubkey))
    return Tx(2, (TxIn(funding, b"", sequence),), tuple(outputs), locktime)


def _is_op_return(script_pubkey: bytes) -> bool:
    return script_pubkey[:1] == OP_RETURN
