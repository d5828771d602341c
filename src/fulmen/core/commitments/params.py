"""What two nodes agreed on when their channel opened, and the fundings that carry it.

BOLT 2, "Channel Establishment v1". Nothing here changes after opening, but for the list of fundings.
"""

from __future__ import annotations

from fulmen.core.base.env import Basepoints
from fulmen.core.base.ids import ChannelId, NodeId, OutPoint, Signature
from fulmen.core.base.outer import Block
from fulmen.core.base.record import Record
from fulmen.core.base.units import CltvDelta, Msat, Sat


class PartyParams(Record):
    """What one side announced in its `open_channel` or `accept_channel`, in the message's own sense."""

    dust_limit_sat: Sat
    """Outputs below it are left out of this side's commitment transactions."""
    max_htlc_value_in_flight_msat: Msat
    """How much the other side may have on offer to this one."""
    channel_reserve_sat: Sat
    """What the other side has to keep."""
    htlc_minimum_msat: Msat
    """The smallest HTLC this side accepts."""
    to_self_delay: CltvDelta
    """How long the other side's own outputs are delayed."""
    max_accepted_htlcs: int
    """How many HTLCs the other side may have on offer to this one."""
    basepoints: Basepoints
    upfront_shutdown_script: bytes = b""


class ChannelParams(Record):
    """The terms of one channel."""

    channel_id: ChannelId
    node_id: NodeId
    """The peer."""
    key_index: int
    """Names our secret keys of this channel at the key holder."""
    is_opener: bool
    announce: bool
    channel_type: bytes
    """The feature bitmap both sides agreed on."""
    format: str
    """The name of the commitment format (`core.transactions`)."""
    minimum_depth: int
    """Confirmations before we send channel_ready."""
    local: PartyParams
    remote: PartyParams


class Funding(Record):
    """One output that carries the channel. There may be several (splices, factories) over the same logs and numbers."""

    outpoint: OutPoint
    amount_sat: Sat
    format: str
    confirmed: Block | None = None
    index_in_block: int = 0
    exit_delay: CltvDelta = CltvDelta(0)
    """Blocks until the output can be on chain, for fundings that do not stand there yet."""
    peer_signature: Signature = Signature(b"")
    """The peer's signature on our latest commitment transaction over this funding."""
    peer_htlc_signatures: tuple[Signature, ...] = ()
