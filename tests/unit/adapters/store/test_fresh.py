"""Rows that are in no index yet are found in memory, at every instant between their writing and their indexing."""

from __future__ import annotations

from collections import deque
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fulmen.adapters.store.fresh import Fresh


class Disk:
    """What the writer does with the rows that it is given, some time later."""

    def __init__(self, enough: int) -> None:
        self.fresh = Fresh(0, enough=enough)
        self.rows: dict[int, tuple[int, bytes, bytes]] = {}
        self.index: dict[tuple[int, bytes], int] = {}
        self.pending: deque[tuple[Any, ...]] = deque()

    def write(self, kind: int, key: bytes, value: bytes) -> None:
        self.drop(kind, key)
        self.pending.append(("write", kind, key, self.fresh.write(kind, key, None, value), value))
        merge = self.fresh.begin_merge()
        if merge is not None:
            self.pending.append(("merge", 0, b"", merge))

    def drop(self, kind: int, key: bytes) -> None:
        self.pending.append(("drop", kind, key, self.fresh.drop(kind, key)))

    def sync(self, count: int) -> None:
        for _ in range(min(count, len(self.pending))):
            what, kind, key, number, *value = self.pending.popleft()
            if what == "write":
                assert number not in self.rows, "an id is given once"
                self.rows[number] = (kind, key, *value)
            elif what == "drop":
                at = self.index.pop((kind, key), None) if number is None else number
                assert number is None or number in self.rows
                if at is not None:
                    del self.rows[at]
            else:
                before, last = number
                for number, (kind, key, _) in self.rows.items():
                    if before < number <= last:
                        assert (kind, key) not in self.index
                        self.index[kind, key] = number
                self.fresh.end_merge()

    def read(self, kind: int, key: bytes) -> bytes | None:
        fresh = self.fresh.get(kind, key)
        if fresh is not None:
            return fresh.row
        at = self.index.get((kind, key))
        return None if at is None else self.rows[at][2]


places = st.tuples(st.integers(1, 2), st.sampled_from((b"a", b"b", b"c")))
steps = st.lists(st.tuples(st.sampled_from(("write", "drop", "sync")), places, st.integers(1, 5)), max_size=60)


@given(steps, st.integers(1, 4))
def test_a_row_is_found_whatever_the_writer_has_come_to(taken, enough):
    disk, rows = Disk(enough), {}
    for number, (what, place, count) in enumerate(taken):
        if what == "write":
            rows[place] = b"%d" % number
            disk.write(*place, rows[place])
        elif what == "drop":
            rows.pop(place, None)
            disk.drop(*place)
            assert disk.fresh.get(*place) is None
        else:
            disk.sync(count)
        for at, row in rows.items():
            assert disk.read(*at) == row
    disk.sync(1000)
    for kind in (1, 2):
        for key in (b"a", b"b", b"c"):
            assert disk.read(kind, key) == rows.get((kind, key))
    assert sorted(row for _, _, row in disk.rows.values()) == sorted(rows.values())
    assert len(disk.fresh.rows()) + len(disk.index) == len(rows)
    assert len(disk.fresh.rows()) < enough


def test_a_restart_goes_on_behind_the_last_row():
    disk = Disk(2)
    for key in (b"a", b"b", b"c"):
        disk.write(1, key, key)
    disk.drop(1, b"c")
    again = Fresh(2, [], 2)
    assert again.write(1, b"d", None, b"d") == 3
