"""Channels: open, close, set their fees, look at them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from fulmen.api.commands.shown import (
    await_published,
    channel_called,
    channels_of,
    feerate_of,
    shown_hash,
    shown_scid,
    state_name,
)
from fulmen.api.errors import (
    CODES,
    FUNDING_PEER_NOT_CONNECTED,
    FUNDING_UNKNOWN_PEER,
    BadParameter,
    RpcError,
)
from fulmen.api.handle import NodeHandle
from fulmen.api.registry import Permission, command
from fulmen.api.values import Amount, PubKey, SatOrAll
from fulmen.core.base.ids import CommandId, NodeId
from fulmen.core.base.machine import Address
from fulmen.core.base.peers import PeerView
from fulmen.core.base.policy import ForwardPolicy
from fulmen.core.base.record import Record
from fulmen.core.base.units import Msat, Sat
from fulmen.core.bitcoin.address import script_of
from fulmen.core.bitcoin.transaction import parse_tx
from fulmen.core.channel.commands import ChannelClosing, ChannelOpening, CloseChannel, OpenTo, SetChannel
from fulmen.core.channel.faults import OpeningNotPossible
from fulmen.core.channel.state import Channel, Phase
from fulmen.core.commitments.commitment import active
from fulmen.core.commitments.htlcs import LinkView
from fulmen.core.commitments.updates import Add

CHANNEL_NAME = "a channel id, a short channel id, or the node id of a peer with one channel"
ChannelName = Annotated[str, Meta(description=CHANNEL_NAME, max_length=66)]


class FundChannelRequest(Record):
    """With whom, how much, and how."""

    id: Annotated[PubKey, Meta(description="the peer, which must be connected")]
    amount: Annotated[SatOrAll, Meta(description="the channel's size")]
    feerate: Annotated[
        Annotated[str, Meta(max_length=20)] | None, Meta(description="such as 2500perkw; a good one without it")
    ] = None
    announce: Annotated[bool, Meta(description="whether the network may know and use it")] = True
    push_msat: Annotated[Amount | None, Meta(description="given to the peer at once, as a gift")] = None
    zeroconf: Annotated[bool, Meta(description="usable before it is confirmed, if the peer trusts us")] = False
    scid_alias: Annotated[bool, Meta(description="never tell its real place; not with announce")] = False


class FundChannelAnswer(Record, kw_only=True):
    """The funding transaction is out."""

    txid: str
    outnum: int
    channel_id: str


class NotAnAmount(RpcError):
    """The size of a channel is an amount; `all` is none, as openings cannot empty a wallet yet."""


@command("fundchannel", permission=Permission.CHANNELS, group="channels", help="Open a channel with a connected peer.")
async def fundchannel(node: NodeHandle, request: FundChannelRequest) -> FundChannelAnswer:
    """Answered when the funding transaction is out; the channel is usable once it is deep enough."""
    if request.amount.sat is None:
        raise NotAnAmount("Say how large the channel shall be; `all` is not understood here.")
    funding, peer_id = Sat(request.amount.sat), NodeId(request.id)
    peer = node.views.get(f"peer:{peer_id.hex()}")
    if not isinstance(peer, PeerView):
        raise RpcError("That peer is not connected.", code=FUNDING_UNKNOWN_PEER, node_id=peer_id)
    if not peer.ready:
        raise RpcError("That peer is not connected now.", code=FUNDING_PEER_NOT_CONNECTED, node_id=peer_id)
    feerate = feerate_of(request.feerate)

    def wish(command_id: CommandId) -> OpenTo:
        return OpenTo(
            command_id,
            peer_id,
            funding,
            Msat(request.push_msat or 0),
            request.announce,
            feerate,
            request.zeroconf,
            request.scid_alias,
        )

    temporary_channel_id = os.urandom(32)
    try:
        opened = await node.submit(Address("opening", peer_id + temporary_channel_id), wish)
    except OpeningNotPossible as no:
        code = CODES.get(str(no.details.get("why")))
        if code is None:
            raise
        raise RpcError(no.message, code=code, **no.details) from None
    assert isinstance(opened, ChannelOpening)
    await await_published(node, opened.funding_txid, "The funding transaction")
    return FundChannelAnswer(
        txid=shown_hash(opened.funding_txid), outnum=opened.outnum, channel_id=opened.channel_id.hex()
    )


class CloseRequest(Record):
    """Which, and how patiently."""

    id: ChannelName
    unilateraltimeout: Annotated[
        int, Meta(description="seconds to wait for the peer before closing alone; 0: never alone", ge=0, le=31_536_000)
    ] = 172_800
    destination: Annotated[
        Annotated[str, Meta(max_length=128)] | None, Meta(description="an address for our share")
    ] = None
    feerate: Annotated[
        Annotated[str, Meta(max_length=20)] | None, Meta(description="such as 2500perkw; a good one without it")
    ] = None
    force: Annotated[bool, Meta(description="close alone at once")] = False


class CloseAnswer(Record, kw_only=True):
    """The transaction that closes it."""

    type: str
    """mutual or unilateral."""
    tx: str
    """Without our signature; the txid is final."""
    txid: str


@command("close", permission=Permission.CHANNELS, group="channels", help="Close a channel.")
async def close(node: NodeHandle, request: CloseRequest) -> CloseAnswer:
    """By agreement where the peer helps, alone after `unilateraltimeout` where it does not come to an end."""
    channel = channel_called(node, request.id)
    script = b"" if request.destination is None else script_of(request.destination, node.network)
    if script:
        node.allow_payout(script)
    feerate = feerate_of(request.feerate)
    address = Address("channel", channel.channel_id)

    async def asked(force: bool) -> ChannelClosing:
        closing = await node.submit(address, lambda command_id: CloseChannel(command_id, script, feerate, force))
        assert isinstance(closing, ChannelClosing)
        return closing

    if request.force:
        closing = await asked(True)
    else:
        try:
            closing = await asyncio.wait_for(asked(False), request.unilateraltimeout or None)
        except TimeoutError:
            closing = await asked(True)
    return CloseAnswer(type=closing.kind, tx=closing.tx.hex(), txid=shown_hash(closing.txid))


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


class ChannelHtlc(Record, kw_only=True):
    """A payment that is passing through a channel now."""

    direction: str
    """in or out."""
    id: int
    amount_msat: int
    expiry: int
    payment_hash: str


class PeerChannel(Record, kw_only=True, omit_defaults=True):
    """One channel."""

    peer_id: str
    peer_connected: bool
    state: str
    channel_id: str
    funding_txid: str
    funding_outnum: int
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
    short_channel_id: str | None = None
    alias_local: str | None = None
    alias_remote: str | None = None
    close_txid: str | None = None
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
        state=state_name(channel.phase),
        channel_id=channel.channel_id.hex(),
        funding_txid=shown_hash(channel.funding.outpoint.txid),
        funding_outnum=channel.funding.outpoint.vout,
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
        htlcs=tuple(_htlcs(channel)),
        short_channel_id=shown_scid(channel.scid),
        alias_local=shown_scid(view.local_alias) if view is not None else None,
        alias_remote=shown_scid(channel.remote_alias),
        close_txid=shown_hash(parse_tx(channel.spent_by).txid) if channel.spent_by else None,
        failed_because=channel.fail_reason or None,
        frozen=node.frozen(Address("channel", channel.channel_id)),
    )


def _htlcs(channel: Channel) -> Iterator[ChannelHtlc]:
    offered, received = active(channel.local, channel.local_log, channel.remote_log)
    for direction, adds in (("out", offered), ("in", received)):
        yield from (_htlc(direction, add) for add in adds)


def _htlc(direction: str, add: Add) -> ChannelHtlc:
    return ChannelHtlc(
        direction=direction,
        id=add.id,
        amount_msat=add.amount_msat,
        expiry=add.cltv_expiry,
        payment_hash=add.payment_hash.hex(),
    )
