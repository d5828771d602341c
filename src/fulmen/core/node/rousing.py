"""Who waits for a channel of ours is woken by it: what channels show is compared when a run has come to rest.

Nothing is compared while nobody waits. Whoever begins to wait in the very run in which the channel moves is not woken,
and looks by itself in a moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fulmen.core.base.machine import Address
from fulmen.core.base.outer import Want, WantChannels
from fulmen.core.commitments.htlcs import LinkView
from fulmen.core.node.live import NEVER, Live
from fulmen.core.node.views import Views
from fulmen.core.switch.links import CHANNEL_VIEWS

WANTED = WantChannels()


class Sleepers:
    """The machines that wait for a channel, in the order in which they began to."""

    def __init__(self) -> None:
        self._waiting: dict[Address, None] = {}

    def wants(self, address: Address, wants: Sequence[Want]) -> None:
        """A machine wants something else than before."""
        if WANTED in wants:
            self._waiting[address] = None
        else:
            self._waiting.pop(address, None)

    def roused_by(self, touched: Iterable[Live], views: Views) -> tuple[Address, ...]:
        """Whom to wake after a run that touched these machines."""
        if not self._waiting or not any(_moved(live, views) for live in touched):
            return ()
        return tuple(self._waiting)


def _moved(live: Live, views: Views) -> bool:
    name = live.view_name
    if name is None or not name.startswith(CHANNEL_VIEWS) or live.state is live.settled:
        return False
    before = None if live.settled is NEVER else live.kind.mount.view(live.settled)
    return _standing(before) != _standing(views.get(name))


def _standing(view: object) -> tuple[bool, bool]:
    """Whether it can be used, and whether there is more to come of it."""
    return (view.usable, view.away_msat > 0) if isinstance(view, LinkView) else (False, False)
