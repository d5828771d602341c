"""What the end of a channel on the chain looks like to callers: each output of ours, and how far it has come."""

from __future__ import annotations

from fulmen.api.commands.shown import shown_hash
from fulmen.api.handle import NodeHandle
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.channel.state import Channel, Phase
from fulmen.core.commitments.close import CloseView, OutputView

CONDITIONAL = ("HTLC-success", "received HTLC")
"""Outputs that are ours only once somebody shows us the preimage."""


class ClosingOutput(Record, kw_only=True, omit_defaults=True):
    """An output of the close that is ours, or may become so."""

    what: str
    """to_local, to_remote, HTLC-timeout …"""
    amount_msat: int
    state: str
    """waiting (for `ripe_height`), needs preimage, due, claimed (our transaction is out), ours, the peer's (who took
    it), not worth its fee (at the feerate of now: it is taken when that falls)."""
    txid: str
    output: int
    ripe_height: int | None = None
    """The height from which on it can be taken; only of what has not been taken."""
    claimed_by: str | None = None
    """Our transaction."""
    taken_by: str | None = None
    """The transaction in a block."""


class ChannelEnding(Record, kw_only=True):
    """The close of a channel, in a block."""

    kind: str
    """mutual close, our commitment, the peer's commitment …"""
    txid: str
    blockheight: int
    outputs: tuple[ClosingOutput, ...]
    """Of a mutual close there are none to wait for: the wallet has its share."""


def ending_of(node: NodeHandle, channel: Channel) -> ChannelEnding | None:
    """The end of a channel whose funding a block spends, or None."""
    if channel.phase is not Phase.SPENT or channel.spent_in is None:
        return None
    view = node.views.get(f"onchain:{channel.channel_id.hex()}")
    if not isinstance(view, CloseView):
        kind = "mutual close" if channel.agreed is not None else "resolved"
        txid = shown_hash(parse_tx(channel.spent_by).txid)
        return ChannelEnding(kind=kind, txid=txid, blockheight=channel.spent_in.height, outputs=())
    return ChannelEnding(
        kind=view.kind,
        txid=shown_hash(view.txid),
        blockheight=view.height,
        outputs=tuple(_output(shown, node.tip.height) for shown in view.outputs),
    )


def _output(shown: OutputView, height: BlockHeight) -> ClosingOutput:
    taken, claimed = shown.taken_by, shown.claimed_by
    return ClosingOutput(
        what=shown.what,
        amount_msat=shown.amount_sat * 1000,
        state=_state(shown, height),
        txid=shown_hash(shown.outpoint.txid),
        output=shown.outpoint.vout,
        ripe_height=shown.ripe_at if taken is None else None,
        claimed_by=None if claimed is None else shown_hash(claimed),
        taken_by=None if taken is None else shown_hash(taken),
    )


def _state(shown: OutputView, height: BlockHeight) -> str:
    if shown.taken_by is not None:
        return "ours" if shown.taken_by == shown.claimed_by else "the peer's"
    if shown.given_up:
        return "not worth its fee"
    if shown.claimed_by is not None:
        return "claimed"
    if height < shown.ripe_at:
        return "waiting"
    return "needs preimage" if shown.what in CONDITIONAL else "due"
