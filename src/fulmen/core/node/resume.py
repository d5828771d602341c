"""From what was stored to machines in memory: snapshots, then the facts that they do not hold yet, in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fulmen.core.base.faults import InvariantBroken
from fulmen.core.base.machine import Address, evolve
from fulmen.core.node.batch import Ended, Frozen, JournalRow, Snapshot, Thawed
from fulmen.core.node.live import Kind, Live
from fulmen.core.node.pins import Pins


class CannotResume(InvariantBroken):
    """What was stored cannot be folded by this version: nothing is started, nothing is changed."""


def resume(
    kinds: Mapping[str, Kind], pins: Pins, snapshots: Iterable[Snapshot], rows: Iterable[JournalRow]
) -> tuple[list[Live], int, int]:
    """Put all machines into memory.

    Gives them in the order of their mounts and keys, the journal's position, and how many facts its rows have.

    Raises:
        CannotResume: a kind is not mounted, or a fact cannot be folded.
    """
    rows = tuple(rows)
    covered: dict[Address, int] = {}
    position = 0
    for row in rows:
        position = max(position, row.position)
        for address, fact in row.facts:
            if type(fact) is Ended:
                covered[address] = row.position
    for snapshot in snapshots:
        position = max(position, snapshot.position)
        if snapshot.position < covered.get(snapshot.address, 0):
            continue
        live = _machine(kinds, snapshot.address)
        live.state = snapshot.state
        live.frozen = snapshot.frozen
        covered[snapshot.address] = snapshot.position
    facts = 0
    for row in rows:
        before = facts
        facts += len(row.facts)
        for address, fact in row.facts:
            if row.position <= covered.get(address, 0):
                continue
            live = _machine(kinds, address)
            pins.wrote(address, row.position, before)
            try:
                _fold(live, fact)
            except Exception as error:
                raise CannotResume(
                    "a stored fact cannot be folded",
                    machine=address,
                    fact=type(fact).__name__,
                    position=row.position,
                    why=f"{type(error).__name__}: {error}",
                ) from error
    for kind in kinds.values():
        if kind.mount.standing and b"" not in kind.machines:
            kind.machines[b""] = Live(kind, Address(kind.mount.kind), kind.mount.initial(b""))
    return [kind.machines[key] for kind in kinds.values() for key in sorted(kind.machines)], position, facts


def _fold(live: Live, fact: Any) -> None:
    """Let one fact be true of a machine; the node's own facts are none of its state."""
    if type(fact) is Frozen:
        live.frozen = fact.reason
        live.state = live.kind.marked(live.state, fact.reason)
    elif type(fact) is Thawed:
        live.frozen = None
        live.state = live.kind.marked(live.state, None)
    else:
        live.state = evolve(live.state, fact)


def _machine(kinds: Mapping[str, Kind], address: Address) -> Live:
    kind = kinds.get(address.kind)
    if kind is None:
        raise CannotResume("nothing is mounted for a stored machine", machine=address)
    live = kind.machines.get(address.key)
    if live is None:
        live = kind.machines[address.key] = Live(kind, address, kind.mount.initial(address.key))
        live.kept = True
    return live
