"""Coins on chain: addresses, what there is, and sending it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from fulmen.api.errors import NotBuiltYet
from fulmen.api.handle import NodeHandle
from fulmen.api.registry import Permission, command
from fulmen.api.values import SatOrAll
from fulmen.core.base.record import Record


class NewAddrRequest(Record):
    """Of which form."""

    addresstype: Annotated[Literal["bech32", "p2tr"], Meta(description="bech32 (BIP 84) or p2tr (BIP 86)")] = "bech32"


class NewAddrAnswer(Record, omit_defaults=True):
    """A fresh address; the field is named by its form."""

    bech32: str | None = None
    p2tr: str | None = None


@command("newaddr", permission=Permission.INVOICE, group="funds", help="A fresh address of this node's wallet.")
async def newaddr(node: NodeHandle, request: NewAddrRequest) -> NewAddrAnswer:
    """Every call gives another one."""
    raise NotBuiltYet("newaddr waits for the wallet.")


class ListFundsRequest(Record):
    """Which coins."""

    spent: Annotated[bool, Meta(description="spent outputs as well")] = False


class WalletOutput(Record, kw_only=True, omit_defaults=True):
    """One output that pays, or paid, this wallet."""

    txid: str
    output: int
    amount_msat: int
    scriptpubkey: str
    status: str
    """confirmed, unconfirmed, spent."""
    reserved: bool
    address: str | None = None
    blockheight: int | None = None


class ChannelFunds(Record, kw_only=True, omit_defaults=True):
    """What a channel holds."""

    peer_id: str
    our_amount_msat: int
    amount_msat: int
    funding_txid: str
    funding_output: int
    connected: bool
    state: str
    channel_id: str
    short_channel_id: str | None = None


class Balances(Record, kw_only=True):
    """What can be spent now, what will be, and what is kept back: never one number for all."""

    spendable_msat: int
    pending_msat: int
    reserved_msat: int


class ListFundsAnswer(Record, kw_only=True):
    """All coins."""

    outputs: tuple[WalletOutput, ...]
    channels: tuple[ChannelFunds, ...]
    balances: Balances


@command("listfunds", permission=Permission.READ, group="funds", help="Coins on chain and in channels.")
async def listfunds(node: NodeHandle, request: ListFundsRequest) -> ListFundsAnswer:
    """Amounts in channels are ours by the latest commitment, before the fee of a close."""
    raise NotBuiltYet("listfunds waits for the wallet.")


class WithdrawRequest(Record):
    """To whom and how much."""

    destination: Annotated[str, Meta(description="a bitcoin address of this network", max_length=128)]
    satoshi: Annotated[SatOrAll, Meta(description="how much")]
    feerate: Annotated[str | None, Meta(description="such as 2500perkw or 10000perkb; a good one without it")] = None


class WithdrawAnswer(Record, kw_only=True):
    """What was sent."""

    txid: str
    tx: str
    amount_msat: int
    fee_msat: int


@command("withdraw", permission=Permission.PAY, group="funds", help="Send coins on chain.")
async def withdraw(node: NodeHandle, request: WithdrawRequest) -> WithdrawAnswer:
    """It keeps back what anchors need, except with `all` and no channel."""
    raise NotBuiltYet("withdraw waits for the wallet.")
