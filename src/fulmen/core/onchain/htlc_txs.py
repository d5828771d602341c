"""HTLC transactions of our own commitment: as the peer signed them, or with coins of the wallet that pay their fee.

With option_anchors the peer signs one input and the one output at its place (SIGHASH_SINGLE | SIGHASH_ANYONECANPAY), so
that several may stand in one transaction. BOLT 5, "Generation of HTLC Transactions": "MUST combine it with inputs
contributing sufficient fee to ensure timely inclusion in a block. MAY combine it with other transactions." Inputs and
outputs of equal place belong together; all of them share one locktime, which the peer's signatures cover.
"""

from __future__ import annotations

from collections.abc import Sequence

from fulmen.core.base.env import Env
from fulmen.core.base.funds import AttachFee, FeeAttached, ForeignInput, Output
from fulmen.core.base.ids import OutPoint, Txid
from fulmen.core.base.machine import Address, Tell
from fulmen.core.base.units import FeeratePerKw
from fulmen.core.bitcoin.script import dust_limit
from fulmen.core.bitcoin.transaction import INCREMENTAL_PER_KW, fee_at, fee_of, parse_tx
from fulmen.core.onchain.deadlines import feerate_due, floor_of, stake_of
from fulmen.core.onchain.matters import Matter
from fulmen.core.onchain.state import Claim, Ending, Onchain
from fulmen.core.onchain.sweeps import SEGWIT_WEIGHT, name_of, weight_of
from fulmen.core.signer.requests import SignHtlcTx
from fulmen.core.transactions.formats import format_named
from fulmen.core.transactions.spending import htlc_tx_input_weight, spend_second_stage

WALLET = Address("wallet")
FEE_INPUT_AND_CHANGE_WEIGHT = 4 * 41 + 108 + 4 * 43
"""About what it adds to an HTLC transaction that the wallet pays for it: a coin and its change."""


def pays_its_fee(ending: Ending) -> bool:
    """Whether HTLC transactions of this channel carry a fee that nobody can change."""
    return format_named(ending.close.funding.format).htlc_tx_pays_fee


def as_it_is(state: Onchain, ending: Ending, matter: Matter) -> Claim:
    """The HTLC transaction that the peer signed whole, with the fee of the commitment's feerate."""
    htlc_tx = matter.htlc_tx
    assert htlc_tx is not None
    fee = fee_of(htlc_tx.tx, matter.amount_sat)
    rate = FeeratePerKw(fee * 1000 // _weight((matter,)))
    sign = (sign_htlc_tx(state, ending, matter, 0),)
    return Claim(ending.txid, (matter.outpoint,), name_of((matter,)), htlc_tx.tx.serialize(), sign, fee, rate)


def is_worth_paying(state: Onchain, matter: Matter, env: Env) -> bool:
    """Whether both stages of an HTLC bring more than they cost at the lowest feerate."""
    htlc_tx = matter.htlc_tx
    assert htlc_tx is not None
    floor = floor_of(env)
    second = spend_second_stage(htlc_tx.tx.outputs[0].amount_sat, htlc_tx.second_stage_script, htlc_tx.to_self_delay)
    left = second.amount_sat - fee_at(floor, weight_of(((matter.outpoint, second),), state.destination))
    return left >= dust_limit(state.destination) and left > fee_at(floor, _weight((matter,)) + _PAID_FOR)


def ask_for_fee(state: Onchain, lot: Sequence[Matter], env: Env, alongside: int = 0) -> Tell | None:
    """Ask the wallet to pay for the HTLC transactions of a lot in one; None while what it pays already is enough.

    Args:
        alongside: how many more lots it is asked to pay for at once.
    """
    weight = _weight(lot) + _PAID_FOR
    rate = feerate_due(stake_of(state, lot, env), weight, env)
    least = floor_of(env)
    claim = state.claim_on.get(lot[0].outpoint)
    if claim is not None:
        least = FeeratePerKw(claim.feerate_per_kw + INCREMENTAL_PER_KW)
        if rate < least:
            return None
    inputs, outputs = [], []
    for matter in lot:
        assert matter.htlc_tx is not None
        tx, weighs = matter.htlc_tx.tx, htlc_tx_input_weight(matter.htlc_tx.htlc)
        spent = Output(matter.amount_sat, matter.script_pubkey)
        inputs.append(ForeignInput(matter.outpoint, tx.inputs[0].sequence, spent, weighs))
        outputs += [Output(out.amount_sat, out.script_pubkey) for out in tx.outputs]
    request = AttachFee(
        ref_of(state, lot[0].outpoint),
        Address("onchain", state.channel_id),
        name_of(lot),
        tuple(inputs),
        tuple(outputs),
        tx.locktime,
        tx.version,
        rate,
        least,
        alongside=alongside,
    )
    return Tell(WALLET, request)


def with_fee(state: Onchain, ending: Ending, lot: Sequence[Matter], given: FeeAttached) -> Claim:
    """The HTLC transactions as the wallet gave them back, with their fee."""
    requests = [sign_htlc_tx(state, ending, matter, index) for index, matter in enumerate(lot)]
    return Claim(
        ending.txid,
        tuple([matter.outpoint for matter in lot]),
        name_of(lot),
        given.tx,
        (*requests, given.sign),
        given.fee_sat,
        given.feerate_per_kw,
        given.ref,
    )


def lot_in(state: Onchain, raw: bytes) -> tuple[Matter, ...] | None:
    """The outputs of our commitment that a transaction of the wallet's takes; None if it can no longer be."""
    lot = []
    for spent in parse_tx(raw).inputs:
        matter = state.matters.get(spent.outpoint)
        if matter is None:
            break
        if matter.htlc_tx is None or matter.outpoint in state.taken_by:
            return None
        lot.append(matter)
    return tuple(lot) or None


def sign_htlc_tx(state: Onchain, ending: Ending, matter: Matter, index: int) -> SignHtlcTx:
    """What the key holder is asked for an HTLC transaction."""
    assert matter.htlc_tx is not None
    return SignHtlcTx(
        ending.close.params.key_index,
        matter.per_commitment_point,
        ending.close.funding.format,
        matter.htlc_tx.htlc,
        matter.htlc_tx.peer_signature,
        state.preimage_for(matter),
        index,
    )


def ref_of(state: Onchain, outpoint: OutPoint) -> bytes:
    """The name under which the wallet pays the fee of the transaction that takes this output, and perhaps more."""
    return b"onchain" + state.channel_id + outpoint.txid + outpoint.vout.to_bytes(4, "big")


def outpoint_of(ref: bytes) -> OutPoint:
    """The output that a request to the wallet is named after: the reverse of `ref_of`."""
    return OutPoint(Txid(ref[-36:-4]), int.from_bytes(ref[-4:], "big"))


_PAID_FOR = FEE_INPUT_AND_CHANGE_WEIGHT


def _weight(lot: Sequence[Matter]) -> int:
    """Of the HTLC transactions of a lot in one, without what the wallet adds."""
    total = 4 * 10 + SEGWIT_WEIGHT
    for matter in lot:
        assert matter.htlc_tx is not None
        outputs = sum(len(out.serialize()) for out in matter.htlc_tx.tx.outputs)
        total += 4 * outputs + htlc_tx_input_weight(matter.htlc_tx.htlc)
    return total
