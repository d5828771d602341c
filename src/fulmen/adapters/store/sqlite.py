"""The embedded store: batches become rows here, on the loop's thread; the writer thread makes them durable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fulmen.adapters.store.codec import Codec
from fulmen.adapters.store.fresh import ENOUGH, Fresh
from fulmen.adapters.store.names import Numbers
from fulmen.adapters.store.reader import Reader, kind_name, sealed, snapshot_key
from fulmen.adapters.store.schema import (
    DROP_COLD,
    DROP_FRESH,
    DROP_SNAPSHOT,
    MERGE_COLD,
    TRIM_JOURNAL,
    TRIM_STORY,
    WRITE_COLD,
    WRITE_JOURNAL,
    WRITE_NAME,
    WRITE_SNAPSHOT,
    WRITE_STORY,
    prepare,
)
from fulmen.adapters.store.writer import Row, Work, Writer
from fulmen.core.base.faults import Fault
from fulmen.core.base.machine import Address
from fulmen.core.base.retention import Beginning, Outlived
from fulmen.core.base.stretch import Stretch
from fulmen.core.node.batch import Batch, ColdRow, Ended, StoryRow
from fulmen.core.node.cold import ColdRows
from fulmen.core.node.storage import Stored

TRIM_SLICE = 256
"""How many rows of the journal one batch removes at most, so that no batch is slow."""
TRIM_AFTER = 64
"""How many rows have to be out of use before removing them is worth a write."""
STORY_SLICE = 64
STORY_RETENTION_S = 400 * 86_400
"""The story is kept for a bit more than a year."""


class SqliteStore:
    """A store of one node in one file.

    `soon` calls a function on the thread of the loop (`loop.call_soon_threadsafe`); `about` says whose database this
    is ("network", "node"), and one of another is refused.
    """

    def __init__(
        self,
        path: Path,
        soon: Callable[[Callable[[], None]], object],
        about: Mapping[str, str] | None = None,
        *,
        vfs: str | None = None,
        enough: int = ENOUGH,
    ) -> None:
        """Open or create it, and bring it to this version.

        Raises:
            StoreFault: by name, what is wrong with it.
        """
        self._path = path
        self._vfs = vfs
        prepare(path, about or {}, vfs)
        self._reader = Reader(path, vfs=vfs)
        self._codec = self._reader.codec = Codec(Numbers(self._reader.names()))
        self._fresh = self._reader.fresh = Fresh(*self._reader.tail(), enough)
        self._failed: Callable[[Fault], None] = lambda _fault: None
        self._waiting = Work([], [])
        self._first_row = 0
        self._story_seen = 0
        self._writer = Writer(path, soon, self._fail, vfs)

    def load(self) -> Stored:
        """All snapshots, and the journal's rows in order."""
        stored = self._reader.load()
        self._first_row = stored.rows[0].position if stored.rows else 0
        return stored

    def submit(self, batch: Batch, done: Callable[[], None]) -> None:
        """Write a batch with the next transaction. One that nobody outside waits for waits for company."""
        rows = self._rows(batch)
        names = self._codec.numbers.new()
        self._waiting.rows.extend((WRITE_NAME, number, None, None, name, None) for number, name in names)
        self._waiting.rows.extend(rows)
        self._waiting.done.append(done)
        merge = self._fresh.begin_merge()
        if merge is not None:
            self._waiting.rows.append((MERGE_COLD, merge[0], None, merge[1], None, None))
            self._waiting.done.append(self._fresh.end_merge)
        if batch.outward:
            self.flush()

    def flush(self) -> None:
        """Write now what was waiting for company."""
        if self._waiting.done:
            work, self._waiting = self._waiting, Work([], [])
            self._writer.put(work)

    def on_failure(self, failed: Callable[[Fault], None]) -> None:
        """Whom to tell when the disk fails."""
        self._failed = failed

    def read(self, address: Address) -> Any | None:
        """A cold row, from what is on disk."""
        return self._reader.read(address)

    def read_stretch(self, wanted: Stretch) -> ColdRows:
        """Cold rows whose stretch holds a number, from what is on disk."""
        return self._reader.read_stretch(wanted)

    def find(self, wanted: Beginning | Outlived) -> tuple[Address, ...]:
        """Where the cold rows are that may go, from what is on disk."""
        return self._reader.find(wanted)

    def reader(self) -> Reader:
        """Another connection, for long lists; whoever asks for it closes it."""
        return Reader(self._path, vfs=self._vfs)

    @property
    def syncs(self) -> int:
        """How many transactions were written since the start."""
        return self._writer.syncs

    def close(self) -> None:
        """Write what waits, and close the file."""
        self.flush()
        self._reader.close()
        # The writer goes last, and folds the log into the database if the disk was well, for all that both know.
        self._writer.stop(fold=not self._reader.is_sick)

    def _fail(self, fault: Fault) -> None:
        self._failed(fault)

    # ---- rows ----------------------------------------------------------------------------------

    def _rows(self, batch: Batch) -> list[Row]:
        rows: list[Row] = []
        if batch.facts or batch.cold or batch.story:
            rows.append((WRITE_JOURNAL, batch.position, None, None, self._journal_row(batch), None))
            if self._first_row == 0:
                self._first_row = batch.position
        for cold in batch.cold:
            self._cold(rows, cold)
        for address, fact in batch.facts:
            if type(fact) is Ended:
                rows.append((DROP_SNAPSHOT, *self._at(address), None, None, None))
        for snapshot in batch.snapshots:
            packed = self._codec.pack((snapshot.state, snapshot.frozen))
            kind, key = self._at(snapshot.address)
            row = sealed(packed, kind, snapshot_key(key, snapshot.position))
            rows.append((WRITE_SNAPSHOT, kind, key, snapshot.position, row, None))
        for line in batch.story:
            packed = self._codec.pack((line.what, line.details))
            kind, key = self._at(line.about)
            rows.append((WRITE_STORY, kind, key, line.at, sealed(packed, kind, key), None))
        if batch.story:
            self._trim_story(rows, batch.story)
        if batch.keep_from - self._first_row >= TRIM_AFTER:
            rows.append((TRIM_JOURNAL, batch.keep_from, None, TRIM_SLICE, None, None))
            self._first_row = min(batch.keep_from, self._first_row + TRIM_SLICE)
        return rows

    def _cold(self, rows: list[Row], cold: ColdRow) -> None:
        """What is at this address goes, and the row comes."""
        kind, key = self._at(cold.address)
        fresh = self._fresh.drop(kind, key)
        if fresh is None:
            rows.append((DROP_COLD, kind, key, None, None, None))
        else:
            rows.append((DROP_FRESH, fresh, None, None, None, None))
        if cold.row is not None:
            packed = sealed(self._codec.pack(cold.row), kind, key)
            written = self._fresh.write(kind, key, cold.until, packed)
            rows.append((WRITE_COLD, written, key, cold.until, packed, kind))

    def _journal_row(self, batch: Batch) -> bytes:
        """`[[kind, key, fact, fact …] …]`: consecutive facts of one machine share its address."""
        groups: list[list[Any]] = []
        last: Address | None = None
        for address, fact in batch.facts:
            if address != last:
                groups.append([*self._at(address)])
                last = address
            groups[-1].append(self._codec.record_to_disk(fact))
        return sealed(self._codec.pack_raw(groups), batch.position)

    def _trim_story(self, rows: list[Row], story: tuple[StoryRow, ...]) -> None:
        self._story_seen += len(story)
        if self._story_seen >= STORY_SLICE // 2:
            self._story_seen = 0
            rows.append((TRIM_STORY, story[-1].at - STORY_RETENTION_S, None, STORY_SLICE, None, None))

    def _at(self, address: Address) -> tuple[int, bytes]:
        return self._codec.numbers.of(kind_name(address.kind)), address.key
