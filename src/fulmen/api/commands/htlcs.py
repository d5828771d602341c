"""The HTLCs of a channel, and how far each has come on its way through the commitments of both sides."""

from __future__ import annotations

from collections.abc import Iterator

from fulmen.core.base.record import Record
from fulmen.core.channel.state import Channel
from fulmen.core.commitments.updates import Add, Remove


class ChannelHtlc(Record, kw_only=True):
    """A payment that is passing through a channel now."""

    direction: str
    """in or out."""
    id: int
    amount_msat: int
    expiry: int
    payment_hash: str
    state: str
    """How far it has come, in Core Lightning's words: SENT_ADD_HTLC is proposed and not signed for, SENT_ADD_COMMIT
    signed for, SENT_ADD_ACK_REVOCATION in the commitments of both sides for good."""


def htlcs_of(channel: Channel) -> Iterator[ChannelHtlc]:
    """Those that either side has proposed and that are not gone from both commitments for good."""
    for add in channel.local_log.adds:
        removal = channel.remote_log.removal(add.id)
        yield _shown("out", add, _ours(channel, add) if removal is None else _theirs(channel, removal))
    for add in channel.remote_log.adds:
        removal = channel.local_log.removal(add.id)
        yield _shown("in", add, _theirs(channel, add) if removal is None else _ours(channel, removal))


def _shown(direction: str, add: Add, state: str) -> ChannelHtlc:
    return ChannelHtlc(
        direction=direction,
        id=add.id,
        amount_msat=add.amount_msat,
        expiry=add.cltv_expiry,
        payment_hash=add.payment_hash.hex(),
        state=state,
    )


def _ours(channel: Channel, update: Add | Remove) -> str:
    """How far an update of ours has come, be it an addition or a removal: its place in the log says who has it.

    The last step of a removal is never shown: with it the HTLC is gone.
    """
    what, index = _named(update), update.index
    if index < channel.local.local_upto:
        return f"SENT_{what}_ACK_REVOCATION"
    if index < channel.remote.local_upto:
        return f"RCVD_{what}_REVOCATION"
    return f"SENT_{what}_COMMIT" if index < channel.last_signed.local_upto else f"SENT_{what}_HTLC"


def _theirs(channel: Channel, update: Add | Remove) -> str:
    """How far an update of the peer's has come. We revoke in the same breath in which its signature is taken."""
    what, index = _named(update), update.index
    if index < channel.remote.remote_upto:
        return f"RCVD_{what}_ACK_REVOCATION"
    if index < channel.last_signed.remote_upto:
        return f"SENT_{what}_ACK_COMMIT"
    return f"SENT_{what}_REVOCATION" if index < channel.local.remote_upto else f"RCVD_{what}_HTLC"


def _named(update: Add | Remove) -> str:
    return "ADD" if isinstance(update, Add) else "REMOVE"
