"""The peer published a commitment that it had revoked: the alarm goes off, and we take what is ours in any case.

BOLT 5, "Revoked Transaction Close Handling". Here are the outputs that pay us without any penalty: our `to_remote`,
and HTLCs that were in the revoked commitment and still are in one that is not. All other outputs are watched for
preimages; the peer's own part waits for its penalty under `to_self_delay`.
"""

from __future__ import annotations

from fulmen.core.base.ids import OFFERED, Point
from fulmen.core.base.units import sat_floor
from fulmen.core.bitcoin.script import p2wsh
from fulmen.core.bitcoin.transaction import TxOut
from fulmen.core.commitments.building import channel_factor
from fulmen.core.crypto.secp256k1 import point_of
from fulmen.core.crypto.shachain import index_of
from fulmen.core.onchain.matters import Matter, Spent, htlcs_of
from fulmen.core.onchain.remote_close import matters_among
from fulmen.core.onchain.unknown_close import to_remote_in, watched
from fulmen.core.transactions.commitment import CommitmentOutput, Role
from fulmen.core.transactions.formats import format_named
from fulmen.core.transactions.keys import commitment_keys
from fulmen.core.transactions.numbers import commitment_number_of
from fulmen.core.transactions.scripts import HtlcScripts


def matters_of_revoked(spent: Spent) -> tuple[Matter, ...]:
    """What of a revoked commitment is ours without a penalty, and what has to be watched."""
    point = revoked_point(spent)
    outputs = (*to_remote_in(spent), *_htlcs_in(spent, point))
    return (*matters_among(spent, outputs, point), *watched(spent, {output.vout: True for output in outputs}))


def revoked_point(spent: Spent) -> Point:
    """The peer's per-commitment point of the revoked commitment, from the secret that it had to show."""
    number = commitment_number_of(spent.tx, channel_factor(spent.close.params))
    assert number is not None, "only a transaction with the number of a revoked commitment is taken for one"
    return point_of(spent.close.revoked.lookup(index_of(number)))


def _htlcs_in(spent: Spent, point: Point) -> tuple[CommitmentOutput, ...]:
    """The living HTLCs that the revoked commitment holds as well, known by their scripts and amounts."""
    params = spent.close.params
    keys = commitment_keys(params.remote.basepoints, params.local.basepoints, point)
    csv = format_named(spent.close.funding.format).csv
    scripts = HtlcScripts(keys.revocationpubkey, keys.owner_htlcpubkey, keys.other_htlcpubkey, csv)
    at: dict[TxOut, list[int]] = {}
    for vout, output in enumerate(spent.tx.outputs):
        at.setdefault(output, []).append(vout)
    found = []
    for htlc in htlcs_of(spent.close):
        ours = htlc.key.direction is OFFERED
        script = scripts.received(htlc.payment_hash, htlc.cltv_expiry) if ours else scripts.offered(htlc.payment_hash)
        vouts = at.get(TxOut(sat_floor(htlc.amount_msat), p2wsh(script)))
        if vouts:
            vout = vouts.pop(0)
            found.append(
                CommitmentOutput(
                    Role.RECEIVED_HTLC if ours else Role.OFFERED_HTLC,
                    vout,
                    spent.tx.outputs[vout].amount_sat,
                    spent.tx.outputs[vout].script_pubkey,
                    script,
                    htlc.key,
                    htlc.cltv_expiry,
                    htlc.payment_hash,
                )
            )
    return tuple(found)
