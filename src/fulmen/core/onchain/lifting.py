"""A commitment that pays too little to be mined in time: a child that spends our anchor on it pays for both.

BOLT 5, "Failing a Channel": "MUST spend any `to_local_anchor` output, providing sufficient fees as incentive to
include the commitment transaction in a block"; "SHOULD use replace-by-fee or other mechanism on the spending
transaction if it proves insufficient". Our own commitment is lifted as soon as we publish it. The peer's, once the
mempool has it, only when an HTLC in it has a deadline of ours and a quarter of the time is gone: before, it is the
peer's affair. Half of the time until the first deadline is for the commitment, the rest for what follows on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from fulmen.core.base.env import Env
from fulmen.core.base.funds import AttachFee, FeeAttached, ForeignInput, Output, Parent
from fulmen.core.base.ids import OFFERED, HtlcKey, OutPoint, Txid
from fulmen.core.base.machine import Address, Step, Tell
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, FeeratePerKw, Sat, Weight
from fulmen.core.bitcoin.transaction import INCREMENTAL_PER_KW
from fulmen.core.commitments.building import build
from fulmen.core.commitments.commitment import LOCAL
from fulmen.core.commitments.view import CommitmentView
from fulmen.core.onchain.classify import Kind
from fulmen.core.onchain.deadlines import Stake, back_by, clamped, fee_due, floor_of, share_of
from fulmen.core.onchain.htlc_txs import FEE_INPUT_AND_CHANGE_WEIGHT, WALLET, ref_of
from fulmen.core.onchain.state import Claim, Ending, Onchain
from fulmen.core.onchain.sweeps import SEGWIT_WEIGHT
from fulmen.core.signer.requests import SignSpend
from fulmen.core.transactions.commitment import CommitmentOutput, CommitmentTx, Role
from fulmen.core.transactions.funding import FUNDING_INPUT_WITNESS_WEIGHT
from fulmen.core.transactions.spending import spend_anchor

CHILD = "anchor child"


class Liftable(Record, dict=True):
    """An unconfirmed commitment with an anchor that we can spend."""

    view: CommitmentView
    since: BlockHeight
    claimable: tuple[HtlcKey, ...]
    """HTLCs whose preimage we know; it matters for those that we received."""

    @cached_property
    def commitment(self) -> CommitmentTx:
        """The transaction."""
        return build(self.view)

    @property
    def anchor(self) -> CommitmentOutput | None:
        """Ours, or the one that both share."""
        role = Role.LOCAL_ANCHOR if self.view.side is LOCAL else Role.REMOTE_ANCHOR
        return self.commitment.output(role) or self.commitment.output(Role.SHARED_ANCHOR)

    @property
    def weight(self) -> Weight:
        """Of the commitment with both signatures."""
        return Weight(4 * len(self.commitment.tx.base) + SEGWIT_WEIGHT + FUNDING_INPUT_WITNESS_WEIGHT)


def lift(state: Onchain, env: Env) -> Step[Onchain]:
    """Ask the wallet for the children that are due now, or for more than they pay."""
    step = Step(state)
    if state.ending is not None:
        return step
    for liftable in liftables(state):
        request = _child(state, liftable, env)
        if request is not None:
            step.act(request)
    return step


def liftables(state: Onchain) -> Iterator[Liftable]:
    """The peer's commitment that the mempool has, then ours that we publish: one of them will be mined."""
    publishing, coming = state.publishing, state.coming
    ours = () if publishing is None else publishing.claimable
    if coming is not None:
        view = _view_of_the_peers(coming)
        if view is not None:
            known = [one.key for one in coming.close.preimages]
            yield Liftable(view, BlockHeight(coming.block.height - 1), tuple(dict.fromkeys((*known, *ours))))
    if publishing is not None:
        yield Liftable(publishing.commitment, publishing.since, ours)


def child_in(state: Onchain, given: FeeAttached, outpoint: OutPoint) -> Claim | None:
    """The child as the wallet gave it back; None if its parent is neither published nor seen any more."""
    for liftable in liftables(state):
        anchor, view = liftable.anchor, liftable.view
        if anchor is not None and outpoint == OutPoint(liftable.commitment.txid, anchor.vout):
            ours = SignSpend(view.params.key_index, view.per_commitment_point, spend_anchor(anchor))
            txid, sign = liftable.commitment.txid, (ours, given.sign)
            return Claim(txid, (outpoint,), CHILD, given.tx, sign, given.fee_sat, given.feerate_per_kw, given.ref)
    return None


