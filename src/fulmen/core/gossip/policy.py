"""What gossip may cost us, and how often we speak: values an operator may set (law 7)."""

from __future__ import annotations

from fulmen.core.base.record import Record


class GossipPolicy(Record):
    """Seconds, counts and bytes. The defaults are what good nodes run on the main network."""

    # Speaking
    flush_interval_s: int = 60
    """BOLT 7: "SHOULD flush outgoing gossip messages once every 60 seconds"; each peer at a moment of its own."""
    max_flush: int = 2000
    """Messages per peer and flush; the rest waits for the next."""
    max_relay_log: int = 50_000
    """Messages that wait for their flushes, in all."""
    refresh_s: int = 13 * 86_400
    """Our own channel_updates are made again at this age, a day before they count as stale."""
    min_update_interval_s: int = 60
    """Changes of a channel's terms within this time go out as one channel_update."""
    disable_after_s: int = 600
    """How long a peer may be away before its channels are said to be disabled."""

    # Answering
    answer_bytes_per_s: int = 500_000
    """To one peer, in reply to its queries and filter."""
    answer_burst_bytes: int = 1_000_000
    answer_all_bytes_per_s: int = 2_000_000
    """To all peers together."""
    scids_per_reply: int = 7_000
    """In one reply_channel_range without timestamps or checksums; with them, so much less that it fits."""

    # Asking
    sync_peers: int = 3
    """Peers from whom we take live gossip; of the others we want their own gossip only."""
    resync_s: int = 3600
    """One peer is asked for its whole range of channels this often."""
    scids_per_query: int = 500
    max_range_scids: int = 500_000
    """As many channels as a peer may claim to know."""
    max_range_replies: int = 20_000
    query_timeout_s: int = 120
    max_wanted: int = 1_000
    """Channels heard of by an update alone, that we shall ask for."""

    # Taking in
    max_channels: int = 500_000
    max_pending: int = 20_000
    """Messages whose signatures or funding are being looked at, in all …"""
    max_pending_per_peer: int = 5_000
    """… and of one peer."""
    max_lookups: int = 200
    """Funding outputs that are being looked for at once."""
    lookup_retry_s: int = 30
    """When the chain source is asked again for those that it could not say."""
    max_held: int = 4_000
    """Updates and node announcements that came before their channel."""
    max_held_per_peer: int = 1_000
    max_rejected: int = 50_000
    """Short channel ids that were found to fund nothing, so as not to look again."""
    max_blacklisted: int = 10_000
    max_message_bytes: int = 2_048
    """Longer announcements and updates are neither kept nor passed on."""
    window_s: int = 600
    messages_per_window: int = 20
    """Accepted updates of one channel direction, or announcements of one node, within a window."""
    max_future_s: int = 86_400
    stale_s: int = 14 * 86_400
    """BOLT 7: two weeks without an update and a channel may be pruned."""
    prune_rows: int = 1_000
    """Channels looked at per tick when pruning."""
    forget_spent_after: int = 72
    """BOLT 7: "SHOULD forget a channel after a 72-block delay"."""
    min_depth: int = 3
    """Confirmations of a channel we believe in: BOLT 7 says 6, and lets us be a little behind."""
    check_funding: bool = True
    """Look every funding output up on the chain. Without it capacities are unknown and channels are free to invent."""
