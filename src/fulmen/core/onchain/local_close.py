"""Our own commitment is in a block: our balance after the delay, our HTLCs through the peer's signatures.

BOLT 5, "Unilateral Close Handling: Local Commitment Transaction".
"""

from __future__ import annotations

from fulmen.core.base.faults import InvariantBroken
from fulmen.core.base.ids import OutPoint, Signature
from fulmen.core.base.units import BlockHeight, Sat
from fulmen.core.commitments.building import build
from fulmen.core.onchain.matters import HtlcTx, Matter, Purpose, Spent
from fulmen.core.transactions.commitment import CommitmentOutput, CommitmentTx, Role
from fulmen.core.transactions.spending import spend_anchor, spend_second_stage, spend_to_local


class HtlcSignaturesMissing(InvariantBroken):
    """The peer's signatures that we kept do not fit the HTLCs of our commitment."""


def matters_of_local(spent: Spent) -> tuple[Matter, ...]:
    """The outputs of our commitment that matter to us.

    BOLT 5: "MAY ignore the `to_remote` output."
    """
    view = spent.close.local
    commitment = build(view)
    signatures = spent.close.funding.peer_htlc_signatures
    if len(signatures) != len(commitment.htlcs):
        raise HtlcSignaturesMissing(signatures=len(signatures), htlcs=len(commitment.htlcs))
    signature_of = {htlc.vout: signature for htlc, signature in zip(commitment.htlcs, signatures, strict=True)}
    found = []
    for output in commitment.outputs:
        matter = Matter(
            Purpose.WATCH,
            OutPoint(commitment.txid, output.vout),
            output.amount_sat,
            output.script_pubkey,
            spent.block.height,
            view.per_commitment_point,
            output,
        )
        if output.role is Role.TO_LOCAL:
            # BOLT 5: "MUST wait until the `OP_CHECKSEQUENCEVERIFY` delay has passed"
            spend = spend_to_local(output, commitment.shape.to_self_delay)
            found.append(matter.but(purpose=Purpose.TO_LOCAL, spend=spend))
        elif output.role is Role.LOCAL_ANCHOR:
            found.append(matter.but(purpose=Purpose.ANCHOR, spend=spend_anchor(output)))
        elif output.key is not None:
            found.append(_htlc(commitment, matter, output, signature_of[output.vout]))
    return tuple(found)


def _htlc(commitment: CommitmentTx, matter: Matter, output: CommitmentOutput, signature: Signature) -> Matter:
    htlc_tx = HtlcTx(
        commitment.htlc_tx(output), output, signature, commitment.second_stage_script, commitment.shape.to_self_delay
    )
    purpose = Purpose.HTLC_TIMEOUT if output.role is Role.OFFERED_HTLC else Purpose.HTLC_SUCCESS
    return matter.but(purpose=purpose, htlc_tx=htlc_tx)


def second_stage(matter: Matter, outpoint: OutPoint, amount_sat: Sat, height: BlockHeight) -> Matter:
    """The output of an HTLC transaction of ours, in a block of this height.

    BOLT 5: "MUST resolve the output of that HTLC-timeout transaction."
    """
    htlc_tx = matter.htlc_tx
    assert htlc_tx is not None
    spend = spend_second_stage(amount_sat, htlc_tx.second_stage_script, htlc_tx.to_self_delay)
    return Matter(
        Purpose.SECOND_STAGE,
        outpoint,
        amount_sat,
        spend.script_pubkey,
        height,
        matter.per_commitment_point,
        spend=spend,
    )
