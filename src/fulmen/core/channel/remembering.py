"""What the key holder of a channel has to know after a restart: what it signed and revealed in earlier lives."""

from __future__ import annotations

from fulmen.core.base.ids import Point
from fulmen.core.channel.dance import remote_view
from fulmen.core.channel.state import Channel, Phase
from fulmen.core.commitments.building import build
from fulmen.core.commitments.commitment import Commitment
from fulmen.core.signer.remembered import Remembered, Signed, content_of

NO_POINT = Point(b"")


def remembered(channel: Channel) -> Remembered | None:
    """What our key holder did for this channel, as the journal has it: each of its facts was there before (law 1)."""
    if channel.params is None or channel.phase in (Phase.CREATED, Phase.CLOSED):
        return None
    newest, before = channel.remote, None
    content, point = b"", channel.remote_point
    if channel.remote_next is not None:
        newest, point = channel.remote_next, channel.remote_next_point
        before = _signed(channel.remote, channel.remote_point)
        view = remote_view(channel, newest, point)
        content = content_of(view, build(view).digest)
    over = channel.phase in (Phase.FAILED, Phase.SPENT) and not channel.outdated
    return Remembered(
        channel.params,
        channel.funding.outpoint,
        _signed(channel.local),
        _signed(newest, point).but(content=content),
        before,
        revoked=channel.remote.number - 1,
        revealed=channel.local.number - 1,
        published=channel.local.number if over else -1,
        # What the operator named for a close that waits for its peer is named once.
        payout=channel.shutdown_sent or channel.shutdown_wanted or b"",
    )


def _signed(commitment: Commitment, point: Point = NO_POINT) -> Signed:
    totals = commitment.totals
    pending = bool(totals.offered_count or totals.received_count)
    return Signed(commitment.number, totals.local_msat, pending, point)
