"""From an output that matters to the transaction that takes it: one for each output, decided once, when it is ripe.

BOLT 5: all outputs "MUST be spent"; what costs more than it brings is given up by name. The transaction is durable, so
that the same one is published with every block and after every restart.
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.funds import AskScript, AttachFee, DetachFee, ForeignInput, Output
from fulmen.core.base.ids import OutPoint, Txid
from fulmen.core.base.machine import Action, Address, Step, Tell
from fulmen.core.base.outer import Notify, SignRequest
from fulmen.core.base.units import FeeratePerKw, Sat
from fulmen.core.bitcoin.script import dust_limit
from fulmen.core.bitcoin.transaction import Tx, TxOut, fee_at
from fulmen.core.onchain.facts import ClaimDecided, OutputGivenUp
from fulmen.core.onchain.matters import Matter, Purpose
from fulmen.core.onchain.state import Claim, Ending, Onchain
from fulmen.core.signer.requests import SignHtlcTx, SignSpend
from fulmen.core.transactions.formats import format_named
from fulmen.core.transactions.spending import (
    INPUT_WEIGHT,
    Signer,
    Spend,
    htlc_tx_input_weight,
    spend_second_stage,
    sweep_tx,
)

WALLET = Address("wallet")
SEGWIT_WEIGHT = 2
"""Marker and flag."""
FEE_INPUT_AND_CHANGE_WEIGHT = 4 * 41 + 108 + 4 * 43
"""About what it adds to an HTLC transaction that the wallet pays for it: a coin and its change."""

_DEADLINED = (
    Purpose.HTLC_TIMEOUT,
    Purpose.HTLC_SUCCESS,
    Purpose.TAKE_BACK,
    Purpose.CLAIM,
    Purpose.PUNISH_TO_LOCAL,
    Purpose.PUNISH_HTLC,
    Purpose.PUNISH_SECOND_STAGE,
)


def claim_all(state: Onchain, env: Env) -> Step[Onchain]:
    """Decide how to take every output that is ours, ripe, and not decided yet."""
    step = Step(state)
    assert state.ending is not None
    wanted = [matter for matter in state.matters.values() if _is_due(state, matter, env)]
    if wanted and not state.destination:
        # The answer comes in the same batch, and with it we come here again.
        return step.act(Tell(WALLET, AskScript(b"onchain" + state.channel_id, Address("onchain", state.channel_id))))
    for matter in wanted:
        _claim(step, state.ending, matter, env)
    return step


def ref_of(state: Onchain, outpoint: OutPoint) -> bytes:
    """The name under which the wallet pays the fee of the transaction that takes this output."""
    return b"onchain" + state.channel_id + outpoint.txid + outpoint.vout.to_bytes(4, "big")


def outpoint_of(ref: bytes) -> OutPoint:
    """The output that a request to the wallet is about: the reverse of `ref_of`."""
    return OutPoint(Txid(ref[-36:-4]), int.from_bytes(ref[-4:], "big"))


def detach(wallet_ref: bytes) -> Tell:
    """Give the wallet back what it lent to a transaction that can no longer be."""
    return Tell(WALLET, DetachFee(wallet_ref))


def voided(before: Onchain, after: Onchain) -> tuple[Action, ...]:
    """Give the wallet back what it lent to transactions that have gone from our state."""
    kept = dict.fromkeys(claim.wallet_ref for claim in after.claims)
    return tuple([detach(c.wallet_ref) for c in before.claims if c.wallet_ref and c.wallet_ref not in kept])


def clamped(feerate_per_kw: FeeratePerKw, env: Env) -> FeeratePerKw:
    """A feerate within our floor and cap."""
    return max(floor_of(env), min(feerate_per_kw, env.policy.feerates.cap_per_kw))


def floor_of(env: Env) -> FeeratePerKw:
    """The least feerate that we use."""
    return max(env.policy.feerates.floor_per_kw, env.feerates.floor_per_kw)


def _is_due(state: Onchain, matter: Matter, env: Env) -> bool:
    if matter.purpose in (Purpose.WATCH, Purpose.ANCHOR) or env.height < matter.ripe_at:
        return False
    if matter.outpoint in state.taken_by or matter.outpoint in state.is_given_up or matter.outpoint in state.claim_on:
        return False
    return not matter.purpose.needs_preimage or state.preimage_for(matter) is not None


def _claim(step: Step[Onchain], ending: Ending, matter: Matter, env: Env) -> None:
    """Decide one: a transaction, a request to the wallet that pays for it, or to let it be."""
    feerate = env.feerates.urgent_per_kw if matter.purpose in _DEADLINED else env.feerates.closing_per_kw
    for candidate in (clamped(feerate, env), floor_of(env)):
        decided = _at_feerate(step.state, ending, matter, candidate)
        if isinstance(decided, Claim):
            step.fact(ClaimDecided(decided))
            return
        if decided is not None:
            step.act(decided)
            return
    why = f"{matter.amount_sat} sat cost more than they bring at {floor_of(env)} sat/kw"
    step.fact(OutputGivenUp(matter.outpoint, why))
    about = {"channel_id": step.state.channel_id.hex(), "output": str(matter.outpoint), "what": matter.purpose.value}
    step.act(Notify("onchain", about | {"given_up": why}))


def _at_feerate(state: Onchain, ending: Ending, matter: Matter, feerate: FeeratePerKw) -> Claim | Tell | None:
    if matter.htlc_tx is not None:
        return _by_htlc_tx(state, ending, matter, feerate)
    spend = matter.spend_with(state.preimage_for(matter))
    assert spend is not None, "only what is due is claimed"
    fee = fee_at(feerate, weight_of_sweep(matter.outpoint, spend, state.destination))
    return claimed_by_spend(state, ending, matter, fee)


def claimed_by_spend(state: Onchain, ending: Ending, matter: Matter, fee_sat: Sat) -> Claim | None:
    """The transaction that takes an output with one signature of ours, or None if nothing would be left of it."""
    spend = matter.spend_with(state.preimage_for(matter))
    assert spend is not None, "only what is due is claimed"
    tx = _sweep(matter.outpoint, spend, state.destination, fee_sat)
    if tx is None:
        return None
    secret = None if matter.punished is None else matter.punished.per_commitment_secret
    sign = SignSpend(ending.close.params.key_index, matter.per_commitment_point, spend, per_commitment_secret=secret)
    return _decided(ending, matter, tx, (sign,))


def weight_of_sweep(outpoint: OutPoint, spend: Spend, destination: bytes) -> int:
    """Of the transaction that takes one output to our wallet, with the longest signature."""
    empty = sweep_tx(((outpoint, spend),), (TxOut(Sat(0), destination),))
    witness = 0 if spend.signer is Signer.NOBODY and not spend.rest else SEGWIT_WEIGHT
    return 4 * len(empty.base) + witness + spend.weight - INPUT_WEIGHT


def swept(outpoint: OutPoint, spend: Spend, destination: bytes, feerate_per_kw: FeeratePerKw) -> Tx | None:
    """The transaction that takes one output to our wallet, or None if nothing would be left of it."""
    return _sweep(outpoint, spend, destination, fee_at(feerate_per_kw, weight_of_sweep(outpoint, spend, destination)))


def _sweep(outpoint: OutPoint, spend: Spend, destination: bytes, fee_sat: Sat) -> Tx | None:
    left = Sat(spend.amount_sat - fee_sat)
    if left < dust_limit(destination):
        return None
    return sweep_tx(((outpoint, spend),), (TxOut(left, destination),))


def _by_htlc_tx(state: Onchain, ending: Ending, matter: Matter, feerate: FeeratePerKw) -> Claim | Tell | None:
    """The HTLC transaction that the peer signed: as it is where it pays its own fee, else with coins of the wallet.

    BOLT 5, "Generation of HTLC Transactions": "MUST combine it with inputs contributing sufficient fee to ensure timely
    inclusion in a block."
    """
    htlc_tx, output = matter.htlc_tx, matter.output
    assert htlc_tx is not None and output is not None
    tx = htlc_tx.tx
    if format_named(ending.close.funding.format).htlc_tx_pays_fee:
        return _decided(ending, matter, tx, (sign_htlc_tx(state, ending, matter),))
    weight = htlc_tx_input_weight(output)
    fee = fee_at(feerate, 4 * len(tx.base) + SEGWIT_WEIGHT + weight - INPUT_WEIGHT + FEE_INPUT_AND_CHANGE_WEIGHT)
    second = spend_second_stage(tx.outputs[0].amount_sat, htlc_tx.second_stage_script, htlc_tx.to_self_delay)
    left = swept(matter.outpoint, second, state.destination, feerate)
    if left is None or left.outputs[0].amount_sat <= fee:
        return None
    return Tell(
        WALLET,
        AttachFee(
            ref_of(state, matter.outpoint),
            Address("onchain", state.channel_id),
            matter.purpose.value,
            (
                ForeignInput(
                    matter.outpoint, tx.inputs[0].sequence, Output(matter.amount_sat, matter.script_pubkey), weight
                ),
            ),
            tuple([Output(out.amount_sat, out.script_pubkey) for out in tx.outputs]),
            tx.locktime,
            tx.version,
            feerate,
        ),
    )


def sign_htlc_tx(state: Onchain, ending: Ending, matter: Matter) -> SignHtlcTx:
    """What the key holder is asked for an HTLC transaction: its input is always the first."""
    assert matter.htlc_tx is not None and matter.output is not None
    return SignHtlcTx(
        ending.close.params.key_index,
        matter.per_commitment_point,
        ending.close.funding.format,
        matter.output,
        matter.htlc_tx.peer_signature,
        state.preimage_for(matter),
    )


def with_fee(state: Onchain, ending: Ending, matter: Matter, raw: bytes, sign: SignRequest, ref: bytes) -> Claim:
    """The HTLC transaction as the wallet gave it back, with its fee."""
    requests = (sign_htlc_tx(state, ending, matter), sign)
    return Claim(ending.txid, matter.outpoint, matter.purpose.value, raw, requests, ref)


def _decided(ending: Ending, matter: Matter, tx: Tx, sign: tuple[SignRequest, ...]) -> Claim:
    return Claim(ending.txid, matter.outpoint, matter.purpose.value, tx.serialize(), sign)
