"""Machines: decide, then evolve.

An event is what happened. A fact is what is now true; a state is nothing but its facts folded. An action is what must
be done: inner (`Tell`, to another machine of this node) or outer (anything else). `decide(state, event, env)` gives a
`Step`; `evolve(state, fact)` is pure and total and uses nothing but the fact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Generic, TypeVar

from fulmen.core.base.faults import Fault, InvariantBroken
from fulmen.core.base.ids import ChannelId, NodeId
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight

S = TypeVar("S")
S2 = TypeVar("S2")
H = TypeVar("H", bound=Callable[..., Any])


class Event(Record):
    """What happened."""


class Fact(Record):
    """What is now true. Durable unless it says that it is passing.

    Passing facts are those that BOLT 2 says are forgotten on disconnection; they are not stored, and
    `forget(fold(all)) == fold(durable)` after every event (law 2).
    """

    passing: ClassVar[bool] = False


class Action(Record):
    """What must be done."""


class Address(Record):
    """One machine of this node: what kind it is and which one."""

    kind: str
    key: bytes = b""

    def __str__(self) -> str:
        return f"{self.kind}:{self.key.hex()[:16]}" if self.key else self.kind


class Tell(Action):
    """An inner action: another machine gets an event, in the same batch.

    Receiving one twice is a no-op, so its event carries an `HtlcKey` or a command id.
    """

    to: Address
    event: Event


class Kept(Record):
    """What stands in a cold row that a machine writes. Its stored form is pinned (`docs/stored-forms.md`)."""


class Keep(Action):
    """A cold row: written in the batch's transaction under its address, and read back by `Mount.needs`."""

    at: Address
    row: Kept
    until: BlockHeight | None = None
    """Above this height nobody asks for it, and it goes; None if it stays until it is dropped."""


class Drop(Action):
    """A cold row goes, in the batch's transaction; where there is none, nothing changes."""

    at: Address


class Story(Action):
    """A line of the story that `explain` tells: written in the batch's transaction, with its own retention.

    `details` holds plain values (numbers, text, bytes) and no secret.
    """

    about: Address
    what: str
    details: Mapping[str, Any]


def to_channel(channel_id: ChannelId, event: Event) -> Tell:
    """Tell a channel."""
    return Tell(Address("channel", channel_id), event)


def to_peer(node_id: NodeId, event: Event) -> Tell:
    """Tell the peer behind a node id."""
    return Tell(Address("peer", node_id), event)


class Step(Generic[S]):
    """What a handler has decided so far: the state as its facts made it, the facts, the actions.

    `fact` evolves at once, so a handler sees what it has just decided and nobody folds twice.
    """

    __slots__ = ("actions", "facts", "state")

    def __init__(self, state: S) -> None:
        self.state = state
        self.facts: list[Fact] = []
        self.actions: list[Action] = []

    def fact(self, fact: Fact) -> Step[S]:
        """Something is now true."""
        self.state = evolve(self.state, fact)
        self.facts.append(fact)
        return self

    def act(self, *actions: Action) -> Step[S]:
        """Something must be done."""
        self.actions.extend(actions)
        return self

    def then(self, decide: Callable[[S], Step[S]]) -> Step[S]:
        """Go on deciding from the state reached so far."""
        more = decide(self.state)
        self.state = more.state
        self.facts.extend(more.facts)
        self.actions.extend(more.actions)
        return self


_EVOLVE: dict[type[Fact], Callable[[Any, Any], Any]] = {}


def evolves(*fact_types: type[Fact]) -> Callable[[H], H]:
    """Declare how a state changes by a fact. Every fact type belongs to one machine and has one such function."""

    def declare(function: H) -> H:
        for fact_type in fact_types:
            if fact_type in _EVOLVE:
                raise TypeError(f"{fact_type.__name__} evolves twice")
            _EVOLVE[fact_type] = function
        return function

    return declare


def evolve(state: S, fact: Fact) -> S:
    """The state after a fact: pure and total."""
    try:
        function = _EVOLVE[type(fact)]
    except KeyError:
        raise InvariantBroken("nobody evolves this fact", fact=type(fact).__name__) from None
    result: S = function(state, fact)
    return result


def fold(state: S, facts: Iterable[Fact]) -> S:
    """The state after all facts, in order."""
    for fact in facts:
        state = evolve(state, fact)
    return state


class Topic:
    """Handlers that belong to one subject: event (or message) type -> handler.

    A state is a table made of topics (`NORMAL = adds | settlements | dance`), so no dispatch function grows.
    """

    def __init__(self, handlers: Mapping[type[Record], Callable[..., Any]] | None = None) -> None:
        self._handlers: dict[type[Record], Callable[..., Any]] = dict(handlers or {})

    def on(self, *types: type[Record]) -> Callable[[H], H]:
        """Register the handler of an event or message type."""

        def register(handler: H) -> H:
            for handled in types:
                if handled in self._handlers:
                    raise TypeError(f"{handled.__name__} has two handlers in one topic")
                self._handlers[handled] = handler
            return handler

        return register

    def __or__(self, other: Topic) -> Topic:
        both = self._handlers.keys() & other._handlers.keys()
        if both:
            raise TypeError(f"two topics handle {sorted(handled.__name__ for handled in both)}")
        return Topic(self._handlers | other._handlers)

    def but(self, other: Topic) -> Topic:
        """This table with some handlers replaced by those of another."""
        return Topic(self._handlers | other._handlers)

    def get(self, handled: type[Record]) -> Callable[..., Any] | None:
        """The handler of a type, or None where this state refuses it."""
        return self._handlers.get(handled)

    @property
    def handled(self) -> tuple[type[Record], ...]:
        """All types that have a handler, in the order of registration."""
        return tuple(self._handlers)


class Faulted(Event):
    """A fault came back to the machine that caused it: it decides what to do about it."""

    event: Event
    fault: Any

    @property
    def why(self) -> Fault:
        """The fault, typed."""
        assert isinstance(self.fault, Fault)
        return self.fault


class Undelivered(Event):
    """The receiver of an inner action refused it; the sender's own facts stand."""

    action: Tell
    fault: Any


class Lull(Event):
    """Nothing is left to read at this instant: time to sign what has piled up."""


class Disconnected(Event):
    """The connection to the peer is gone, also at start: a crash is a disconnect (law 2)."""


class CallerGone(Event):
    """Whoever asked cannot be answered any more, also at start."""
