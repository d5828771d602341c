"""The tables, their versions, and how one version becomes the next.

`journal`: one row per batch. `snapshots`: one per machine in memory. `cold`: primary data, in the order in which it was
written; `until` is the height above which a row may go. Its indexes are tables of their own, for they are filled many
rows at a time (`fresh`): `places` by address, `ages` in the order of lists, `ends` by `until`. `story`: lines with a
retention of their own. `names`: the numbers of kinds and types. `about`: whose database this is, and up to which row
the indexes go (`merged`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import apsw

from fulmen.adapters.store.faults import (
    CorruptDatabase,
    DiskFailed,
    DiskFull,
    ForeignDatabase,
    NewerDatabase,
    StoreFault,
)

APPLICATION_ID = 0x66756C6D
"""SQLite's application_id of our files: "fulm"."""
SLICE = 1 << 16
"""Bytes of the log that are written again at once; SQLite's own files take less than twice as many."""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT;
    CREATE TABLE names (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE journal (position INTEGER PRIMARY KEY, row BLOB NOT NULL) STRICT;
    CREATE TABLE snapshots (
        kind INTEGER NOT NULL, key BLOB NOT NULL, position INTEGER NOT NULL, row BLOB NOT NULL,
        PRIMARY KEY (kind, key)
    ) WITHOUT ROWID, STRICT;
    CREATE TABLE cold (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, key BLOB NOT NULL, row BLOB NOT NULL) STRICT;
    CREATE UNIQUE INDEX cold_by_address ON cold (kind, key);
    CREATE INDEX cold_by_age ON cold (kind, id);
    CREATE TABLE story (
        id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, key BLOB NOT NULL, at INTEGER NOT NULL, line BLOB NOT NULL
    ) STRICT;
    CREATE INDEX story_by_address ON story (kind, key, id);
    """,
    """
    ALTER TABLE cold ADD COLUMN until INTEGER;
    CREATE INDEX cold_by_end ON cold (until) WHERE until IS NOT NULL;
    """,
    """
    ALTER TABLE cold RENAME TO before;
    CREATE TABLE cold (
        id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, key BLOB NOT NULL, until INTEGER, row BLOB NOT NULL
    ) STRICT;
    CREATE TABLE places (
        kind INTEGER NOT NULL, key BLOB NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (kind, key)
    ) WITHOUT ROWID, STRICT;
    CREATE TABLE ages (kind INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID, STRICT;
    CREATE TABLE ends (until INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (until, id)) WITHOUT ROWID, STRICT;
    INSERT INTO cold SELECT id, kind, key, until, row FROM before ORDER BY id;
    INSERT INTO places SELECT kind, key, id FROM before ORDER BY kind, key;
    INSERT INTO ages SELECT kind, id FROM before ORDER BY kind, id;
    INSERT INTO ends SELECT until, id FROM before WHERE until IS NOT NULL ORDER BY until, id;
    INSERT INTO about SELECT 'merged', coalesce(max(id), 0) FROM before;
    DROP TABLE before;
    """,
)
"""`MIGRATIONS[n]` makes version n + 1 from version n."""

WRITE_NAME, WRITE_JOURNAL, WRITE_COLD, WRITE_SNAPSHOT = 1, 2, 3, 4
DROP_SNAPSHOT, WRITE_STORY, TRIM_JOURNAL, TRIM_STORY, DROP_COLD = 5, 6, 7, 8, 9
DROP_FRESH, MERGE_COLD = 10, 11

WRITES = f"""
    CREATE TEMP VIEW write AS SELECT 0 AS op, 0 AS a, x'' AS b, 0 AS c, x'' AS d, 0 AS e;
    CREATE TEMP TRIGGER w1 INSTEAD OF INSERT ON write WHEN new.op = {WRITE_NAME} BEGIN
        INSERT INTO names VALUES (new.a, new.d); END;
    CREATE TEMP TRIGGER w2 INSTEAD OF INSERT ON write WHEN new.op = {WRITE_JOURNAL} BEGIN
        INSERT INTO journal VALUES (new.a, new.d); END;
    CREATE TEMP TRIGGER w3 INSTEAD OF INSERT ON write WHEN new.op = {WRITE_COLD} BEGIN
        INSERT INTO cold VALUES (new.a, new.e, new.b, new.c, new.d); END;
    CREATE TEMP TRIGGER w4 INSTEAD OF INSERT ON write WHEN new.op = {WRITE_SNAPSHOT} BEGIN
        INSERT OR REPLACE INTO snapshots VALUES (new.a, new.b, new.c, new.d); END;
    CREATE TEMP TRIGGER w5 INSTEAD OF INSERT ON write WHEN new.op = {DROP_SNAPSHOT} BEGIN
        DELETE FROM snapshots WHERE kind = new.a AND key = new.b; END;
    CREATE TEMP TRIGGER w6 INSTEAD OF INSERT ON write WHEN new.op = {WRITE_STORY} BEGIN
        INSERT INTO story (kind, key, at, line) VALUES (new.a, new.b, new.c, new.d); END;
    CREATE TEMP TRIGGER w7 INSTEAD OF INSERT ON write WHEN new.op = {TRIM_JOURNAL} BEGIN
        DELETE FROM journal WHERE position < new.a AND position < (SELECT min(position) FROM journal) + new.c; END;
    CREATE TEMP TRIGGER w8 INSTEAD OF INSERT ON write WHEN new.op = {TRIM_STORY} BEGIN
        DELETE FROM story WHERE at < new.a AND id < (SELECT min(id) FROM story) + new.c; END;
    CREATE TEMP TRIGGER w9 INSTEAD OF INSERT ON write
    WHEN new.op = {DROP_COLD} AND EXISTS (SELECT 1 FROM places WHERE kind = new.a AND key = new.b) BEGIN
        DELETE FROM ends WHERE (until, id) = (
            SELECT until, id FROM cold WHERE id = (SELECT id FROM places WHERE kind = new.a AND key = new.b));
        DELETE FROM ages WHERE kind = new.a AND id = (SELECT id FROM places WHERE kind = new.a AND key = new.b);
        DELETE FROM cold WHERE id = (SELECT id FROM places WHERE kind = new.a AND key = new.b);
        DELETE FROM places WHERE kind = new.a AND key = new.b; END;
    CREATE TEMP TRIGGER w10 INSTEAD OF INSERT ON write WHEN new.op = {DROP_FRESH} BEGIN
        DELETE FROM cold WHERE id = new.a; END;
    CREATE TEMP TRIGGER w11 INSTEAD OF INSERT ON write WHEN new.op = {MERGE_COLD} BEGIN
        INSERT INTO places SELECT kind, key, id FROM cold WHERE id > new.a AND id <= new.c ORDER BY kind, key;
        INSERT INTO ends SELECT until, id FROM cold
            WHERE id > new.a AND id <= new.c AND until IS NOT NULL ORDER BY until, id;
        INSERT INTO ages SELECT kind, id FROM cold WHERE id > new.a AND id <= new.c ORDER BY kind, id;
        UPDATE about SET value = new.c WHERE name = 'merged'; END;
"""
"""Everything a transaction writes goes through one INSERT with many rows: one statement is one step of SQLite without
the GIL, its own transaction, and one sync. Several statements would each wait for the GIL behind a busy loop."""


def connect(path: Path, vfs: str | None = None) -> apsw.Connection:
    """A connection whose commits are on the disk when they return."""
    connection = _open(path, vfs)
    # Some of these answer, and what stands behind an answer is not done before that is fetched.
    connection.execute(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON;"
        "PRAGMA checkpoint_fullfsync = ON; PRAGMA trusted_schema = OFF; PRAGMA journal_size_limit = 67108864"
    ).fetchall()
    return connection


def fold_the_log(connection: apsw.Connection) -> None:
    """Copy the log into the database when this connection closes, if it is the last one."""
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)


def prepare(path: Path, about: Mapping[str, str], vfs: str | None = None) -> None:
    """Create the database, or bring it to this version; `about` says whose it must be.

    Raises:
        ForeignDatabase, NewerDatabase, CorruptDatabase, DiskFull, DiskFailed
    """
    connections: list[apsw.Connection] = []
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        # Nothing is changed in a file before it is known to be ours.
        connections.append(_open(path, vfs))
        _check(connections[0], path, about)
        _make_the_log_safe(path, vfs)
        connections.append(connect(path, vfs))
        _migrate(connections[1], about)
    except (OSError, apsw.Error) as error:
        raise named(error) from error
    finally:
        for connection in connections:
            connection.close()


def named(error: Exception) -> StoreFault:
    """SQLite's trouble by our names for it."""
    if isinstance(error, StoreFault):
        return error
    if isinstance(error, apsw.FullError):
        return DiskFull(why=str(error))
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError, apsw.FormatError)):
        return CorruptDatabase(why=str(error))
    return DiskFailed(why=f"{type(error).__name__}: {error}")