def unconfirmed_roots(state: Onchain) -> dict[Txid, bytes]:
    """The commitments that children may follow, and what there is of them: complete where we have not to sign it."""
    roots: dict[Txid, bytes] = {}
    if state.publishing is not None:
        roots[build(state.publishing.commitment).txid] = b""
    if state.coming is not None and state.coming.kind is not Kind.LOCAL:
        roots[state.coming.txid] = state.coming.tx
    return roots


def _view_of_the_peers(coming: Ending) -> CommitmentView | None:
    if coming.kind is Kind.REMOTE:
        return coming.close.remote
    return coming.close.remote_next if coming.kind is Kind.REMOTE_NEXT else None


def _child(state: Onchain, liftable: Liftable, env: Env) -> Tell | None:
    commitment, anchor = liftable.commitment, liftable.anchor
    last_block = _last_block(liftable, env)
    if anchor is None or (liftable.view.side is not LOCAL and not _is_ours_to_lift(liftable, last_block, env)):
        return None
    outpoint = OutPoint(commitment.txid, anchor.vout)
    claim = state.claim_on.get(outpoint)
    parent = Parent(liftable.weight, commitment.fee_sat)
    spend = spend_anchor(anchor)
    weight = parent.weight + 4 * 10 + SEGWIT_WEIGHT + spend.weight + FEE_INPUT_AND_CHANGE_WEIGHT
    # The market's price may cost a share of all that we have in it; what a missed deadline costs is the HTLCs alone.
    budget = Sat(share_of(_balance(liftable) + _in_htlcs(liftable), env) + parent.fee_sat)
    at_risk = Sat(share_of(_in_htlcs(liftable), env) + parent.fee_sat)
    bid = FeeratePerKw(0) if claim is None else claim.feerate_per_kw
    stake = Stake(budget, liftable.since, last_block, bid, at_risk_sat=at_risk)
    fee = min(fee_due(stake, weight, env), budget)
    rate = clamped(FeeratePerKw(fee * 1000 // weight), env)
    least = FeeratePerKw(parent.fee_sat * 1000 // parent.weight + 1 if claim is None else bid + INCREMENTAL_PER_KW)
    if rate < least:
        return None
    request = AttachFee(
        ref_of(state, outpoint),
        Address("onchain", state.channel_id),
        CHILD,
        (ForeignInput(outpoint, spend.sequence, Output(anchor.amount_sat, anchor.script_pubkey), spend.weight),),
        (),
        0,
        commitment.tx.version,
        rate,
        max(floor_of(env), least),
        parent,
    )
    return Tell(WALLET, request)


def _is_ours_to_lift(liftable: Liftable, last_block: BlockHeight | None, env: Env) -> bool:
    """Whether a commitment of the peer has waited long enough, who may lift it as well as we can."""
    if last_block is None:
        return False
    return env.height >= liftable.since + (last_block - liftable.since) // 4


def _last_block(liftable: Liftable, env: Env) -> BlockHeight | None:
    """The last block for the commitment: half way to the first deadline of its HTLCs."""
    lasts = [
        back_by(output.cltv_expiry, env) if _key_of(output).direction is OFFERED else output.cltv_expiry
        for output in _may_be_ours(liftable)
    ]
    if not lasts:
        return None
    return BlockHeight(liftable.since + (min(lasts) - liftable.since) // 2)


def _may_be_ours(liftable: Liftable) -> list[CommitmentOutput]:
    """HTLCs that we offered, and those we received and can claim."""
    return [
        output
        for output in liftable.commitment.htlcs
        if _key_of(output).direction is OFFERED or output.key in liftable.claimable
    ]


def _key_of(htlc: CommitmentOutput) -> HtlcKey:
    assert htlc.key is not None
    return htlc.key


def _in_htlcs(liftable: Liftable) -> Sat:
    return Sat(sum(output.amount_sat for output in _may_be_ours(liftable)))


def _balance(liftable: Liftable) -> Sat:
    role = Role.TO_LOCAL if liftable.view.side is LOCAL else Role.TO_REMOTE
    return Sat(sum(output.amount_sat for output in liftable.commitment.outputs if output.role is role))
