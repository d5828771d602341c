"""The output that holds a channel's money, and how both ends spend it together.

Source: BOLT 3, "Funding Transaction Output" and "Appendix A: Expected Weights" (funding transaction).
"""

from __future__ import annotations

from collections.abc import Iterable

from fulmen.core.base.ids import Point, Signature
from fulmen.core.base.units import FeeratePerKw, Sat, Weight
from fulmen.core.bitcoin.script import p2wsh
from fulmen.core.bitcoin.sighash import SIGHASH_ALL, sighash_segwit_v0
from fulmen.core.bitcoin.transaction import Tx, TxOut
from fulmen.core.transactions.scripts import funding_script, of_a_channel
from fulmen.core.transactions.spending import witness_signature

COMMON_WEIGHT = Weight(4 * 10 + 2)
"""Version, counts, locktime, marker and flag: paid by the initiator of a collaborative transaction."""
FUNDING_OUTPUT_WEIGHT = Weight(4 * 43)
INPUT_WEIGHT = Weight(4 * 41)
"""An input without script_sig and witness."""
PLAIN_INPUT_WITNESS_WEIGHT = Weight(107)
"""What appendix G counts for the witness of any input: that of P2WPKH with a signature of 72 bytes."""
FUNDING_INPUT_WITNESS_WEIGHT = Weight(222)
"""The witness of `witness_of`, with the longest signatures."""


@of_a_channel
def funding_output(funding_pubkey: Point, other_funding_pubkey: Point, amount_sat: Sat) -> TxOut:
    """The output that both ends have to find in a block before the channel is worth anything."""
    return TxOut(amount_sat, p2wsh(funding_script(funding_pubkey, other_funding_pubkey)))


def funding_digest(
    tx: Tx, funding_pubkey: Point, other_funding_pubkey: Point, amount_sat: Sat, index: int = 0
) -> bytes:
    """What each end signs to spend the funding output in this input."""
    return sighash_segwit_v0(tx, index, funding_script(funding_pubkey, other_funding_pubkey), amount_sat, SIGHASH_ALL)


def funding_witness(
    funding_pubkey: Point, signature: Signature, other_funding_pubkey: Point, other_signature: Signature
) -> tuple[bytes, ...]:
    """`0 <signature_for_pubkey1> <signature_for_pubkey2>` and the script, whichever way the keys are given."""
    signatures = sorted(((funding_pubkey, signature), (other_funding_pubkey, other_signature)))
    return (
        b"",
        *(witness_signature(each) for _, each in signatures),
        funding_script(funding_pubkey, other_funding_pubkey),
    )


def output_weight(script_pubkey: bytes) -> Weight:
    """Of an output with a script of standard length."""
    return Weight(4 * (9 + len(script_pubkey)))


def contribution_weight(witness_weights: Iterable[int], script_pubkeys: Iterable[bytes]) -> Weight:
    """What one end's inputs (by the weight of their witnesses) and outputs add to a collaborative transaction."""
    return Weight(
        sum(INPUT_WEIGHT + weight for weight in witness_weights)
        + sum(output_weight(script) for script in script_pubkeys)
    )


def contribution_fee(
    feerate_per_kw: FeeratePerKw,
    witness_weights: Iterable[int],
    script_pubkeys: Iterable[bytes],
    *,
    initiator: bool,
) -> Sat:
    """The least fee that one end has to pay, rounded up as appendix G does.

    BOLT 3: "with the initiator covering the fees for the common transaction fields". The funding output is the
    initiator's too.
    """
    weight = contribution_weight(witness_weights, script_pubkeys)
    if initiator:
        weight = Weight(weight + COMMON_WEIGHT + FUNDING_OUTPUT_WEIGHT)
    return Sat(-(-feerate_per_kw * weight // 1000))
