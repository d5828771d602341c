"""What may be wrong with a chain that seems well: a tip that stands still, a second source that says something else.

Whoever keeps blocks from a node, or feeds it blocks that nobody else has, does it through its source; and a source that
cannot take a block that all others take stands still without knowing. A second one, run by somebody else or by other
software, and the clock are what it can be held against. Nothing is decided here: the operator is told.
"""

from __future__ import annotations

from collections.abc import Callable

from fulmen.adapters.chain.faults import ChainSourceFault, WrongNetwork
from fulmen.adapters.chain.source import ChainSource
from fulmen.core.base.outer import Block
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight

TIP_OLD = "the tip is old"
DISAGREE = "the chain sources disagree"
BEHIND = "the chain source is behind"
SECOND_BEHIND = "the second chain source is behind"
SECOND_FAILS = "the second chain source fails"


class Alarm(Record):
    """Something is wrong. Its name stays the same while it is."""

    name: str
    words: str


class Oversight:
    """Holds a source against the clock, and against a second source where there is one.

    Args:
        apart: for how many blocks two sources may differ, or one be ahead of the other, before that is an alarm: a
            block takes seconds from one node to all others, and two found at once part them for one block or two.
        old_after_s: the age at which a tip is an alarm; None: no tip is ever too old. The age is that of the block's
            own time, so that blocks which come on and on but ever later are seen as well.
        wall: seconds since 1970.
    """

    def __init__(
        self,
        first: ChainSource,
        second: ChainSource | None,
        *,
        apart: int,
        old_after_s: float | None,
        wall: Callable[[], int],
    ) -> None:
        self._first = first
        self._second = second
        self._apart = apart
        self._old_after_s = old_after_s
        self._wall = wall

    async def look(self) -> tuple[Alarm, ...]:
        """What is wrong now. That the first source fails is for the watcher to say, who asks it all the time."""
        found: list[Alarm | None] = []
        tip: Block | None = None
        try:
            tip = await self._first.check()
            found.append(await self._held_against_the_clock(tip))
        except (ChainSourceFault, WrongNetwork):
            pass
        if self._second is not None:
            try:
                other = await self._second.check()
                if tip is not None:
                    found.append(await self._compared(tip, other, self._second))
            except (ChainSourceFault, WrongNetwork) as fault:
                found.append(Alarm(SECOND_FAILS, f"{fault.name}: {fault}"))
        return tuple([alarm for alarm in found if alarm is not None])

    async def _held_against_the_clock(self, tip: Block) -> Alarm | None:
        if self._old_after_s is None:
            return None
        made_at = await self._first.time_of(tip.hash)
        if made_at is None or self._wall() - made_at <= self._old_after_s:
            return None
        minutes = (self._wall() - made_at) // 60
        return Alarm(TIP_OLD, f"the newest block, at height {tip.height}, was made {minutes} minutes ago")

    async def _compared(self, tip: Block, other: Block, second: ChainSource) -> Alarm | None:
        """Raises ChainSourceFault: the second source failed."""
        height = BlockHeight(max(0, min(tip.height, other.height) - self._apart))
        try:
            ours = await self._first.hash_at(height)
        except ChainSourceFault:
            return None
        if ours != await second.hash_at(height):
            return Alarm(
                DISAGREE, f"their blocks at height {height} differ; they are at {tip.height} and {other.height}"
            )
        if other.height - tip.height > self._apart:
            return Alarm(BEHIND, f"it is at height {tip.height}, the second one at {other.height}")
        if tip.height - other.height > self._apart:
            return Alarm(SECOND_BEHIND, f"it is at height {other.height}, the first one at {tip.height}")
        return None
