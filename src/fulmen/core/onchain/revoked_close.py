"""The peer published a commitment that it had revoked: everything in it is ours, by the secret that it had to reveal.

BOLT 5, "Revoked Transaction Close Handling". Its balance and its HTLCs go to the revocation key at once, and so does
the output of every HTLC transaction with which it got ahead of us: that one waits for `to_self_delay` as well. Each
HTLC is taken by a transaction of its own: what the cheater spends first takes nothing else with it.
"""

from __future__ import annotations

from collections.abc import Iterator

from fulmen.core.base.faults import Malformed
from fulmen.core.base.ids import OFFERED, RECEIVED, OutPoint, Secret
from fulmen.core.base.units import BlockHeight, Sat, sat_floor
from fulmen.core.bitcoin.script import p2wsh
from fulmen.core.bitcoin.transaction import TxOut, parse_tx
from fulmen.core.commitments.building import channel_factor
from fulmen.core.commitments.close import ChannelAtClose
from fulmen.core.commitments.htlcs import Htlc
from fulmen.core.crypto.secp256k1 import point_of
from fulmen.core.crypto.shachain import index_of
from fulmen.core.onchain.matters import Matter, Punished, Purpose, Spent, htlcs_of
from fulmen.core.onchain.remote_close import matters_among
from fulmen.core.onchain.unknown_close import to_remote_in, watched
from fulmen.core.transactions.commitment import CommitmentOutput, Role
from fulmen.core.transactions.formats import format_named
from fulmen.core.transactions.keys import CommitmentKeys, commitment_keys
from fulmen.core.transactions.numbers import commitment_number_of
from fulmen.core.transactions.scripts import HtlcScripts, to_local_script
from fulmen.core.transactions.spending import punish_htlc, punish_second_stage, punish_to_local


def revoked_number(close: ChannelAtClose, raw: bytes) -> int | None:
    """The number of a commitment that the peer has revoked, if this transaction may be one."""
    try:
        number = commitment_number_of(parse_tx(raw), channel_factor(close.params))
    except Malformed:
        return None
    return number if number is not None and number < close.remote.number else None


def matters_of_revoked(spent: Spent) -> tuple[Matter, ...]:
    """All of a revoked commitment: our balance as ever, the rest by the revocation key."""
    secret = revealed_secret(spent)
    params = spent.close.params
    keys = commitment_keys(params.remote.basepoints, params.local.basepoints, point_of(secret))
    # One script stands in `to_local` and in the output of both HTLC transactions (BOLT 3).
    delayed = to_local_script(keys.revocationpubkey, params.local.to_self_delay, keys.owner_delayedpubkey)
    punished = Punished(secret, delayed, params.local.to_self_delay)
    found = [*matters_among(spent, to_remote_in(spent), keys.per_commitment_point)]
    for output in _to_local_in(spent, delayed):
        spend = punish_to_local(output)
        found.append(_matter(spent, Purpose.PUNISH_TO_LOCAL, output, keys).but(spend=spend, punished=punished))
    for output in _htlcs_in(spent, keys):
        spend = punish_htlc(output, keys.revocationpubkey)
        found.append(_matter(spent, Purpose.PUNISH_HTLC, output, keys).but(spend=spend, punished=punished))
    return (*found, *watched(spent, [matter.outpoint.vout for matter in found]))


def revealed_secret(spent: Spent) -> Secret:
    """The per-commitment secret of the revoked commitment, as the peer revealed it."""
    number = commitment_number_of(spent.tx, channel_factor(spent.close.params))
    assert number is not None, "only a transaction with the number of a revoked commitment is taken for one"
    return spent.close.revoked.lookup(index_of(number))


def second_stage_of_cheat(matter: Matter, outpoint: OutPoint, amount_sat: Sat, height: BlockHeight) -> Matter:
    """The output of an HTLC transaction that the cheater got into a block of this height.

    BOLT 5: "MUST *resolve* the _remote node's HTLC-timeout transaction_ by spending it using the revocation private
    key"; likewise its HTLC-success transaction.
    """
    punished = matter.punished
    assert punished is not None
    spend = punish_second_stage(amount_sat, punished.delayed_script)
    return Matter(
        Purpose.PUNISH_SECOND_STAGE,
        outpoint,
        amount_sat,
        spend.script_pubkey,
        height,
        matter.per_commitment_point,
        spend=spend,
        punished=punished,
    )


def _matter(spent: Spent, purpose: Purpose, output: CommitmentOutput, keys: CommitmentKeys) -> Matter:
    outpoint = OutPoint(spent.tx.txid, output.vout)
    script, point = output.script_pubkey, keys.per_commitment_point
    return Matter(purpose, outpoint, output.amount_sat, script, spent.block.height, point, output)


def _to_local_in(spent: Spent, delayed: bytes) -> Iterator[CommitmentOutput]:
    script = p2wsh(delayed)
    for vout, output in enumerate(spent.tx.outputs):
        if output.script_pubkey == script:
            yield CommitmentOutput(Role.TO_LOCAL, vout, output.amount_sat, script, delayed)


def _htlcs_in(spent: Spent, keys: CommitmentKeys) -> Iterator[CommitmentOutput]:
    """Its HTLCs, known by their scripts and amounts: first those that still live, then those that are only kept.

    Among HTLCs of one hash, amount and expiry it does not matter which is which, but that the living ones are found.
    """
    csv = format_named(spent.close.funding.format).csv
    scripts = HtlcScripts(keys.revocationpubkey, keys.owner_htlcpubkey, keys.other_htlcpubkey, csv)
    at: dict[TxOut, list[int]] = {}
    for vout, output in enumerate(spent.tx.outputs):
        at.setdefault(output, []).append(vout)
    living = {htlc.key: htlc for htlc in htlcs_of(spent.close)}
    for htlc in (*living.values(), *(kept for kept in spent.revoked if kept.key not in living)):
        script = _script_of(scripts, htlc)
        output = TxOut(sat_floor(htlc.amount_msat), p2wsh(script))
        if at.get(output):
            yield CommitmentOutput(
                Role.RECEIVED_HTLC if htlc.key.direction is OFFERED else Role.OFFERED_HTLC,
                at[output].pop(0),
                output.amount_sat,
                output.script_pubkey,
                script,
                htlc.key,
                htlc.cltv_expiry,
                htlc.payment_hash,
            )


def _script_of(scripts: HtlcScripts, htlc: Htlc) -> bytes:
    if htlc.key.direction is RECEIVED:
        return scripts.offered(htlc.payment_hash)
    return scripts.received(htlc.payment_hash, htlc.cltv_expiry)
