"""What passing on payments has brought in, over channels that are no more.

A channel counts its own fees for as long as it is (`Channel.fees_earned_msat`) and hands the sum over when it ends, so
the total of all time is a few numbers, and nobody has to walk over every payment that was ever passed on.
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.faults import Refused
from fulmen.core.base.ids import ChannelId
from fulmen.core.base.machine import Event, Fact, Step, evolves
from fulmen.core.base.mount import Mount
from fulmen.core.base.record import Record
from fulmen.core.base.units import Msat
from fulmen.core.commitments.close import EARNINGS, FeesHandedOver


class Earnings(Record):
    """The total, and which channels are in it."""

    total_msat: Msat = Msat(0)
    channels: tuple[ChannelId, ...] = ()
    """Only those that earned something: each was paid for on the chain, so a peer cannot make many."""


class FeesCounted(Fact):
    """A channel that is over had earned this."""

    channel_id: ChannelId
    fees_msat: Msat


@evolves(FeesCounted)
def _counted(earnings: Earnings, fact: FeesCounted) -> Earnings:
    return Earnings(Msat(earnings.total_msat + fact.fees_msat), (*earnings.channels, fact.channel_id))


class NotForEarnings(Refused):
    """Earnings have no handler for this event."""


def decide(earnings: Earnings, event: Event, _env: Env) -> Step[Earnings]:
    """Count a channel once, however often it says it.

    Raises:
        NotForEarnings
    """
    if not isinstance(event, FeesHandedOver):
        raise NotForEarnings(event=type(event).__name__)
    if event.channel_id in earnings.channels:
        return Step(earnings)
    return Step(earnings).fact(FeesCounted(event.channel_id, event.fees_msat))


MOUNT = Mount(EARNINGS.kind, lambda _key: Earnings(), decide)
