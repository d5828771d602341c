"""The circuit machine: one per received HTLC, and the one judge of it (law 10).

Forwarded HTLCs are claimed upstream as soon as the preimage is known and failed upstream only when the channel
downstream says that they can no longer be paid there. Every event may come twice.
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.faults import Refused
from fulmen.core.base.machine import Event, Faulted, Step, Topic
from fulmen.core.base.mount import Mount
from fulmen.core.base.outer import Notify, Want, WantTime
from fulmen.core.commitments.htlcs import (
    Fulfilled,
    HtlcRemoved,
)
from fulmen.core.switch.arrivals import arrivals, needs
from fulmen.core.switch.circuit import (
    Circuit,
    Phase,
    ended,
    forget,
    initial,
    remains,
)
from fulmen.core.switch.offers import offers
from fulmen.core.switch.outcomes import outcomes
from fulmen.core.switch.records import kept_of

circuits = Topic()


@circuits.on(Faulted)
def on_faulted(circuit: Circuit, event: Faulted, _env: Env) -> Step[Circuit]:
    """An event that no circuit takes."""
    about = {"circuit": str(circuit.key), "during": type(event.event).__name__, "fault": event.why.name}
    return Step(circuit).act(Notify("fault", about))


CIRCUIT = circuits | arrivals | offers | outcomes


class NotForACircuit(Refused):
    """A circuit has no handler for this event."""


def decide(circuit: Circuit, event: Event, env: Env) -> Step[Circuit]:
    """What follows from an event.

    Raises:
        NotForACircuit: nothing, and nobody should have sent it.
    """
    handler = CIRCUIT.get(type(event))
    if handler is None:
        raise NotForACircuit(event=type(event).__name__)
    step: Step[Circuit] = handler(circuit, event, env)
    if step.facts and ended(step.state):
        step.act(*kept_of(step.state, env))
    return step


def wants(circuit: Circuit) -> tuple[Want, ...]:
    """The time of the next offer; to be woken at once where nobody is left who would."""
    if circuit.phase is Phase.FORWARDING and (circuit.retry_at or circuit.loose):
        return (WantTime(circuit.retry_at or circuit.opened_at),)
    return ()


def takes_frozen(_circuit: Circuit, event: Event) -> bool:
    """Preimages go on when all else holds still (law 8)."""
    return isinstance(event, Fulfilled | HtlcRemoved)


MOUNT = Mount(
    "circuit",
    initial,
    decide,
    forget=forget,
    wants=wants,
    needs=needs,
    ended=ended,
    remains=remains,
    takes_frozen=takes_frozen,
)
