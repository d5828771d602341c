"""Channels: open, close, set their fees, look at them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from fulmen.api.errors import NotBuiltYet
from fulmen.api.handle import NodeHandle
from fulmen.api.registry import Permission, command
from fulmen.api.values import Amount, PubKey, SatOrAll
from fulmen.core.base.record import Record

ChannelName = Annotated[
    str, Meta(description="a channel id, a short channel id, or the node id of a peer with one channel", max_length=66)
]


class FundChannelRequest(Record):
    """With whom, how much, and how."""

    id: Annotated[PubKey, Meta(description="the peer, which must be connected")]
    amount: Annotated[SatOrAll, Meta(description="the channel's size")]
    feerate: Annotated[
        Annotated[str, Meta(max_length=20)] | None, Meta(description="such as 2500perkw; a good one without it")
    ] = None
    announce: Annotated[bool, Meta(description="whether the network may know and use it")] = True
    push_msat: Annotated[Amount | None, Meta(description="given to the peer at once, as a gift")] = None
    close_to: Annotated[
        Annotated[str, Meta(max_length=128)] | None, Meta(description="the address that a close must pay")
    ] = None
    mindepth: Annotated[Annotated[int, Meta(ge=0, le=144)] | None, Meta(description="confirmations we ask for")] = None


class FundChannelAnswer(Record, kw_only=True):
    """The funding transaction is on its way."""

    tx: str
    txid: str
    outnum: int
    channel_id: str
    mindepth: int


@command("fundchannel", permission=Permission.CHANNELS, group="channels", help="Open a channel with a connected peer.")
async def fundchannel(node: NodeHandle, request: FundChannelRequest) -> FundChannelAnswer:
    """Answered when the funding transaction was published; the channel is usable once it is deep enough."""
    raise NotBuiltYet("fundchannel waits for the channel's opening.")


class CloseRequest(Record):
    """Which, and how patiently."""

    id: ChannelName
    unilateraltimeout: Annotated[
        int, Meta(description="seconds to wait for the peer before closing alone; 0: never alone", ge=0, le=31_536_000)
    ] = 172_800
    destination: Annotated[
        Annotated[str, Meta(max_length=128)] | None, Meta(description="an address for our share")
    ] = None
    force: Annotated[bool, Meta(description="close alone at once")] = False


class CloseAnswer(Record, kw_only=True):
    """The transaction that closes it."""

    type: str
    """mutual or unilateral."""
    tx: str
    txid: str


@command("close", permission=Permission.CHANNELS, group="channels", help="Close a channel.")
async def close(node: NodeHandle, request: CloseRequest) -> CloseAnswer:
    """By agreement where the peer helps, alone where it does not."""
    raise NotBuiltYet("close waits for the channel's closing.")


class SetChannelRequest(Record):
    """Which, and what forwarding over it shall cost."""

    id: Annotated[str, Meta(description="a channel, or all", max_length=66)]
    feebase: Annotated[Amount | None, Meta(description="for every payment")] = None
    feeppm: Annotated[Annotated[int, Meta(ge=0, le=1_000_000)] | None, Meta(description="millionths of the amount")] = (
        None
    )
    htlcmin: Annotated[Amount | None, Meta(description="the smallest payment")] = None
    htlcmax: Annotated[Amount | None, Meta(description="the largest payment")] = None


class ChannelPolicy(Record, kw_only=True):
    """What forwarding over a channel costs from now on."""

    peer_id: str
    channel_id: str
    fee_base_msat: int
    fee_proportional_millionths: int
    minimum_htlc_out_msat: int
    maximum_htlc_out_msat: int


class SetChannelAnswer(Record):
    """Every channel that changed."""

    channels: tuple[ChannelPolicy, ...]


@command(
    "setchannel", permission=Permission.CHANNELS, group="channels", help="Set what forwarding over a channel costs."
)
async def setchannel(node: NodeHandle, request: SetChannelRequest) -> SetChannelAnswer:
    """Payments under way pay the old price for ten minutes more (BOLT 7)."""
    raise NotBuiltYet("setchannel waits for the switch.")


class ListPeerChannelsRequest(Record):
    """All, or one peer's."""

    id: Annotated[PubKey | None, Meta(description="one peer")] = None


class ChannelHtlc(Record, kw_only=True):
    """A payment that is passing through a channel now."""

    direction: str
    id: int
    amount_msat: int
    expiry: int
    payment_hash: str
    state: str


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
    htlcs: tuple[ChannelHtlc, ...]
    status: tuple[str, ...]
    short_channel_id: str | None = None
    alias_local: str | None = None
    alias_remote: str | None = None
    fee_base_msat: int | None = None
    fee_proportional_millionths: int | None = None
    frozen: str | None = None
    """Why this channel holds still, if it does."""


class ListPeerChannelsAnswer(Record):
    """All of them."""

    channels: tuple[PeerChannel, ...]


@command("listpeerchannels", permission=Permission.READ, group="channels", help="Our channels and what they can carry.")
async def listpeerchannels(node: NodeHandle, request: ListPeerChannelsRequest) -> ListPeerChannelsAnswer:
    """What can be spent and received is what one payment could carry now."""
    raise NotBuiltYet("listpeerchannels waits for the channels.")
