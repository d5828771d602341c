"""Cold rows that stand in their table and in no index yet: new ones are found here, and indexed many at a time.

A key is mostly a hash, so each row that is indexed alone touches a page of its own in every index. Rows are appended to
one table, in the transaction of their batch; once there are enough of them, one statement puts them into the indexes in
the order of their keys. Until that is on disk they are found in memory; a restart reads them from the table's end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

ENOUGH = 4096
"""How many rows are indexed at once: a few megabytes of memory; and where a million are indexed already, a tenth of a
second for the disk."""

Place = tuple[int, bytes]
"""(number of the kind, key)."""


class FreshRow(NamedTuple):
    """A row as it stands on disk."""

    id: int
    kind: int
    key: bytes
    until: int | None
    row: bytes


class Fresh:
    """The rows behind `merged`, the last one that the indexes know. `enough` of them are indexed at once."""

    def __init__(self, merged: int, rows: Iterable[FreshRow] = (), enough: int = ENOUGH) -> None:
        self._rows: dict[Place, FreshRow] = {(row.kind, row.key): row for row in rows}
        self._merging: list[dict[Place, FreshRow]] = []
        self._enough = enough
        self._merged = merged
        self._last = max([merged, *(row.id for row in self._rows.values())])

    def write(self, kind: int, key: bytes, until: int | None, row: bytes) -> int:
        """A row at an address where there is none, or none any more (`drop`). Gives its id."""
        self._last += 1
        self._rows[kind, key] = FreshRow(self._last, kind, key, until, row)
        return self._last

    def drop(self, kind: int, key: bytes) -> int | None:
        """The row at an address goes. Gives its id if no index knows it; else the indexes say where it is, if it is."""
        for merging in self._merging:
            merging.pop((kind, key), None)
        row = self._rows.pop((kind, key), None)
        return None if row is None else row.id

    def begin_merge(self) -> tuple[int, int] | None:
        """The ids of what is to be indexed now (behind the first, up to the second), if there is enough of it.

        It is found here until `end_merge`; what is dropped from now on the indexes know.
        """
        if len(self._rows) < self._enough:
            return None
        span = (self._merged, self._last)
        self._merging.append(self._rows)
        self._rows = {}
        self._merged = self._last
        return span

    def end_merge(self) -> None:
        """The oldest merge is on disk."""
        self._merging.pop(0)

    def get(self, kind: int, key: bytes) -> FreshRow | None:
        """The row at an address, if it is fresh."""
        row = self._rows.get((kind, key))
        if row is None:
            for merging in reversed(self._merging):
                row = merging.get((kind, key))
                if row is not None:
                    break
        return row

    def rows(self) -> list[FreshRow]:
        """All of them, in no order."""
        found: dict[Place, FreshRow] = {}
        for rows in (*self._merging, self._rows):
            found |= rows
        return list(found.values())
