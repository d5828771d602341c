"""From a frame of the transport to the event that the peer machine gets: messages decoded, gossip as it came."""

from __future__ import annotations

from fulmen.core.base.faults import Malformed
from fulmen.core.base.machine import Event
from fulmen.core.base.peers import FrameReceived, FrameRefused, MessageReceived
from fulmen.core.wire import decode

GOSSIP = range(256, 266)
ANNOUNCEMENT_SIGNATURES = 259
"""It stands among the gossip messages, but it belongs to a channel."""


def event_of(frame: bytes) -> Event:
    """What came; gossip stays bytes, for whoever keeps the graph reads it elsewhere."""
    number = int.from_bytes(frame[:2], "big")
    if number in GOSSIP and number != ANNOUNCEMENT_SIGNATURES:
        return FrameReceived(frame)
    try:
        return MessageReceived(decode(frame))
    except Malformed as fault:
        return FrameRefused(number, fault)
