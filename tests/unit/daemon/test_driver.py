"""The driver runs, writes, and lets go what is safe; when it cannot, it stops by name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.builders import toy
from tests.builders.env import an_env
from tests.laws.audits import audit

from fulmen.adapters.store import SqliteStore
from fulmen.core.base.faults import InvariantBroken, Refused
from fulmen.core.base.ids import CommandId, NodeId
from fulmen.core.base.machine import Address
from fulmen.core.base.outer import Answer, Send, WantConnection
from fulmen.core.node import Node
from fulmen.daemon.driver import Bounds, Driver
from fulmen.sim.disk import DiskFull, SimulatedDisk

PEER = NodeId(b"\x02" * 33)
LINK = Address("link", PEER)


class Rig:
    """A driver on a simulated disk; what it performs is written down."""

    def __init__(self, disk: Any = None, keys: Any = None, bounds: Bounds | None = None) -> None:
        self.disk = disk if disk is not None else SimulatedDisk()
        self.keys = keys or toy.ToyKeys()
        env = an_env()
        self.node = Node(toy.MOUNTS, lambda: env, verify=toy.ToyKeys().verify, cold=self.disk, audit=audit)
        self.driver = Driver(self.node, self.disk, self.keys, bounds)
        self.sent: list[Any] = []
        self.answers: list[Answer] = []
        self.wants: list[Any] = []
        self.driver.performs(Send, lambda action: self.sent.append(action.message))
        self.driver.performs(Answer, self.answers.append)
        self.driver.on_wants(self.wants.append)
        self.driver.start()

    async def link(self) -> None:
        self.driver.post(LINK, toy.Linked())
        self.driver.post(LINK, toy.Heard(toy.Hello(0)))
        await self.turn()

    async def turn(self, times: int = 3) -> None:
        for _ in range(times):
            await asyncio.sleep(0)

    def order(self, number: int, amount: int = 1) -> None:
        command_id = CommandId(number.to_bytes(16, "big"))
        self.driver.post(Address("order", command_id), toy.Order(command_id, PEER, amount))


def on_a_loop(test: Callable[[], Any]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), 30))

    run.__name__ = test.__name__
    return run


@on_a_loop
async def test_what_comes_in_one_round_of_the_loop_is_one_run():
    rig = Rig()
    await rig.link()
    for number in range(10):
        rig.order(number)
    await rig.turn()
    assert rig.disk.waiting == 1
    rig.disk.sync()
    (pay,) = [message for message in rig.sent if isinstance(message, toy.Pay)]
    assert len(pay.offers) == 10
    assert pay.signature


@on_a_loop
async def test_nothing_leaves_before_the_disk_has_it_and_then_all_in_order():
    rig = Rig()
    await rig.link()
    assert rig.sent == [toy.Hello(0)], "nothing durable was decided, so nothing waits"
    rig.order(1)
    await rig.turn()
    rig.driver.post(LINK, toy.Linked())
    await rig.turn()
    assert len(rig.sent) == 1, "a batch without facts stays behind the one before it"
    assert rig.wants == []
    rig.disk.sync()
    assert [type(message) for message in rig.sent] == [toy.Hello, toy.Pay, toy.Hello]
    assert rig.wants[0].added == ((LINK, WantConnection(PEER)),)


@on_a_loop
async def test_sockets_are_not_read_when_memory_is_too_far_ahead_of_the_disk():
    rig = Rig(bounds=Bounds(facts_ahead=10))
    heard: list[bool] = []
    rig.driver.on_pressure(heard.append)
    await rig.link()
    for number in range(12):
        rig.order(number)
        await rig.turn()
    assert heard == [True]
    rig.disk.sync()
    rig.driver.post(LINK, toy.Linked())
    await rig.turn()
    assert heard == [True, False]


@on_a_loop
async def test_a_long_inbox_is_worked_off_in_several_runs():
    rig = Rig(bounds=Bounds(inbox=20, events_per_run=5))
    heard: list[bool] = []
    rig.driver.on_pressure(heard.append)
    await rig.link()
    for number in range(30):
        rig.order(number)
    assert heard == [True]
    await rig.turn(20)
    rig.disk.sync()
    assert heard == [True, False]
    (pay,) = [message for message in rig.sent if isinstance(message, toy.Pay)]
    assert len(pay.offers) == 30, "the lull comes when the inbox is empty"


@on_a_loop
async def test_a_key_holder_that_refuses_freezes_the_machine_that_asked():
    class Refusing:
        def fill(self, action: Any) -> Any:
            raise Refused("that would lose money")

    rig = Rig(keys=Refusing())
    await rig.link()
    with capture_logs() as logs:
        rig.order(1)
        await rig.turn()
        rig.disk.sync()
        await rig.turn()
        rig.disk.sync()
    assert "would lose money" in rig.node.frozen(LINK)
    assert rig.sent == [toy.Hello(0)]
    assert any(line["event"] == "the key holder refused" for line in logs)


@on_a_loop
async def test_a_frozen_machine_is_an_alarm_in_the_log_with_its_reason():
    rig = Rig()
    with capture_logs() as logs:
        rig.driver.post(LINK, toy.Break())
        await rig.turn()
        rig.disk.sync()
    (alarm,) = [line for line in logs if line["event"] == "frozen"]
    assert alarm["log_level"] == "error"
    assert "ZeroDivisionError" in alarm["reason"]
    assert "decide_link" in alarm["traceback"]
    assert not any(line["event"] == "performing failed" for line in logs)


@on_a_loop
async def test_a_sick_disk_stops_the_node_by_name_and_nothing_leaves():
    rig = Rig()
    await rig.link()
    rig.order(1)
    await rig.turn()
    with capture_logs():
        rig.disk.fail(DiskFull())
        with pytest.raises(DiskFull):
            await rig.driver.wait()
        rig.order(2)
        await rig.turn()
        rig.disk.sync()
    assert rig.sent == [toy.Hello(0)]
    assert rig.node.frozen(LINK) is None, "no channel is failed for a sick disk"
    with pytest.raises(DiskFull):
        await rig.driver.stop()


@on_a_loop
async def test_a_cold_store_that_cannot_be_read_stops_the_node():
    rig = Rig()

    def read(_address: Address) -> None:
        raise DiskFull

    rig.disk.read = read
    with capture_logs():
        rig.order(1)
        with pytest.raises(DiskFull):
            await rig.driver.wait()


@on_a_loop
async def test_a_bug_outside_every_machine_stops_the_node_by_name():
    rig = Rig()
    with capture_logs():
        rig.driver.post("no address", toy.Linked())
        with pytest.raises(InvariantBroken, match="AttributeError"):
            await rig.driver.wait()


@on_a_loop
async def test_a_batch_that_cannot_be_written_down_stops_the_node_by_name():
    rig = Rig()

    def refuse(*_batch: Any) -> None:
        raise TypeError("no such thing in a journal")

    rig.disk.submit = refuse
    with capture_logs():
        rig.order(1)
        with pytest.raises(InvariantBroken, match="no such thing"):
            await rig.driver.wait()
    assert not rig.answers


@on_a_loop
async def test_a_performer_that_fails_loses_its_action_and_nothing_else():
    rig = Rig()

    def broken(_action: Send) -> None:
        raise ZeroDivisionError

    rig.driver.performs(Send, broken)
    with capture_logs() as logs:
        await rig.link()
        rig.order(1, amount=toy.START_BALANCE * 2)
        await rig.turn()
        rig.disk.sync()
    assert rig.answers[0].result == {"answer": "BalanceTooLow"}
    assert any(line["event"] == "performing failed" for line in logs)


def test_a_clean_stop_leaves_an_empty_tail_and_the_next_start_the_same_state(tmp_path):
    path = tmp_path / "journal.sqlite"

    async def one_life(amount: int) -> tuple[Any, int]:
        loop = asyncio.get_running_loop()
        store = SqliteStore(path, loop.call_soon_threadsafe)
        tail = len(store.load().rows)
        env = an_env()
        node = Node(toy.MOUNTS, lambda: env, verify=toy.ToyKeys().verify, cold=store, audit=audit)
        driver = Driver(node, store, toy.ToyKeys())
        sent = asyncio.Event()
        driver.performs(Send, lambda action: sent.set() if isinstance(action.message, toy.Pay) else None)
        driver.performs(Answer, lambda _action: None)
        driver.start()
        before = node.state(LINK)
        driver.post(LINK, toy.Linked())
        driver.post(LINK, toy.Heard(toy.Hello(0)))
        command_id = CommandId(amount.to_bytes(16, "big"))
        driver.post(Address("order", command_id), toy.Order(command_id, PEER, amount))
        await sent.wait()
        after = toy.forget_link(node.state(LINK))
        await driver.stop()
        store.close()
        return (before, after), tail

    (_, first), _ = asyncio.run(one_life(5))
    (second, _), tail = asyncio.run(one_life(6))
    assert second == first
    assert first.balance == toy.START_BALANCE - 5
    assert tail <= 1


def test_facts_that_nobody_waits_for_reach_the_disk_soon(tmp_path):
    async def live() -> None:
        store = SqliteStore(tmp_path / "journal.sqlite", asyncio.get_running_loop().call_soon_threadsafe)
        rig = Rig(disk=store, bounds=Bounds(quiet_s=0.01))
        safe: asyncio.Queue[int] = asyncio.Queue()
        rig.node.durable = safe.put_nowait
        rig.order(1)  # the first makes the link want a connection
        await safe.get()
        rig.order(2)  # of the second nobody outside hears anything
        await safe.get()
        assert store.syncs == 2
        rig.driver.post(LINK, toy.Linked())  # an answer without facts, behind facts that nobody waited for
        rig.order(3)
        rig.driver.post(LINK, toy.Linked())
        await safe.get()
        while len(rig.sent) < 2:
            await asyncio.sleep(0)
        await rig.driver.stop()
        store.close()

    asyncio.run(asyncio.wait_for(live(), 30))
