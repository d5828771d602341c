"""Our channels: what they can carry, and what forwarding over them costs."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from fulmen.api.commands.ending import ChannelEnding, ending_of
from fulmen.api.commands.htlcs import ChannelHtlc, htlcs_of
from fulmen.api.commands.shown import (
    channel_called,
    channels_of,
    shown_hash,
    shown_scid,
    state_name,
)
from fulmen.api.errors import BadParameter
from fulmen.api.handle import NodeHandle
from fulmen.api.registry import Permission, command
from fulmen.api.values import Amount, PubKey
from fulmen.core.base.ids import NodeId
from fulmen.core.base.machine import Address
from fulmen.core.base.peers import PeerView
from fulmen.core.base.policy import ForwardPolicy
from fulmen.core.base.record import Record
from fulmen.core.base.units import Msat
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.channel.commands import SetChannel
from fulmen.core.channel.state import Channel, Phase
from fulmen.core.commitments.htlcs import LinkView
from fulmen.core.wire.features import Features

MOST_FEE_BASE_MSAT = 0xFFFFFFFF


class SetChannelRequest(Record):
    """Which, and what forwarding over it shall cost. What is not said stays."""

    id: Annotated[str, Meta(description="a channel, or all", max_length=66)]
    feebase: Annotated[Amount | None, Meta(description="for every payment")] = None
    feeppm: Annotated[Annotated[int, Meta(ge=0, le=1_000_000)] | None, Meta(description="millionths of the amount")] = (
        None
    )
    htlcmin: Annotated[Amount | None, Meta(description="the smallest payment")] = None
    htlcmax: Annotated[Amount | None, Meta(description="the largest payment")] = None
    cltvdelta: Annotated[Annotated[int, Meta(ge=34, le=2016)] | None, Meta(description="blocks")] = None


class ChannelPolicy(Record, kw_only=True):
    """What forwarding over a channel costs from now on."""

    peer_id: str
    channel_id: str
    fee_base_msat: int
    fee_proportional_millionths: int
    minimum_htlc_out_msat: int
    maximum_htlc_out_msat: int
    cltv_expiry_delta: int


class SetChannelAnswer(Record):
    """Every channel that changed."""

    channels: tuple[ChannelPolicy, ...]


@command(
    "setchannel", permission=Permission.CHANNELS, group="channels", help="Set what forwarding over a channel costs."
)
async def setchannel(node: NodeHandle, request: SetChannelRequest) -> SetChannelAnswer:
    """Payments under way pay the old price for ten minutes more (BOLT 7)."""
    if request.id == "all":
        chosen = [channel for channel, _ in channels_of(node) if channel.phase <= Phase.NORMAL]
    else:
        chosen = [channel_called(node, request.id)]
    return SetChannelAnswer(tuple([await _set(node, channel, request) for channel in chosen]))


async def _set(node: NodeHandle, channel: Channel, request: SetChannelRequest) -> ChannelPolicy:
    if request.feebase is not None and request.feebase > MOST_FEE_BASE_MSAT:
        raise BadParameter(f"feebase is at most {MOST_FEE_BASE_MSAT}msat, a u32 on the wire.", parameter="feebase")
    policy = _changed(channel.forward or node.policy.forward, request)
    capacity = Msat(channel.funding.amount_sat * 1000)
    most = capacity if policy.htlc_maximum_msat is None else policy.htlc_maximum_msat
    if most > capacity or policy.htlc_minimum_msat > most:
        raise BadParameter("htlcmin, htlcmax and the channel's capacity must rise in this order.", parameter="htlcmax")
    await node.submit(Address("channel", channel.channel_id), lambda command_id: SetChannel(command_id, policy))
    return ChannelPolicy(
        peer_id=channel.terms.node_id.hex(),
        channel_id=channel.channel_id.hex(),
        fee_base_msat=policy.fee_base_msat,
        fee_proportional_millionths=policy.fee_proportional_millionths,
        minimum_htlc_out_msat=policy.htlc_minimum_msat,
        maximum_htlc_out_msat=most,
        cltv_expiry_delta=policy.cltv_expiry_delta,
    )


def _changed(policy: ForwardPolicy, request: SetChannelRequest) -> ForwardPolicy:
    changes = {
        "fee_base_msat": request.feebase,
        "fee_proportional_millionths": request.feeppm,
        "htlc_minimum_msat": request.htlcmin,
        "htlc_maximum_msat": request.htlcmax,
        "cltv_expiry_delta": request.cltvdelta,
    }
    return policy.but(**{name: int(value) for name, value in changes.items() if value is not None})


class ListPeerChannelsRequest(Record):
    """All, or one peer's."""

    id: Annotated[PubKey | None, Meta(description="one peer")] = None


