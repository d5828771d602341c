"""Policy: what the operator decides and the BOLTs leave open. Values only; the defaults are what good nodes run."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from fulmen.core.base.record import Record
from fulmen.core.base.units import CltvDelta, FeeratePerKw, Msat, Sat

Delta16 = Annotated[CltvDelta, Meta(ge=1, le=0xFFFF)]
"""Blocks, as u16 on the wire."""
Fee32 = Annotated[Msat, Meta(ge=0, le=0xFFFFFFFF)]
Parts32 = Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]
"""As u32 on the wire. Below zero a forward would cost ourselves."""
Amount64 = Annotated[Msat, Meta(ge=0, le=2_100_000_000_000_000_000)]
"""No more than there will ever be."""
Share = Annotated[int, Meta(ge=0, le=1_000_000)]
"""Parts of a million."""


class OpeningPolicy(Record):
    """What we offer and accept when a channel opens (BOLT 2, "Channel Establishment v1")."""

    dust_limit_sat: Annotated[Sat, Meta(ge=354)] = Sat(354)
    """354: no output form is dust at it (BOLT 3, "Dust Limits")."""
    max_dust_limit_sat: Sat = Sat(10_000)
    reserve_ppm: Share = 10_000
    max_reserve_ppm: Share = 50_000
    to_self_delay: Delta16 = CltvDelta(144)
    max_to_self_delay: Delta16 = CltvDelta(2016)
    htlc_minimum_msat: Amount64 = Msat(1)
    max_accepted_htlcs: Annotated[int, Meta(ge=1, le=483)] = 483
    max_htlc_value_in_flight_ppm: Share = 1_000_000
    min_funding_sat: Sat = Sat(20_000)
    max_funding_sat: Sat = Sat(1_000_000_000)
    """Above 2^24 - 1 sat the peer must have option_support_large_channel."""
    minimum_depth: int = 3
    anchors: bool = True
    zeroconf_peers: tuple[bytes, ...] = ()
    """Node ids whose unconfirmed funding we trust."""
    close_to: bytes = b""
    """The script to which a mutual close pays us of a channel that somebody else opens, agreed on with every peer that
    offers option_upfront_shutdown_script; empty: decided at the close. The setting is an address."""
    max_pending_per_peer: int = 2
    max_pending: int = 50
    patience_s: Annotated[int, Meta(ge=1)] = 600
    """How long a peer may take for its next message of an opening. Coins are promised to one of ours meanwhile."""


class CommitmentPolicy(Record):
    """Limits on a living channel."""

    feerate_min_per_kw: FeeratePerKw = FeeratePerKw(253)
    feerate_max_per_kw: FeeratePerKw = FeeratePerKw(250_000)
    """A hard cap: above it update_fee is refused (excess endogenous fees)."""
    anchor_feerate_max_per_kw: FeeratePerKw = FeeratePerKw(25_000)
    """The hard cap of channels with anchors, where a fee can be added to later: 100 sat/vB."""
    anchor_feerate_cap_per_kw: FeeratePerKw = FeeratePerKw(2500)
    """What we ourselves want of channels with anchors at most."""
    max_commitment_fee_ppm: Share = 250_000
    """The share of a channel that the fee of its commitments may take. We ourselves go half the way to it: HTLCs that
    the peer adds to the feerate of our choice, or beside HTLCs of ours, take the rest."""
    commitment_fee_allowance_sat: Sat = Sat(25_000)
    """What a commitment may pay whatever its share: in small channels a few HTLCs cost much of them."""
    max_dust_htlc_exposure_msat: Msat = Msat(50_000_000)
    fee_spike_multiple: int = 2


class DeadlinePolicy(Record):
    """Blocks, with the letters of BOLT 2, "cltv_expiry_delta Selection"."""

    cltv_expiry_delta: Delta16 = CltvDelta(80)
    min_final_cltv_expiry_delta: Delta16 = CltvDelta(18)
    """What we ask in invoices is this plus a margin for blocks found meanwhile."""
    offered_grace: CltvDelta = CltvDelta(2)
    """G: how long after its expiry an offered HTLC may linger before the channel fails."""
    fulfilled_deadline: CltvDelta = CltvDelta(18)
    """2R+G+S: how long before its expiry a received HTLC that we fulfilled must be gone."""
    restart_grace: CltvDelta = CltvDelta(3)
    """For how many blocks after a start a channel waits to hear from its peer before it closes by itself."""
    security_delay: CltvDelta = CltvDelta(18)
    """Within how many blocks the HTLCs of a revoked commitment are to be taken, at whatever fee (BOLT 5)."""
    max_htlc_cltv: CltvDelta = CltvDelta(2016)
    forget_unconfirmed_after: CltvDelta = CltvDelta(2016)
    resolved_depth: CltvDelta = CltvDelta(100)
    reorg_safe_depth: CltvDelta = CltvDelta(6)


class ForwardPolicy(Record):
    """What forwarding over one of our channels costs (BOLT 7, `channel_update`)."""

    fee_base_msat: Fee32 = Msat(1000)
    fee_proportional_millionths: Parts32 = 1
    cltv_expiry_delta: Delta16 = CltvDelta(80)
    htlc_minimum_msat: Amount64 = Msat(1)
    htlc_maximum_msat: Amount64 | None = None
    """None: the channel's capacity less the reserve."""


