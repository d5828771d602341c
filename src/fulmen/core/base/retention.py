"""When cold rows go: at a height that was written with them, or all at once that begin with the name of what is over.

A row that nobody can ask for any more is only weight on the disk, and a peer can make us write rows by sending HTLCs
that fail (law 7). `core.node.retention` takes them out, a slice at a time.
"""

from __future__ import annotations

from fulmen.core.base.machine import Address, Event
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight

RETENTION = Address("retention")
"""Who takes rows out."""


class Outlived(Record):
    """Asks where cold rows are whose `until` lies below a height: at most so many, the lowest first."""

    height: BlockHeight
    most: int


class Beginning(Record):
    """Asks where cold rows of a kind are whose keys begin so: at most so many, in the order of their keys."""

    kind: str
    prefix: bytes
    most: int

    def holds(self, address: Address) -> bool:
        """Whether the row at this address is one of those asked for."""
        return address.kind == self.kind and address.key.startswith(self.prefix)


class RowsUnwanted(Event):
    """To the retention: nobody can ask any more for the cold rows of this kind whose keys begin so."""

    kind: str
    prefix: bytes
