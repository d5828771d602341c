"""What our own callers ask of a channel."""

from __future__ import annotations

from fulmen.core.base.ids import CommandId, NodeId
from fulmen.core.base.machine import Event
from fulmen.core.base.policy import ForwardPolicy
from fulmen.core.base.record import Record
from fulmen.core.base.units import FeeratePerKw, Msat, Sat


class OpenTo(Event):
    """To Address("opening", node_id + temporary_channel_id): open a channel with a connected peer."""

    command_id: CommandId
    node_id: NodeId
    funding_sat: Sat
    push_msat: Msat = Msat(0)
    announce: bool = True
    funding_feerate_per_kw: FeeratePerKw | None = None
    """Of the funding transaction; None takes the estimate."""
    zeroconf: bool = False
    scid_alias: bool = False
    anchors: bool = True


class CloseChannel(Event):
    """To a channel: close it. The answer comes when the close is agreed on, or when our commitment is published."""

    command_id: CommandId
    script: bytes = b""
    """Where a mutual close pays to; empty takes a fresh address of our wallet."""
    feerate_per_kw: FeeratePerKw | None = None
    force: bool = False
    """Publish our commitment now, without asking the peer."""


class SetChannel(Event):
    """To a channel: what forwarding over it costs from now on."""

    command_id: CommandId
    forward: ForwardPolicy


class ChannelOpening(Record):
    """The answer to `OpenTo`."""

    channel_id: bytes
    funding_txid: bytes
    outnum: int


class ChannelClosing(Record):
    """The answer to `CloseChannel`: the transaction that closes the channel, serialised without our witness."""

    kind: str
    """`mutual` or `unilateral`."""
    txid: bytes
    tx: bytes