class ChannelType(Record):
    """What both agreed that a channel is: `channel_type` of `open_channel`."""

    bits: tuple[int, ...]
    names: tuple[str, ...]
    """As Core Lightning calls them: static_remotekey/even, anchors/even, scid_alias/even, zeroconf/even."""


class PeerChannel(Record, kw_only=True, omit_defaults=True):
    """One channel."""

    peer_id: str
    peer_connected: bool
    state: str
    channel_id: str
    funding_txid: str
    funding_outnum: int
    channel_type: ChannelType
    private: bool
    opener: str
    total_msat: int
    to_us_msat: int
    spendable_msat: int
    receivable_msat: int
    our_reserve_msat: int
    their_reserve_msat: int
    dust_limit_msat: int
    our_to_self_delay: int
    their_to_self_delay: int
    max_accepted_htlcs: int
    feerate_perkw: int
    fee_base_msat: int
    fee_proportional_millionths: int
    htlcs: tuple[ChannelHtlc, ...]
    """All that are proposed or in a commitment of either side. None once the chain decides them: then they stand in
    `closing`."""
    short_channel_id: str | None = None
    alias_local: str | None = None
    alias_remote: str | None = None
    closes_alone_at: int | None = None
    """When our commitment is published, if a close that was asked for is not agreed on by then; seconds since 1970."""
    close_txid: str | None = None
    closing: ChannelEnding | None = None
    """What the chain has made of it, from the block that spends its funding."""
    failed_because: str | None = None
    frozen: str | None = None
    """Why this channel holds still, if it does."""


class ListPeerChannelsAnswer(Record):
    """All of them."""

    channels: tuple[PeerChannel, ...]


@command("listpeerchannels", permission=Permission.READ, group="channels", help="Our channels and what they can carry.")
async def listpeerchannels(node: NodeHandle, request: ListPeerChannelsRequest) -> ListPeerChannelsAnswer:
    """What can be spent and received is what one payment could carry now."""
    return ListPeerChannelsAnswer(
        tuple(
            _row(node, channel, view)
            for channel, view in channels_of(node)
            if request.id is None or channel.terms.node_id == NodeId(request.id)
        )
    )


def _row(node: NodeHandle, channel: Channel, view: LinkView | None) -> PeerChannel:
    terms = channel.terms
    peer = node.views.get(f"peer:{terms.node_id.hex()}")
    forward = channel.forward or node.policy.forward
    return PeerChannel(
        peer_id=terms.node_id.hex(),
        peer_connected=isinstance(peer, PeerView) and peer.ready,
        state=state_name(channel),
        channel_id=channel.channel_id.hex(),
        funding_txid=shown_hash(channel.funding.outpoint.txid),
        funding_outnum=channel.funding.outpoint.vout,
        channel_type=_type(Features.from_bytes(terms.channel_type)),
        private=not terms.announce,
        opener="local" if terms.is_opener else "remote",
        total_msat=channel.funding.amount_sat * 1000,
        to_us_msat=channel.local.totals.local_msat,
        spendable_msat=view.spendable_msat if view is not None else 0,
        receivable_msat=view.receivable_msat if view is not None else 0,
        # What a side announced is what the other side has to keep and to wait for.
        our_reserve_msat=terms.remote.channel_reserve_sat * 1000,
        their_reserve_msat=terms.local.channel_reserve_sat * 1000,
        dust_limit_msat=terms.local.dust_limit_sat * 1000,
        our_to_self_delay=terms.remote.to_self_delay,
        their_to_self_delay=terms.local.to_self_delay,
        max_accepted_htlcs=terms.local.max_accepted_htlcs,
        feerate_perkw=channel.local.feerate_per_kw,
        fee_base_msat=forward.fee_base_msat,
        fee_proportional_millionths=forward.fee_proportional_millionths,
        htlcs=() if channel.phase is Phase.SPENT else tuple(htlcs_of(channel)),
        short_channel_id=shown_scid(channel.scid),
        alias_local=shown_scid(view.local_alias) if view is not None else None,
        alias_remote=shown_scid(channel.remote_alias),
        closes_alone_at=None if channel.phase > Phase.SHUTDOWN else channel.close_alone_at,
        close_txid=shown_hash(parse_tx(channel.spent_by).txid) if channel.spent_by else None,
        closing=ending_of(node, channel),
        failed_because=channel.fail_reason or None,
        frozen=node.frozen(Address("channel", channel.channel_id)),
    )


def _type(kind: Features) -> ChannelType:
    return ChannelType(kind.bits(), tuple(f"{name.removeprefix('option_')}/even" for name in kind.names()))
