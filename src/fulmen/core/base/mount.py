"""The protocol by which `core.node` mounts machines: node knows this shape, and no machine knows node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fulmen.core.base.env import Env
from fulmen.core.base.faults import InvariantBroken
from fulmen.core.base.machine import Address, Event, Step
from fulmen.core.base.outer import Want
from fulmen.core.base.record import Record
from fulmen.core.base.retention import Beginning, Outlived
from fulmen.core.base.stretch import Stretch
from fulmen.core.base.units import BlockHeight

Needed = Address | Stretch | Beginning | Outlived
"""What a machine may ask of the cold store."""


class Check(Record):
    """Something to verify before an event is decided: pure data that anybody can compute."""

    def holds(self) -> bool:
        """Whether it is so."""
        raise InvariantBroken("this check does not say how it is computed", check=type(self).__name__)


class CheckFailed(Event):
    """A check of this event did not hold. The machine gets this instead of the event."""

    event: Event
    check: Check


class Informed(Event):
    """An event with the cold rows that `Mount.needs` asked for, in that order.

    For an address its row, or None where there is none; for a stretch what was `Found`; for what may go its addresses.
    """

    event: Event
    rows: tuple[Any, ...]


class Remains(Record):
    """What a machine that is over leaves in the cold store, under its own address."""

    state: Any
    """None: nothing, for no event can come that would ask for it."""
    until: BlockHeight | None = None
    """Above this height nothing asks for it, and it goes."""


NOTHING = Remains(None)


def no_checks(_state: Any, _event: Event, _env: Env) -> tuple[Check, ...]:
    """The default of `Mount.checks`: nothing to verify."""
    return ()


def no_wants(_state: Any) -> tuple[Want, ...]:
    """The default of `Mount.wants`."""
    return ()


def no_view(_state: Any) -> object | None:
    """The default of `Mount.view`: it shows nothing."""
    return None


def no_needs(_event: Event) -> tuple[Needed, ...]:
    """The default of `Mount.needs`: no cold rows."""
    return ()


def no_record(_state: Any) -> Record | None:
    """The default of `Mount.record`: its key holder has nothing to remember."""
    return None


def takes_nothing(_state: Any, _event: Event) -> bool:
    """The default of `Mount.takes_frozen`: a frozen machine of this kind holds still."""
    return False


def _same(state: Any) -> Any:
    return state


def _unmarked(state: Any, _reason: str | None) -> Any:
    return state


def _live(_state: Any) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Mount:
    """One kind of machine, as the node needs to know it.

    `kind` is the first half of its addresses. `initial(key)` is the state before the first fact.
    """

    kind: str
    initial: Callable[[bytes], Any]
    decide: Callable[[Any, Event, Env], Step[Any]]
    crash: tuple[Event, ...] = ()
    """What a crash equals for this machine, given to it at start (law 2e)."""
    forget: Callable[[Any], Any] = _same
    """The state less its passing facts: forget(fold(all)) == fold(durable)."""
    wants: Callable[[Any], tuple[Want, ...]] = no_wants
    checks: Callable[[Any, Event, Env], tuple[Check, ...]] = no_checks
    """What must be verified before `decide` may see this event."""
    view: Callable[[Any], object | None] = no_view
    """What it shows of itself to other machines through `Env.views`."""
    needs: Callable[[Event], tuple[Needed, ...]] = no_needs
    """The cold rows an event is to be decided with; the machine then gets it as `Informed(event, rows)`."""
    ended: Callable[[Any], bool] = _live
    """True when the machine is over: its state leaves memory for the cold store, where a later event finds it."""
    remains: Callable[[Any], Remains] | None = None
    """What of it the cold store gets then; None if that is all of it but what passes, for good."""
    takes_frozen: Callable[[Any, Event], bool] = takes_nothing
    """Which events it still decides when frozen: watching, penalties, preimages, deadlines (laws 8 and 11)."""
    frozen: Callable[[Any, str | None], Any] = _unmarked
    """The state as it shows that it is frozen (with the reason), or no longer is (None); pure and total."""
    record: Callable[[Any], Record | None] = no_record
    """What the key holder has to know after a restart of what it signed for this machine."""
    standing: bool = False
    """There is one of it, under the empty key, from the first start on (the wallet): it watches before it ever acts."""
    lulls: bool = False
    """True if it wants `Lull` after it had events."""
