"""The peer's current or next commitment is in a block: our balance, and HTLCs that one signature of ours takes.

BOLT 5, "Unilateral Close Handling: Remote Commitment Transaction". "There may be more than one valid, *unrevoked*
commitment transaction", and each is handled alike.
"""

from __future__ import annotations

from collections.abc import Iterable

from fulmen.core.base.ids import OutPoint, Point
from fulmen.core.commitments.building import build
from fulmen.core.commitments.view import CommitmentView
from fulmen.core.onchain.matters import Matter, Purpose, Spent
from fulmen.core.transactions.commitment import CommitmentOutput, Role
from fulmen.core.transactions.formats import format_named
from fulmen.core.transactions.spending import spend_to_remote, take_back_received_htlc


def matters_of_remote(spent: Spent, view: CommitmentView) -> tuple[Matter, ...]:
    """The outputs of a commitment of the peer, spelled out by `view`, that matter to us.

    BOLT 5: "MAY take no action in regard to the associated `to_local`". Our `to_remote` we do take: so no script of
    a dead channel has to be remembered.
    """
    return matters_among(spent, build(view).outputs, view.per_commitment_point)


def matters_among(spent: Spent, outputs: Iterable[CommitmentOutput], point: Point) -> tuple[Matter, ...]:
    """How we take those outputs of a peer's commitment that are ours to take; roles are seen from the peer.

    Args:
        point: the peer's per-commitment point of this commitment.
    """
    csv = format_named(spent.close.funding.format).csv
    payment_basepoint = spent.close.params.local.basepoints.payment_basepoint
    found = []
    for output in outputs:
        matter = Matter(
            Purpose.WATCH,
            OutPoint(spent.tx.txid, output.vout),
            output.amount_sat,
            output.script_pubkey,
            spent.block.height,
            output=output,
        )
        if output.role is Role.TO_REMOTE:
            found.append(matter.but(purpose=Purpose.TO_REMOTE, spend=spend_to_remote(output, payment_basepoint, csv)))
        elif output.role is Role.RECEIVED_HTLC:
            spend = take_back_received_htlc(output, csv)
            found.append(matter.but(purpose=Purpose.TAKE_BACK, spend=spend, per_commitment_point=point))
        elif output.role is Role.OFFERED_HTLC:
            found.append(matter.but(purpose=Purpose.CLAIM, csv=csv, per_commitment_point=point))
    return tuple(found)