class FloodPolicy(Record):
    """What may be under way at a time over all channels of a peer: `docs/decisions/why-floods-end-at-the-switch.md`."""

    max_received_per_peer: int = 966
    """HTLCs: as many as two channels hold."""
    max_received_msat_per_peer: Amount64 = Msat(100_000_000_000)
    max_received: int = 10_000
    """Of all peers. To claim as many takes a tenth of the blocks that we leave ourselves before they expire."""
    claims_allowance_sat: Sat = Sat(500_000)
    """What claiming all HTLCs of a peer may cost at the feerate of the moment, whatever they are worth."""


class RelayPolicy(Record):
    """How HTLCs are passed on, besides what it costs."""

    max_delay_ms: int | None = None
    """Each waits for a random moment, up to this: else whoever sends them measures where they come to nothing, and who
    sees two of our channels knows which HTLC went on as which. None: 200 where coins are real, elsewhere nothing."""


class PeerPolicy(Record):
    """Bounds on what peers cost us (law 7), in counts and seconds."""

    ping_interval_s: float = 30.0
    pong_timeout_s: float = 30.0
    init_timeout_s: float = 20.0
    max_unchannelled_peers: int = 100
    reconnect_min_s: float = 1.0
    reconnect_max_s: float = 300.0
    max_pings_per_minute: int = 60
    warned_failed_htlcs_per_minute: int = 60
    """More of a peer's HTLCs that come to nothing are a warning in the log: it may be probing. 0: never."""
    features: bytes | None = None
    """What `init` offers, in place of all that this release carries (`core.peer.features`)."""


class FeeratePolicy(Record):
    """Floor and cap on every feerate we use on chain."""

    floor_per_kw: FeeratePerKw = FeeratePerKw(253)
    cap_per_kw: FeeratePerKw = FeeratePerKw(250_000)


class SweepPolicy(Record):
    """How what is ours on the chain is taken, and what that may cost (BOLT 5)."""

    budget_ppm: int = 500_000
    """The share of an output, or of what hangs on a commitment, that may go into fees before a deadline."""
    rises_over: CltvDelta = CltvDelta(36)
    """Over how many blocks before its deadline a fee rises from what the market asks to the whole budget."""
    patience: CltvDelta = CltvDelta(144)
    """How long what nobody can take from us waits before it pays as much as what is urgent."""
    most_inputs: int = 100
    """Of one transaction that takes several outputs."""


class WalletPolicy(Record):
    """What the on-chain wallet keeps back and how it spends."""

    anchor_reserve_sat: Sat = Sat(10_000)
    """For each channel: what it may cost to get its commitment confirmed in time (BOLT 3, anchor outputs)."""
    max_anchor_reserve_sat: Sat = Sat(100_000)
    max_reservations: int = 100
    max_unconfirmed: int = 1000
    """How many transactions of strangers in the mempool are remembered."""


class Policy(Record):
    """All of it."""

    opening: OpeningPolicy = OpeningPolicy()
    commitment: CommitmentPolicy = CommitmentPolicy()
    deadlines: DeadlinePolicy = DeadlinePolicy()
    forward: ForwardPolicy = ForwardPolicy()
    flood: FloodPolicy = FloodPolicy()
    relay: RelayPolicy = RelayPolicy()
    peer: PeerPolicy = PeerPolicy()
    feerates: FeeratePolicy = FeeratePolicy()
    sweep: SweepPolicy = SweepPolicy()
    wallet: WalletPolicy = WalletPolicy()
