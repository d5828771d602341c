"""The funding went where we cannot follow: state that we have lost, or keys that have leaked.

BOLT 5: "It can derive its own `remotepubkey` for the transaction, in order to salvage its own funds. Note: in this
scenario, the node will be unable to salvage the HTLCs." What we cannot read is watched, for its spenders may show
preimages.
"""

from __future__ import annotations

from fulmen.core.base.ids import OutPoint, Point
from fulmen.core.bitcoin.script import Form, form_of
from fulmen.core.onchain.classify import to_remote_of
from fulmen.core.onchain.matters import Matter, Purpose, Spent
from fulmen.core.onchain.remote_close import matters_among
from fulmen.core.transactions.commitment import CommitmentOutput, Role


def matters_of_unknown(spent: Spent) -> tuple[Matter, ...]:
    """Our balance, and every output whose script is hidden."""
    outputs = to_remote_in(spent)
    found = matters_among(spent, outputs, Point(b""))
    return (*found, *watched(spent, [output.vout for output in outputs]))


def to_remote_in(spent: Spent) -> tuple[CommitmentOutput, ...]:
    """Every output that pays our balance on a commitment of the peer."""
    script_pubkey, witness_script = to_remote_of(spent.close, ours=True)
    return tuple(
        CommitmentOutput(Role.TO_REMOTE, vout, output.amount_sat, script_pubkey, witness_script)
        for vout, output in enumerate(spent.tx.outputs)
        if output.script_pubkey == script_pubkey
    )


def watched(spent: Spent, known: list[int]) -> tuple[Matter, ...]:
    """The outputs but for the known ones that may be HTLCs, for all that we can see of them."""
    return tuple(
        Matter(
            Purpose.WATCH,
            OutPoint(spent.tx.txid, vout),
            output.amount_sat,
            output.script_pubkey,
            spent.block.height,
        )
        for vout, output in enumerate(spent.tx.outputs)
        if vout not in known and form_of(output.script_pubkey) is Form.P2WSH
    )
