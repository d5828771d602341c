"""Cold rows: read one by one by their address, with what is not yet on disk laid over what is."""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from fulmen.core.base.machine import Address


class ColdReader(Protocol):
    """A point read of the cold store, from what is on disk."""

    def read(self, address: Address) -> Any | None:
        """The row at this address, or None."""
        ...


class NothingCold:
    """A cold store without rows."""

    def read(self, _address: Address) -> Any | None:
        """Nothing is there."""
        return None


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
