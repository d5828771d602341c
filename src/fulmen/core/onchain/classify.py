"""What spends the funding output: our commitment, the peer's, a revoked one, or something that we cannot know.

BOLT 5, "General Nomenclature" and "Unilateral Close Handling: Remote Commitment Transaction". A mutual close never
comes here: the channel knows it by itself.
"""

from __future__ import annotations

import enum

from fulmen.core.bitcoin.script import p2wpkh, p2wsh
from fulmen.core.bitcoin.transaction import Tx
from fulmen.core.commitments.building import build, channel_factor
from fulmen.core.commitments.close import ChannelAtClose
from fulmen.core.crypto.hashes import hash160
from fulmen.core.crypto.shachain import SecretUnknown, index_of
from fulmen.core.transactions.formats import format_named
from fulmen.core.transactions.numbers import commitment_number_of
from fulmen.core.transactions.scripts import to_remote_script


class Kind(enum.Enum):
    """Whose commitment it is, and from when."""

    LOCAL = "our commitment"
    REMOTE = "the peer's commitment"
    REMOTE_NEXT = "the peer's next commitment"
    REVOKED = "a revoked commitment of the peer"
    BEYOND = "a commitment newer than any we know"
    """We have lost state."""
    UNKNOWN = "an unknown transaction"


def kind_of(close: ChannelAtClose, tx: Tx) -> Kind:
    """What a transaction that spends the funding output is."""
    if tx.txid == build(close.local).txid:
        return Kind.LOCAL
    if tx.txid == build(close.remote).txid:
        return Kind.REMOTE
    if close.remote_next is not None and tx.txid == build(close.remote_next).txid:
        return Kind.REMOTE_NEXT
    number = commitment_number_of(tx, channel_factor(close.params))
    if number is None or _pays_the_peer_at_once(close, tx):
        return Kind.UNKNOWN
    # BOLT 5: "It can detect the data loss state, because it has signed the transaction, and the commitment number is
    # greater than expected."
    if number > (close.remote_next or close.remote).number:
        return Kind.BEYOND
    try:
        close.revoked.lookup(index_of(number))
    except SecretUnknown:
        return Kind.BEYOND if close.outdated else Kind.UNKNOWN
    return Kind.REVOKED


def _pays_the_peer_at_once(close: ChannelAtClose, tx: Tx) -> bool:
    """Whether the peer's balance is not delayed: then it is a commitment of ours, but not the one we hold.

    A peer that announced our own `payment_basepoint` as its own would make each commitment look so. In such a channel
    the script says nothing, and what is revoked is punished: nobody else than the peer can publish what it revoked.
    """
    script = to_remote_of(close, ours=False)[0]
    if script == to_remote_of(close, ours=True)[0]:
        return False
    return any(output.script_pubkey == script for output in tx.outputs)


def to_remote_of(close: ChannelAtClose, *, ours: bool) -> tuple[bytes, bytes]:
    """script_pubkey and witness script of a balance on the other end's commitments; the same on all of them."""
    party = close.params.local if ours else close.params.remote
    pubkey, csv = party.basepoints.payment_basepoint, format_named(close.funding.format).csv
    if not csv:
        return p2wpkh(hash160(pubkey)), b""
    script = to_remote_script(pubkey, csv)
    return p2wsh(script), script
