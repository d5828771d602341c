"""Opening a channel, version 1: from the wish to the first signature, with nothing at stake and nothing stored.

The machine lives under (node id, temporary_channel_id). All its facts pass: what is not finished is forgotten with the
connection. It ends by telling a channel to be. BOLT 2, "Channel Establishment v1".
"""

from fulmen.core.channel.opening.agreement import first_view
from fulmen.core.channel.opening.machine import MOUNT

__all__ = ["MOUNT", "first_view"]