def _open(path: Path, vfs: str | None) -> apsw.Connection:
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOMUTEX
    connection = apsw.Connection(str(path), flags=flags, vfs=vfs)
    connection.set_busy_timeout(10_000)
    # The last connection to close would copy the log into the database and sync both, also on a disk that has just
    # failed, and what a kernel says of the same pages after a failed sync proves nothing. `fold_the_log` is for the end
    # of a life in which all went well; else the next start reads the log.
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    return connection


def _make_the_log_safe(path: Path, vfs: str | None) -> None:
    """Put what the log holds on the disk, before anybody goes on from it.

    Its last transactions may be in the kernel's memory alone: their process was killed before it could sync them, or
    was told that the sync had failed. After that a kernel takes their pages for clean, and only writing them again
    makes another sync mean them. Nobody was told of these transactions, but from now on everybody is.
    """
    log = path.with_name(path.name + "-wal")
    if not log.exists():
        return
    # With CREATE its first sync takes in the directory as well.
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_WAL
    file = apsw.VFSFile(vfs or "", str(log), [flags, 0])
    try:
        size = file.xFileSize()
        for start in range(0, size, SLICE):
            file.xWrite(file.xRead(min(SLICE, size - start), start), start)
        if size:
            file.xSync(apsw.SQLITE_SYNC_FULL)
    finally:
        file.xClose()


