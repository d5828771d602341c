"""Alice tells the node of a channel between her and bob: what many scripts about gossip begin with."""

from __future__ import annotations

from fulmen.conformance.script import (
    ALICE,
    BOB,
    ExpectGossip,
    FundAnnounced,
    Send,
    Step,
)
from fulmen.conformance.scripts.common import hello

FLUSH_S = 70.0
"""A flush of gossip comes every 60 seconds."""
SLOW_FLUSH_S = 100.0
"""LND takes 90 for it: what must not be passed on is waited for as long."""
BOTH: tuple[Step, ...] = (*hello(ALICE), *hello(BOB))
FUNDED: tuple[Step, ...] = (*BOTH, FundAnnounced())
"""Alice and bob are connected to the node, and share an output that is deep enough."""
TOLD: tuple[Step, ...] = (
    *FUNDED,
    Send("channel_announcement"),
    Send("channel_update"),
    ExpectGossip("channel_update", peer=BOB),
)
"""And the node knows their channel, and alice's terms."""
KNOWN: tuple[Step, ...] = (*TOLD, Send("channel_update", peer=BOB))
"""And bob's: some nodes tell of a node only when somebody's terms lead to it."""
