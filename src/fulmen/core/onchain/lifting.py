"""Our own commitment pays too little to be mined in time: a child that spends our anchor pays for both.

BOLT 5, "Failing a Channel": "MUST spend any `to_local_anchor` output, providing sufficient fees as incentive to
include the commitment transaction in a block." One child, at the feerate of the block that made it necessary.
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.funds import AttachFee, ForeignInput, Output
from fulmen.core.base.ids import OutPoint
from fulmen.core.base.machine import Address, Step, Tell
from fulmen.core.base.outer import SignRequest
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.transaction import fee_at
from fulmen.core.commitments.building import build
from fulmen.core.commitments.view import CommitmentView
from fulmen.core.onchain.claims import SEGWIT_WEIGHT, WALLET, clamped, ref_of
from fulmen.core.onchain.state import Claim, Onchain
from fulmen.core.signer.requests import SignSpend
from fulmen.core.transactions.commitment import CommitmentOutput, CommitmentTx, Role
from fulmen.core.transactions.funding import FUNDING_INPUT_WITNESS_WEIGHT
from fulmen.core.transactions.spending import spend_anchor

CHILD = "anchor child"
CHILD_WEIGHT = 4 * 10 + 2 + 4 * 41 + 116 + 4 * 41 + 108 + 4 * 43
"""About what the child weighs: our anchor, a coin, its change."""


def lift(state: Onchain, env: Env) -> Step[Onchain]:
    """Ask the wallet for a child of the commitment that we publish, if there is none and it would help."""
    step = Step(state)
    if state.publishing is None:
        return step
    commitment = build(state.publishing)
    anchor = commitment.output(Role.LOCAL_ANCHOR)
    if anchor is None or OutPoint(commitment.txid, anchor.vout) in state.claim_on:
        return step
    has_deadline = bool(commitment.htlcs)
    feerate = clamped(env.feerates.urgent_per_kw if has_deadline else env.feerates.closing_per_kw, env)
    weight = 4 * len(commitment.tx.base) + SEGWIT_WEIGHT + FUNDING_INPUT_WITNESS_WEIGHT
    missing = fee_at(feerate, weight) - commitment.fee_sat
    if missing <= 0 or missing + fee_at(feerate, CHILD_WEIGHT) >= _at_stake(commitment):
        return step
    spend = spend_anchor(anchor)
    outpoint = OutPoint(commitment.txid, anchor.vout)
    return step.act(
        Tell(
            WALLET,
            AttachFee(
                ref_of(state, outpoint),
                Address("onchain", state.channel_id),
                CHILD,
                (
                    ForeignInput(
                        outpoint, spend.sequence, Output(anchor.amount_sat, anchor.script_pubkey), spend.weight
                    ),
                ),
                (),
                0,
                commitment.tx.version,
                feerate,
                Sat(missing),
            ),
        )
    )


def child_of(publishing: CommitmentView, outpoint: OutPoint, raw: bytes, sign: SignRequest, ref: bytes) -> Claim | None:
    """The child as the wallet gave it back; None if it is not of the commitment that we publish."""
    commitment = build(publishing)
    anchor = commitment.output(Role.LOCAL_ANCHOR)
    if anchor is None or outpoint != OutPoint(commitment.txid, anchor.vout):
        return None
    ours = SignSpend(publishing.params.key_index, publishing.per_commitment_point, spend_anchor(anchor))
    return Claim(commitment.txid, outpoint, CHILD, raw, (ours, sign), ref)


def _at_stake(commitment: CommitmentTx) -> Sat:
    """What we have in it at most: our balance and all HTLCs."""

    def may_be_ours(output: CommitmentOutput) -> bool:
        return output.role is Role.TO_LOCAL or output.key is not None

    return Sat(sum(output.amount_sat for output in commitment.outputs if may_be_ours(output)))
