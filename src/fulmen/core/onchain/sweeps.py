"""Transactions that take outputs with one signature of ours each, and pay their fee out of what they take."""

from __future__ import annotations

from collections.abc import Sequence

from fulmen.core.base.env import Env
from fulmen.core.base.ids import OutPoint
from fulmen.core.base.units import FeeratePerKw, Sat
from fulmen.core.bitcoin.script import dust_limit
from fulmen.core.bitcoin.transaction import INCREMENTAL_PER_KW, TxOut, fee_at
from fulmen.core.onchain.deadlines import fee_due, floor_of, stake_of
from fulmen.core.onchain.matters import Matter
from fulmen.core.onchain.state import Claim, Ending, Onchain
from fulmen.core.signer.requests import SignSpend
from fulmen.core.transactions.spending import INPUT_WEIGHT, Signer, Spend, sweep_tx

SEGWIT_WEIGHT = 2
"""Marker and flag."""


def sweep(state: Onchain, ending: Ending, lot: Sequence[Matter], env: Env, older: Sequence[Claim] = ()) -> Claim:
    """The transaction that takes a lot for what is due now; each output of it `is_worth_taking`.

    Args:
        older: transactions of ours that a mempool may have, and that cannot be together with this one: it pays for them
            as well, if the lot is worth that.
    """
    weight = weight_of(_spends(state, lot), state.destination)
    stake = stake_of(state, lot, env)
    fee = fee_due(stake, weight, env)
    replacing = replacement_fee(older, weight)
    if fee < replacing <= stake.budget_sat:
        fee = replacing
    most = sum(matter.amount_sat for matter in lot) - dust_limit(state.destination)
    return _built(state, ending, lot, weight, Sat(min(fee, most)))


def makes_room(state: Onchain, claim: Claim, lot: Sequence[Matter], older: Sequence[Claim]) -> bool:
    """Whether a transaction pays enough to take the place of others in a mempool."""
    return claim.fee_sat >= replacement_fee(older, weight_of(_spends(state, lot), state.destination))


def replacement_fee(older: Sequence[Claim], weight: int) -> Sat:
    """What a transaction of this weight has to pay at least that replaces others: BIP 125, rules 3 and 4."""
    return Sat(sum(claim.fee_sat for claim in older) + fee_at(INCREMENTAL_PER_KW, weight)) if older else Sat(0)


def raised(state: Onchain, ending: Ending, claim: Claim, lot: Sequence[Matter], env: Env) -> Claim | None:
    """The transaction that replaces one that has waited, or None while no higher fee is due."""
    weight = weight_of(_spends(state, lot), state.destination)
    most = sum(matter.amount_sat for matter in lot) - dust_limit(state.destination)
    fee = min(fee_due(stake_of(state, lot, env), weight, env), most)
    if fee < replacement_fee((claim,), weight):
        return None
    return _built(state, ending, lot, weight, Sat(fee))


def parted(state: Onchain, ending: Ending, claim: Claim, lot: Sequence[Matter], env: Env) -> Claim | None:
    """The transaction that takes one output out of a batch whose deadline is near, if one alone can pay for that.

    In a mempool it has to pay for all that it replaces there; the others are free to go on then, each by itself.
    """
    for matter in sorted(lot, key=lambda matter: -matter.amount_sat):
        weight = weight_of(_spends(state, (matter,)), state.destination)
        fee = replacement_fee((claim,), weight)
        stake = stake_of(state, (matter,), env)
        if fee <= stake.budget_sat:
            # The floor of the mempool may have risen above all that it is worth.
            most = Sat(matter.amount_sat - dust_limit(state.destination))
            return _built(state, ending, (matter,), weight, min(max(fee, fee_due(stake, weight, env)), most))
    return None


def is_worth_taking(state: Onchain, matter: Matter, env: Env) -> bool:
    """Whether anything is left of an output when it pays for its transaction at the lowest feerate."""
    weight = weight_of(_spends(state, (matter,)), state.destination)
    return matter.amount_sat - fee_at(floor_of(env), weight) >= dust_limit(state.destination)


def weight_of(spends: tuple[tuple[OutPoint, Spend], ...], destination: bytes) -> int:
    """Of the transaction that takes outputs to our wallet, with the longest signatures."""
    empty = sweep_tx(spends, (TxOut(Sat(0), destination),))
    if all(spend.signer is Signer.NOBODY and not spend.rest for _, spend in spends):
        return 4 * len(empty.base)  # no witness at all, and so not even the counts of none
    return 4 * len(empty.base) + SEGWIT_WEIGHT + sum(spend.weight - INPUT_WEIGHT for _, spend in spends)


def name_of(lot: Sequence[Matter]) -> str:
    """What a transaction is, for logs and lists."""
    return " + ".join(dict.fromkeys(matter.purpose.value for matter in lot))


def _spends(state: Onchain, lot: Sequence[Matter]) -> tuple[tuple[OutPoint, Spend], ...]:
    spends = []
    for matter in lot:
        spend = matter.spend_with(state.preimage_for(matter))
        assert spend is not None, "only what is due is taken"
        spends.append((matter.outpoint, spend))
    return tuple(spends)


def _built(state: Onchain, ending: Ending, lot: Sequence[Matter], weight: int, fee_sat: Sat) -> Claim:
    spends = _spends(state, lot)
    amount = Sat(sum(matter.amount_sat for matter in lot) - fee_sat)
    tx = sweep_tx(spends, (TxOut(amount, state.destination),))
    sign = tuple(
        [
            SignSpend(
                ending.close.params.key_index,
                matter.per_commitment_point,
                spend,
                index,
                None if matter.punished is None else matter.punished.per_commitment_secret,
            )
            for index, (matter, (_, spend)) in enumerate(zip(lot, spends, strict=True))
        ]
    )
    outpoints = tuple([matter.outpoint for matter in lot])
    rate = FeeratePerKw(fee_sat * 1000 // weight)
    return Claim(ending.txid, outpoints, name_of(lot), tx.serialize(), sign, fee_sat, rate)
