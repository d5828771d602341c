"""The loop that keeps the first law: run, write, and let go what is safe.

    batch = node.run([*inbox, Lull()])       # memory runs ahead of the disk
    gate.submit(batch)                       # one thread writes; meanwhile the key holder signs
    # once synced, in the order of submission: every action to whoever performs it

What comes in during one round of the loop is one run, so the busier the node, the more it does with one signature
and one sync.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from fulmen.core.base.faults import Fault, InvariantBroken
from fulmen.core.base.machine import Action, Address, Event, Lull
from fulmen.core.base.outer import Notify
from fulmen.core.node import Batch, Freeze, Gate, KeyHolder, Node, Store, WantsChanged

log = structlog.get_logger("driver")
A = TypeVar("A", bound=Action)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far the node may run ahead (law 7). Beyond either, sockets are not read until half of it is worked off."""

    facts_ahead: int = 20_000
    """Facts in memory that are not yet on disk."""
    inbox: int = 10_000
    """Events that no machine has seen yet."""
    events_per_run: int = 1_000
    """A longer inbox is worked off in several runs, so that the loop can look after sockets in between."""
    quiet_s: float = 0.05
    """How long facts that nobody waits for may wait for a batch that somebody waits for."""


class Driver:
    """Runs a node on the loop of the thread that calls it."""

    def __init__(self, node: Node, store: Store, keys: KeyHolder, bounds: Bounds | None = None) -> None:
        self.node = node
        self._store = store
        self._bounds = bounds if bounds is not None else Bounds()
        self._gate = Gate(node, store, keys, perform=self._perform, wanted=self._wanted, refused=self._refused)
        self._inbox: deque[tuple[Address, Event]] = deque()
        self._performers: dict[type[Action], Callable[[Any], None]] = {}
        self._want_listeners: list[Callable[[WantsChanged], None]] = []
        self._pressure_listeners: list[Callable[[bool], None]] = []
        self._under_pressure = False
        self._scheduled = False
        self._closing = False
        self._quiet: asyncio.TimerHandle | None = None
        self.batches = 0
        """How many batches had something for the disk."""
        self.facts = 0
        """How many facts stood in them."""
        self._loop = asyncio.get_running_loop()
        self._stopped: asyncio.Future[None] = self._loop.create_future()
        store.on_failure(self._fail)

    # ---- setting up ----------------------------------------------------------------------------

    def performs(self, action_type: type[A], performer: Callable[[A], None]) -> None:
        """Who performs actions of a type. It never blocks."""
        self._performers[action_type] = performer

    def on_wants(self, listener: Callable[[WantsChanged], None]) -> None:
        """Who keeps in place what machines want. Told once the facts behind it are on disk."""
        self._want_listeners.append(listener)

    def on_pressure(self, listener: Callable[[bool], None]) -> None:
        """Who can stop reading (True) and go on (False)."""
        self._pressure_listeners.append(listener)

    def start(self) -> None:
        """Resume all machines from the store.

        Raises:
            CannotResume, Fault: by name, what is wrong with what was stored.
        """
        stored = self._store.load()
        batch = self.node.resume(stored.snapshots, stored.rows)
        log.info("resumed", snapshots=len(stored.snapshots), rows=len(stored.rows), position=batch.position)
        self._submit(batch, first=True)

    async def begun(self) -> None:
        """Until what the start has decided, and was posted meanwhile, is on disk and let go, the first wants among it.

        Raises:
            Fault: the disk failed before that.
        """
        if self._scheduled:
            await asyncio.sleep(0)
        begun: asyncio.Future[None] = self._loop.create_future()
        self._gate.when_empty(lambda: begun.set_result(None))
        self._store.flush()
        await asyncio.wait((begun, self._stopped), return_when=asyncio.FIRST_COMPLETED)
        if not begun.done():
            self._stopped.result()

    # ---- running -------------------------------------------------------------------------------

    @property
    def closing(self) -> bool:
        """The node is stopping, or has stopped: what is posted now is lost."""
        return self._closing

    def post(self, address: Address, event: Event) -> None:
        """Give an event to a machine, with everything else that comes in during this round of the loop."""
        if self._closing:
            return
        self._inbox.append((address, event))
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)
        if not self._under_pressure and len(self._inbox) > self._bounds.inbox:
            self._weigh()

    def _turn(self) -> None:
        self._scheduled = False
        if self._stopped.done():
            return
        inbox = self._inbox
        events: list[tuple[Address, Event] | Lull] = [
            inbox.popleft() for _ in range(min(len(inbox), self._bounds.events_per_run))
        ]
        if not inbox:
            events.append(Lull())
        elif not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)
        try:
            self._submit(self.node.run(events))
        except Exception as error:  # nothing of this run is on disk: stopping here is a crash at a good point
            self._fail(error)

    def _submit(self, batch: Batch, first: bool = False) -> None:
        self.batches += batch.durable
        self.facts += len(batch.facts)
        if first:
            self._gate.resume(batch)
        else:
            self._gate.submit(batch)
        if batch.durable and not batch.outward and self._quiet is None:
            self._quiet = self._loop.call_later(self._bounds.quiet_s, self._flush)
        self._weigh()

    def _flush(self) -> None:
        self._quiet = None
        self._store.flush()

    def _weigh(self) -> None:
        """Stop reading sockets when too much is on its way, and read on when half of it is gone."""
        ahead, waiting = self._gate.ahead, len(self._inbox)
        bounds = self._bounds
        if self._under_pressure:
            relieved = ahead <= bounds.facts_ahead // 2 and waiting <= bounds.inbox // 2
            if not relieved:
                return
        elif ahead <= bounds.facts_ahead and waiting <= bounds.inbox:
            return
        self._under_pressure = not self._under_pressure
        log.info("pressure", on=self._under_pressure, facts_ahead=ahead, inbox=waiting)
        for listener in self._pressure_listeners:
            listener(self._under_pressure)

    # ---- what was let go -----------------------------------------------------------------------

    def _perform(self, sender: Address, action: Action) -> None:
        performer = self._performers.get(type(action))
        try:
            if performer is not None:
                performer(action)
            elif isinstance(action, Notify):
                _tell(sender, action)
            else:
                log.error("nobody performs this", machine=str(sender), action=type(action).__name__)
        except Exception:  # every action survives being lost; the node survives a performer's bug
            log.exception("performing failed", machine=str(sender), action=type(action).__name__)
        if self._under_pressure:
            self._weigh()

    def _wanted(self, wants: WantsChanged) -> None:
        for listener in self._want_listeners:
            try:
                listener(wants)
            except Exception:
                log.exception("a want could not be put in place")

    def _refused(self, address: Address, fault: Fault) -> None:
        log.error("the key holder refused", machine=str(address), fault=fault.name, why=str(fault))
        self.post(address, Freeze(f"the key holder refused: {fault.name}: {fault}"))

    # ---- stopping ------------------------------------------------------------------------------

    async def wait(self) -> None:
        """Until the node has stopped.

        Raises:
            Fault: why it had to stop, by name.
        """
        await asyncio.shield(self._stopped)

    async def stop(self) -> None:
        """Take nothing more, let go what was decided, snapshot every machine; the next start has an empty tail.

        Raises:
            Fault: the disk failed before all was safe.
        """
        self._closing = True
        while self._inbox and not self._stopped.done():
            await asyncio.sleep(0)
        if not self._stopped.done():
            self._gate.submit(self.node.snapshot_all())
            self._gate.when_empty(self._empty)
            self._store.flush()
        if self._quiet is not None:
            self._quiet.cancel()
        await self.wait()

    def _empty(self) -> None:
        if not self._stopped.done():
            self._stopped.set_result(None)

    def _fail(self, error: Exception) -> None:
        """Nothing leaves any more. What was let go is on disk, and what was not is as if it never happened."""
        self._closing = True
        self._gate.shut()
        fault = error if isinstance(error, Fault) else InvariantBroken(f"{type(error).__name__}: {error}")
        fault.__cause__ = error.__cause__ if fault is error else error
        log.critical("the node stops", fault=fault.name, why=str(fault), exc_info=fault)
        if not self._stopped.done():
            self._stopped.set_exception(fault)
            self._stopped.exception()  # whoever waits gets it; nobody waiting is no second error


def _tell(sender: Address, news: Notify) -> None:
    """News that nobody has asked for goes to the log: an alarm when a machine was frozen."""
    say = log.error if news.topic == "frozen" or "alarm" in news.about else log.info
    say(news.topic, **({"machine": str(sender)} | news.about))
