"""The words in which channels, circuits, payments and the chain speak about HTLCs.

Every event here carries an `HtlcKey`, or the offer's `ref`, and receiving it twice is a no-op.
"""

from __future__ import annotations

from fulmen.core.base.ids import ChannelId, HtlcKey, NodeId, PaymentHash, Point, Preimage
from fulmen.core.base.machine import Address, Event
from fulmen.core.base.policy import ForwardPolicy
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, Msat, Timestamp


class Htlc(Record):
    """An HTLC as its `update_add_htlc` says it."""

    key: HtlcKey
    amount_msat: Msat
    payment_hash: PaymentHash
    cltv_expiry: BlockHeight


def circuit_address(key: HtlcKey) -> Address:
    """Where the circuit of a received HTLC lives: channel_id 32, direction 1, id 8 bytes."""
    return Address("circuit", key.channel_id + bytes([key.direction]) + key.id.to_bytes(8, "big"))


class OfferHtlc(Event):
    """To a channel: add an HTLC. `owner` is told what becomes of it; (`owner`, `ref`) names the offer."""

    owner: Address
    ref: int
    amount_msat: Msat
    payment_hash: PaymentHash
    cltv_expiry: BlockHeight
    onion: bytes
    path_key: Point | None = None


class SeekOffer(Event):
    """To a channel: does it hold this offer? The answer is `HtlcOffered` or `OfferForgotten`; nothing is offered."""

    owner: Address
    ref: int


class FulfillHtlc(Event):
    """To a channel: claim a received HTLC."""

    key: HtlcKey
    preimage: Preimage
    fee_msat: Msat = Msat(0)
    """What of it stays with us, if it was passed on."""


class FailHtlc(Event):
    """To a channel: give a received HTLC back; `reason` is the encrypted failure onion for the hop before us."""

    key: HtlcKey
    reason: bytes


class FailMalformedHtlc(Event):
    """To a channel: give a received HTLC back whose onion could not be read."""

    key: HtlcKey
    sha256_of_onion: bytes
    failure_code: int


class HtlcLockedIn(Event):
    """From a channel, to the circuit of this key: a received HTLC is irrevocably committed."""

    htlc: Htlc
    onion: bytes
    path_key: Point | None = None
    over_dust_exposure: bool = False
    """It exceeds our bound on trimmed value (BOLT 2): it has to be failed, whatever it is for."""


class HtlcRemoved(Event):
    """From a channel, to the circuit of this key: no commitment holds the HTLC any more; it will not be told again."""

    key: HtlcKey


class HtlcOffered(Event):
    """To the owner: the offer became this HTLC (not yet committed)."""

    ref: int
    key: HtlcKey


class OfferRefused(Event):
    """To the owner: the channel cannot carry the offer now; nothing was sent."""

    ref: int
    channel_id: ChannelId
    why: str
    """A name: `ChannelOffline`, `InsufficientBalance`, `TooManyHtlcs`, `DustExposure`, `AmountBelowMinimum` …"""


class OfferForgotten(Event):
    """To the owner: the offer was never in a signed commitment and is gone (law 2d). Offer it again, or give up."""

    ref: int
    channel_id: ChannelId


class Fulfilled(Event):
    """To the owner: the preimage of an offered HTLC is known, from the wire or the chain. Claim upstream at once."""

    ref: int
    key: HtlcKey
    preimage: Preimage


class Failed(Event):
    """To the owner: an offered HTLC can no longer be paid downstream.

    `reason` is the failure onion as the next hop sent it. For a malformed one, `failure_code` and `sha256_of_onion`
    are what it said. When the chain took it away (`on_chain`), there is neither.
    """

    ref: int
    key: HtlcKey
    reason: bytes = b""
    failure_code: int = 0
    sha256_of_onion: bytes = b""
    on_chain: bool = False


class LinkView(Record):
    """What a channel shows to circuits, payments and the graph (`Env.views["channel:<hex id>"]`)."""

    channel_id: ChannelId
    node_id: NodeId
    usable: bool
    """Connected, past channel_ready, not shutting down, not frozen."""
    spendable_msat: Msat
    """The largest single HTLC that we could offer now."""
    receivable_msat: Msat
    capacity_msat: Msat
    htlc_minimum_msat: Msat
    """The peer's: it accepts no smaller HTLC from us."""
    scid: int | None
    """The real one, once confirmed deep enough."""
    local_alias: int | None
    """Ours, that we sent: what onions that go through us may call this channel."""
    remote_alias: int | None
    """The peer's, that we received: what it calls this channel in onions that come to us, so it stands in our route
    hints (BOLT 2, `channel_ready`)."""
    announced: bool
    """Whether it is for everybody to know."""
    forward: ForwardPolicy | None = None
    """What forwarding over this channel costs, or None for the default."""
    previous_forward: ForwardPolicy | None = None
    """What it cost before the last change; still taken until `previous_forward_until` (BOLT 7: 10 minutes)."""
    previous_forward_until: Timestamp = Timestamp(0)
    scid_alias_only: bool = False
    """True for a channel type with option_scid_alias: onions must not call it by its real scid (BOLT 2)."""
    disabled: bool = False
    """True if our last `channel_update` says so."""
    announced_at: BlockHeight = BlockHeight(0)
    """The height from which on an announced channel may be known (BOLT 7: six confirmations)."""
    away_msat: Msat = Msat(0)
    """What it could offer soon, where that is more than now: it is in order, and waits for a connection, for the peer's
    `channel_reestablish`, or for HTLCs to end that use up what the peer accepts."""
    unfunded: bool = False
    """The peer opened it, and its funding is not yet in a block deep enough: it may never be."""
    received_count: int = 0
    """HTLCs of the peer that are under way, those that are on the chain with their channel among them."""
    received_msat: Msat = Msat(0)
    received_outputs: int = 0
    """How many of them may have an output of their own."""
