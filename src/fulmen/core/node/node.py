"""The node: events in, one batch out.

The durable facts of all machines that a run moved, and then their outer actions, are one batch. Nothing here depends
on the order of a set or on a hash: equal events give equal batches (law 3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from fulmen.core.base.env import Env
from fulmen.core.base.machine import Address, Event, Lull
from fulmen.core.base.mount import Mount, Remains, no_record
from fulmen.core.base.outer import ChannelsMoved, Want
from fulmen.core.base.record import Record
from fulmen.core.node.batch import Batch, Ended, JournalRow, Snapshot, WantsChanged
from fulmen.core.node.cold import ColdReader, NothingCold, Overlay
from fulmen.core.node.delivery import Audit, Delivery, Gathered, Limits, Verifier, bug
from fulmen.core.node.live import Live
from fulmen.core.node.pins import Pins
from fulmen.core.node.resume import resume
from fulmen.core.node.rousing import Sleepers


class Node:
    """All machines of one node.

    `env` is asked once per run. `verify` answers the machines' checks; `cold` reads what has left memory.
    """

    def __init__(
        self,
        mounts: Iterable[Mount],
        env: Callable[[], Env],
        *,
        verify: Verifier,
        cold: ColdReader | None = None,
        limits: Limits | None = None,
        audit: Audit | None = None,
    ) -> None:
        self._limits = limits if limits is not None else Limits()
        self._cold = Overlay(cold if cold is not None else NothingCold())
        self._delivery = Delivery(mounts, verify, self._cold, self._limits, audit)
        self._kinds = self._delivery.kinds
        self._env = env
        self._pins = Pins()
        self._sleepers = Sleepers()
        self._position = 0
        self._facts = 0
        self.views = self._delivery.views

    def run(self, events: Iterable[tuple[Address, Event] | Lull]) -> Batch:
        """Give events to their machines, run to rest after each, and say what came of it.

        A bare `Lull` goes to every machine that had events since its last one and wants it.

        Raises:
            NotAtRest: freezing did not bring the machines to rest. The node is broken and must stop.
            Fault: the cold store could not be read. The node must stop (law 8).
        """
        delivery = self._delivery
        gathered = delivery.begin(self._now(), self._position + 1)
        lull = False
        for item in events:
            lull = isinstance(item, Lull)
            if isinstance(item, Lull):
                delivery.lull()
            else:
                delivery.deliver(item[0], item[1])
        for address in self._sleepers.roused_by(gathered.touched, self.views):
            delivery.deliver(address, ChannelsMoved())
        if lull:
            delivery.lull()
        return self._settle(gathered)

    def resume(self, snapshots: Iterable[Snapshot] = (), rows: Iterable[JournalRow] = ()) -> Batch:
        """Start from what was stored: a crash is a disconnect, so every machine is told what a crash equals for it.

        Raises:
            CannotResume: what was stored cannot be folded by these machines.
        """
        machines, self._position, self._facts = resume(self._kinds, self._pins, snapshots, rows)
        gathered = self._delivery.begin(self._now(), self._position + 1)
        for live in machines:
            self._delivery.touch(live)
            if live.view_name is not None:
                self.views.changed(live.view_name, live)
        for live in machines:
            for event in live.kind.mount.crash:
                self._delivery.deliver(live.address, event)
        return self._settle(gathered)

    def durable(self, position: int) -> None:
        """Every batch up to this position is on disk: cold rows can be read from there."""
        self._cold.durable(position)

    def snapshot_all(self) -> Batch:
        """A batch that makes the journal's tail empty, for a clean stop."""
        snapshots = tuple(self._snapshot(address) for address in self._pins.addresses)
        return Batch(self._position, snapshots=snapshots, keep_from=self._position)

    def state(self, address: Address) -> Any | None:
        """The state of a machine in memory, or None. For those who show it; never for deciding."""
        live = self._delivery.find(address)
        return None if live is None else live.state

    def read_cold(self, address: Address) -> Any | None:
        """The row of a machine that is over, be it on disk or on its way there."""
        return self._cold.read(address)

    def cold_ahead(self, kind: str) -> tuple[tuple[bytes, Any], ...]:
        """(key, row) of machines that are over and not on disk yet."""
        return self._cold.ahead(kind)

    def records(self) -> Iterator[Record]:
        """What the key holder has to know of what it signed in earlier lives."""
        for kind in self._kinds.values():
            if kind.mount.record is not no_record:
                for live in kind.machines.values():
                    record = kind.mount.record(live.state)
                    if record is not None:
                        yield record

    def frozen(self, address: Address) -> str | None:
        """Why a machine is frozen, or None."""
        live = self._delivery.find(address)
        return None if live is None else live.frozen

    def addresses(self, kind: str) -> tuple[Address, ...]:
        """All machines of a kind that are in memory."""
        return tuple(live.address for live in self._kinds[kind].machines.values())

    def wants(self) -> tuple[tuple[Address, Want], ...]:
        """All that has to be in place now, as of the last run."""
        return tuple(
            (live.address, want)
            for kind in self._kinds.values()
            for live in kind.machines.values()
            for want in live.wants
        )

    # ---- one batch ----------------------------------------------------------------------------

    def _now(self) -> Env:
        env = self._env()
        return env if env.views is self.views else replace(env, views=self.views)

    def _settle(self, gathered: Gathered) -> Batch:
        """Compare what the run touched with how it was before, and close the batch."""
        delivery = self._delivery
        for live, error in self.views.failures():
            delivery.touch(live)
            delivery.freeze(live, Lull(), bug(error))
        added: list[tuple[Address, Want]] = []
        removed: list[tuple[Address, Want]] = []
        awoken: list[Address] = []
        for live in gathered.touched:
            live.touched = False
            if live.state is not live.settled or live.wrote:
                self._compare_wants(live, added, removed)
                if live.over:
                    self._end(live)
                    continue
                if live.wrote:
                    live.kept = True
                    live.wrote = False
                    self._pins.wrote(live.address, gathered.position, self._facts)
                if live.awoken:
                    # The journal's older facts ended in its cold row: from here on it starts from a snapshot.
                    awoken.append(live.address)
                live.awoken = live.born = False
                live.settled = live.state
            elif live.born:
                # Nothing became true: a stranger's question leaves no trace in memory (law 7).
                delivery.leave(live)
        if gathered.facts or gathered.cold or gathered.story:
            self._position = gathered.position
            self._facts += len(gathered.facts)
        snapshots = self._snapshots(awoken, gathered)
        oldest = self._pins.oldest()
        return Batch(
            self._position,
            tuple(gathered.facts),
            tuple(gathered.actions),
            tuple(gathered.senders),
            WantsChanged(tuple(added), tuple(removed)),
            tuple(gathered.cold),
            tuple(gathered.story),
            snapshots,
            self._position if oldest is None else oldest[1],
        )

    def _compare_wants(
        self, live: Live, added: list[tuple[Address, Want]], removed: list[tuple[Address, Want]]
    ) -> None:
        """What it wants now against what it wanted before; a machine that is over wants nothing."""
        mount = live.kind.mount
        try:
            live.over = mount.ended(live.state)
            wants = () if live.over else mount.wants(live.state)
        except Exception as error:  # a bug of ours: what it wanted before stays in place, and law 8
            self._delivery.freeze(live, Lull(), bug(error))
            return
        if wants != live.wants:
            before, after = dict.fromkeys(live.wants), dict.fromkeys(wants)
            added.extend((live.address, want) for want in after if want not in before)
            removed.extend((live.address, want) for want in before if want not in after)
            live.wants = wants
            self._sleepers.wants(live.address, wants)

    def _end(self, live: Live) -> None:
        """It is over: what remains of it becomes a cold row, unless that is there already or nothing came of it."""
        self._delivery.leave(live)
        if live.wrote or (live.kept and not live.born):
            mount = live.kind.mount
            remains = Remains(mount.forget(live.state)) if mount.remains is None else mount.remains(live.state)
            if remains.state is not None or live.awoken:
                self._delivery.keep(live.address, remains.state, remains.until)
            self._delivery.fact(live.address, Ended())
            self._pins.covered(live.address)

    def _snapshots(self, awoken: list[Address], gathered: Gathered) -> tuple[Snapshot, ...]:
        snapshots = [self._snapshot(address) for address in awoken]
        if gathered.facts:
            for _ in range(self._limits.snapshots_per_batch):
                oldest = self._pins.oldest()
                if oldest is None:
                    break
                address, position, facts = oldest
                rows_behind, facts_behind = self._position - position, self._facts - facts
                if rows_behind < self._limits.tail_rows and facts_behind < self._limits.tail_facts:
                    break
                snapshots.append(self._snapshot(address))
        return tuple(snapshots)

    def _snapshot(self, address: Address) -> Snapshot:
        live = self._kinds[address.kind].machines[address.key]
        self._pins.covered(address)
        return Snapshot(address, self._position, live.kind.mount.forget(live.state), live.frozen)
