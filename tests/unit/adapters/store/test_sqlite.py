"""The SQLite store keeps what it says is safe, in order, and stops by name when it cannot."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import toy
from tests.builders.sick_disk import SickDisk, SickFile
from tests.builders.store import Pumped

from fulmen.adapters.store import (
    Codec,
    CorruptDatabase,
    DirectoryInUse,
    DirectoryLock,
    DiskFailed,
    DiskFull,
    ForeignDatabase,
    NewerDatabase,
    StoryLine,
)
from fulmen.adapters.store.reader import Reader, sealed
from fulmen.adapters.store.schema import APPLICATION_ID, MIGRATIONS, connect
from fulmen.adapters.store.writer import FOLD_AFTER
from fulmen.core.base.ids import CommandId, NodeId, PaymentHash
from fulmen.core.base.machine import Address
from fulmen.core.base.outer import HangUp
from fulmen.core.base.retention import Beginning, Outlived
from fulmen.core.base.stretch import Stretch, stretch_key
from fulmen.core.base.units import BlockHeight, Msat
from fulmen.core.commitments.revoked import RevokedHtlc
from fulmen.core.node import Batch, ColdRow, Ended, JournalRow, Snapshot, StoryRow
from fulmen.sim.disk import SimulatedDisk

LINK = Address("link", b"\x02" * 33)
OTHER = Address("link", b"\x03" * 33)
PAID = toy.BatchPaid(1)
heights = st.integers(0, 4)
NEWS = (HangUp(NodeId(b"\x02" * 33), "enough"),)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.sqlite"


def a_batch(position: int, *facts, outward: bool = True, **more) -> Batch:
    facts = facts or ((LINK, toy.BatchCredited(position, 5)),)
    actions = NEWS if outward else ()
    return Batch(position, tuple(facts), actions, (LINK,) * len(actions), **more)


def test_what_was_safe_is_found_again(path):
    offers = (toy.Offer(CommandId(b"c" * 16), 7),)
    batches = [
        a_batch(1, (LINK, toy.BatchCommitted(toy.Committed(1, offers))), (OTHER, toy.BatchPaid(3)), (LINK, PAID)),
        a_batch(2, (LINK, toy.BatchCredited(9, 1))),
    ]
    pumped = Pumped(path)
    pumped.submit(*batches)
    pumped.pump(lambda: len(pumped.done) == 2)
    pumped.close()
    stored = Pumped(path).store.load()
    assert stored.rows == tuple(JournalRow(batch.position, batch.facts) for batch in batches)


def test_batches_are_told_of_in_the_order_of_submission_with_far_fewer_syncs(path):
    pumped = Pumped(path)
    batches = [a_batch(position) for position in range(1, 301)]
    pumped.submit(*batches)
    pumped.pump(lambda: len(pumped.done) == 300)
    assert pumped.done == batches
    assert pumped.store.syncs < 150
    pumped.close()


def test_a_batch_that_nobody_waits_for_rides_with_the_next_one(path):
    pumped = Pumped(path)
    quiet = a_batch(1, outward=False)
    pumped.submit(quiet)
    assert pumped.store.syncs == 0
    pumped.submit(a_batch(2))
    pumped.pump(lambda: len(pumped.done) == 2)
    assert pumped.store.syncs == 1
    assert pumped.done[0] == quiet
    pumped.close()


def test_a_quiet_batch_is_written_when_flushed_or_closed(path):
    pumped = Pumped(path)
    pumped.submit(a_batch(1, outward=False))
    pumped.store.flush()
    pumped.pump(lambda: pumped.done)
    pumped.submit(a_batch(2, outward=False))
    pumped.close()
    assert len(pumped.done) == 2


def test_one_batch_may_be_larger_than_one_statement(path):
    pumped = Pumped(path)
    cold = tuple(ColdRow(Address("offer", b"%d" % number), toy.Committed(number, ())) for number in range(10_000))
    pumped.submit(a_batch(1, cold=cold))
    pumped.pump(lambda: pumped.done)
    assert pumped.store.read(Address("offer", b"9999")) == toy.Committed(9999, ())
    pumped.close()


def test_cold_rows_are_read_by_address_and_in_pages(path):
    pumped = Pumped(path)
    rows = [ColdRow(Address("order", b"%03d" % number), toy.Committed(number, ())) for number in range(25)]
    pumped.submit(*(a_batch(number + 1, cold=(row,)) for number, row in enumerate(rows)))
    changed = ColdRow(rows[3].address, toy.Committed(333, ()))
    pumped.submit(a_batch(26, cold=(changed,)))
    pumped.pump(lambda: len(pumped.done) == 26)
    assert pumped.store.read(rows[3].address) == changed.row
    assert pumped.store.read(Address("order", b"nobody")) is None
    assert pumped.store.read(Address("no such kind", b"x")) is None
    reader = pumped.store.reader()
    first = reader.page("order", limit=10)
    assert [address.key for address, _ in first.rows] == [b"003"] + [b"%03d" % number for number in range(24, 15, -1)]
    assert first.rows[0] == (changed.address, changed.row), "a changed row is a new one"
    second = reader.page("order", after=first.after, limit=100)
    assert len(second.rows) == 15
    assert second.after is None
    oldest = reader.page("order", limit=4, newest_first=False)
    assert [address.key for address, _ in oldest.rows] == [b"000", b"001", b"002", b"004"]
    assert reader.page("no such kind").rows == ()
    reader.close()
    pumped.close()


def test_a_cold_row_goes_in_the_transaction_of_its_batch(path):
    pumped = Pumped(path)
    here, gone, again = (Address("order", name) for name in (b"here", b"gone", b"again"))
    row = toy.Committed(1, ())
    pumped.submit(a_batch(1, cold=(ColdRow(here, row), ColdRow(gone, row), ColdRow(again, row))))
    pumped.submit(Batch(2, cold=(ColdRow(gone, None), ColdRow(again, None), ColdRow(again, toy.Committed(2, ())))))
    pumped.submit(a_batch(3, cold=(ColdRow(Address("order", b"never there"), None),)))
    pumped.pump(lambda: len(pumped.done) == 3)
    assert pumped.store.read(gone) is None
    assert (pumped.store.read(here), pumped.store.read(again)) == (row, toy.Committed(2, ()))
    assert [batch.position for batch in pumped.store.load().rows] == [1, 2, 3]
    pumped.close()


addresses = st.builds(
    Address, st.sampled_from(("a", "b")), st.binary(max_size=2) | st.sampled_from((b"\xff", b"\xff" * 2))
)
written = st.builds(ColdRow, addresses, st.builds(toy.Committed, st.integers(0, 9), st.just(())), st.none() | heights)
gone = st.builds(ColdRow, addresses, st.none())
all_batches = st.lists(st.tuples(st.lists(written | gone, max_size=9), st.booleans()), max_size=8)


@given(all_batches, heights, st.integers(1, 5), st.binary(max_size=1), st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_it_finds_what_the_simulated_disk_finds(tmp_path_factory, batches, height, most, prefix, enough):
    """Whether rows are in an index yet or not, also after a restart."""
    path = tmp_path_factory.mktemp("store") / "journal.sqlite"
    pumped, simulated = Pumped(path, enough=enough), SimulatedDisk()
    for number, (rows, restarted) in enumerate(batches, start=1):
        batch = a_batch(number, cold=tuple(rows))
        pumped.submit(batch)
        simulated.submit(batch, lambda: None)
        simulated.sync()
        pumped.pump(lambda now=pumped: now.done)
        pumped.done.clear()
        if restarted:
            pumped.close()
            pumped.done.clear()
            pumped = Pumped(path, enough=enough)
        standalone = pumped.store.reader()
        for reader in (pumped.store, standalone):
            check_found(reader, simulated, height, most, prefix)
            for address in (row.address for rows, _ in batches for row in rows):
                assert reader.read(address) == simulated.read(address)
        for kind in ("a", "b"):
            held = [(address, row) for address, row in simulated.cold.items() if address.kind == kind]
            for newest_first in (False, True):
                pages = list(all_pages(standalone, kind, newest_first))
                assert sorted(pages, key=str) == sorted(held, key=str)
        standalone.close()
    pumped.close()
    check_indexes(path)


def check_found(reader, simulated, height, most, prefix):
    for wanted in (Beginning("a", prefix, most), Beginning("b", b"\xff", 9), Beginning("unheard of", b"", 9)):
        assert reader.find(wanted) == simulated.find(wanted)
    found = reader.find(Outlived(height, most))
    assert [simulated.ends[address] for address in found] == [
        simulated.ends[address] for address in simulated.find(Outlived(height, most))
    ]


def all_pages(reader, kind, newest_first):
    after = None
    while True:
        page = reader.page(kind, after, limit=2, newest_first=newest_first)
        yield from page.rows
        after = page.after
        if after is None:
            return


def check_indexes(path):
    """The indexes know each row up to `merged`, once, and no other."""
    with closing(sqlite3.connect(path)) as connection:
        merged = int(connection.execute("SELECT value FROM about WHERE name = 'merged'").fetchone()[0])
        rows = connection.execute("SELECT id, kind, key, until FROM cold").fetchall()
        indexed = [row for row in rows if row[0] <= merged]
        assert len({(kind, key) for _, kind, key, _ in rows}) == len(rows)
        assert sorted(connection.execute("SELECT id, kind, key FROM places")) == sorted(row[:3] for row in indexed)
        assert sorted(connection.execute("SELECT id, kind FROM ages")) == sorted(row[:2] for row in indexed)
        assert sorted(connection.execute("SELECT id, until FROM ends")) == sorted(
            (row[0], row[3]) for row in indexed if row[3] is not None
        )


def test_rows_that_are_being_indexed_are_found_all_the_while(path):
    pumped = Pumped(path, enough=10)
    rows = [ColdRow(Address("order", b"%03d" % number), toy.Committed(number, ()), number) for number in range(35)]
    for number, row in enumerate(rows, start=1):
        pumped.submit(a_batch(number, cold=(row,)))
        assert pumped.store.read(row.address) == row.row
    for row in rows:
        assert pumped.store.read(row.address) == row.row, "the writer may be at any point now"
    assert len(pumped.store.find(Beginning("order", b"0", 100))) == 35
    assert len(pumped.store.find(Outlived(BlockHeight(20), 100))) == 20
    pumped.pump(lambda: len(pumped.done) == 35)
    pumped.submit(a_batch(36, cold=(ColdRow(rows[3].address, None), ColdRow(rows[34].address, None))))
    pumped.pump(lambda: len(pumped.done) == 36)
    assert len(pumped.store.find(Beginning("order", b"", 100))) == 33
    pumped.close()
    check_indexes(path)


def test_what_is_read_is_found_by_an_index(path, monkeypatch):
    statements = {}
    query = Reader._query

    def noted(reader, statement, values):
        if "FROM names" not in statement:  # few, and read whole
            statements[statement] = values
        return query(reader, statement, values)

    monkeypatch.setattr(Reader, "_query", noted)
    pumped = Pumped(path)
    row = ColdRow(Address("order", b"1"), toy.Committed(1, ()))
    pumped.submit(a_batch(1, cold=(row,)))
    pumped.pump(lambda: pumped.done)
    reader = pumped.store.reader()
    reader.page("order")
    reader.page("order", after=1, newest_first=False)
    for wanted in (Beginning("order", b"", 1), Outlived(BlockHeight(5), 5)):
        pumped.store.find(wanted)
    pumped.store.read_stretch(Stretch("order", b"", 1))
    pumped.store.read(row.address)
    assert len(statements) >= 7
    for statement, values in statements.items():
        plan = [step[3] for step in reader._connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
        assert any("SEARCH" in step for step in plan)
        assert not [step for step in plan if "SCAN" in step or "TEMP B-TREE" in step], (statement, plan)
    reader.close()
    pumped.close()


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_an_older_database_is_brought_to_this_version(path, version):
    row = toy.Committed(7, ())
    codec = Codec()
    older = apsw.Connection(str(path))
    older.execute(";".join(MIGRATIONS[:version]))
    kind, packed = codec.numbers.of("kind order"), codec.pack(row)
    older.executemany(
        "INSERT INTO cold (kind, key, row) VALUES (?, ?, ?)",
        [(kind, key, sealed(packed, kind, key)) for key in (b"b", b"a")],
    )
    if version > 1:
        older.execute("UPDATE cold SET until = 5 WHERE key = x'61'")
    older.executemany("INSERT INTO names VALUES (?, ?)", codec.numbers.new())
    older.execute(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version}")
    older.close()
    pumped = Pumped(path, enough=1)
    assert pumped.store.read(Address("order", b"a")) == row
    outlived = (Address("order", b"a"),) if version > 1 else ()
    assert pumped.store.find(Outlived(BlockHeight(6), 9)) == outlived
    pumped.submit(a_batch(1, cold=(ColdRow(Address("order", b"new"), row, BlockHeight(5)),)))
    pumped.pump(lambda: pumped.done)
    assert pumped.store.find(Outlived(BlockHeight(6), 9)) == (*outlived, Address("order", b"new"))
    reader = pumped.store.reader()
    assert [address.key for address, _ in reader.page("order", newest_first=False).rows] == [b"b", b"a", b"new"]
    reader.close()
    pumped.close()
    check_indexes(path)


def test_the_story_is_told_in_order(path):
    pumped = Pumped(path)
    lines = [StoryRow(1000 + number, LINK, "paid", {"amount": number, "to": b"\x01"}) for number in range(3)]
    pumped.submit(a_batch(1, story=tuple(lines)), a_batch(2, story=(StoryRow(5, OTHER, "closed", {}),)))
    pumped.pump(lambda: len(pumped.done) == 2)
    reader = pumped.store.reader()
    assert reader.story(LINK) == tuple(StoryLine(line.at, line.what, dict(line.details)) for line in lines)
    assert reader.story(LINK, limit=1) == reader.story(LINK)[2:]
    reader.close()
    pumped.close()


def test_old_lines_of_the_story_go_in_slices(path):
    pumped = Pumped(path)
    day = 86_400
    batches = [a_batch(number + 1, story=(StoryRow(number * 20 * day, LINK, "day", {}),)) for number in range(200)]
    pumped.submit(*batches)
    pumped.pump(lambda: len(pumped.done) == 200)
    reader = pumped.store.reader()
    kept = reader.story(LINK)
    assert kept[-1].at == 199 * 20 * day
    assert kept[0].at > 199 * 20 * day - 1100 * day
    reader.close()
    pumped.close()


def test_snapshots_are_kept_until_their_machine_ends(path):
    pumped = Pumped(path)
    state = toy.LINK.initial(LINK.key).but(balance=5)
    snapshots = (Snapshot(LINK, 1, state), Snapshot(OTHER, 1, state, "broken"))
    pumped.submit(a_batch(1, snapshots=snapshots))
    pumped.submit(a_batch(2, (LINK, Ended())))
    pumped.pump(lambda: len(pumped.done) == 2)
    assert pumped.store.load().snapshots == snapshots[1:]
    pumped.close()


def test_rows_that_nobody_needs_go_in_slices_and_the_newest_stays(path):
    pumped = Pumped(path)
    for position in range(1, 1001):
        pumped.submit(a_batch(position, keep_from=position, outward=position % 50 == 0))
    pumped.pump(lambda: len(pumped.done) == 1000)
    rows = pumped.store.load().rows
    assert rows[-1].position == 1000
    assert len(rows) <= 65
    pumped.close()


def test_files_are_for_their_owner_alone(path):
    pumped = Pumped(path)
    pumped.submit(a_batch(1))
    pumped.pump(lambda: pumped.done)
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file
    pumped.close()


def test_one_process_per_directory(tmp_path):
    lock = DirectoryLock(tmp_path)
    with pytest.raises(DirectoryInUse, match=str(os.getpid())):
        DirectoryLock(tmp_path)
    lock.release()
    DirectoryLock(tmp_path).release()
    lock.release()


def test_a_lock_ends_with_its_process_however_it_went(tmp_path):
    script = (
        "import os, sys; from pathlib import Path; from fulmen.adapters.store import DirectoryLock;"
        "lock = DirectoryLock(Path(sys.argv[1])); os._exit(9)"
    )
    environment = os.environ | {"PYTHONPATH": "src"}
    gone = subprocess.run([sys.executable, "-c", script, str(tmp_path)], env=environment, timeout=60, check=False)
    assert gone.returncode == 9
    DirectoryLock(tmp_path).release()


def test_another_networks_database_is_refused(path):
    Pumped(path).close()
    with pytest.raises(ForeignDatabase, match="network"):
        Pumped(path, about={"network": "bitcoin"})


def test_another_programs_database_is_refused_and_not_touched(path):
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.commit()
    other.close()
    before = path.read_bytes()
    with pytest.raises(ForeignDatabase):
        Pumped(path)
    assert path.read_bytes() == before


def test_a_newer_database_is_refused(path):
    Pumped(path).close()
    newer = apsw.Connection(str(path))
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(NewerDatabase):
        Pumped(path)


def test_what_is_no_database_is_refused(path):
    path.write_bytes(b"this is a letter to a friend, and no database at all; " * 100)
    with pytest.raises(CorruptDatabase):
        Pumped(path)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal SET row = x'00' WHERE position = 2",
        "UPDATE journal SET row = substr(row, 1, length(row) - 1) WHERE position = 2",
        "DELETE FROM journal WHERE position = 2",
        "DELETE FROM names WHERE name = 'toy.BatchCredited'",
        "UPDATE names SET name = 'toy.NoSuchThing' WHERE name = 'toy.BatchCredited'",
        "UPDATE snapshots SET row = substr(row, 2)",
        "UPDATE snapshots SET position = position - 1",
        "UPDATE snapshots SET key = x'02'",
        "UPDATE journal SET position = 4 WHERE position = 3",
        "UPDATE journal SET row = (SELECT row FROM journal WHERE position = 1) WHERE position = 3",
        "DELETE FROM journal WHERE position = 3",
    ],
)
def test_a_damaged_row_is_refused_by_name(path, statement):
    pumped = Pumped(path)
    snapshots = (Snapshot(LINK, 3, toy.LINK.initial(LINK.key)),)
    pumped.submit(a_batch(1), a_batch(2), a_batch(3, snapshots=snapshots))
    pumped.pump(lambda: len(pumped.done) == 3)
    pumped.close()
    damage = apsw.Connection(str(path))
    damage.execute(statement)
    assert damage.changes()
    damage.close()
    pumped = Pumped(path)
    with pytest.raises(CorruptDatabase):
        pumped.store.load()
    pumped.close()


def test_a_cold_row_that_an_index_finds_in_the_place_of_another_is_refused_by_name(path):
    pumped = Pumped(path, enough=1)
    one, other = Address("order", b"1"), Address("order", b"2")
    pumped.submit(a_batch(1, cold=(ColdRow(one, toy.Committed(1, ())), ColdRow(other, toy.Committed(2, ())))))
    pumped.pump(lambda: pumped.done)
    pumped.close()
    damage = apsw.Connection(str(path))
    damage.execute("UPDATE places SET id = 3 - id")
    damage.close()
    pumped = Pumped(path)
    with pytest.raises(CorruptDatabase):
        pumped.store.read(one)
    pumped.close()


@pytest.mark.parametrize(("error", "fault"), [(apsw.IOError, DiskFailed), (apsw.FullError, DiskFull)])
def test_when_the_disk_fails_nothing_is_let_go_any_more(path, error, fault):
    disk = SickDisk()
    pumped = Pumped(path, vfs=disk.name)
    pumped.submit(a_batch(1))
    pumped.pump(lambda: pumped.done)

    def fail(operation: str, _file: SickFile, _write: object) -> None:
        if operation == "sync" or (operation == "write" and error is apsw.FullError):
            raise error("the disk is sick")

    disk.before = fail
    pumped.submit(a_batch(2), a_batch(3))
    pumped.pump(lambda: pumped.fault)
    disk.before = lambda *_: None
    assert isinstance(pumped.fault, fault)
    pumped.submit(a_batch(4))
    pumped.close()
    assert [batch.position for batch in pumped.done] == [1], "a disk that was sick once is not trusted again"
    assert disk.since_trouble == [], "not even when the database is closed"
    again = Pumped(path)
    assert [row.position for row in again.store.load().rows][:1] == [1]
    again.close()


def test_a_disk_that_fails_while_the_log_is_folded_is_sick_as_well(path):
    """SQLite itself says nothing of it: it would try again with the next commit."""
    disk = SickDisk()
    pumped = Pumped(path, vfs=disk.name)

    def fail(operation: str, file: SickFile, _write: object) -> None:
        if (operation, file.ending) == ("sync", "db"):
            raise apsw.IOError("EIO")

    disk.before = fail
    for position in range(1, FOLD_AFTER + 2):
        pumped.submit(a_batch(position))
    pumped.pump(lambda: pumped.fault)
    assert isinstance(pumped.fault, DiskFailed)
    pumped.close()
    again = Pumped(path)
    assert len(again.store.load().rows) >= len(pumped.done) >= FOLD_AFTER
    again.close()


@pytest.mark.parametrize("end", ["killed", "told that the sync failed"])
@pytest.mark.parametrize("seed", range(4))
def test_what_a_start_reads_is_on_the_disk_though_the_last_life_has_not_heard_that_it_is(path, end, seed):
    """It goes on from what it reads: that a peer was told so must not hang on pages that only the kernel holds."""
    disk = SickDisk(f"{end} {seed}")
    pumped = Pumped(path, vfs=disk.name)
    pumped.submit(a_batch(1))
    pumped.pump(lambda: pumped.done)

    def fail(operation: str, _file: SickFile, _write: object) -> None:
        if operation == "sync":
            disk.dead = end == "killed"
            raise apsw.IOError("EIO")

    disk.before = fail
    pumped.submit(a_batch(2))
    pumped.pump(lambda: pumped.fault)
    pumped.close()
    assert [batch.position for batch in pumped.done] == [1]

    disk.before, disk.dead = (lambda *_: None), False
    again = Pumped(path, vfs=disk.name)
    read = again.store.load().rows
    assert [row.position for row in read] == [1, 2]
    if seed % 2:
        again.submit(a_batch(3))
        again.pump(lambda: again.done)
    disk.dead = True
    again.close()
    disk.cut_the_power(random.Random(seed))
    path.with_name(path.name + "-shm").unlink()

    last = Pumped(path)
    assert [row.position for row in last.store.load().rows] == ([1, 2, 3] if seed % 2 else [1, 2])
    last.close()


def files_of(path) -> dict[str, bytes]:
    """What is stored; an empty log is as good as none, and what SQLite shares between connections is made anew."""
    logs = (path, path.with_name(path.name + "-wal"))
    return {each.name: each.read_bytes() for each in logs if each.exists() and each.stat().st_size}


@pytest.mark.parametrize("clean", [True, False], ids=["after a clean end", "after a death"])
def test_whatever_cannot_be_read_at_a_start_is_named_and_changes_nothing(path, tmp_path, clean):
    """Each read of a start fails once, in a start of its own."""
    pumped = Pumped(path, enough=8)
    pumped.submit(*(a_batch(n, cold=(ColdRow(Address("row", b"%d" % n), PAID, None),)) for n in range(1, 30)))
    pumped.pump(lambda: len(pumped.done) == 29)
    if clean:
        pumped.close()
    stored = files_of(path)
    for number in range(1000):
        home = tmp_path / f"{number}" / path.name
        home.parent.mkdir()
        for name, data in stored.items():
            home.with_name(name).write_bytes(data)
        if not start_badly(home, number):
            assert number > 10
            break
        assert files_of(home) == stored, f"read {number} has changed something"
        again = Pumped(home)
        assert [row.position for row in again.store.load().rows] == list(range(1, 30))
        assert again.store.read(Address("row", b"1")) == PAID
        again.close()
    pumped.close()


def start_badly(path, number: int) -> bool:
    """Start on a disk on which read `number` fails; whether there was one. Nothing else is done to that disk."""
    reads, failed = [], []

    def fail(operation: str, _file: SickFile, _write: object) -> None:
        reads.append(operation)
        if reads.count("read") == number + 1 and not failed:
            failed.append(operation)
            raise apsw.IOError("EIO")

    disk = SickDisk(f"unreadable {number}", fail)
    fault = pumped = None
    try:
        pumped = Pumped(path, vfs=disk.name)
        pumped.store.load()
        # The writer is ready when it has written this, in which there is nothing.
        pumped.submit(Batch(30, (), NEWS, (LINK,)))
        pumped.pump(lambda: pumped.done or pumped.fault)
        fault = pumped.fault
    except DiskFailed as named:
        fault = named
    disk.before = lambda *_: None
    if pumped is not None:
        pumped.close()
    assert failed == ([] if fault is None else ["read"])
    assert isinstance(fault, DiskFailed | None)
    assert disk.since_trouble == []
    return bool(failed)


def test_a_connection_is_as_safe_as_it_was_asked_to_be(path):
    path.touch()
    wanted = {"journal_mode": "wal", "synchronous": 2, "fullfsync": 1, "checkpoint_fullfsync": 1, "trusted_schema": 0}
    with closing(connect(path)) as connection:
        found = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in wanted}
    assert found == wanted


def test_a_clean_end_leaves_one_file(path):
    pumped = Pumped(path)
    pumped.submit(a_batch(1))
    pumped.pump(lambda: pumped.done)
    pumped.close()
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_the_command_ids_of_the_toy_survive(path):
    pumped = Pumped(path)
    fact = toy.Ordered(NodeId(b"\x02" * 33), 5)
    pumped.submit(a_batch(1, (Address("order", b"c"), fact)))
    pumped.pump(lambda: pumped.done)
    assert pumped.store.load().rows[0].facts == ((Address("order", b"c"), fact),)
    pumped.close()


def test_rows_of_a_stretch_are_found_by_any_number_within(path):
    rows = {
        Address(kind, stretch_key(prefix, start, start + long, bytes((start % 256,)))): toy.Offer(
            CommandId(b"c" * 16), start
        )
        for kind in ("kept", "other")
        for prefix in (b"\x01" * 32, b"\xff" * 32)
        for start in range(0, 300, 7)
        for long in (1, 30, 255)
    }
    pumped = Pumped(path)
    pumped.submit(a_batch(1, cold=tuple(ColdRow(address, row) for address, row in rows.items())))
    pumped.pump(lambda: pumped.done)
    for prefix in (b"\x01" * 32, b"\xff" * 32):
        for number in (0, 6, 29, 255, 256, 294, 295, 400, 549, 550):
            wanted = Stretch("kept", prefix, number)
            expected = sorted((address.key, row) for address, row in rows.items() if wanted.holds(address))
            assert [(address.key, row) for address, row in pumped.store.read_stretch(wanted)] == expected
    assert pumped.store.read_stretch(Stretch("never seen", b"", 1)) == ()
    pumped.close()


def test_an_htlc_of_revoked_commitments_costs_at_most_200_bytes(path):
    channel, count = b"\x5a" * 32, 20_000
    rows = [
        ColdRow(
            Address("revoked", stretch_key(channel, number, number + 2, b"\x00" + number.to_bytes(4, "big"))),
            RevokedHtlc(Msat(1_000_000_000 + number), PaymentHash(b"\x77" * 32), BlockHeight(900_000)),
        )
        for number in range(1 << 24, (1 << 24) + count)
    ]
    pumped = Pumped(path)
    pumped.submit(a_batch(1))
    pumped.pump(lambda: pumped.done)
    before = _pages(path)
    for position in range(2, 102):
        pumped.submit(a_batch(position, cold=tuple(rows[(position - 2) * 200 : (position - 1) * 200])))
    pumped.pump(lambda: len(pumped.done) == 101)
    pumped.close()
    assert _pages(path) - before < 200 * count


def _pages(path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        used, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
    return (used - free) * size
