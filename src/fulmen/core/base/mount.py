"""The protocol by which `core.node` mounts machines: node knows this shape, and no machine knows node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fulmen.core.base.env import Env
from fulmen.core.base.machine import Address, Event, Step
from fulmen.core.base.outer import Want
from fulmen.core.base.record import Record


class Check(Record):
    """Something to verify before an event is decided: pure data; the node's verifier computes it."""


def _no_checks(_state: Any, _event: Event, _env: Env) -> tuple[Check, ...]:
    return ()


def _no_wants(_state: Any) -> tuple[Want, ...]:
    return ()


def _no_view(_state: Any) -> object | None:
    return None


def _no_needs(_event: Event) -> tuple[Address, ...]:
    return ()


def _same(state: Any) -> Any:
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
    wants: Callable[[Any], tuple[Want, ...]] = _no_wants
    checks: Callable[[Any, Event, Env], tuple[Check, ...]] = _no_checks
    """What must be verified before `decide` may see this event."""
    view: Callable[[Any], object | None] = _no_view
    """What it shows of itself to other machines through `Env.views`."""
    needs: Callable[[Event], tuple[Address, ...]] = _no_needs
    ended: Callable[[Any], bool] = _live
    """True when the machine is over: its state goes to the cold store and leaves memory."""
    lulls: bool = False
    """True if it wants `Lull` after it had events."""
