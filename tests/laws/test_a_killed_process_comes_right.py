"""A real process with a real disk, killed with SIGKILL between writing and sending: the world comes right (law 2)."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from tests.builders import toy
from tests.laws.child import ANNA, Frames, frame
from tests.laws.toy_family import TOY
from tests.laws.world import World

from fulmen.core.base.ids import CommandId
from fulmen.core.base.machine import Address, Disconnected, Lull

ROOT = Path(__file__).parents[2]
AMOUNTS = (5, 7, 11, 60, 3)


class Killed(Exception):
    """The child is gone."""


class Child:
    """anna, in another process; bert is in this one."""

    def __init__(self, directory: Path, phase: str, point: int) -> None:
        ours, theirs = socket.socketpair()
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
        command = [sys.executable, "-m", "tests.laws.child", str(directory), str(theirs.fileno()), phase, str(point)]
        self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment, cwd=ROOT)
        theirs.close()
        self.link = ours
        self.link.settimeout(60)
        self._frames = Frames()
        self._heard: deque[tuple[Any, ...]] = deque()

    def say(self, *value: Any) -> None:
        try:
            self.link.sendall(frame(value))
        except OSError:
            raise Killed from None

    def hear(self) -> tuple[Any, ...]:
        while not self._heard:
            try:
                data = self.link.recv(65536)
            except ConnectionError:
                raise Killed from None
            if not data:
                raise Killed
            self._heard.extend(self._frames.feed(data))
        return self._heard.popleft()

    def close(self) -> int:
        self.link.close()
        return self.process.wait(60)


class Story:
    """anna and bert pay each other; anna may die."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.world = World(TOY, ("bert",))
        self.bert = self.world.hosts["bert"]
        self.world.send = lambda _host, action: self.child.say("event", LINK_TO_BERT, toy.Heard(action.message))
        self.answered: dict[bytes, Any] = {}
        self.state: Any = None

    def live(self, phase: str, point: int) -> bool:
        """True if anna lived until all orders were answered, and then stopped by herself."""
        self.child = Child(self.directory, phase, point)
        try:
            self._talk()
        except Killed:
            assert self.child.close() == -signal.SIGKILL
            return False
        else:
            end = self.child.close()
            assert end in (0, -signal.SIGKILL), "it may die while it stops"
            return end == 0
        finally:
            self.bert.run([(LINK_TO_ANNA, Disconnected())])
            self.bert.disk.sync()

    def _talk(self) -> None:
        self.child.say("event", LINK_TO_BERT, toy.Linked())
        self.bert.run([(LINK_TO_ANNA, toy.Linked())])
        for number, amount in enumerate(AMOUNTS):
            theirs, ours = CommandId(b"anna%12d" % number), CommandId(b"bert%12d" % number)
            self.child.say("event", Address("order", theirs), toy.Order(theirs, self.bert.node_id, amount))
            self.bert.run([(Address("order", ours), toy.Order(ours, ANNA, amount + 1)), Lull()])
            self.bert.disk.sync()
        while not self._quiet():
            what, *more = self.child.hear()
            if what == "send":
                self.bert.run([(LINK_TO_ANNA, toy.Heard(more[0])), Lull()])
                self.bert.disk.sync()
            elif what == "answer":
                self.answered[more[0]] = more[1]
            elif what == "state":
                self.state = more[0]

    def _quiet(self) -> bool:
        asked = len(AMOUNTS)
        if len(self.answered) < asked or len(self.world.answers) < asked or self.bert.disk.sync():
            return False
        assert self.bert.node is not None
        state = self.bert.node.state(LINK_TO_ANNA)
        if state.unpaid is not None or state.offers:
            return False
        if self.state is None or self.state.unpaid is not None:
            self.child.say("state", self.bert.node_id)
            self.state = None
            return False
        return True

    def judge(self) -> None:
        assert self.bert.node is not None
        spent, earned = sum(AMOUNTS), sum(amount + 1 for amount in AMOUNTS)
        assert self.state.balance == toy.START_BALANCE - spent + earned
        assert self.bert.node.state(LINK_TO_ANNA).balance == toy.START_BALANCE + spent - earned
        assert set(map(str, self.answered.values())) == {"{'answer': 'paid'}"}


BERT = b"bert".rjust(33, b"\x02")
LINK_TO_BERT = Address("link", BERT)
LINK_TO_ANNA = Address("link", ANNA)


def die_and_live(directory: Path, seed: int) -> int:
    """Die at up to three seeded points, then live to the end. Gives how often it died."""
    rng = random.Random(seed)
    story = Story(directory)
    deaths = 0
    for _ in range(rng.randrange(1, 4)):
        phase = rng.choice(("written", "written", "sending", "submitted"))
        if story.live(phase, rng.randrange(1, 9)):
            break
        deaths += 1
    story.state = None
    story.answered.clear()
    story.world.answers.clear()
    assert story.live("never", 0)
    story.judge()
    return deaths


def test_a_process_killed_between_writing_and_sending_comes_right(tmp_path):
    deaths = 0
    for seed in range(5):
        directory = tmp_path / str(seed)
        directory.mkdir()
        deaths += die_and_live(directory, seed)
    assert deaths >= 4, "the test has to kill somebody"


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(100, 160))
def test_many_killed_processes_come_right(tmp_path, seed):
    die_and_live(tmp_path, seed)
