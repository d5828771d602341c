"""Facts before actions (law 1): the one place where actions are let go.

Memory runs ahead of the disk: batches wait here, in the order in which they were made, until each is on disk. While
the disk syncs, the key holder fills in what they ask to be signed. There is no other way from a machine to a socket.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fulmen.core.base.faults import Fault, InvariantBroken
from fulmen.core.base.machine import Action, Address
from fulmen.core.base.outer import Answer, Send
from fulmen.core.base.record import Record
from fulmen.core.node.batch import Batch, WantsChanged
from fulmen.core.node.node import Node
from fulmen.core.node.storage import Store


class KeyHolder(Protocol):
    """Whoever holds the keys. It refuses what would lose money."""

    def remember(self, known: Record) -> None:
        """What an earlier life has signed for a machine (`Mount.record`)."""
        ...

    def fill(self, action: Action) -> Action:
        """The same action with its signatures and secrets filled in and no request left.

        Raises:
            Refused: it does not sign this; the machine that asked is frozen.
        """
        ...


@dataclass(slots=True)
class _Waiting:
    batch: Batch
    actions: list[tuple[Address, Action]]
    safe: bool


class Gate:
    """Writes batches and performs their actions once they are durable.

    `perform` never blocks and never raises. `refused` is told of a machine whose key holder would not sign.
    """

    def __init__(
        self,
        node: Node,
        store: Store,
        keys: KeyHolder,
        *,
        perform: Callable[[Address, Action], None],
        wanted: Callable[[WantsChanged], None],
        refused: Callable[[Address, Fault], None],
    ) -> None:
        self._node = node
        self._store = store
        self._keys = keys
        self._perform = perform
        self._wanted = wanted
        self._refused = refused
        self._line: deque[_Waiting] = deque()
        self._silenced: dict[Address, None] = {}
        self._shut = False
        self._emptied: Callable[[], object] | None = None
        self.ahead = 0
        """How many facts are in memory and not yet on disk."""

    def resume(self, batch: Batch) -> None:
        """Take the first batch of a life, that of `Node.resume`; before anything is signed the key holder is reminded.

        Whatever was signed in earlier lives stands in the journal, for it was there first (law 1).
        """
        for known in self._node.records():
            self._keys.remember(known)
        self.submit(batch)

    def submit(self, batch: Batch) -> None:
        """Take a batch: to the disk, and once it is there to the outside, behind all batches before it."""
        if self._shut:
            return
        waiting = _Waiting(batch, [], safe=not batch.durable)
        self._line.append(waiting)
        if batch.durable:
            self.ahead += len(batch.facts)
            self._store.submit(batch, lambda: self._safe(waiting))
        self._fill(waiting)
        if waiting.safe:
            self._let_go()
            if waiting.batch.outward and self._line:
                # Somebody waits for this, and with it for facts before it that nobody was waiting for.
                self._store.flush()

    def when_empty(self, call: Callable[[], object]) -> None:
        """Call this once nothing waits here any more."""
        self._emptied = call
        if not self._line:
            self._let_go()

    def shut(self) -> None:
        """Nothing leaves any more: the disk has failed, or the process is going."""
        self._shut = True
        self._line.clear()

    def _fill(self, waiting: _Waiting) -> None:
        batch = waiting.batch
        for sender, action in zip(batch.senders, batch.actions, strict=True):
            if not (isinstance(action, (Send, Answer)) and action.sign):
                waiting.actions.append((sender, action))
            elif sender not in self._silenced:
                try:
                    waiting.actions.append((sender, self._keys.fill(action)))
                except Exception as error:  # a signer that refuses, or breaks, freezes the machine that asked
                    fault = error if isinstance(error, Fault) else InvariantBroken(f"{type(error).__name__}: {error}")
                    self._silenced[sender] = None
                    self._refused(sender, fault)

    def _safe(self, waiting: _Waiting) -> None:
        if self._shut:
            return
        waiting.safe = True
        self.ahead -= len(waiting.batch.facts)
        self._node.durable(waiting.batch.position)
        self._let_go()

    def _let_go(self) -> None:
        line = self._line
        while line and line[0].safe:
            waiting = line.popleft()
            for sender, action in waiting.actions:
                if not (self._silenced and sender in self._silenced and isinstance(action, Send)):
                    self._perform(sender, action)
            if waiting.batch.wants:
                self._wanted(waiting.batch.wants)
        if self._emptied is not None and not line:
            emptied, self._emptied = self._emptied, None
            emptied()
