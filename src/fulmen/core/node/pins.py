"""Which machine still needs which old rows of the journal, so that the journal's length stays flat in history."""

from __future__ import annotations

from fulmen.core.base.machine import Address


class Pins:
    """Machine -> the oldest journal row that its newest snapshot does not cover, oldest first.

    A machine enters at the end and leaves when it is snapshotted, so the order of entry is the order of the rows.
    """

    def __init__(self) -> None:
        self._first_row: dict[Address, tuple[int, int]] = {}

    def wrote(self, address: Address, position: int, facts: int) -> None:
        """This machine has facts in this row; positions never go back. `facts`: how many there were before the row."""
        self._first_row.setdefault(address, (position, facts))

    def covered(self, address: Address) -> None:
        """A snapshot or a cold row holds all facts of this machine so far."""
        self._first_row.pop(address, None)

    def oldest(self) -> tuple[Address, int, int] | None:
        """The machine that pins the oldest row, that row, and how many facts were before it; None without a pin."""
        for address, (position, facts) in self._first_row.items():
            return address, position, facts
        return None

    @property
    def addresses(self) -> tuple[Address, ...]:
        """All machines that pin a row, the oldest first."""
        return tuple(self._first_row)
