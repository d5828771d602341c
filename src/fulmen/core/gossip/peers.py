"""One connected peer, as gossip sees it: what we ask of it, what it asked of us, what is on its way to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from fulmen.core.base.ids import NodeId
from fulmen.core.base.units import Timestamp
from fulmen.core.gossip.sync import Sync
from fulmen.core.wire.messages.gossip import GossipTimestampFilter


@dataclass
class Peer:
    """What is remembered of it while it is there."""

    node_id: NodeId
    sync: Sync
    asks: bool
    """It offers gossip_queries and keeps our chain: worth asking."""
    hears: bool
    """It wants to hear of our chain."""
    place: int
    """How far it was told what the relay holds."""
    next_flush: Timestamp
    budget: float
    """Bytes that it may be sent now."""
    wanted: GossipTimestampFilter | None = None
    ranges: Iterator[bytes] | None = None
    scids: Iterator[bytes] | None = None
    backlog: Iterator[bytes] | None = None
    outgoing: deque[bytes] = field(default_factory=deque)
    synced_at: int = 0
    failures: int = 0
    """Queries that it left unanswered."""
    leaving: bool = False
