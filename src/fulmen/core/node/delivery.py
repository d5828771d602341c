"""Deliver events: one machine decides, what it tells others is delivered next, until nobody has anything to say.

What goes wrong on the way becomes an event for whoever has to know, or freezes the machine that was wrong (law 8).
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from fulmen.core.base.env import Env
from fulmen.core.base.faults import Fault, InvariantBroken, PeerFault, Refused
from fulmen.core.base.machine import (
    Action,
    Address,
    Drop,
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
from fulmen.core.base.outer import Answer, Notify
from fulmen.core.base.units import BlockHeight
from fulmen.core.node.batch import (
    ColdRow,
    Freeze,
    Frozen,
    MachineFrozen,
    NotAtRest,
    NotMounted,
    StoryRow,
    Thaw,
    Thawed,
)
from fulmen.core.node.cold import Overlay
from fulmen.core.node.live import Kind, Live
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
    tail_facts: int = 50_000
    """How many facts likewise: a busy node has many in a row."""
    snapshots_per_batch: int = 2
    """How many machines at most are snapshotted with one batch, so that no batch is slow."""


@dataclass(slots=True)
class Gathered:
    """What a run has come to so far."""

    position: int
    """The row of the journal that it will be, if anything of it is durable."""
    facts: list[tuple[Address, Fact]] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    senders: list[Address] = field(default_factory=list)
    cold: list[ColdRow] = field(default_factory=list)
    story: list[StoryRow] = field(default_factory=list)
    touched: list[Live] = field(default_factory=list)


class Delivery:
    """The machines in memory, and the events on their way to them."""

    def __init__(
        self, mounts: Iterable[Mount], verify: Verifier, cold: Overlay, limits: Limits, audit: Audit | None
    ) -> None:
        self.kinds: dict[str, Kind] = {}
        for mount in mounts:
            if mount.kind in self.kinds:
                raise TypeError(f"{mount.kind} is mounted twice")
            self.kinds[mount.kind] = Kind(mount)
        self.views = Views()
        self._verify = verify
        self._cold = cold
        self._limits = limits
        self._audit = audit
        self._queue: deque[tuple[Tell, Address]] = deque()
        self._unlulled: dict[Address, Live] = {}
        self._gathered = Gathered(0)
        self._env: Env

    def begin(self, env: Env, position: int) -> Gathered:
        """A new run: where what it comes to is gathered."""
        self._env = env
        self._gathered = Gathered(position)
        return self._gathered

    def deliver(self, address: Address, event: Event) -> None:
        """Give an event to its machine, and run to rest."""
        self._deliver(address, event, None)
        if self._queue:
            self._rest()

    def lull(self) -> None:
        """Give a lull to all that had events since their last one and want it.

        Machines that a lull makes talk to others give those others a lull as well.
        """
        lull = Lull()
        rounds = 0
        while self._unlulled:
            rounds += 1
            waiting, self._unlulled = self._unlulled, {}
            for address, live in waiting.items():
                if rounds > self._limits.lull_rounds:
                    self.touch(live)
                    self.freeze(live, lull, NotAtRest(last="Lull", to=address, rounds=rounds))
                elif live.frozen is None or self._takes(live, lull):
                    self.deliver(address, lull)

    def freeze(self, live: Live, event: Event, fault: Fault) -> None:
        """Hold a machine still by a durable fact, and tell the operator all that is known (law 8)."""
        reason = f"{type(event).__name__}: {fault.name}: {fault}"
        about = {"machine": str(live.address), "during": type(event).__name__, "reason": reason}
        if fault.__cause__ is not None:
            about["traceback"] = "".join(traceback.format_exception(fault.__cause__))
        self._act(Notify("frozen", about), live.address)
        if live.frozen is None:
            self._mark(live, reason)

    def fact(self, address: Address, fact: Fact) -> None:
        """The node's own fact about a machine."""
        self._gathered.facts.append((address, fact))

    def keep(self, address: Address, row: Any, until: BlockHeight | None = None) -> None:
        """A cold row; None takes out the one that is there."""
        self._gathered.cold.append(ColdRow(address, row, until))
        self._cold.write(self._gathered.position, address, row)

    def leave(self, live: Live) -> None:
        """A machine goes out of memory."""
        del live.kind.machines[live.address.key]
        self._unlulled.pop(live.address, None)
        if live.view_name is not None:
            self.views.gone(live.view_name)

    def touch(self, live: Live) -> None:
        """A machine is to be looked at when the run closes."""
        if not live.touched:
            live.touched = True
            self._gathered.touched.append(live)

    def find(self, address: Address) -> Live | None:
        """A machine in memory."""
        kind = self.kinds.get(address.kind)
        return None if kind is None else kind.machines.get(address.key)

    # ---- one event ----------------------------------------------------------------------------

    def _deliver(self, address: Address, event: Event, told: tuple[Tell, Address] | None) -> None:
        kind = self.kinds.get(address.kind)
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
            self.touch(live)
        if kind.lulls and type(event) is not Lull:
            self._unlulled[address] = live
        outcome = self._attempt(live, event) if kind.needs is None else self._inform(live, event)
        if isinstance(outcome, Fault):
            fault = outcome
            if isinstance(fault, InvariantBroken):
                self.freeze(live, event, fault)
                if told is not None or hasattr(event, "command_id"):
                    self._refuse(address, event, told, fault)
                return
            if told is not None:
                self._queue.append((Tell(told[1], Undelivered(told[0], fault)), address))
            outcome = self._attempt(live, Faulted(event, fault))
            if isinstance(outcome, Fault):
                # It refused to be told of its own fault: nobody is left who could decide what to do.
                self.freeze(live, event, outcome)
                return
        self._apply(live, outcome)

    def _inform(self, live: Live, event: Event) -> Step[Any] | Fault:
        """Attempt an event with the cold rows it needs; a read that fails is the disk's fault, not the machine's."""
        try:
            wanted = live.kind.mount.needs(event)
        except Exception as error:  # a bug of ours: law 8
            return bug(error)
        if not wanted:
            return self._attempt(live, event)
        return self._attempt(live, Informed(event, tuple([self._cold.look_up(one) for one in wanted])))

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
            return bug(error)

    def _apply(self, live: Live, step: Step[Any]) -> None:
        if self._audit is not None:
            self._audit(live.kind.mount, live.state, step)
        facts = step.facts
        address = live.address
        if facts:
            live.state = step.state
            for fact in facts:
                if not fact.passing:
                    self._gathered.facts.append((address, fact))
                    live.wrote = True
            if live.view_name is not None:
                self.views.changed(live.view_name, live)
        for action in step.actions:
            if type(action) is Tell:
                self._queue.append((action, address))
            elif type(action) is Keep:
                self.keep(action.at, action.row, action.until)
            elif type(action) is Drop:
                self.keep(action.at, None)
            elif type(action) is Story:
                self._gathered.story.append(StoryRow(self._env.wall, action.about, action.what, action.details))
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
        live = self.find(sender)
        if live is not None:
            self.touch(live)
            self.freeze(live, tell.event, fault)

    # ---- what can go wrong --------------------------------------------------------------------

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
            about = {"machine": str(address), "told": type(event).__name__, "fault": fault.name}
            self._act(Notify("undelivered", about), address)

    def _hold_still(self, live: Live, event: Freeze | Thaw) -> None:
        self.touch(live)
        if isinstance(event, Freeze):
            self.freeze(live, event, InvariantBroken(event.reason))
        elif live.frozen is not None:
            self._mark(live, None)

    def _mark(self, live: Live, reason: str | None) -> None:
        live.frozen = reason
        live.state = live.kind.marked(live.state, reason)
        live.wrote = True
        self.fact(live.address, Thawed() if reason is None else Frozen(reason))
        if live.view_name is not None:
            self.views.changed(live.view_name, live)

    def _awaken(self, kind: Kind, address: Address) -> Live:
        """A machine that is not in memory: its cold state if it has one, or the state before its first fact."""
        row = self._cold.read(address)
        live = Live(kind, address, kind.mount.initial(address.key) if row is None else row)
        live.awoken = live.kept = row is not None
        live.born = True
        live.settled = live.state
        kind.machines[address.key] = live
        self.touch(live)
        return live

    def _act(self, action: Action, sender: Address) -> None:
        self._gathered.actions.append(action)
        self._gathered.senders.append(sender)


def bug(error: Exception) -> InvariantBroken:
    """An exception that nobody meant to raise, as the fault it is."""
    broken = InvariantBroken(f"{type(error).__name__}: {error}")
    broken.__cause__ = error
    return broken
