"""Cold rows go when nobody can ask for them any more: in slices, in the batch's transaction, crash or no crash."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.env import an_env
from tests.builders.wallets import a_block

from fulmen.core.base.env import Env
from fulmen.core.base.machine import Address, Drop, Event, Fact, Keep, Kept, Step, evolves
from fulmen.core.base.mount import NOTHING, Mount, Remains
from fulmen.core.base.outer import HeightReached, TimeReached, WantTime
from fulmen.core.base.record import Record
from fulmen.core.base.retention import RETENTION, Beginning, Outlived, RowsUnwanted
from fulmen.core.base.units import BlockHeight, Timestamp
from fulmen.core.node import Node
from fulmen.core.node.cold import Overlay
from fulmen.core.node.retention import MOUNT, PAUSE_S, SLICE, Retention, Rows, decide
from fulmen.sim.disk import SimulatedDisk


class Note(Kept):
    text: str


class Write(Event):
    at: Address
    until: int | None = None


class Erase(Event):
    at: Address


class Finish(Event):
    keep_until: int | None = None
    keep: bool = True


class Finished(Fact):
    keep: bool
    until: int | None


class Clerk(Record):
    """Writes rows, takes them out, and ends with or without one of its own."""

    over: bool = False
    keep: bool = True
    until: int | None = None


@evolves(Finished)
def _finished(_clerk: Clerk, fact: Finished) -> Clerk:
    return Clerk(True, fact.keep, fact.until)


def decide_clerk(clerk: Clerk, event: Event, _env: Env) -> Step[Clerk]:
    step = Step(clerk)
    match event:
        case Write():
            return step.act(Keep(event.at, Note("written"), event.until))
        case Erase():
            return step.act(Drop(event.at))
        case Finish():
            return step.fact(Finished(event.keep, event.keep_until))
        case _:
            return step


CLERK = Mount(
    "clerk",
    lambda _key: Clerk(),
    decide_clerk,
    ended=lambda clerk: clerk.over,
    remains=lambda clerk: Remains(clerk, clerk.until) if clerk.keep else NOTHING,
)
WRITER = Address("clerk", b"w")


class World:
    """A node, its disk, and a clock that stands still unless a test moves it."""

    def __init__(self) -> None:
        self.disk = SimulatedDisk()
        self.wall = 1000
        self.start()

    def start(self) -> None:
        self.height = 100
        self.node = Node((MOUNT, CLERK), self.env, verify=lambda _checks: None, cold=self.disk)
        stored = self.disk.load()
        self.submit(self.node.resume(stored.snapshots, stored.rows))

    def env(self) -> Env:
        return an_env(wall=Timestamp(self.wall), height=BlockHeight(self.height))

    def submit(self, batch: Any) -> None:
        if batch.durable:
            self.disk.submit(batch, lambda: self.node.durable(batch.position))

    def tell(self, address: Address, *events: Event) -> None:
        self.submit(self.node.run([(address, event) for event in events]))

    def block(self, height: int) -> None:
        self.height = height
        self.tell(RETENTION, HeightReached(a_block(height)))

    def second(self) -> None:
        self.wall += PAUSE_S
        self.tell(RETENTION, TimeReached(Timestamp(self.wall)))

    def rest(self) -> None:
        """Go on for as long as the retention wants to."""
        self.disk.sync()
        while any(isinstance(want, WantTime) for _, want in self.node.wants()):
            self.second()
            self.disk.sync()

    @property
    def kept(self) -> set[bytes]:
        return {address.key for address in self.disk.cold}


def at(key: bytes) -> Address:
    return Address("note", key)


def test_a_row_goes_when_its_height_has_passed_and_not_before():
    world = World()
    world.tell(WRITER, Write(at(b"soon"), 100), Write(at(b"late"), 105), Write(at(b"always")))
    world.disk.sync()
    world.block(100)
    world.rest()
    assert world.kept == {b"soon", b"late", b"always"}
    world.block(101)
    world.rest()
    assert world.kept == {b"late", b"always"}
    world.block(5000)
    world.rest()
    assert world.kept == {b"always"}
    assert not world.disk.ends.keys() - world.disk.cold.keys()


def test_a_row_that_is_written_again_lives_as_long_as_its_last_writing_says():
    world = World()
    world.tell(WRITER, Write(at(b"renewed"), 100))
    world.disk.sync()
    world.tell(WRITER, Write(at(b"renewed"), 200))
    world.block(150)
    world.rest()
    assert world.kept == {b"renewed"}


def test_many_rows_go_in_slices_and_none_is_large():
    world = World()
    world.tell(WRITER, *(Write(at(b"%05d" % number), 100) for number in range(2 * SLICE + 5)))
    world.disk.sync()
    sizes = []
    world.disk.before_write = lambda batch: sizes.append(len(batch.cold))
    world.block(101)
    world.rest()
    assert world.kept == set()
    assert max(sizes) <= SLICE
    assert [want for _, want in world.node.wants() if isinstance(want, WantTime)] == []


def test_slices_go_on_while_the_disk_lags():
    world = World()
    world.tell(WRITER, *(Write(at(b"%05d" % number), 100) for number in range(2 * SLICE)))
    world.disk.sync()
    world.block(101)
    world.second()
    world.disk.sync()
    assert world.kept == set()


@pytest.mark.parametrize("crash_at", range(4))
def test_rows_of_what_is_over_go_whatever_crashes(crash_at):
    world = World()
    world.tell(WRITER, *(Write(at(b"gone%05d" % number)) for number in range(SLICE + 5)))
    world.tell(WRITER, Write(at(b"gon")), Write(at(b"here")), Write(Address("other", b"gone")))
    world.disk.sync()
    world.tell(RETENTION, RowsUnwanted("note", b"gone"))
    for _ in range(crash_at):
        world.disk.sync()
        world.second()
    crashed_before_the_fact = crash_at == 0
    world.disk.crash()
    world.start()
    if crashed_before_the_fact:
        assert world.node.state(RETENTION) == Retention(), "lost with the fact of whoever said so, who says it again"
        world.tell(RETENTION, RowsUnwanted("note", b"gone"))
    world.block(101)
    world.rest()
    assert world.kept == {b"gon", b"here", b"gone"}
    assert Address("other", b"gone") in world.disk.cold
    assert world.node.state(RETENTION) == Retention()


def test_while_history_is_read_nothing_is_looked_for():
    behind = an_env(behind=True)
    assert not decide(Retention(), HeightReached(a_block(5000)), behind).actions
    assert decide(Retention(), HeightReached(a_block(5000)), an_env()).actions


def test_several_that_are_over_are_cleared_one_after_the_other():
    world = World()
    for name in (b"a", b"b", b"c"):
        world.tell(WRITER, *(Write(at(name + b"%05d" % number)) for number in range(SLICE)))
    world.disk.sync()
    world.tell(RETENTION, *(RowsUnwanted("note", name) for name in (b"a", b"b", b"c", b"a")))
    world.rest()
    assert world.kept == set()
    assert world.node.state(RETENTION).unwanted == ()


def test_a_row_that_is_dropped_before_it_is_on_disk_is_not_there():
    world = World()
    world.tell(WRITER, Write(at(b"x")), Erase(at(b"x")))
    assert world.node.read_cold(at(b"x")) is None
    assert world.node.cold_ahead("note") == ()
    world.disk.sync()
    assert world.node.read_cold(at(b"x")) is None
    world.tell(WRITER, Write(at(b"x")))
    world.disk.sync()
    world.tell(WRITER, Erase(at(b"x")))
    assert world.disk.read(at(b"x")) is not None
    assert world.node.read_cold(at(b"x")) is None


def test_what_is_lost_in_a_crash_is_found_again_with_the_next_block():
    world = World()
    world.tell(WRITER, Write(at(b"x"), 100))
    world.disk.sync()
    world.block(101)
    world.disk.crash()
    world.start()
    assert world.kept == {b"x"}
    world.block(102)
    world.rest()
    assert world.kept == set()


def test_a_machine_leaves_what_its_mount_says():
    world = World()
    one, two, three = (Address("clerk", name) for name in (b"1", b"2", b"3"))
    world.tell(one, Finish(keep=False))
    world.tell(two, Finish(keep_until=100))
    world.tell(three, Finish())
    world.disk.sync()
    assert world.kept == {b"2", b"3"}
    world.disk.crash()
    world.start()
    assert world.node.addresses("clerk") == ()
    world.block(101)
    world.rest()
    assert world.kept == {b"3"}


def test_a_machine_that_comes_back_and_leaves_nothing_takes_its_row_with_it():
    world = World()
    one = Address("clerk", b"1")
    world.tell(one, Finish())
    world.disk.sync()
    world.tell(one, Finish(keep=False))
    world.disk.sync()
    assert world.kept == set()


def test_nothing_is_told_to_who_knows_it_already():
    rows = Rows("note", b"gone")
    step = decide(Retention((rows,)), RowsUnwanted("note", b"gone"), an_env())
    assert not step.facts
    assert not step.actions


addresses = st.builds(Address, st.sampled_from(("a", "b")), st.binary(max_size=2))
writes = st.lists(st.tuples(addresses, st.none() | st.integers(0, 4), st.booleans()), max_size=30)


@given(writes, st.integers(0, 30), st.integers(0, 5), st.integers(1, 5), st.binary(max_size=1))
def test_rows_on_their_way_and_rows_on_disk_are_seen_as_one(writes, synced, height, most, prefix):
    """Less what has an end and is on its way, which waits for the next time."""
    world, whole = World(), World()
    for number, (address, until, erased) in enumerate(writes):
        for each in (world, whole):
            each.tell(WRITER, Erase(address) if erased else Write(address, until))
        if number < synced:
            world.disk.sync()
    whole.disk.sync()
    overlay, disk = world.node._cold, whole.disk
    for address, _, _ in writes:
        assert overlay.read(address) == disk.read(address)
    wanted = Beginning("a", prefix, most)
    assert overlay.find(wanted) == disk.find(wanted)
    outlived = overlay.find(Outlived(BlockHeight(height), most))
    assert set(outlived) <= set(disk.find(Outlived(BlockHeight(height), 100)))
    assert isinstance(overlay, Overlay)
