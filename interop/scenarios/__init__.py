"""What is played, room by room. The order of the report, and of the play, is the order here."""

from __future__ import annotations

import importlib

_PEERS = (
    *("connecting", "opening", "paying", "gossip", "forwarding", "failing", "failing_theirs", "feerates"),
    *("cutting", "cutting_channels", "crashing", "stuck", "closing", "stuck_closes", "spikes", "old_states"),
    *("reorgs", "legacy"),
)
PEER_ROOMS = tuple(f"{__name__}.{room}" for room in _PEERS)
CHAIN_ROOMS = tuple(f"{__name__}.{room}" for room in ("chain", "channels_on_chain"))
OUR_CHAIN_ROOMS = (f"{__name__}.on_our_chain",)

MIXED_ROOMS = (f"{__name__}.mixed",)

for _module in PEER_ROOMS + CHAIN_ROOMS + OUR_CHAIN_ROOMS + MIXED_ROOMS:
    importlib.import_module(_module)
