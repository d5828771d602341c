"""Tell gossip what is new of our channels.

A machine's step does not say what it means to gossip; the shell says now and then that it is time to look, and what
gossip was told is compared with what is so. Only channels whose state changed since are looked at, or all of them when
a block came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fulmen.core.base.env import Env
from fulmen.core.base.ids import ChannelId
from fulmen.core.base.units import BlockHeight
from fulmen.core.channel.announcing import announced
from fulmen.core.channel.state import Channel
from fulmen.core.commitments.announcing import OwnChannel
from fulmen.core.routing.words import OwnChannelGone, OwnChannelIs, ToPathfinder


class OwnChannels:
    """What gossip was told of each channel."""

    def __init__(
        self,
        channels: Callable[[], Iterable[Channel]],
        env: Callable[[], Env],
        tell: Callable[[ToPathfinder], None],
    ) -> None:
        self._channels = channels
        self._env = env
        self._tell = tell
        self._seen: dict[ChannelId, Channel] = {}
        self._told: dict[ChannelId, OwnChannel] = {}
        self._height = BlockHeight(0)

    def look(self) -> None:
        """Compare, and tell the difference."""
        env = self._env()
        block_came = env.height != self._height
        self._height = env.height
        present: dict[ChannelId, None] = {}
        for channel in self._channels():
            present[channel.channel_id] = None
            if block_came or self._seen.get(channel.channel_id) is not channel:
                self._seen[channel.channel_id] = channel
                self._compare(channel, env)
        for channel_id in [known for known in self._seen if known not in present]:
            del self._seen[channel_id]
            self._forget(channel_id)

    def _compare(self, channel: Channel, env: Env) -> None:
        own = announced(channel, env.height, env.policy.forward)
        if own is None:
            self._forget(channel.channel_id)
        elif self._told.get(channel.channel_id) != own:
            self._told[channel.channel_id] = own
            self._tell(OwnChannelIs(own))

    def _forget(self, channel_id: ChannelId) -> None:
        if self._told.pop(channel_id, None) is not None:
            self._tell(OwnChannelGone(channel_id))
