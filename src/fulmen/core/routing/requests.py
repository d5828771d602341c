"""What is asked of path finding and what it answers, as values that may cross a process border."""

from __future__ import annotations

import enum
from typing import Any

from fulmen.core.base.ids import ChannelId, NodeId, ShortChannelId
from fulmen.core.base.machine import Action, Address, Event
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, CltvDelta, Msat

MAX_HOPS = 20
"""As many payloads as an onion holds with room for the final one's extras (BOLT 4, "Packet Structure")."""
MAX_AMOUNT_MSAT = Msat((1 << 46) - 1)
"""About 703 BTC: below it every product of a path cost fits into 64 bits."""


class FirstHop(Record):
    """A channel of ours that can carry the first HTLC, with what we know of it for certain."""

    channel_id: ChannelId
    scid: ShortChannelId
    """What names this channel in a `Route`: the real scid, or an alias."""
    node_id: NodeId
    """The peer behind it."""
    spendable_msat: Msat
    htlc_minimum_msat: Msat = Msat(0)


class HintHop(Record):
    """One channel of a route hint, or any private channel: from `node_id` over `scid` towards the next hop."""

    node_id: NodeId
    scid: ShortChannelId
    fee_base_msat: Msat
    fee_proportional_millionths: int
    cltv_expiry_delta: CltvDelta
    htlc_minimum_msat: Msat = Msat(0)
    htlc_maximum_msat: Msat = MAX_AMOUNT_MSAT


class ExcludedChannel(Record):
    """A channel that the route must not use, in one direction or (None) in both.

    The direction is bit 0 of the `channel_flags` of its `channel_update`: 0 goes from node_id_1 to node_id_2.
    """

    scid: ShortChannelId
    direction: int | None = None


class Correction(Record):
    """The policy that one direction of a channel has by a newer `channel_update`, for this search only.

    A failure may carry one; it is used for this payment's retries and not fed to the graph (BOLT 4).
    """

    scid: ShortChannelId
    direction: int
    fee_base_msat: Msat
    fee_proportional_millionths: int
    cltv_expiry_delta: CltvDelta
    htlc_minimum_msat: Msat
    htlc_maximum_msat: Msat


class Weights(Record):
    """What a path costs besides its fees, in integers so that every machine agrees."""

    time_lock_ppb: int = 15
    """Per block that an amount may be locked, in billionths of it."""
    attempt_msat: Msat = Msat(500)
    """What halving the chance of success is worth: this much, plus `attempt_ppm` of the amount."""
    attempt_ppm: int = 250
    hop_msat: Msat = Msat(100)
    """Every hop costs this much, so that of equal paths the shorter wins."""


FEES_ONLY = Weights(time_lock_ppb=0, attempt_msat=Msat(0), attempt_ppm=0, hop_msat=Msat(0))


class RouteRequest(Record, kw_only=True):
    """Find a way for one HTLC."""

    source: NodeId
    destination: NodeId
    amount_msat: Msat
    height: BlockHeight
    """Expiries in the answer count from here."""
    final_cltv_expiry_delta: CltvDelta = CltvDelta(18)
    """What the final hop gets above `height`: the invoice's min_final_cltv_expiry_delta plus margin and shadow."""
    first_hops: tuple[FirstHop, ...] | None = None
    """Our usable channels, or None to start from the public graph (a route between two others)."""
    hints: tuple[tuple[HintHop, ...], ...] = ()
    """Each hint leads to the destination (BOLT 11, `r` field)."""
    max_fee_msat: Msat | None = None
    max_cltv_expiry_delta: CltvDelta = CltvDelta(2016)
    """The whole of what the first HTLC may be locked above `height`."""
    max_hops: int = MAX_HOPS
    excluded_channels: tuple[ExcludedChannel, ...] = ()
    excluded_nodes: tuple[NodeId, ...] = ()
    corrections: tuple[Correction, ...] = ()
    last_hop: NodeId | None = None
    """The node that must hand the HTLC to the destination."""
    weights: Weights = Weights()


