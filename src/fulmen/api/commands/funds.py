"""Coins on chain: addresses, what there is, and sending it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from fulmen.api.commands.reading import script_called
from fulmen.api.commands.shown import (
    Feerate,
    MinConf,
    await_published,
    channels_of,
    feerate_of,
    shown_address,
    shown_hash,
    shown_scid,
    state_name,
)
from fulmen.api.errors import NotBuiltYet
from fulmen.api.handle import NodeHandle
from fulmen.api.registry import Permission, command
from fulmen.api.values import OutPoints, SatOrAll
from fulmen.core.base.ids import CommandId, OutPoint
from fulmen.core.base.record import Record
from fulmen.core.base.units import Sat
from fulmen.core.bitcoin.accounts import P2TR_ACCOUNT, P2WPKH_ACCOUNT
from fulmen.core.wallet.balance import anchor_reserve, balance
from fulmen.core.wallet.balance import channels_of as count_channels
from fulmen.core.wallet.commands import AddressGiven, NewAddress, Withdraw, Withdrawn
from fulmen.core.wallet.machine import ADDRESS as WALLET
from fulmen.core.wallet.state import Coin, Wallet


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
    purpose = P2TR_ACCOUNT if request.addresstype == "p2tr" else P2WPKH_ACCOUNT
    given = await node.submit(WALLET, lambda command_id: NewAddress(command_id, purpose))
    assert isinstance(given, AddressGiven)
    address = shown_address(node, given.script_pubkey)
    return NewAddrAnswer(p2tr=address) if purpose == P2TR_ACCOUNT else NewAddrAnswer(bech32=address)


class ListFundsRequest(Record):
    """Nothing to say."""


class WalletOutput(Record, kw_only=True, omit_defaults=True):
    """One unspent output that pays to this wallet."""

    txid: str
    output: int
    amount_msat: int
    scriptpubkey: str
    status: str
    """confirmed, unconfirmed, immature."""
    reserved: bool
    """Promised to a transaction of ours. What is kept for anchors lies on no output of its own: see the balances."""
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
    """Free: confirmed, or change of a transaction that nobody but us can undo."""
    pending_msat: int
    """Unconfirmed, and not to be spent yet."""
    reserved_msat: int
    """Promised to a transaction of ours, or kept so that channels with anchors can be closed in time."""
    anchor_reserve_msat: int
    """The share of it that is kept for anchors: of all outputs together, so each may be spent while so much stays."""
    anchor_reserve_missing_msat: int
    """What the wallet lacks of it: with less, the fee of a close may not be raised in time."""
    immature_msat: int
    """Mined by us, less than a hundred blocks ago."""
    channels_msat: int
    """Ours in channels whose funding is unspent, by the latest commitments, before the fee of a close."""


class ListFundsAnswer(Record, kw_only=True):
    """All coins."""

    outputs: tuple[WalletOutput, ...]
    channels: tuple[ChannelFunds, ...]
    balances: Balances


@command("listfunds", permission=Permission.READ, group="funds", help="Coins on chain and in channels.")
async def listfunds(node: NodeHandle, request: ListFundsRequest) -> ListFundsAnswer:
    """Amounts in channels are ours by the latest commitment, before the fee of a close."""
    wallet = node.state(WALLET)
    if not isinstance(wallet, Wallet):
        raise NotBuiltYet("This node runs without a wallet.")
    channels = tuple(
        ChannelFunds(
            peer_id=channel.terms.node_id.hex(),
            our_amount_msat=channel.local.totals.local_msat,
            amount_msat=channel.funding.amount_sat * 1000,
            funding_txid=shown_hash(channel.funding.outpoint.txid),
            funding_output=channel.funding.outpoint.vout,
            connected=view is not None and view.usable,
            state=state_name(channel),
            channel_id=channel.channel_id.hex(),
            short_channel_id=shown_scid(channel.scid),
        )
        for channel, view in channels_of(node)
    )
    reserve = anchor_reserve(node.policy.wallet, count_channels(node.views))
    parts = balance(wallet, node.tip.height, reserve)
    return ListFundsAnswer(
        outputs=tuple(_output(node, wallet, coin) for coin in wallet.unspent),
        channels=channels,
        balances=Balances(
            spendable_msat=parts.spendable_sat * 1000,
            pending_msat=parts.pending_sat * 1000,
            reserved_msat=parts.reserved_sat * 1000,
            anchor_reserve_msat=parts.kept_sat * 1000,
            anchor_reserve_missing_msat=(reserve - parts.kept_sat) * 1000,
            immature_msat=parts.immature_sat * 1000,
            channels_msat=sum(
                channel.local.totals.local_msat for channel, _ in channels_of(node) if not channel.spent_by
            ),
        ),
    )


def _output(node: NodeHandle, wallet: Wallet, coin: Coin) -> WalletOutput:
    status = "confirmed" if coin.is_mature(node.tip.height) else "immature"
    return WalletOutput(
        txid=shown_hash(coin.outpoint.txid),
        output=coin.outpoint.vout,
        amount_msat=coin.amount_sat * 1000,
        scriptpubkey=coin.script_pubkey.hex(),
        status=status if coin.block is not None else "unconfirmed",
        reserved=coin.outpoint in wallet.reserved,
        address=shown_address(node, coin.script_pubkey),
        blockheight=None if coin.block is None else coin.block.height,
    )


class WithdrawRequest(Record):
    """To whom and how much."""

    destination: Annotated[str, Meta(description="a bitcoin address of this network", max_length=128)]
    satoshi: Annotated[SatOrAll, Meta(description="how much; all: everything, or all of the named coins, less the fee")]
    feerate: Feerate = None
    minconf: MinConf = 0
    utxos: Annotated[OutPoints | None, Meta(description="spend exactly these coins: TXID:OUTPUT, …")] = None


class WithdrawAnswer(Record, kw_only=True):
    """What was sent."""

    txid: str
    tx: str
    """Without its signatures; the txid is final."""
    amount_msat: int
    fee_msat: int


@command("withdraw", permission=Permission.PAY, group="funds", help="Send coins on chain.")
async def withdraw(node: NodeHandle, request: WithdrawRequest) -> WithdrawAnswer:
    """Answered when the transaction is out. What channels with anchors may need for a close stays in the wallet."""
    script = script_called(node, request.destination, "destination")
    feerate = feerate_of(node, request.feerate)
    amount = None if request.satoshi.sat is None else Sat(request.satoshi.sat)
    inputs: tuple[OutPoint, ...] = () if request.utxos is None else request.utxos.outpoints

    def wish(command_id: CommandId) -> Withdraw:
        return Withdraw(command_id, script, amount, feerate, inputs, request.minconf)

    sent = await node.submit(WALLET, wish)
    assert isinstance(sent, Withdrawn)
    await await_published(node, sent.txid, "The transaction")
    return WithdrawAnswer(
        txid=shown_hash(sent.txid), tx=sent.tx.hex(), amount_msat=sent.amount_sat * 1000, fee_msat=sent.fee_sat * 1000
    )
