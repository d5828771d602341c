"""Cold rows: read by their address or by a stretch, with what is not yet on disk laid over what is."""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from fulmen.core.base.machine import Address
from fulmen.core.base.stretch import Found, Stretch, found

ColdRows = tuple[tuple[Address, Any], ...]


class ColdReader(Protocol):
    """Reads of the cold store, from what is on disk."""

    def read(self, address: Address) -> Any | None:
        """The row at this address, or None."""
        ...

    def read_stretch(self, wanted: Stretch) -> ColdRows:
        """All rows whose stretch holds a number, in the order of their keys."""
        ...


class NothingCold:
    """A cold store without rows."""

    def read(self, _address: Address) -> Any | None:
        """Nothing is there."""
        return None

    def read_stretch(self, _wanted: Stretch) -> ColdRows:
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
        return tuple(sorted(rows.items(), key=lambda item: item[0].key))

    def ahead(self, kind: str) -> tuple[tuple[bytes, Any], ...]:
        """(key, row) of a kind that are on their way to the disk, in the order in which they were written."""
        addresses = dict.fromkeys(address for _, address in self._order if address.kind == kind)
        return tuple((address.key, self._ahead[address][1]) for address in addresses if address in self._ahead)

    def look_up(self, wanted: Address | Stretch) -> Any | Found | None:
        """What a machine has asked for by `Mount.needs`."""
        return found(wanted, self.read_stretch(wanted)) if isinstance(wanted, Stretch) else self.read(wanted)

    def write(self, position: int, address: Address, row: Any) -> None:
        """A batch at this position of the journal writes this row."""
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
