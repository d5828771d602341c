"""Run machines to rest.

An event goes to its machine; what the machine tells others goes to them, first told first served, until nobody has
anything left to say. The durable facts of all of them, and then their outer actions, are one batch. Nothing here
depends on the order of a set or on a hash: equal events give equal batches (law 3).
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from fulmen.core.base.env import Env
from fulmen.core.base.faults import Fault, InvariantBroken, PeerFault, Refused
from fulmen.core.base.machine import (
    Action,
    Address,
    Event,
    Fact,
    Faulted,
    Keep,
    Lull,
    Step,
    Story,
    Tell,
    Undelivered,
)
from fulmen.core.base.mount import Check, CheckFailed, Informed, Mount
from fulmen.core.base.outer import Answer, Notify, Want
from fulmen.core.node.batch import (
    Batch,
    ColdRow,
    Ended,
    Freeze,
    Frozen,
    JournalRow,
    MachineFrozen,
    NotAtRest,
    NotMounted,
    Snapshot,
    StoryRow,
    Thaw,
    Thawed,
    WantsChanged,
)
from fulmen.core.node.cold import ColdReader, NothingCold, Overlay
from fulmen.core.node.live import Kind, Live
from fulmen.core.node.pins import Pins
from fulmen.core.node.resume import resume
from fulmen.core.node.views import Views

Verifier = Callable[[tuple[Check, ...]], Check | None]
"""Gives the first check that does not hold, or None when all do."""
MAX_INTERRUPTIONS = 16
"""How many machines are frozen to bring one event to rest before the whole node is declared broken."""
Audit = Callable[[Mount, Any, Step[Any]], None]
"""Looks at every step before it is applied (tests: is the new state its facts folded?); raises what it finds."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on a run and on what has to be kept for a restart."""

    inner_steps: int = 50_000
    """How many inner actions one event may lead to before someone is declared broken."""
    lull_rounds: int = 1_000
    """How often one lull may make machines talk again before they are declared broken."""
    tail_rows: int = 4096
    """How many rows of the journal may be needed for a restart before machines are snapshotted."""
    snapshots_per_batch: int = 2
    """How many machines at most are snapshotted with one batch, so that no batch is slow."""


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
        self.views = Views()
        self._kinds: dict[str, Kind] = {}
        for mount in mounts:
            if mount.kind in self._kinds:
                raise TypeError(f"{mount.kind} is mounted twice")
            self._kinds[mount.kind] = Kind(mount)
        self._env_of = env
        self._verify = verify
        self._cold = Overlay(cold if cold is not None else NothingCold())
        self._limits = limits if limits is not None else Limits()
        self._audit = audit
        self._pins = Pins()
        self._position = 0
        self._queue: deque[tuple[Tell, Address]] = deque()
        self._unlulled: dict[Address, Live] = {}
        self._begin()

    # ---- what the shell calls ------------------------------------------------------------------------------------

    def run(self, events: Iterable[tuple[Address, Event] | Lull]) -> Batch:
        """Give events to their machines, run to rest after each, and say what came of it.

        A bare `Lull` goes to every machine that had events since its last one and wants it.

        Raises:
            NotAtRest: freezing did not bring the machines to rest. The node is broken and must stop.
            Fault: the cold store could not be read. The node must stop (law 8).
        """
        self._env = self._now()
        for item in events:
            if isinstance(item, Lull):
                self._lull()
            else:
                self._deliver(item[0], item[1], None)
                self._rest()
        return self._settle()

    def resume(self, snapshots: Iterable[Snapshot] = (), rows: Iterable[JournalRow] = ()) -> Batch:
        """Start from what was stored: a crash is a disconnect, so every machine is told what a crash equals for it.

        Raises:
            CannotResume: what was stored cannot be folded by these machines.
        """
        machines, self._position = resume(self._kinds, self._pins, snapshots, rows)
        self._env = self._now()
        for live in machines:
            self._touch(live)
            if live.view_name is not None:
                self.views.changed(live.view_name, live)
        for live in machines:
            for event in live.kind.mount.crash:
                self._deliver(live.address, event, None)
                self._rest()
        return self._settle()

    def durable(self, position: int) -> None:
        """Every batch up to this position is on disk: cold rows can be read from there."""
        self._cold.durable(position)

    def snapshot_all(self) -> Batch:
        """A batch that makes the journal's tail empty, for a clean stop."""
        snapshots = tuple(self._snapshot(address) for address in self._pins.addresses)
        return Batch(self._position, snapshots=snapshots, keep_from=self._position)

    def state(self, address: Address) -> Any | None:
        """The state of a machine in memory, or None. For those who show it; never for deciding."""
        live = self._find(address)
        return None if live is None else live.state

    def frozen(self, address: Address) -> str | None:
        """Why a machine is frozen, or None."""
        live = self._find(address)
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

    # ---- one event -----------------------------------------------------------------------------------------------

    def _deliver(self, address: Address, event: Event, told: tuple[Tell, Address] | None) -> None:
        kind = self._kinds.get(address.kind)
        if kind is None:
            self._refuse(address, event, told, NotMounted(kind=address.kind))
            return
        live = kind.machines.get(address.key)
        if live is None:
            live = self._awaken(kind, address)
        if type(event) is Freeze or type(event) is Thaw:
            self._hold_still(live, event)
            return
        if live.frozen is not None and not self._takes(live, event):
            self._refuse(address, event, told, MachineFrozen(machine=address))
            return
        if not live.touched:
            self._touch(live)
        if kind.lulls and type(event) is not Lull:
            self._unlulled[address] = live
        outcome = self._attempt(live, event) if kind.needs is None else self._inform(live, event)
        if isinstance(outcome, Fault):
            fault = outcome
            if isinstance(fault, InvariantBroken):
                self._freeze(live, event, fault)
                self._refuse(address, event, told, fault)
                return
            if told is not None:
                self._queue.append((Tell(told[1], Undelivered(told[0], fault)), address))
            outcome = self._attempt(live, Faulted(event, fault))
            if isinstance(outcome, Fault):
                # It refused to be told of its own fault: nobody is left who could decide what to do.
                self._freeze(live, event, outcome)
                return
        self._apply(live, outcome)

    def _inform(self, live: Live, event: Event) -> Step[Any] | Fault:
        """Attempt an event with the cold rows it needs; a read that fails is the disk's fault, not the machine's."""
        try:
            wanted = live.kind.mount.needs(event)
        except Exception as error:  # a bug of ours: law 8
            return _bug(error)
        if not wanted:
            return self._attempt(live, event)
        return self._attempt(live, Informed(event, tuple(self._cold.read(address) for address in wanted)))

    def _attempt(self, live: Live, event: Event) -> Step[Any] | Fault:
        """Check and decide. What goes wrong comes back as a fault, and nothing of the step stays."""
        kind = live.kind
        state = live.state
        try:
            if kind.checks is not None:
                checks = kind.checks(state, event, self._env)
                if checks:
                    failed = self._verify(checks)
                    if failed is not None:
                        event = CheckFailed(event, failed)
            step = kind.decide(state, event, self._env)
            if not step.facts and step.state is not state:
                raise InvariantBroken("a state changed without a fact")
            return step
        except (PeerFault, Refused, InvariantBroken) as fault:
            return fault
        except Exception as error:  # a bug of ours: law 8
            return _bug(error)

    def _apply(self, live: Live, step: Step[Any]) -> None:
        if self._audit is not None:
            self._audit(live.kind.mount, live.state, step)
        facts = step.facts
        address = live.address
        if facts:
            live.state = step.state
            for fact in facts:
                if not fact.passing:
                    self._facts.append((address, fact))
                    live.wrote = True
            if live.view_name is not None:
                self.views.changed(live.view_name, live)
        for action in step.actions:
            if type(action) is Tell:
                self._queue.append((action, address))
            elif type(action) is Keep:
                self._keep(action.at, action.row)
            elif type(action) is Story:
                self._story.append(StoryRow(self._env.wall, action.about, action.what, action.details))
            else:
                self._act(action, address)

    def _rest(self) -> None:
        """Deliver what machines told each other until none has anything left to say."""
        queue = self._queue
        steps = 0
        while queue:
            told = queue.popleft()
            steps += 1
            if steps % self._limits.inner_steps == 0:
                self._interrupt(told, steps)
            else:
                self._deliver(told[0].to, told[0].event, told)

    def _interrupt(self, told: tuple[Tell, Address], steps: int) -> None:
        """Whoever is talking at this point is frozen, which breaks the circle; what it said last is dropped."""
        tell, sender = told
        fault = NotAtRest(last=type(tell.event).__name__, sender=sender, to=tell.to, steps=steps)
        if steps >= self._limits.inner_steps * MAX_INTERRUPTIONS:
            raise fault
        live = self._find(sender)
        if live is not None:
            self._touch(live)
            self._freeze(live, tell.event, fault)

    def _lull(self) -> None:
        """Machines that a lull makes talk to others give those others a lull as well."""
        lull = Lull()
        rounds = 0
        while self._unlulled:
            rounds += 1
            waiting, self._unlulled = self._unlulled, {}
            for address, live in waiting.items():
                if rounds > self._limits.lull_rounds:
                    self._touch(live)
                    self._freeze(live, lull, NotAtRest(last="Lull", to=address, rounds=rounds))
                elif live.frozen is None or self._takes(live, lull):
                    self._deliver(address, lull, None)
                    self._rest()

    # ---- what can go wrong ---------------------------------------------------------------------------------------

    def _takes(self, live: Live, event: Event) -> bool:
        try:
            return live.kind.mount.takes_frozen(live.state, event)
        except Exception:  # it is broken already; what it cannot judge it does not get
            return False

    def _refuse(self, address: Address, event: Event, told: tuple[Tell, Address] | None, fault: Fault) -> None:
        """Nobody will decide this event: say so to whoever waits for it."""
        command_id = getattr(event, "command_id", None)
        if told is not None:
            tell, sender = told
            if not isinstance(event, Undelivered):
                self._queue.append((Tell(sender, Undelivered(tell, fault)), address))
        elif command_id is not None:
            self._act(Answer(command_id, refused=fault), address)
        else:
            about = {"machine": str(address), "event": type(event).__name__, "fault": fault.name}
            self._act(Notify("undelivered", about), address)

    def _freeze(self, live: Live, event: Event, fault: Fault) -> None:
        """Hold a machine still by a durable fact, and tell the operator all that is known (law 8)."""
        reason = f"{type(event).__name__}: {fault.name}: {fault}"
        about = {"machine": str(live.address), "event": type(event).__name__, "reason": reason}
        if fault.__cause__ is not None:
            about["traceback"] = "".join(traceback.format_exception(fault.__cause__))
        self._act(Notify("frozen", about), live.address)
        if live.frozen is None:
            self._mark(live, reason)

    def _hold_still(self, live: Live, event: Freeze | Thaw) -> None:
        self._touch(live)
        if isinstance(event, Freeze):
            self._freeze(live, event, InvariantBroken(event.reason))
        elif live.frozen is not None:
            self._mark(live, None)

    def _mark(self, live: Live, reason: str | None) -> None:
        live.frozen = reason
        live.state = live.kind.marked(live.state, reason)
        live.wrote = True
        self._facts.append((live.address, Thawed() if reason is None else Frozen(reason)))
        if live.view_name is not None:
            self.views.changed(live.view_name, live)

    # ---- one batch -----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._facts: list[tuple[Address, Fact]] = []
        self._actions: list[Action] = []
        self._senders: list[Address] = []
        self._cold_rows: list[ColdRow] = []
        self._story: list[StoryRow] = []
        self._touched: list[Live] = []

    def _settle(self) -> Batch:
        """Compare what the run touched with how it was before, and close the batch."""
        for live, error in self.views.failures():
            self._touch(live)
            self._freeze(live, Lull(), _bug(error))
        added: list[tuple[Address, Want]] = []
        removed: list[tuple[Address, Want]] = []
        fresh: list[Address] = []
        for live in self._touched:
            live.touched = False
            if live.state is not live.settled or live.wrote:
                self._settle_one(live, added, removed, fresh)
            elif live.born:
                # Nothing became true: a stranger's question leaves no trace in memory (law 7).
                self._leave(live)
        if self._facts or self._cold_rows or self._story:
            self._position += 1
        snapshots = self._snapshots(fresh)
        oldest = self._pins.oldest()
        batch = Batch(
            self._position,
            tuple(self._facts),
            tuple(self._actions),
            tuple(self._senders),
            WantsChanged(tuple(added), tuple(removed)),
            tuple(self._cold_rows),
            tuple(self._story),
            snapshots,
            self._position if oldest is None else oldest[1],
        )
        self._begin()
        return batch

    def _settle_one(
        self,
        live: Live,
        added: list[tuple[Address, Want]],
        removed: list[tuple[Address, Want]],
        fresh: list[Address],
    ) -> None:
        address = live.address
        wants, over = self._outlook(live)
        if wants != live.wants:
            before, after = dict.fromkeys(live.wants), dict.fromkeys(wants)
            added.extend((address, want) for want in after if want not in before)
            removed.extend((address, want) for want in before if want not in after)
            live.wants = wants
        live.kept = live.kept or live.wrote
        if over:
            self._leave(live)
            if live.wrote or (live.kept and not live.born):
                self._keep(address, live.kind.mount.forget(live.state))
                self._facts.append((address, Ended()))
                self._pins.covered(address)
            return
        if live.wrote:
            self._pins.wrote(address, self._position + 1)
            live.wrote = False
        if live.awoken:
            # The journal's older facts ended in its cold row: from here on it starts from a snapshot.
            fresh.append(address)
        live.awoken = live.born = False
        live.settled = live.state

    def _outlook(self, live: Live) -> tuple[tuple[Want, ...], bool]:
        """What it wants now, and whether it is over (then it wants nothing)."""
        mount = live.kind.mount
        try:
            over = mount.ended(live.state)
            return (() if over else mount.wants(live.state)), over
        except Exception as error:  # a bug of ours: what it wanted before stays in place, and law 8
            self._freeze(live, Lull(), _bug(error))
            return live.wants, False

    def _snapshots(self, fresh: list[Address]) -> tuple[Snapshot, ...]:
        snapshots = [self._snapshot(address) for address in fresh]
        if self._facts:
            for _ in range(self._limits.snapshots_per_batch):
                oldest = self._pins.oldest()
                if oldest is None or oldest[1] > self._position - self._limits.tail_rows:
                    break
                snapshots.append(self._snapshot(oldest[0]))
        return tuple(snapshots)

    def _snapshot(self, address: Address) -> Snapshot:
        live = self._kinds[address.kind].machines[address.key]
        self._pins.covered(address)
        return Snapshot(address, self._position, live.kind.mount.forget(live.state), live.frozen)

    # ---- small things --------------------------------------------------------------------------------------------

    def _now(self) -> Env:
        env = self._env_of()
        return env if env.views is self.views else replace(env, views=self.views)

    def _find(self, address: Address) -> Live | None:
        kind = self._kinds.get(address.kind)
        return None if kind is None else kind.machines.get(address.key)

    def _awaken(self, kind: Kind, address: Address) -> Live:
        """A machine that is not in memory: its cold state if it has one, or the state before its first fact."""
        row = self._cold.read(address)
        live = Live(kind, address, kind.mount.initial(address.key) if row is None else row)
        live.awoken = live.kept = row is not None
        live.born = True
        live.settled = live.state
        kind.machines[address.key] = live
        self._touch(live)
        return live

    def _leave(self, live: Live) -> None:
        del live.kind.machines[live.address.key]
        self._unlulled.pop(live.address, None)
        if live.view_name is not None:
            self.views.gone(live.view_name)

    def _touch(self, live: Live) -> None:
        if not live.touched:
            live.touched = True
            self._touched.append(live)

    def _keep(self, address: Address, row: Any) -> None:
        self._cold_rows.append(ColdRow(address, row))
        self._cold.write(self._position + 1, address, row)

    def _act(self, action: Action, sender: Address) -> None:
        self._actions.append(action)
        self._senders.append(sender)


def _bug(error: Exception) -> InvariantBroken:
    broken = InvariantBroken(f"{type(error).__name__}: {error}")
    broken.__cause__ = error
    return broken
