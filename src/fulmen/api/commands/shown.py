"""How ids, transactions and channels are written, and how a channel is found by any of its names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated

from msgspec import Meta

from fulmen.api.errors import FUNDING_BROADCAST_FAIL, BadParameter, RpcError
from fulmen.api.handle import NodeHandle, NotPublished
from fulmen.api.pages import MAX_PAGES, PAGE
from fulmen.core.base.env import Feerates
from fulmen.core.base.ids import ShortChannelId, Txid, scid_from_text, scid_text
from fulmen.core.base.machine import Address
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
    Meta(description="urgent, normal, slow, minimum (see `feerates`), or 2500perkw, 10000perkb; a good one without it"),
]
"""To be read by `feerate_of`."""
CHANNEL_ID_DIGITS, NODE_ID_DIGITS = 64, 66
VBYTES = {"perkw": 1, "perkb": 4}
FEERATE_WORDS: dict[str, Callable[[Feerates], FeeratePerKw]] = {
    "urgent": lambda rates: rates.urgent_per_kw,
    "normal": lambda rates: rates.closing_per_kw,
    "slow": lambda rates: rates.slow_per_kw,
    "minimum": lambda rates: rates.floor_per_kw,
}
"""Core Lightning's words. Its `urgent` looks six blocks ahead, ours two; `normal` twelve, `slow` a hundred."""


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


def state_name(channel: Channel) -> str:
    """A channel's phase in the words of Core Lightning, which its callers compare with.

    A close that is wanted and waits for its peer counts as begun, as there.
    """
    return _STATES[Phase.SHUTDOWN if channel.closes and channel.phase < Phase.SHUTDOWN else channel.phase]


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
    meant = _meant_by(name)
    found = [channel for channel, _ in channels_of(node) if meant(channel)]
    if len(name) == NODE_ID_DIGITS:
        found = [channel for channel in found if channel.phase < Phase.CLOSING] or found
    if not found:
        raise ChannelUnknown(f"No channel of ours is called {name}.")
    if len(found) > 1:
        names = [shown_scid(channel.scid) or channel.channel_id.hex() for channel in found]
        raise ChannelAmbiguous(
            f"There are several channels with this peer: {', '.join(names)}. Name one.", channels=names
        )
    return found[0]


async def closed_channel_called(node: NodeHandle, name: str) -> Channel | None:
    """The channel of this name that was closed and is over, the last one of a peer; None where there is none."""
    meant, last = _meant_by(name), None
    if len(name) == CHANNEL_ID_DIGITS:
        row = await node.read_cold(Address("channel", bytes.fromhex(name)))
        return row if isinstance(row, Channel) and row.spent_in is not None else None
    after: int | None = None
    for _ in range(MAX_PAGES):
        page = await node.cold_page("channel", after, PAGE)
        for _, row in page.rows:
            if isinstance(row, Channel) and row.spent_in is not None and meant(row):
                last = row
        after = page.after
        if after is None:
            break
    return last


def _meant_by(name: str) -> Callable[[Channel], bool]:
    """Whether a caller means a channel.

    Raises:
        BadParameter: the name is none that a channel can have.
    """
    if "x" in name:
        try:
            wanted = scid_from_text(name)
        except ValueError as wrong:
            raise BadParameter(f"The parameter 'id' is wrong: {wrong}.", parameter="id") from None
        return lambda channel: wanted in (channel.scid, channel.remote_alias, *channel.local_aliases[-1:])
    try:
        key = bytes.fromhex(name)
    except ValueError:
        key = b""
    if len(name) == CHANNEL_ID_DIGITS and key:
        return lambda channel: channel.channel_id == key
    if len(name) == NODE_ID_DIGITS and key:
        return lambda channel: channel.params is not None and channel.terms.node_id == key
    raise BadParameter("The parameter 'id' is a channel id, a short channel id or a peer's node id.", parameter="id")


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


def feerate_of(node: NodeHandle, text: str | None) -> FeeratePerKw | None:
    """A feerate as Core Lightning's callers write it: a word, or `2500perkw`, `10000perkb`.

    A number without a unit is per kilobyte.

    Raises:
        BadParameter
    """
    if text is None:
        return None
    if text in FEERATE_WORDS:
        return FEERATE_WORDS[text](node.feerates)
    unit = next((unit for unit in VBYTES if text.endswith(unit)), "")
    digits = text.removesuffix(unit)
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 9 or not int(digits):
        raise BadParameter(
            f"The parameter 'feerate' is {', '.join(FEERATE_WORDS)}, or looks like 2500perkw or 10000perkb.",
            parameter="feerate",
        )
    return FeeratePerKw(-(-int(digits) // VBYTES[unit or "perkb"]))
