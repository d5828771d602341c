"""Opening a channel: how large, with which coins, and how it may be used and closed later."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated

from msgspec import Meta

from fulmen.api.commands.reading import script_called
from fulmen.api.commands.shown import Feerate, MinConf, await_published, feerate_of, shown_hash
from fulmen.api.errors import (
    CODES,
    FUND_CANNOT_AFFORD,
    FUND_MAX_EXCEEDED,
    FUNDING_PEER_NOT_CONNECTED,
    FUNDING_UNKNOWN_PEER,
    BadParameter,
    RpcError,
)
from fulmen.api.handle import NodeHandle
from fulmen.api.registry import Permission, command
from fulmen.api.values import Amount, OutPoints, PubKey, SatOrAll
from fulmen.core.base.feerates import check_feerate
from fulmen.core.base.funds import Output
from fulmen.core.base.ids import CommandId, NodeId, OutPoint
from fulmen.core.base.machine import Address
from fulmen.core.base.peers import PeerView
from fulmen.core.base.record import Record
from fulmen.core.base.units import FeeratePerKw, Msat, Sat
from fulmen.core.bitcoin.script import p2wsh
from fulmen.core.channel.commands import ChannelOpening, OpenTo
from fulmen.core.channel.faults import OpeningNotPossible
from fulmen.core.channel.terms import largest_funding
from fulmen.core.wallet.balance import anchor_reserve
from fulmen.core.wallet.balance import channels_of as count_channels
from fulmen.core.wallet.faults import InsufficientFunds
from fulmen.core.wallet.machine import ADDRESS as WALLET
from fulmen.core.wallet.spending import check_funds, most_to_pay
from fulmen.core.wallet.state import Wallet

_FUNDING_SHAPE = p2wsh(b"")
"""As long as the script of any funding output."""


class FundChannelRequest(Record):
    """With whom, how much, and how."""

    id: Annotated[PubKey, Meta(description="the peer, which must be connected")]
    amount: Annotated[SatOrAll, Meta(description="the channel's size; all: what the wallet has, less fee and reserve")]
    feerate: Feerate = None
    announce: Annotated[bool, Meta(description="whether the network may know and use it")] = True
    minconf: MinConf = 0
    push_msat: Annotated[Amount | None, Meta(description="given to the peer at once, as a gift")] = None
    close_to: Annotated[
        Annotated[str, Meta(max_length=128)] | None, Meta(description="the only address a mutual close may pay us to")
    ] = None
    utxos: Annotated[OutPoints | None, Meta(description="fund it with exactly these coins: TXID:OUTPUT, …")] = None
    mindepth: Annotated[
        Annotated[int, Meta(ge=0, le=144)] | None,
        Meta(description="confirmations before it is used, if more than the peer asks; 0 is --zeroconf"),
    ] = None
    zeroconf: Annotated[bool, Meta(description="usable before it is confirmed, if the peer trusts us")] = False
    scid_alias: Annotated[bool, Meta(description="never tell its real place; not with announce")] = False


class FundChannelAnswer(Record, kw_only=True):
    """The funding transaction is out."""

    txid: str
    outnum: int
    channel_id: str


@command("fundchannel", permission=Permission.CHANNELS, group="channels", help="Open a channel with a connected peer.")
async def fundchannel(node: NodeHandle, request: FundChannelRequest) -> FundChannelAnswer:
    """Answered when the funding transaction is out; the channel is usable once it is deep enough."""
    peer = _connected(node, NodeId(request.id))
    close_to = b"" if request.close_to is None else script_called(node, request.close_to, "close_to")
    zeroconf = request.zeroconf or request.mindepth == 0
    if request.zeroconf and request.mindepth:
        raise BadParameter("A zeroconf channel waits for no confirmation: leave mindepth away.", parameter="mindepth")
    feerate = feerate_of(node, request.feerate)
    if feerate is not None:
        check_feerate(feerate, node.policy.feerates, node.feerates)
    inputs: tuple[OutPoint, ...] = () if request.utxos is None else request.utxos.outpoints
    rate = node.feerates.opening_per_kw if feerate is None else feerate
    if request.amount.sat is None:
        feerate = rate
        amount, inputs = _all(node, peer, feerate, inputs, request.minconf)
    else:
        amount = Sat(request.amount.sat)
        _check_amount(node, peer, amount, rate, inputs, request.minconf)

    def wish(command_id: CommandId) -> OpenTo:
        return OpenTo(
            command_id,
            peer.node_id,
            amount,
            Msat(request.push_msat or 0),
            request.announce,
            feerate,
            zeroconf,
            request.scid_alias,
            close_to=close_to,
            minimum_depth=request.mindepth or 0,
            inputs=inputs,
            minconf=request.minconf,
        )

    opened = await _opened(node, peer.node_id, wish)
    await await_published(node, opened.funding_txid, "The funding transaction")
    return FundChannelAnswer(
        txid=shown_hash(opened.funding_txid), outnum=opened.outnum, channel_id=opened.channel_id.hex()
    )


def _connected(node: NodeHandle, peer_id: NodeId) -> PeerView:
    peer = node.views.get(f"peer:{peer_id.hex()}")
    if not isinstance(peer, PeerView):
        raise RpcError("That peer is not connected.", code=FUNDING_UNKNOWN_PEER, node_id=peer_id)
    if not peer.ready:
        raise RpcError("That peer is not connected now.", code=FUNDING_PEER_NOT_CONNECTED, node_id=peer_id)
    return peer


async def _opened(node: NodeHandle, peer_id: NodeId, wish: Callable[[CommandId], OpenTo]) -> ChannelOpening:
    temporary_channel_id = os.urandom(32)
    try:
        opened = await node.submit(Address("opening", peer_id + temporary_channel_id), wish)
    except OpeningNotPossible as no:
        code = CODES.get(str(no.details.get("why")))
        if code is None:
            raise
        raise RpcError(no.message, code=code, **no.details) from None
    assert isinstance(opened, ChannelOpening)
    return opened


def _check_amount(
    node: NodeHandle,
    peer: PeerView,
    amount: Sat,
    feerate: FeeratePerKw,
    inputs: tuple[OutPoint, ...],
    minconf: int,
) -> None:
    """Refuse here what we cannot pay for or the peer cannot take, so that no peer is asked for it in vain."""
    wallet = node.state(WALLET)
    if isinstance(wallet, Wallet):
        reserve = anchor_reserve(node.policy.wallet, count_channels(node.views) + 1)
        output = Output(amount, _FUNDING_SHAPE)
        try:
            check_funds(wallet, output, feerate, node.tip.height, reserve_sat=reserve, inputs=inputs, minconf=minconf)
        except InsufficientFunds as no:
            raise RpcError(
                f"The channel and its fee take {no.details['needed_sat']:,} sat or more of these coins; "
                f"the wallet has {no.details['spendable_sat']:,} sat to spend. See `listfunds`.",
                code=FUND_CANNOT_AFFORD,
                **no.details,
            ) from None
    largest = largest_funding(peer)
    if amount > largest:
        raise RpcError(
            f"This peer takes no channel of more than {largest} sat: it does not offer option_support_large_channel.",
            code=FUND_MAX_EXCEEDED,
            amount_sat=amount,
            largest_sat=largest,
        )


def _all(
    node: NodeHandle, peer: PeerView, feerate: FeeratePerKw, inputs: tuple[OutPoint, ...], minconf: int
) -> tuple[Sat, tuple[OutPoint, ...]]:
    """The largest channel that the wallet can pay for, and the coins that it takes."""
    wallet = node.state(WALLET)
    most, least = Sat(0), node.policy.opening.min_funding_sat
    if isinstance(wallet, Wallet):
        # The new channel has its anchors, too.
        reserve = anchor_reserve(node.policy.wallet, count_channels(node.views) + 1)
        most, coins = most_to_pay(
            wallet, _FUNDING_SHAPE, feerate, node.tip.height, reserve_sat=reserve, inputs=inputs, minconf=minconf
        )
    if most < least:
        raise RpcError(
            f"All there is makes a channel of {most} sat, after the fee and what stays for closing in time; "
            f"the least is {least} sat.",
            code=FUND_CANNOT_AFFORD,
            most_sat=most,
            least_sat=least,
        )
    largest = largest_funding(peer)
    # A channel that may not hold it all needs not all the coins either.
    return (most, coins) if most <= largest else (largest, inputs)
