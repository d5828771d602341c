"""What becomes true while a channel opens, and of its funding afterwards."""

from __future__ import annotations

from typing import ClassVar

from fulmen.core.base.ids import CommandId, Point, ShortChannelId
from fulmen.core.base.machine import Fact, evolves
from fulmen.core.base.outer import Block
from fulmen.core.base.policy import ForwardPolicy
from fulmen.core.base.units import BlockHeight, CltvDelta, FeeratePerKw, Msat, Timestamp
from fulmen.core.channel.state import Channel, Phase
from fulmen.core.commitments.announcing import AnnouncementHalf
from fulmen.core.commitments.commitment import (
    LOCAL,
    REMOTE,
    first_commitment,
)
from fulmen.core.commitments.params import ChannelParams, Funding


class Opened(Fact):
    """Both first commitments are signed: from here on the channel is remembered (BOLT 2, "Message Retransmission")."""

    params: ChannelParams
    funding: Funding
    feerate_per_kw: FeeratePerKw
    local_msat: Msat
    remote_msat: Msat
    remote_point: Point
    """The peer's first per-commitment point."""
    height: BlockHeight


class Created(Fact):
    """We sent `funding_created`. Without the answer the channel is forgotten, so this passes."""

    passing: ClassVar[bool] = True

    opened: Opened
    """What becomes true when `funding_signed` comes, less the peer's signature."""
    wallet_ref: bytes
    command_id: CommandId | None
    until: Timestamp = Timestamp(0)
    """When we give up waiting for it; 0: never."""


class FundingConfirmed(Fact):
    """The funding transaction is in a block and pays what was agreed to the right script."""

    block: Block
    index_in_block: int


class FundingUnconfirmed(Fact):
    """The block that held the funding transaction left the chain."""


class ReadySent(Fact):
    """Our `channel_ready` goes out, with this alias for the peer to use."""

    alias: ShortChannelId


class ReadyReceived(Fact):
    """The peer's `channel_ready`."""

    second_point: Point
    alias: ShortChannelId | None


class ScidAssigned(Fact):
    """The real short channel id is deep enough to be used and announced."""

    scid: ShortChannelId


class RemoteHalfKept(Fact):
    """The peer's half of the channel_announcement came, and is good."""

    half: AnnouncementHalf


class PolicySet(Fact):
    """What forwarding over this channel costs from now on, and what it cost before, which is taken for a while yet."""

    forward: ForwardPolicy
    previous: ForwardPolicy | None = None
    previous_until: Timestamp = Timestamp(0)


class DeadlineSet(Fact):
    """How long before its expiry an HTLC that we claim has to be gone, where it is not what it was."""

    fulfilled_deadline: CltvDelta


@evolves(Opened)
def _opened(channel: Channel, fact: Opened) -> Channel:
    local = first_commitment(LOCAL, fact.feerate_per_kw, fact.local_msat, fact.remote_msat)
    remote = first_commitment(REMOTE, fact.feerate_per_kw, fact.local_msat, fact.remote_msat)
    return channel.but(
        phase=Phase.AWAITING_READY,
        params=fact.params,
        fundings=(fact.funding,),
        local=local,
        remote=remote,
        local_pending=local.but(number=1),
        remote_pending=remote.but(number=1),
        remote_point=fact.remote_point,
        funding_broadcast_at=fact.height,
        created=None,
    )


@evolves(Created)
def _created(channel: Channel, fact: Created) -> Channel:
    return _opened(channel, fact.opened).but(phase=Phase.CREATED, created=fact)


@evolves(FundingConfirmed)
def _funding_confirmed(channel: Channel, fact: FundingConfirmed) -> Channel:
    funding = channel.funding.but(confirmed=fact.block, index_in_block=fact.index_in_block)
    return channel.but(fundings=(*channel.fundings[:-1], funding))


@evolves(FundingUnconfirmed)
def _funding_unconfirmed(channel: Channel, _: FundingUnconfirmed) -> Channel:
    funding = channel.funding.but(confirmed=None, index_in_block=0)
    return channel.but(fundings=(*channel.fundings[:-1], funding), scid=None)


@evolves(ReadySent)
def _ready_sent(channel: Channel, fact: ReadySent) -> Channel:
    aliases = channel.local_aliases
    if fact.alias not in aliases:
        aliases = (*aliases, fact.alias)
    return _perhaps_normal(channel.but(ready_sent=True, local_aliases=aliases))


@evolves(ReadyReceived)
def _ready_received(channel: Channel, fact: ReadyReceived) -> Channel:
    if fact.alias not in (None, channel.remote_alias):
        channel = channel.but(remote_alias=fact.alias, remote_aliases=channel.remote_aliases + 1)
    channel = channel.but(ready_received=True)
    if not channel.remote_next_point and channel.remote.number == 0 and channel.remote_next is None:
        channel = channel.but(remote_next_point=fact.second_point)
    return _perhaps_normal(channel)


def _perhaps_normal(channel: Channel) -> Channel:
    if channel.phase is Phase.AWAITING_READY and channel.ready_sent and channel.ready_received:
        return channel.but(phase=Phase.NORMAL)
    return channel


@evolves(ScidAssigned)
def _scid_assigned(channel: Channel, fact: ScidAssigned) -> Channel:
    return channel.but(scid=fact.scid)


@evolves(RemoteHalfKept)
def _remote_half_kept(channel: Channel, fact: RemoteHalfKept) -> Channel:
    return channel.but(remote_half=fact.half)


@evolves(PolicySet)
def _policy_set(channel: Channel, fact: PolicySet) -> Channel:
    return channel.but(forward=fact.forward, previous_forward=fact.previous, previous_forward_until=fact.previous_until)


@evolves(DeadlineSet)
def _deadline_set(channel: Channel, fact: DeadlineSet) -> Channel:
    return channel.but(fulfilled_deadline=fact.fulfilled_deadline)
