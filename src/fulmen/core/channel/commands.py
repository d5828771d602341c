"""What our own callers ask of a channel."""

from __future__ import annotations

from fulmen.core.base.ids import CommandId, NodeId, OutPoint
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
    close_to: bytes = b""
    """Where a mutual close has to pay us, by option_upfront_shutdown_script; empty: decided at the close."""
    minimum_depth: int = 0
    """Confirmations that we wait for, where the peer asks for fewer."""
    inputs: tuple[OutPoint, ...] = ()
    """Fund it with exactly these coins; empty lets the wallet choose."""
    minconf: int = 0
    """How deep the coins that the wallet chooses have to lie; 0: our own change may be unconfirmed."""


class CloseChannel(Event):
    """To a channel: close it. The answer comes when the close is agreed on, or when our commitment is published.

    The wish outlives its caller and a restart: an absent peer is asked once it is back.
    """

    command_id: CommandId
    script: bytes = b""
    """Where a mutual close pays to; empty takes a fresh address of our wallet."""
    feerate_per_kw: FeeratePerKw | None = None
    force: bool = False
    """Publish our commitment now, without asking the peer, and in place of a mutual close that was agreed on."""
    alone_after_s: int | None = None
    """How long an agreement may take before our commitment is published; None: for ever. The last word counts."""


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