def _check(connection: apsw.Connection, path: Path, about: Mapping[str, str]) -> None:
    version = _number(connection, "PRAGMA user_version")
    application = _number(connection, "PRAGMA application_id")
    if version == 0 and _number(connection, "SELECT count(*) FROM sqlite_schema") == 0:
        return
    if application != APPLICATION_ID:
        raise ForeignDatabase("this is another program's database", path=str(path))
    if version > len(MIGRATIONS):
        raise NewerDatabase(path=str(path), version=version, known=len(MIGRATIONS))
    stored: dict[str, str] = dict(connection.execute("SELECT name, value FROM about"))
    for name, wanted in about.items():
        found = stored.get(name, wanted)
        if found != wanted:
            raise ForeignDatabase(f"this database is of another {name}", path=str(path), is_of=found, wanted=wanted)


def _migrate(connection: apsw.Connection, about: Mapping[str, str]) -> None:
    known = _number(connection, "PRAGMA user_version")
    if known == len(MIGRATIONS):
        stored: dict[str, str] = dict(connection.execute("SELECT name, value FROM about"))
        if about.items() <= stored.items():
            return
    with connection:
        for version in range(known, len(MIGRATIONS)):
            connection.execute(MIGRATIONS[version])
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {len(MIGRATIONS)}")
        connection.executemany("INSERT OR IGNORE INTO about VALUES (?, ?)", about.items())


def _number(connection: apsw.Connection, question: str) -> int:
    for (number,) in connection.execute(question):
        return int(number)
    raise CorruptDatabase(why=f"no answer to {question}")
