"""What a run of the node gives: facts for the disk, actions for the outside, and what the node itself has to say.

A batch is written in one transaction, and only then are its actions performed (law 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fulmen.core.base.faults import InvariantBroken, Refused
from fulmen.core.base.machine import Action, Address, Event, Fact
from fulmen.core.base.outer import Notify, Want
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight


class Frozen(Fact):
    """The node's own fact about a machine: it broke an invariant and holds still (law 8)."""

    reason: str


class Thawed(Fact):
    """The node's own fact about a machine: the operator lets it go on."""


class Ended(Fact):
    """The node's own fact about a machine: its state is a cold row now, and its facts so far are in it."""


class Freeze(Event):
    """To the node, about one machine: it must hold still, for example because its key holder refused to sign."""

    reason: str


class Thaw(Event):
    """To the node, about one frozen machine: the operator has looked, let it go on."""


class MachineFrozen(Refused):
    """The machine is frozen and takes no such event."""


class NotMounted(Refused):
    """No machine of this kind is mounted."""


class NotAtRest(InvariantBroken):
    """Machines went on telling each other things beyond every bound."""


class Snapshot(Record):
    """All durable facts of a machine up to a position of the journal, folded."""

    address: Address
    position: int
    state: Any
    frozen: str | None = None


class JournalRow(Record):
    """The durable facts of one batch, in the order in which they became true."""

    position: int
    facts: tuple[tuple[Address, Fact], ...]


class ColdRow(Record):
    """A change of the cold store, which holds what has ended, or is too many to be in memory."""

    address: Address
    row: Any
    """None: the row that was there goes."""
    until: BlockHeight | None = None
    """The height above which it may go."""


class StoryRow(Record):
    """A line of the story. `at` is the wall clock, seconds since 1970."""

    at: int
    about: Address
    what: str
    details: Mapping[str, Any]


class WantsChanged(Record):
    """How what machines want to be in place has changed, machine by machine."""

    added: tuple[tuple[Address, Want], ...] = ()
    removed: tuple[tuple[Address, Want], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)


class Batch(Record):
    """One run: what goes to the disk in one transaction, and what is let go once it is there.

    `position` is the journal row of `facts`, or without facts the last row before. `senders[i]` is the machine that
    decided `actions[i]`. Journal rows below `keep_from` are needed by no machine any more.
    """

    position: int
    facts: tuple[tuple[Address, Fact], ...] = ()
    actions: tuple[Action, ...] = ()
    senders: tuple[Address, ...] = ()
    wants: WantsChanged = WantsChanged()
    cold: tuple[ColdRow, ...] = ()
    story: tuple[StoryRow, ...] = ()
    snapshots: tuple[Snapshot, ...] = ()
    keep_from: int = 0

    @property
    def durable(self) -> bool:
        """True if something of it has to be on disk before it is let go."""
        return bool(self.facts or self.cold or self.story or self.snapshots)

    @property
    def outward(self) -> bool:
        """True if someone outside waits for it; news can wait, and may be lost."""
        return bool(self.wants) or any(type(action) is not Notify for action in self.actions)
