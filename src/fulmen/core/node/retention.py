"""Cold rows whose time is over go: some with every block, and while there are more, some every second.

Bounded slices, so that no batch is slow. Nothing depends on when a row goes: a slice that a crash has lost is found
again with the next block, and which rows are still to go is a fact.
"""

from __future__ import annotations

from typing import ClassVar

from fulmen.core.base.env import Env
from fulmen.core.base.machine import Address, Drop, Event, Fact, Step, Tell, evolves
from fulmen.core.base.mount import Informed, Mount
from fulmen.core.base.outer import HeightReached, TimeReached, Want, WantHeight, WantTime
from fulmen.core.base.record import Record
from fulmen.core.base.retention import RETENTION, Beginning, Outlived, RowsUnwanted
from fulmen.core.base.units import BlockHeight, Timestamp

SLICE = 1000
"""How many rows go at once; a slice a second is more than any channel can make."""
PAUSE_S = 1
NEVER = Timestamp(0)


class Rows(Record):
    """The cold rows of a kind whose keys begin so."""

    kind: str
    prefix: bytes


class Retention(Record):
    """What is still to go."""

    unwanted: tuple[Rows, ...] = ()
    again_at: Timestamp = NEVER
    """Passing: when to go on with what was too much for one slice."""


class RowsMarked(Fact):
    """Nobody can ask for these rows any more."""

    rows: Rows


class RowsCleared(Fact):
    """None of these rows is left."""

    rows: Rows


class MoreLeft(Fact):
    """A slice was full: go on at this time, or (0) there is no hurry any more."""

    passing: ClassVar[bool] = True

    again_at: Timestamp


class SweepOutlived(Event):
    """To itself: take out what may go at this height."""

    height: BlockHeight


class SweepUnwanted(Event):
    """To itself: take out some of these rows."""

    rows: Rows


@evolves(RowsMarked)
def _rows_marked(state: Retention, fact: RowsMarked) -> Retention:
    return state.but(unwanted=(*state.unwanted, fact.rows))


@evolves(RowsCleared)
def _rows_cleared(state: Retention, fact: RowsCleared) -> Retention:
    return state.but(unwanted=tuple([rows for rows in state.unwanted if rows != fact.rows]))


@evolves(MoreLeft)
def _more_left(state: Retention, fact: MoreLeft) -> Retention:
    return state.but(again_at=fact.again_at)


def needs(event: Event) -> tuple[Beginning | Outlived, ...]:
    """The rows that go next."""
    match event:
        case SweepOutlived():
            return (Outlived(event.height, SLICE),)
        case SweepUnwanted():
            return (Beginning(event.rows.kind, event.rows.prefix, SLICE),)
        case _:
            return ()


def decide(state: Retention, event: Event, env: Env) -> Step[Retention]:
    """Take out a slice, and see whether there is more."""
    step = Step(state)
    match event:
        case HeightReached():
            # History goes by quickly, and every row that has outlived it has outlived the tip as well.
            return step if env.behind else _sweep(step, event.tip.height)
        case TimeReached() if state.again_at != NEVER and env.wall >= state.again_at:
            return _sweep(step.fact(MoreLeft(NEVER)), env.height)
        case RowsUnwanted():
            rows = Rows(event.kind, event.prefix)
            if rows not in state.unwanted:
                step.fact(RowsMarked(rows)).act(Tell(RETENTION, SweepUnwanted(rows)))
            return step
        case Informed():
            return _take_out(step, event.event, event.rows[0], env)
        case _:
            return step


def _sweep(step: Step[Retention], height: BlockHeight) -> Step[Retention]:
    step.act(Tell(RETENTION, SweepOutlived(height)))
    return step.act(*(Tell(RETENTION, SweepUnwanted(rows)) for rows in step.state.unwanted[:1]))


def _take_out(step: Step[Retention], event: Event, found: tuple[Address, ...], env: Env) -> Step[Retention]:
    step.act(*(Drop(address) for address in found))
    if isinstance(event, SweepUnwanted) and len(found) < SLICE and event.rows in step.state.unwanted:
        step.fact(RowsCleared(event.rows))
    if len(found) == SLICE or (isinstance(event, SweepUnwanted) and step.state.unwanted):
        step.fact(MoreLeft(Timestamp(env.wall + PAUSE_S)))
    return step


def forget(state: Retention) -> Retention:
    """The state less its passing facts."""
    return state.but(again_at=NEVER)


def wants(state: Retention) -> tuple[Want, ...]:
    """Every block; and, when there was too much, the next second."""
    block = WantHeight(BlockHeight(0))
    return (block,) if state.again_at == NEVER else (block, WantTime(state.again_at))


MOUNT = Mount(RETENTION.kind, lambda _key: Retention(), decide, forget=forget, wants=wants, needs=needs, standing=True)
