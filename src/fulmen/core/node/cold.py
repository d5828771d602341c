"""Cold rows: read by their address or by a stretch, with what is not yet on disk laid over what is."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

from fulmen.core.base.machine import Address
from fulmen.core.base.mount import Needed
from fulmen.core.base.retention import Beginning, Outlived
from fulmen.core.base.stretch import Found, Stretch, found
from fulmen.core.base.units import BlockHeight

ColdRows = tuple[tuple[Address, Any], ...]


class ColdReader(Protocol):
    """Reads of the cold store, from what is on disk."""

    def read(self, address: Address) -> Any | None:
        """The row at this address, or None."""
        ...

    def read_stretch(self, wanted: Stretch) -> ColdRows:
        """All rows whose stretch holds a number, in the order of their keys."""
        ...

    def find(self, wanted: Beginning | Outlived) -> tuple[Address, ...]:
        """Where the rows are that are asked for, in the order that is asked for."""
        ...


class NothingCold:
    """A cold store without rows."""

    def read(self, _address: Address) -> Any | None:
        """Nothing is there."""
        return None

    def read_stretch(self, _wanted: Stretch) -> ColdRows:
        """Nothing is there."""
        return ()

    def find(self, _wanted: Beginning | Outlived) -> tuple[Address, ...]:
        """Nothing is there."""
        return ()


class Overlay:
    """A cold reader with the rows of batches that are not yet on disk laid over it."""

    def __init__(self, below: ColdReader) -> None:
        self._below = below
        self._ahead: dict[Address, tuple[int, Any]] = {}
        self._order: deque[tuple[int, Address]] = deque()

    def read(self, address: Address) -> Any | None:
        """The newest row at this address, on disk or on its way there."""
        if self._ahead:
            ahead = self._ahead.get(address)
            if ahead is not None:
                return ahead[1]
        return self._below.read(address)

    def read_stretch(self, wanted: Stretch) -> ColdRows:
        """The newest rows of a stretch, on disk or on their way there."""
        rows = dict(self._below.read_stretch(wanted))
        rows |= {address: row for address, (_, row) in self._ahead.items() if wanted.holds(address)}
        there = [(address, row) for address, row in rows.items() if row is not None]
        return tuple(sorted(there, key=lambda item: item[0].key))

    def find(self, wanted: Beginning | Outlived) -> tuple[Address, ...]:
        """Where the rows are, on disk or on their way there; what has an end and is on its way waits for next time."""
        ahead = self._ahead
        below = self._below.find(wanted.but(most=wanted.most + len(ahead))) if ahead else self._below.find(wanted)
        found = [address for address in below if address not in ahead]
        if isinstance(wanted, Beginning):
            found += [address for address, (_, row) in ahead.items() if row is not None and wanted.holds(address)]
            found.sort(key=lambda address: address.key)
        return tuple(found[: wanted.most])

    def ahead(self, kind: str) -> tuple[tuple[bytes, Any], ...]:
        """(key, row) of a kind that are on their way to the disk, in the order in which they were written."""
        addresses = dict.fromkeys(address for _, address in self._order if address.kind == kind)
        rows = [(address.key, self._ahead[address][1]) for address in addresses if address in self._ahead]
        return tuple([(key, row) for key, row in rows if row is not None])

    def look_up(self, wanted: Needed) -> Any | Found | tuple[Address, ...] | None:
        """What a machine has asked for by `Mount.needs`."""
        if isinstance(wanted, Address):
            return self.read(wanted)
        return found(wanted, self.read_stretch(wanted)) if isinstance(wanted, Stretch) else self.find(wanted)

    def write(self, position: int, address: Address, row: Any) -> None:
        """A batch at this position of the journal writes this row, or with None takes it out."""
        self._ahead[address] = (position, row)
        self._order.append((position, address))

    def durable(self, position: int) -> None:
        """Every batch up to this position is on disk."""
        order = self._order
        while order and order[0][0] <= position:
            _, address = order.popleft()
            ahead = self._ahead.get(address)
            if ahead is not None and ahead[0] <= position:
                del self._ahead[address]


def among(wanted: Beginning | Outlived, ends: Mapping[Address, BlockHeight | None]) -> tuple[Address, ...]:
    """Those rows that are asked for, given all addresses and when each may go: what a store without an index does."""
    if isinstance(wanted, Beginning):
        held = sorted([address for address in ends if wanted.holds(address)], key=lambda address: address.key)
    else:
        outlived = [(end, address) for address, end in ends.items() if end is not None and end < wanted.height]
        held = [address for _, address in sorted(outlived, key=lambda item: item[0])]
    return tuple(held[: wanted.most])
