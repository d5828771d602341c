"""A toy node in a process of its own, with the real driver and the real store, that kills itself when it is told to.

    python -m tests.laws.child <socket>

is a nursery: it imports everything once, and each order that comes through the socket (`Order`, with the socket of
the child's own) is a fork of it. Says (pid) when the child lives, and (pid, how it ended) when it does no more.

Phases: `never`; `submitted` dies right after batch number `point` went to the writer; `writing` dies with half of the
disk's write number `point` done; `syncing` dies before sync number `point`; `written` dies when batch number `point`
is on disk and nothing of it has left; `sending` dies before action number `point` leaves.

Troubles of the disk, once each and never again: `full` refuses write number `point`, `bad write` fails it, `torn write`
fails it with half of it done, `bad sync` fails sync number `point`. Then the node has to stop by itself, and says which
fault it was and what it did to the disk afterwards. `bad read` fails read number `point` of the start.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import socket
import struct
import sys
import traceback
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import apsw
from tests.builders import toy
from tests.builders.env import an_env
from tests.builders.sick_disk import SickDisk, SickFile, Write

from fulmen.adapters.store import DirectoryLock, SqliteStore
from fulmen.core.base.faults import Fault
from fulmen.core.base.ids import NodeId
from fulmen.core.base.machine import Address
from fulmen.core.base.outer import Answer, HangUp, Send
from fulmen.core.node import Node
from fulmen.daemon.driver import Driver

HEADER = struct.Struct(">I")
STOPPED = 3
"""How a child ends that stopped because of a fault."""
PHASES = ("submitted", "writing", "syncing", "written", "sending")
TROUBLES = {"full": "DiskFull", "bad write": "DiskFailed", "torn write": "DiskFailed", "bad sync": "DiskFailed"}
"""And the fault by which the node stops."""
BAD_READ = "bad read"


class Life(NamedTuple):
    """What a child is born for."""

    directory: Path
    phase: str
    point: int


def frame(value: Any) -> bytes:
    data = pickle.dumps(value)
    return HEADER.pack(len(data)) + data


class Frames:
    """Bytes in, values out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        self._buffer += data
        values = []
        while len(self._buffer) >= 4:
            (length,) = HEADER.unpack_from(self._buffer)
            if len(self._buffer) < 4 + length:
                break
            values.append(pickle.loads(bytes(self._buffer[4 : 4 + length])))
            del self._buffer[: 4 + length]
        return values


class Death:
    """Dies at one point of one phase."""

    def __init__(self, phase: str, point: int) -> None:
        self._phase = phase
        self._left = point
        self.has_started = False

    def near(self, phase: str) -> None:
        if self._is_now(phase):
            os.kill(os.getpid(), signal.SIGKILL)

    def near_the_disk(self, operation: str, file: SickFile, write: Write | None) -> None:
        """The disk is about to do something."""
        if operation == "read" and not self.has_started:
            self._trouble(BAD_READ, apsw.IOError("EIO"))
        elif operation == "sync":
            self.near("syncing")
            self._trouble("bad sync", apsw.IOError("EIO"))
        elif write is not None:
            self._trouble("full", apsw.FullError("ENOSPC"))
            self._trouble("bad write", apsw.IOError("EIO"))
            if self._is_now("writing"):
                file.put(half(write))
                os.kill(os.getpid(), signal.SIGKILL)
            if self._phase == "torn write" and self._left == 1:
                file.put(half(write))
            self._trouble("torn write", apsw.IOError("EIO"))

    def _trouble(self, phase: str, error: Exception) -> None:
        if self._is_now(phase):
            raise error

    def _is_now(self, phase: str) -> bool:
        if phase == self._phase:
            self._left -= 1
        return phase == self._phase and self._left == 0


def half(write: Write) -> Write:
    """As much of a write as a torn one does."""
    return write._replace(data=write.data[: len(write.data) // 2])


class DyingStore:
    """The real store, with death looking over its shoulder."""

    def __init__(self, store: SqliteStore, death: Death) -> None:
        self._store = store
        self._death = death
        self.load, self.flush, self.on_failure, self.read = store.load, store.flush, store.on_failure, store.read

    def submit(self, batch, done):
        def written():
            self._death.near("written")
            done()

        self._store.submit(batch, written)
        self._death.near("submitted")


async def live(directory: Path, link: socket.socket, death: Death) -> None:
    """As the daemon does it: the lock, the store, the driver; and everything taken apart again."""
    lock = DirectoryLock(directory)
    disk = SickDisk(before=death.near_the_disk)
    try:
        await _live(directory, link, death, disk)
    except Fault as fault:
        link.sendall(frame(("stopped", fault.name, tuple(disk.since_trouble))))
        raise
    finally:
        lock.release()


async def _live(directory: Path, link: socket.socket, death: Death, disk: SickDisk) -> None:
    loop = asyncio.get_running_loop()
    store = SqliteStore(
        directory / "journal.sqlite", loop.call_soon_threadsafe, {"network": "toy"}, vfs=disk.name, enough=2
    )
    env = an_env(b"anna")
    keys = toy.ToyKeys()
    node = Node(toy.MOUNTS, lambda: env, verify=keys.verify, cold=store)
    driver = Driver(node, DyingStore(store, death), keys)
    stop = loop.create_future()
    frames = Frames()

    def say(*value: Any) -> None:
        death.near("sending")
        link.sendall(frame(value))

    driver.performs(Send, lambda action: say("send", action.message))
    driver.performs(HangUp, lambda action: say("hang up", action.reason))
    driver.performs(Answer, lambda action: say("answer", action.command_id, action.result))
    driver.start()
    death.has_started = True

    def hear() -> None:
        data = link.recv(65536)
        for command, *more in frames.feed(data):
            if command == "state":
                (peer,) = more
                link.sendall(frame(("state", node.state(Address("link", peer)))))
            else:
                address, event = more
                driver.post(address, event)
        if not data and not stop.done():
            stop.set_result(None)

    loop.add_reader(link, hear)
    stopped = asyncio.ensure_future(driver.wait())
    await asyncio.wait((stop, stopped), return_when=asyncio.FIRST_COMPLETED)
    loop.remove_reader(link)
    try:
        await driver.stop()
    finally:
        stopped.cancel()
        store.close()


def nursery(door: socket.socket) -> None:
    """Bear children one by one, until the door is closed."""
    while True:
        order, links, _, _ = socket.recv_fds(door, 65536, 1)
        if not order:
            return
        life: Life = pickle.loads(order)
        pid = os.fork()
        if pid == 0:
            door.close()
            grow_up(life, socket.socket(fileno=links[0]))
        for link in links:
            os.close(link)
        door.sendall(frame((pid,)))
        _, status = os.waitpid(pid, 0)
        door.sendall(frame((pid, os.waitstatus_to_exitcode(status))))


def grow_up(life: Life, link: socket.socket) -> NoReturn:
    """The whole life of a child."""
    code = 1
    try:
        asyncio.run(live(life.directory, link, Death(life.phase, life.point)))
        code = 0
    except Fault:
        code = STOPPED
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


ANNA = NodeId(b"anna".rjust(33, b"\x02"))

if __name__ == "__main__":
    nursery(socket.socket(fileno=int(sys.argv[1])))