class RouteHop(Record):
    """One channel of a route, and the node that it leads to."""

    scid: ShortChannelId
    node_id: NodeId
    """Who receives the HTLC on this channel."""
    amount_msat: Msat
    """The HTLC's amount on this channel."""
    cltv_expiry: BlockHeight
    """The HTLC's expiry on this channel."""
    fee_msat: Msat
    """What `node_id` keeps for passing it on; 0 for the destination."""
    direction: int = 0
    """0: from the lesser node id to the greater (BOLT 7, `channel_flags` bit 0)."""


class Route(Record):
    """The way of one HTLC; `hops[0].scid` names the first hop's channel."""

    hops: tuple[RouteHop, ...]
    channel_id: ChannelId | None = None
    """The channel of ours that it leaves through; None when the request had no first hops."""
    chance_ppm: int = 1_000_000
    """How likely the liquidity is there, as far as we know, in millionths."""

    @property
    def sent_msat(self) -> Msat:
        """What leaves us."""
        return self.hops[0].amount_msat

    @property
    def amount_msat(self) -> Msat:
        """What arrives."""
        return self.hops[-1].amount_msat

    @property
    def fee_msat(self) -> Msat:
        """What all forwarding nodes keep."""
        return Msat(self.sent_msat - self.amount_msat)

    @property
    def cltv_expiry(self) -> BlockHeight:
        """When the first HTLC expires."""
        return self.hops[0].cltv_expiry


class NoRouteReason(enum.Enum):
    """Why there is no route, as a name for machines; its value is the sentence for people."""

    UNKNOWN_DESTINATION = "the destination is not in the graph and no route hint leads to it"
    SELF_PAYMENT = "the destination is ourselves"
    BAD_AMOUNT = "the amount is zero or more than any channel holds"
    NO_CHANNEL = "we have no usable channel"
    INSUFFICIENT_OUTBOUND = "no single channel of ours can send this much"
    BELOW_MINIMUM = "every channel of ours has a peer that asks for larger HTLCs"
    FEE_LIMIT = "the cheapest route costs more than the fee limit"
    CLTV_LIMIT = "every route locks the money for longer than the limit"
    TOO_MANY_HOPS = "every route has more hops than an onion holds"
    INSUFFICIENT_LIQUIDITY = "no path has the liquidity, as far as attempts have shown"
    NO_PATH = "no path of open channels with sufficient limits leads to the destination"


_UNITS = {NoRouteReason.CLTV_LIMIT: "blocks", NoRouteReason.TOO_MANY_HOPS: "hops"}
"""Of what is had and needed; all others speak of amounts."""


class NoRoute(Record):
    """There is none. `have` and `need` are in the reason's unit (msat, blocks or hops) where it has one."""

    reason: NoRouteReason
    have: int | None = None
    need: int | None = None

    def __str__(self) -> str:
        unit = _UNITS.get(self.reason, "msat")
        if self.need is None:
            return self.reason.value
        if self.have is None:
            return f"{self.reason.value} (need {self.need:,} {unit})"
        return f"{self.reason.value} (have {self.have:,} {unit}, need {self.need:,} {unit})"

    def details(self) -> dict[str, Any]:
        """For logs and answers."""
        return {"reason": self.reason.name, "have": self.have, "need": self.need}


class FindRoute(Action):
    """Outer: have a route searched; the answer comes back as `RouteAnswered` to `reply_to`.

    Derivable: a payment without an attempt in flight asks again after a crash.
    """

    reply_to: Address
    ref: int
    request: RouteRequest


class RouteAnswered(Event):
    """To whoever asked: the way, or why there is none. `ref` is the one of the `FindRoute`."""

    ref: int
    answer: Route | NoRoute


class Outcome(Record):
    """How an attempt ended, for the liquidity memory."""

    route: Route
    settled: bool
    failed_at: int | None = None
    """Which hop's `node_id` sent the failure, as an index into `route.hops`; -1 is ourselves; None: nobody knows."""
    failure_code: int = 0
    """BOLT 4, "Failure Messages"."""
    channel_update: bytes = b""
    """What the failure carried; only ever used for this payment's own retries, never for the graph (BOLT 4)."""

    @property
    def teaches(self) -> bool:
        """Whether there is anything to learn from it: of a channel of our own all is known."""
        return len(self.route.hops) > 1 or self.route.channel_id is None


class Learn(Action):
    """Outer, losable: let path finding remember how an attempt ended."""

    outcome: Outcome
