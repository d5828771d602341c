"""All targets, by the room that declares them."""

from fuzz import chain, doors, machine, paying, wire
from fuzz.target import Target

ROOMS: dict[str, str] = {
    target.name: room.__name__ for room in (wire, paying, chain, doors, machine) for target in room.targets()
}
"""Name -> module: a process that fuzzes one target need not import the others."""
TARGETS: dict[str, Target] = {
    target.name: target for room in (wire, paying, chain, doors, machine) for target in room.targets()
}
