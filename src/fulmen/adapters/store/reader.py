"""Reading: a point read of a cold row, pages of cold rows, the story of a machine.

Each reader has a connection of its own, so that a long list is read beside the loop without holding up the writer.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import apsw

from fulmen.adapters.store.codec import Codec
from fulmen.adapters.store.faults import CorruptDatabase
from fulmen.adapters.store.fresh import Fresh, FreshRow
from fulmen.adapters.store.names import Numbers
from fulmen.adapters.store.schema import connect, named
from fulmen.core.base.machine import Address
from fulmen.core.base.record import Record
from fulmen.core.base.retention import Beginning, Outlived
from fulmen.core.base.stretch import NUMBER_LENGTH, Stretch
from fulmen.core.node.batch import JournalRow, Snapshot
from fulmen.core.node.cold import ColdRows
from fulmen.core.node.storage import Stored

MOST_PER_PAGE = 1000
LONGEST_KEY = 256
NEWEST = 1 << 62


class ColdPage(Record):
    """Some cold rows of one kind. `after` is where the next page begins, None when this was the last."""

    rows: tuple[tuple[Address, Any], ...]
    after: int | None


class StoryLine(Record):
    """What happened, at which second since 1970."""

    at: int
    what: str
    details: dict[str, Any]


def sealed(payload: bytes, number: int, key: bytes = b"") -> bytes:
    """A stored value with its checksum in front, which is another one in another place.

    Args:
        number: that of the kind for what has an address; of the row in the journal.
        key: that of the address; of a snapshot followed by its position.
    """
    return crc32(payload, crc32(key, number & 0xFFFFFFFF)).to_bytes(4, "little") + payload


def opened(data: bytes, number: int, key: bytes = b"") -> bytes:
    """The reverse of `sealed`.

    Raises:
        CorruptDatabase: the bytes are not those that were written, or were written elsewhere.
    """
    if not isinstance(data, bytes) or sealed(data[4:], number, key) != data:
        raise CorruptDatabase("a stored value has a wrong checksum")
    return data[4:]


def snapshot_key(key: bytes, position: int) -> bytes:
    """What the checksum of a snapshot takes in besides its kind."""
    return key + position.to_bytes(8, "big")


@cache
def kind_name(kind: str) -> str:
    """Under which name a kind of machine has its number."""
    return f"kind {kind}"


class Reader:
    """Reads what is on disk."""

    def __init__(self, path: Path, codec: Codec | None = None, vfs: str | None = None) -> None:
        try:
            self._connection = connect(path, vfs)
            self._connection.execute("PRAGMA query_only = ON")
            self.is_sick = False
            """The disk could not be read."""
            self._own_codec = codec is None
            self.fresh: Fresh | None = None
            """What is in no index yet, if somebody keeps it in memory."""
            self.codec = codec if codec is not None else Codec(Numbers(self.names()))
        except apsw.Error as error:
            raise named(error) from error

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()

    def read(self, address: Address) -> Any | None:
        """The cold row at this address, or None.

        Raises:
            CorruptDatabase, DiskFailed
        """
        kind = self.codec.numbers.known(kind_name(address.kind))
        if kind is None:
            return None
        fresh = self._fresh().get(kind, address.key)
        if fresh is not None:
            return self.codec.unpack(opened(fresh.row, kind, address.key))
        at = "SELECT row FROM cold WHERE id = (SELECT id FROM places WHERE kind = ? AND key = ?)"
        for (row,) in self._query(at, (kind, address.key)):
            return self.codec.unpack(opened(row, kind, address.key))
        return None

    def read_stretch(self, wanted: Stretch) -> ColdRows:
        """Cold rows whose stretch holds a number, in the order of their keys: one walk over the index of addresses.

        Raises:
            CorruptDatabase, DiskFailed
        """
        kind = self.codec.numbers.known(kind_name(wanted.kind))
        if kind is None:
            return ()
        start_at = wanted.start_at + 1
        indexed = self._query(
            "SELECT places.key, row FROM places JOIN cold USING (id) WHERE places.kind = ? AND places.key >= ?"
            " AND places.key < ? AND substr(places.key, ?, ?) <= ?",
            (kind, wanted.first_key, wanted.last_key, start_at, NUMBER_LENGTH, wanted.greatest_start),
        )
        rows = {Address(wanted.kind, key): row for key, row in indexed}
        fresh = [(Address(wanted.kind, row.key), row.row) for row in self._fresh().rows() if row.kind == kind]
        rows |= {address: row for address, row in fresh if wanted.holds(address)}
        ordered = sorted(rows.items(), key=lambda item: item[0].key)
        return tuple([(address, self.codec.unpack(opened(row, kind, address.key))) for address, row in ordered])

    def find(self, wanted: Beginning | Outlived) -> tuple[Address, ...]:
        """Where cold rows are that may go: one walk over an index.

        Raises:
            CorruptDatabase, DiskFailed
        """
        fresh = self._fresh()
        if isinstance(wanted, Outlived):
            ended = (
                "SELECT ends.until, kind, key FROM ends JOIN cold USING (id)"
                " WHERE ends.until < ? ORDER BY ends.until, id LIMIT ?"
            )
            # As many more as may have been written again meanwhile, with another end.
            rows = fresh.rows()
            at = self._query(ended, (wanted.height, wanted.most + len(rows)))
            ends = [(until, kind, key) for until, kind, key in at if fresh.get(kind, key) is None]
            ends += [
                (row.until, row.kind, row.key) for row in rows if row.until is not None and row.until < wanted.height
            ]
            return tuple([self._address(kind, key) for _, kind, key in sorted(ends)[: wanted.most]])
        number = self.codec.numbers.known(kind_name(wanted.kind))
        behind = wanted.prefix + b"\xff" * LONGEST_KEY
        begun = "SELECT key FROM places WHERE kind = ? AND key >= ? AND key < ? ORDER BY key LIMIT ?"
        keys = {key for (key,) in self._query(begun, (number, wanted.prefix, behind, wanted.most))}
        keys |= {row.key for row in fresh.rows() if row.kind == number and row.key.startswith(wanted.prefix)}
        return tuple([Address(wanted.kind, key) for key in sorted(keys)[: wanted.most]])

    def page(self, kind: str, after: int | None = None, limit: int = 100, newest_first: bool = True) -> ColdPage:
        """Cold rows of one kind in the order in which they were written, or the newest first."""
        self._refresh()
        number = self.codec.numbers.known(kind_name(kind))
        limit = max(1, min(limit, MOST_PER_PAGE))
        if number is None:
            return ColdPage((), None)
        least, most = (0, after or NEWEST) if newest_first else (after or 0, NEWEST)
        order = "DESC" if newest_first else "ASC"
        found = list(
            self._query(
                f"""
                SELECT ages.id AS id, key, row FROM ages JOIN cold USING (id)
                    WHERE ages.kind = ?1 AND ages.id > ?2 AND ages.id < ?3
                UNION ALL
                SELECT id, key, row FROM cold
                    WHERE id > max(?2, (SELECT CAST(value AS INTEGER) FROM about WHERE name = 'merged'))
                    AND id < ?3 AND kind = ?1
                ORDER BY id {order} LIMIT ?4
                """,
                (number, least, most, limit),
            )
        )
        rows = tuple((Address(kind, key), self.codec.unpack(opened(row, number, key))) for _, key, row in found)
        return ColdPage(rows, found[-1][0] if len(found) == limit else None)

    def tail(self) -> tuple[int, list[FreshRow]]:
        """The last row that the indexes know, and all rows behind it."""
        merged = "SELECT CAST(value AS INTEGER) FROM about WHERE name = 'merged'"
        for (last,) in self._query(merged, ()):
            rows = self._query("SELECT id, kind, key, until, row FROM cold WHERE id > ? ORDER BY id", (last,))
            return last, [FreshRow(*row) for row in rows]
        raise CorruptDatabase("nothing says how far the indexes go")

    def _fresh(self) -> Fresh:
        """The store's own; a reader beside it looks at the disk."""
        return self.fresh if self.fresh is not None else Fresh(*self.tail())

    def story(self, about: Address, limit: int = 1000) -> tuple[StoryLine, ...]:
        """The newest lines about a machine, in the order in which they happened."""
        self._refresh()
        number = self.codec.numbers.known(kind_name(about.kind))
        found = self._query(
            "SELECT at, line FROM story WHERE kind = ? AND key = ? ORDER BY id DESC LIMIT ?",
            (number, about.key, limit),
        )
        lines = [StoryLine(at, *self.codec.unpack(opened(line, number or 0, about.key))) for at, line in found]
        return tuple(reversed(lines))

    def load(self) -> Stored:
        """All snapshots and journal rows.

        Raises:
            CorruptDatabase: a row is missing, or cannot be read.
        """
        snapshots: list[Snapshot] = []
        for number, key, position, row in self._query("SELECT kind, key, position, row FROM snapshots", ()):
            state, frozen = self.codec.unpack(opened(row, number, snapshot_key(key, position)))
            snapshots.append(Snapshot(self._address(number, key), position, state, frozen))
        rows: list[JournalRow] = []
        for position, row in self._query("SELECT position, row FROM journal ORDER BY position", ()):
            if rows and position != rows[-1].position + 1:
                raise CorruptDatabase("a row of the journal is missing", position=rows[-1].position + 1)
            rows.append(JournalRow(position, tuple(self._facts(opened(row, position)))))
        last = rows[-1].position if rows else 0
        # The newest row always stays, and nothing is snapshotted beyond it.
        if any(snapshot.position > last for snapshot in snapshots):
            raise CorruptDatabase("the end of the journal is missing", position=last)
        return Stored(tuple(snapshots), tuple(rows))

    def _facts(self, data: bytes) -> Iterator[tuple[Address, Any]]:
        try:
            for number, key, *facts in self.codec.unpack_raw(data):
                address = self._address(number, key)
                for fact in facts:
                    yield address, self.codec.record_from_disk(fact)
        except (TypeError, ValueError, LookupError) as error:
            raise CorruptDatabase("a row of the journal cannot be read", why=str(error)) from error

    def _address(self, number: int, key: bytes) -> Address:
        word, _, kind = self.codec.numbers.name(number).partition(" ")
        if word != "kind":
            raise CorruptDatabase("a stored number names no kind of machine", number=number)
        return Address(kind, key)

    def _refresh(self) -> None:
        """A reader beside the store learns names from the disk; the store's own codec knows them first."""
        if self._own_codec:
            self.codec = Codec(Numbers(self.names()))

    def names(self) -> list[tuple[int, str]]:
        """All numbers of the database and what they stand for."""
        return list(self._query("SELECT number, name FROM names ORDER BY number", ()))

    def _query(self, statement: str, values: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._connection.execute(statement, values)
        except apsw.Error as error:
            self.is_sick = True
            raise named(error) from error
        except UnicodeDecodeError as error:
            raise CorruptDatabase("a stored text cannot be read", why=str(error)) from error
