"""What a transaction must have cost: its weight with the longest signatures, times the feerate that was in force.

The weights are BOLT 3's and BOLT 5's own figures or follow from the transaction itself; no node is asked for any. What
the chain asks for a place in a block is asked of the chain, when the transaction is entered in the books.
"""

from __future__ import annotations

from dataclasses import dataclass

from fulmen.core.bitcoin.transaction import Tx, TxIn, TxOut

FLOOR_PER_KW = 253
"""1 sat/vB in satoshis per 1000 weight units, rounded so that no node takes it for less: nobody pays below it."""
ANCHOR_COMMITMENT_WEIGHT = 1124
"""BOLT 3, "Expected Weight of the Commitment Transaction", with anchors and no HTLC."""
HTLC_OUTPUT_WEIGHT = 172
"""BOLT 3: what each HTLC output adds to it."""
HTLC_TIMEOUT_WEIGHT, HTLC_SUCCESS_WEIGHT = 666, 706
"""BOLT 3, "Expected Weights of HTLC-timeout and HTLC-success Transactions", with anchors: one input, one output."""
ANCHOR_FEERATE_CAP_PER_KW = 2500
"""More is not agreed on for a commitment that a child can lift."""
FUNDING_WITNESS_WEIGHT = 222
"""BOLT 3: two signatures of 73 bytes and the script of two keys, each with its length."""
LONGEST_SIGNATURE = 73
P2WPKH_INPUT_WEIGHT = 4 * 41 + 108
P2TR_INPUT_WEIGHT = 4 * 41 + 66
P2TR_OUTPUT_WEIGHT = 4 * 43
WIDE_COUNTS_WEIGHT = 4 * 2 * 2
"""Room for counts of inputs and of outputs that have three bytes each."""
DUST_SAT = 330
"""What a penalty leaves at least: an output of a P2TR wallet that is no dust."""


@dataclass(frozen=True)
class Fee:
    """What somebody paid a miner, and what it must have been: one amount, or a bound where time decides."""

    payer: str
    what: str
    paid_sat: int
    least_sat: int
    most_sat: int

    @property
    def holds(self) -> bool:
        """Whether it is what it must be."""
        return self.least_sat <= self.paid_sat <= self.most_sat


def exactly(payer: str, what: str, paid_sat: int, must_sat: int) -> Fee:
    """A fee that can only be one amount."""
    return Fee(payer, what, paid_sat, must_sat, must_sat)


def funding_sat(tx: Tx, feerate_per_kw: int) -> int:
    """A wallet's payment with change: the frame with one output, each coin, and the change, each rounded up.

    The frame has room for a count of inputs of three bytes.
    """
    frame = 4 * (4 + 3 + 1 + 43 + 4) + 2
    changes = [P2TR_OUTPUT_WEIGHT] * (len(tx.outputs) - 1)
    return sum(_up(feerate_per_kw * weight) for weight in (frame, *map(_coin_weight, tx.inputs), *changes))


def commitment_sat(feerate_per_kw: int, htlcs: int = 0) -> int:
    """BOLT 3, "Fee Calculation": rounded down."""
    weight = ANCHOR_COMMITMENT_WEIGHT + HTLC_OUTPUT_WEIGHT * htlcs
    return min(feerate_per_kw, ANCHOR_FEERATE_CAP_PER_KW) * weight // 1000


def htlc_tx_sat(tx: Tx, feerate_per_kw: int) -> int:
    """An HTLC transaction of one's own commitment, whose fee a wallet pays: the change apart, each rounded up.

    BOLT 3: with anchors it takes no fee out of the HTLC. The script is the last in its witness, and before that comes
    the preimage, or nothing.
    """
    own = HTLC_SUCCESS_WEIGHT if tx.inputs[0].witness[-2] else HTLC_TIMEOUT_WEIGHT
    weight = own + WIDE_COUNTS_WEIGHT + sum(map(_coin_weight, tx.inputs[1:]))
    return _up(feerate_per_kw * weight) + _up(feerate_per_kw * P2TR_OUTPUT_WEIGHT) * (len(tx.outputs) - 1)


def closing_sat(tx: Tx, feerate_per_kw: int) -> int:
    """What the opener offers and the other side, whose bounds it is within, agrees to."""
    return feerate_per_kw * (42 + 4 * 41 + FUNDING_WITNESS_WEIGHT + sum(map(_output_weight, tx.outputs))) // 1000


def sweep_sat(tx: Tx, feerate_per_kw: int) -> int:
    """Outputs with one signature each, to the wallet. There is time enough, so it pays what the chain asks."""
    shorter = sum(LONGEST_SIGNATURE - len(spent.witness[0]) for spent in tx.inputs)
    return _up(feerate_per_kw * (tx.weight + shorter))


def most_for_penalty_sat(at_stake_sat: int, blocks: int, to_self_delay: int) -> int:
    """Up to when its last block is due a penalty's fee rises with the square of time, to all that is at stake.

    Args:
        blocks: that were found since the cheat's own, before the one that has the penalty.
    """
    window = to_self_delay - 2
    return (at_stake_sat - DUST_SAT) * min(blocks, window) ** 2 // window**2


def _coin_weight(coin: TxIn) -> int:
    return P2TR_INPUT_WEIGHT if len(coin.witness) == 1 else P2WPKH_INPUT_WEIGHT


def _output_weight(output: TxOut) -> int:
    return 4 * (8 + 1 + len(output.script_pubkey))


def _up(thousandths: int) -> int:
    return -(-thousandths // 1000)
