"""What peers ask for forwarding to us: invoices say it, and a fresh channel's peer has yet to.

Peers send their `channel_update` for an unannounced channel about a second after it is locked in, and again on every
connection (BOLT 7). An invoice that came before it would carry a guess, and payments that trust it fail.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fulmen.core.base.ids import ChannelId
from fulmen.core.gossip.graph import DirectionPolicy
from fulmen.core.routing.words import RemoteTerms, Terms

WAIT_S = 3.0
LOOK_S = 0.1


class PeerTerms:
    """Asks gossip, and waits once for a peer that has said nothing yet."""

    def __init__(self, ask: Callable[[RemoteTerms, type[Terms]], Awaitable[Terms]], wait_s: float = WAIT_S) -> None:
        self._ask = ask
        self._wait_s = wait_s
        self._silent: dict[ChannelId, None] = {}
        """Channels whose peers were waited for in vain: they may never say anything."""

    async def of(self, channel_id: ChannelId) -> DirectionPolicy | None:
        """What the peer of a channel asks, or None."""
        said = await self._said(channel_id)
        if said is None and channel_id not in self._silent:
            try:
                async with asyncio.timeout(self._wait_s):
                    while said is None:
                        await asyncio.sleep(LOOK_S)
                        said = await self._said(channel_id)
            except TimeoutError:
                self._silent[channel_id] = None
        return said

    async def _said(self, channel_id: ChannelId) -> DirectionPolicy | None:
        return (await self._ask(RemoteTerms(0, channel_id), Terms)).policy
