"""How ids, transactions and channels are written, and how a channel is found by any of its names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from fulmen.api.errors import FUNDING_BROADCAST_FAIL, BadParameter, RpcError
from fulmen.api.handle import NodeHandle, NotPublished
from fulmen.core.base.ids import ChannelId, ShortChannelId, Txid, scid_from_text, scid_text
from fulmen.core.base.record import Record
from fulmen.core.base.units import FeeratePerKw
from fulmen.core.bitcoin.address import ScriptWithoutAddress, address_of
from fulmen.core.channel.state import Channel, Phase
from fulmen.core.commitments.htlcs import LinkView
from fulmen.core.gossip.addresses import DNS, IPV4, IPV6, TOR_V3, NodeAddress

MinConf = Annotated[
    int, Meta(description="depth that the spent coins must have; 0: our own change may be unconfirmed", ge=0, le=10_000)
]
Feerate = Annotated[
    Annotated[str, Meta(max_length=20)] | None,
    Meta(description="such as 2500perkw or 10000perkb; a good one without it"),
]
"""To be read by `feerate_of`."""
VBYTES = {"perkw": 1, "perkb": 4}


class Endpoint(Record):
    """Where a node can be reached."""

    type: str
    """ipv4, ipv6, torv3 or dns."""
    address: str
    port: int


class ChannelUnknown(RpcError):
    """No channel of ours has this name."""


class ChannelAmbiguous(RpcError):
    """There are several channels with this peer."""


_STATES = {
    Phase.NONE: "OPENINGD",
    Phase.CREATED: "OPENINGD",
    Phase.AWAITING_READY: "CHANNELD_AWAITING_LOCKIN",
    Phase.NORMAL: "CHANNELD_NORMAL",
    Phase.SHUTDOWN: "CHANNELD_SHUTTING_DOWN",
    Phase.CLOSING: "CLOSINGD_COMPLETE",
    Phase.FAILED: "AWAITING_UNILATERAL",
    Phase.SPENT: "ONCHAIN",
    Phase.CLOSED: "CLOSED",
}


def state_name(phase: Phase) -> str:
    """A channel's phase in the words of Core Lightning, which its callers compare with."""
    return _STATES[phase]


def shown_hash(internal: bytes) -> str:
    """A txid or block hash as explorers print it."""
    return internal[::-1].hex()


def shown_scid(scid: int | None) -> str | None:
    """BLOCKxTXxOUTPUT, if there is one."""
    return None if scid is None else scid_text(ShortChannelId(scid))


def shown_address(node: NodeHandle, script_pubkey: bytes) -> str | None:
    """The address of a script, if it has one."""
    try:
        return address_of(script_pubkey, node.network)
    except ScriptWithoutAddress:
        return None


_KINDS = {IPV4: "ipv4", IPV6: "ipv6", TOR_V3: "torv3", DNS: "dns"}


def endpoint_of(address: NodeAddress) -> Endpoint:
    """An announced address."""
    return Endpoint(_KINDS.get(address.type, "unknown"), address.host, address.port)


def channels_of(node: NodeHandle) -> Iterator[tuple[Channel, LinkView | None]]:
    """All channels that have come into being, and what they show."""
    for key, channel in node.states("channel").items():
        if isinstance(channel, Channel) and channel.params is not None and channel.phase is not Phase.NONE:
            view = node.views.get(f"channel:{key.hex()}")
            yield channel, view if isinstance(view, LinkView) else None


def channel_called(node: NodeHandle, name: str) -> Channel:
    """The channel that a caller means: by channel id, short channel id, or the node id of a peer with one channel.

    Raises:
        BadParameter, ChannelUnknown, ChannelAmbiguous
    """
    if "x" in name:
        try:
            wanted = scid_from_text(name)
        except ValueError as wrong:
            raise BadParameter(f"The parameter 'id' is wrong: {wrong}.", parameter="id") from None
        found = [
            channel
            for channel, view in channels_of(node)
            if wanted == channel.scid or (view is not None and wanted in (view.local_alias, view.remote_alias))
        ]
    else:
        try:
            key = bytes.fromhex(name)
        except ValueError:
            key = b""
        if len(key) not in (32, 33):
            raise BadParameter(
                "The parameter 'id' is a channel id, a short channel id or a peer's node id.", parameter="id"
            )
        found = [
            channel
            for channel, _ in channels_of(node)
            if (channel.channel_id == ChannelId(key) if len(key) == 32 else channel.terms.node_id == key)
        ]
        if len(key) == 33:
            found = [channel for channel in found if channel.phase < Phase.CLOSING] or found
    if not found:
        raise ChannelUnknown(f"No channel of ours is called {name}.")
    if len(found) > 1:
        names = [shown_scid(channel.scid) or channel.channel_id.hex() for channel in found]
        raise ChannelAmbiguous(
            f"There are several channels with this peer: {', '.join(names)}. Name one.", channels=names
        )
    return found[0]


async def await_published(node: NodeHandle, txid: bytes, what: str) -> None:
    """Wait until a transaction that was decided is out.

    Raises:
        RpcError: it is not, for now; it stays decided.
    """
    try:
        await node.await_published(Txid(txid))
    except NotPublished as no:
        raise RpcError(
            f"{what} {shown_hash(txid)} is made, but not out yet: {no.message}. It is tried again with every block.",
            code=FUNDING_BROADCAST_FAIL,
            txid=shown_hash(txid),
        ) from None


def feerate_of(text: str | None) -> FeeratePerKw | None:
    """A feerate as Core Lightning's callers write it: `2500perkw`, `10000perkb`; without a unit it is per kilobyte.

    Raises:
        BadParameter
    """
    if text is None:
        return None
    unit = next((unit for unit in VBYTES if text.endswith(unit)), "")
    digits = text.removesuffix(unit)
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 9:
        raise BadParameter("The parameter 'feerate' looks like 2500perkw or 10000perkb.", parameter="feerate")
    return FeeratePerKw(-(-int(digits) // VBYTES[unit or "perkb"]))
