"""Closing a channel: by agreement, or alone."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from fulmen.api.commands.reading import script_called
from fulmen.api.commands.shown import (
    ChannelUnknown,
    Feerate,
    channel_called,
    closed_channel_called,
    feerate_of,
    shown_address,
    shown_hash,
)
from fulmen.api.errors import INVALID_PARAMS, RpcError
from fulmen.api.handle import NodeHandle
from fulmen.api.registry import Permission, command
from fulmen.core.base.machine import Address
from fulmen.core.base.record import Record
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.channel.commands import ChannelClosing, CloseChannel
from fulmen.core.channel.ending import closed_by
from fulmen.core.channel.faults import ClosesElsewhere
from fulmen.core.channel.state import Channel

CHANNEL_NAME = "a channel id, a short channel id, or the node id of a peer with one channel"
ChannelName = Annotated[str, Meta(description=CHANNEL_NAME, max_length=66)]


class CloseRequest(Record):
    """Which, and how patiently."""

    id: ChannelName
    unilateraltimeout: Annotated[
        int, Meta(description="seconds to wait for an agreement before closing alone; 0: never", ge=0, le=31_536_000)
    ] = 172_800
    destination: Annotated[
        Annotated[str, Meta(max_length=128)] | None,
        Meta(description="where a close by agreement pays us; our wallet without it"),
    ] = None
    feerate: Feerate = None
    force: Annotated[bool, Meta(description="close alone at once")] = False


class CloseAnswer(Record, kw_only=True, omit_defaults=True):
    """The transaction that closes it."""

    type: str
    """mutual or unilateral."""
    tx: str
    """Without our signature; the txid is final."""
    txid: str
    closed_in_block: int | None = None
    """The height of the block that holds it, where the channel was closed before it was asked for."""


@command("close", permission=Permission.CHANNELS, group="channels", help="Close a channel.")
async def close(node: NodeHandle, request: CloseRequest) -> CloseAnswer:
    """By agreement, for which an absent peer is waited for; alone when that takes longer than `unilateraltimeout`.

    It goes on when nobody waits for the answer any more, also over a restart; whoever asks again has the last word. Of
    a channel that is closed already the answer says how.
    """
    channel = await _called(node, request.id)
    if channel.spent_in is not None:
        how = closed_by(channel, parse_tx(channel.spent_by))
        return _answer(how, closed_in_block=channel.spent_in.height)
    script = b"" if request.destination is None else script_called(node, request.destination, "destination")
    if script:
        node.allow_payout(script)
    feerate = feerate_of(node, request.feerate)
    alone_after_s = request.unilateraltimeout or None
    try:
        closing = await node.submit(
            Address("channel", channel.channel_id),
            lambda command_id: CloseChannel(command_id, script, feerate, request.force, alone_after_s),
        )
    except ClosesElsewhere as other:
        there = shown_address(node, other.details["script"])
        raise RpcError(f"This channel closes to {there}: leave the destination away.", code=INVALID_PARAMS) from None
    assert isinstance(closing, ChannelClosing)
    return _answer(closing)


def _answer(closing: ChannelClosing, closed_in_block: int | None = None) -> CloseAnswer:
    txid = shown_hash(closing.txid)
    return CloseAnswer(type=closing.kind, tx=closing.tx.hex(), txid=txid, closed_in_block=closed_in_block)


async def _called(node: NodeHandle, name: str) -> Channel:
    """The channel that is meant, be it over or not."""
    try:
        return channel_called(node, name)
    except ChannelUnknown:
        over = await closed_channel_called(node, name)
        if over is None:
            raise
        return over
