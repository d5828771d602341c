"""The writer thread: all that waits becomes one transaction and one sync (group commit by nature, no timer).

It runs almost only inside SQLite, without the GIL. When the disk fails it says so once, and after that it writes
nothing and lets nothing go (law 8).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

import apsw

from fulmen.adapters.store.schema import WRITES, connect, fold_the_log, named
from fulmen.core.base.faults import Fault

Row = tuple[int, int | None, bytes | None, int | None, Any, int | None]
"""One row of the `write` view: op, a, b, c, d, e."""

FOLD_AFTER = 1000
"""After so many rows the log is folded into the database: a few megabytes, as SQLite would do it by itself."""
MOST_ROWS = 4096
"""How many rows one statement takes; SQLite allows 32766 values."""


class Work(NamedTuple):
    """Rows that belong into one transaction, and whom to tell when they are safe."""

    rows: list[Row]
    done: list[Callable[[], None]]


class Writer:
    """`soon` calls a function on the loop's thread, in the order in which it was asked to."""

    def __init__(
        self, path: Path, soon: Callable[[Callable[[], None]], object], failed: Callable[[Fault], None], vfs: str | None
    ) -> None:
        self._path = path
        self._soon = soon
        self._failed = failed
        self._vfs = vfs
        self._queue: SimpleQueue[Work | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="fulmen-writer", daemon=True)
        self._unfolded = 0
        """Rows in the log since it was folded."""
        self._folds_at_last = True
        self._statements: dict[int, str] = {}
        self.syncs = 0
        """How many transactions were written."""
        self._thread.start()

    def put(self, work: Work) -> None:
        """Write this with the next transaction."""
        self._queue.put(work)

    def stop(self, *, fold: bool = True) -> None:
        """Write what waits, and end; the log is folded into the database unless that is not wanted."""
        self._folds_at_last = fold
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        connection: apsw.Connection | None = None
        try:
            connection = connect(self._path, self._vfs)
            connection.execute(WRITES)
            # SQLite would do it within a commit, and say nothing of a disk that fails meanwhile.
            connection.wal_autocheckpoint(0)
            while self._turn(connection):
                pass
            if self._folds_at_last:
                fold_the_log(connection)
        except Exception as error:  # whatever it is, nothing may be let go after it
            fault = named(error)
            self._soon(lambda: self._failed(fault))
        finally:
            if connection is not None:
                _close(connection)

    def _turn(self, connection: apsw.Connection) -> bool:
        """One transaction with all that waits. False when it was the last."""
        work = self._queue.get()
        if work is None:
            return False
        rows, done = list(work.rows), list(work.done)
        more = True
        while more:
            try:
                following = self._queue.get_nowait()
            except Empty:
                break
            if following is None:
                more = False
            else:
                rows.extend(following.rows)
                done.extend(following.done)
        self._write(connection, rows)
        self.syncs += 1
        self._soon(lambda: _tell(done))
        self._fold(connection, len(rows))
        return more

    def _fold(self, connection: apsw.Connection, rows: int) -> None:
        """Now and then, once nobody waits for it any more."""
        self._unfolded += rows
        if self._unfolded >= FOLD_AFTER:
            self._unfolded = 0
            connection.wal_checkpoint()

    def _write(self, connection: apsw.Connection, rows: list[Row]) -> None:
        if len(rows) <= MOST_ROWS:
            self._insert(connection, rows)
            return
        with connection:
            for start in range(0, len(rows), MOST_ROWS):
                self._insert(connection, rows[start : start + MOST_ROWS])

    def _insert(self, connection: apsw.Connection, rows: list[Row]) -> None:
        """One statement. Its length is a power of two, so that few different ones are ever prepared."""
        size = 1 << (len(rows) - 1).bit_length()
        values: list[Any] = [value for row in rows for value in row]
        values.extend([0, None, None, None, None, None] * (size - len(rows)))
        statement = self._statements.get(size)
        if statement is None:
            statement = self._statements[size] = "INSERT INTO write VALUES " + ",".join(["(?,?,?,?,?,?)"] * size)
        connection.execute(statement, values)


def _tell(done: list[Callable[[], None]]) -> None:
    for callback in done:
        callback()


def _close(connection: apsw.Connection) -> None:
    try:
        connection.close()
    except apsw.Error:  # a sick disk; what was wrong has been said already
        connection.close(True)
