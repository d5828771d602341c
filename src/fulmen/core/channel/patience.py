"""How long a peer that lives may leave our signature unanswered.

BOLT 2 sets no time for `revoke_and_ack`, but an HTLC behind a signature that is never acknowledged can neither settle
nor fail, and in the end costs the channel. Some nodes lose their thread without a word (LND takes a channel's link down
on an error of its own and keeps the connection). Reconnecting makes both sides begin again from what was signed.
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.machine import Step, Topic
from fulmen.core.base.peers import PeerAlive
from fulmen.core.channel.facts import AnswerAwaited
from fulmen.core.channel.faults import RevocationMissing
from fulmen.core.channel.state import Channel

patience = Topic()


@patience.on(PeerAlive)
def on_peer_alive(channel: Channel, _event: PeerAlive, _env: Env) -> Step[Channel]:
    """Two pongs, and between them no word about the commitment that we signed before the first.

    Raises:
        RevocationMissing: the connection is closed, so that the next one begins with `channel_reestablish`.
    """
    awaited = None if channel.remote_next is None else channel.remote_next.number
    if awaited is not None and awaited == channel.awaited:
        raise RevocationMissing(number=awaited)
    step = Step(channel)
    return step if awaited == channel.awaited else step.fact(AnswerAwaited(awaited))
