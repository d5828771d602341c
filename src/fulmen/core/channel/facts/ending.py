"""What becomes true while a channel closes or fails, until nothing is left to do."""

from __future__ import annotations

from typing import ClassVar

from fulmen.core.base.ids import CommandId, Point
from fulmen.core.base.machine import Fact, evolves
from fulmen.core.base.outer import Block
from fulmen.core.base.units import FeeratePerKw, Timestamp
from fulmen.core.bitcoin.accounts import KeyPath
from fulmen.core.channel.state import Agreed, Channel, Deferred, Negotiation, Phase


class ShutdownSent(Fact):
    """Our `shutdown`: this script, and no more HTLCs from us."""

    script: bytes
    feerate_per_kw: FeeratePerKw | None = None
    path: KeyPath | None = None
    """The key of our wallet behind the script, where it is one."""


class ShutdownReceived(Fact):
    """The peer's `shutdown`."""

    script: bytes


class CloseAgreed(Fact):
    """A mutual close has both signatures."""

    agreed: Agreed


class CloseDeferred(Fact):
    """The channel is to be failed once its peer could say that we are behind: only the chain can stop it now."""

    deferred: Deferred


class ChannelFailed(Fact):
    """The channel is over but for the chain: we publish our commitment, unless we are outdated.

    A mutual close that was agreed on is ours no more; the peer may still publish it.
    """

    reason: str
    error: str
    """What our `error` message says."""
    local_point: Point
    """Our per-commitment point of the commitment to be published."""


class Outdated(Fact):
    """The peer proved that we have lost state: we never sign, revoke or publish again (law 9)."""


class FundingSpent(Fact):
    """The funding output is spent in a block."""

    tx: bytes
    block: Block


class FundingUnspent(Fact):
    """The block with the spend left the chain."""

    phase: Phase
    """CLOSING where a mutual close is agreed on, else FAILED: the channel itself is over."""
    local_point: Point
    """Our per-commitment point of the commitment to be published."""


class Closed(Fact):
    """Nothing is left to do."""

    why: str


class ClosersChanged(Fact):
    """Who waits to hear how the channel closes."""

    passing: ClassVar[bool] = True

    closers: tuple[CommandId, ...]


class ShutdownWanted(Fact):
    """A caller asked for a mutual close; our `shutdown` waits until it may be sent, over a restart if need be."""

    script: bytes
    feerate_per_kw: FeeratePerKw | None = None
    path: KeyPath | None = None


class ShutdownDropped(Fact):
    """The peer takes no `shutdown` to the script that was wanted: nobody wants this close any more."""


class PatienceSet(Fact):
    """How long whoever wants the close waits for an agreement."""

    alone_at: Timestamp | None


class Negotiated(Fact):
    """The fee negotiation moved on."""

    passing: ClassVar[bool] = True

    negotiation: Negotiation


class ShutdownExchanged(Fact):
    """Our `shutdown` went out on this connection."""

    passing: ClassVar[bool] = True


class ShutdownSeen(Fact):
    """The peer's `shutdown` came on this connection."""

    passing: ClassVar[bool] = True


@evolves(ShutdownSent)
def _shutdown_sent(channel: Channel, fact: ShutdownSent) -> Channel:
    return channel.but(
        phase=Phase.SHUTDOWN,
        shutdown_sent=fact.script,
        shutdown_path=fact.path,
        shutdown_wanted=None,
        closing_feerate_per_kw=fact.feerate_per_kw,
    )


@evolves(ShutdownReceived)
def _shutdown_received(channel: Channel, fact: ShutdownReceived) -> Channel:
    return channel.but(phase=Phase.SHUTDOWN, shutdown_received=fact.script)


@evolves(CloseAgreed)
def _close_agreed(channel: Channel, fact: CloseAgreed) -> Channel:
    return channel.but(phase=Phase.CLOSING, agreed=fact.agreed)


@evolves(CloseDeferred)
def _close_deferred(channel: Channel, fact: CloseDeferred) -> Channel:
    return channel.but(deferred=fact.deferred)


@evolves(ChannelFailed)
def _channel_failed(channel: Channel, fact: ChannelFailed) -> Channel:
    return channel.but(
        phase=Phase.FAILED,
        fail_reason=fact.reason,
        error_to_send=fact.error,
        local_point=fact.local_point,
        deferred=None,
        agreed=None,
    )


@evolves(Outdated)
def _outdated(channel: Channel, _: Outdated) -> Channel:
    return channel.but(outdated=True)


@evolves(FundingSpent)
def _funding_spent(channel: Channel, fact: FundingSpent) -> Channel:
    return channel.but(phase=Phase.SPENT, spent_by=fact.tx, spent_in=fact.block)


@evolves(FundingUnspent)
def _funding_unspent(channel: Channel, fact: FundingUnspent) -> Channel:
    return channel.but(phase=fact.phase, local_point=fact.local_point, spent_by=b"", spent_in=None)


@evolves(Closed)
def _closed(channel: Channel, fact: Closed) -> Channel:
    return channel.but(phase=Phase.CLOSED, fail_reason=channel.fail_reason or fact.why)


@evolves(ClosersChanged)
def _closers_changed(channel: Channel, fact: ClosersChanged) -> Channel:
    return channel.but(closers=fact.closers)


@evolves(ShutdownWanted)
def _shutdown_wanted(channel: Channel, fact: ShutdownWanted) -> Channel:
    return channel.but(
        shutdown_wanted=fact.script,
        shutdown_path=fact.path,
        closing_feerate_per_kw=fact.feerate_per_kw,
    )


@evolves(ShutdownDropped)
def _shutdown_dropped(channel: Channel, _: ShutdownDropped) -> Channel:
    return channel.but(shutdown_wanted=None, shutdown_path=None, closing_feerate_per_kw=None, close_alone_at=None)


@evolves(PatienceSet)
def _patience_set(channel: Channel, fact: PatienceSet) -> Channel:
    return channel.but(close_alone_at=fact.alone_at)


@evolves(Negotiated)
def _negotiated(channel: Channel, fact: Negotiated) -> Channel:
    return channel.but(negotiation=fact.negotiation)


@evolves(ShutdownExchanged)
def _shutdown_exchanged(channel: Channel, _: ShutdownExchanged) -> Channel:
    return channel.but(shutdown_on_this_link=True)


@evolves(ShutdownSeen)
def _shutdown_seen(channel: Channel, _: ShutdownSeen) -> Channel:
    return channel.but(their_shutdown_on_this_link=True)
