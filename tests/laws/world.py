"""A few nodes on simulated disks and links, moved by a seed; whatever leaves a node is checked against law 1.

Generic: a `Family` says which machines a host runs and how a connection looks to them. Tests of channels bring their
own family and use the same hosts, transport, crashes and walks as the toy.
"""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from tests.builders.crashes import crash_at
from tests.builders.env import an_env
from tests.laws.audits import audit

from fulmen.core.base.env import Env
from fulmen.core.base.faults import Fault
from fulmen.core.base.ids import NodeId
from fulmen.core.base.machine import Action, Address, Event, Lull, Step, Tell
from fulmen.core.base.mount import Mount
from fulmen.core.base.outer import Answer, HangUp, Notify, Send
from fulmen.core.base.units import Timestamp
from fulmen.core.node import Batch, Freeze, Gate, KeyHolder, Limits, Node, Verifier, WantsChanged
from fulmen.sim.disk import SimulatedDisk

Events = Iterable[tuple[Address, Event]]


@dataclass(frozen=True)
class Family:
    """What a world has to know about the machines in it."""

    mounts: Sequence[Mount]
    keys: Callable[[str], KeyHolder]
    """Made anew for each life of a host."""
    verify: Callable[[Any], Verifier]
    """How those keys check what a peer says."""
    connected: Callable[[NodeId], Events]
    parted: Callable[[NodeId], Events]
    heard: Callable[[NodeId, Any], Events]
    env: Callable[[str], Env] = lambda name: an_env(name.encode())
    rewrite: Callable[[Any], Any] | None = None
    """How a value comes back from disk (a codec's round trip)."""
    node_id: Callable[[str], NodeId] = lambda name: NodeId(name.encode().rjust(33, b"\x02"))
    mounts_of: Callable[[str], Sequence[Mount]] = lambda _name: ()
    """Those that are not the same for all hosts."""
    asked: Callable[[Host, Action], None] = lambda _host, _action: None
    """What becomes of an outer action that this world does not know."""


class LawBroken(AssertionError):
    """Something left a node before its facts were on disk, or in another order than it was made."""


class Transport:
    """Proves law 1: every action that leaves belongs to a batch that is on disk, in the order in which it was made."""

    def __init__(self, disk: SimulatedDisk) -> None:
        self._disk = disk
        self._made: deque[tuple[Batch, Action]] = deque()
        self.refusing = False
        """The key holder has refused something: what it did not sign never leaves."""

    def made(self, batch: Batch) -> None:
        self._made.extend((batch, action) for action in batch.actions)

    def leaves(self, action: Action) -> None:
        if not self._made:
            raise LawBroken(f"nobody made {action}")
        batch, expected = self._made.popleft()
        while (
            self.refusing and self._made and isinstance(expected, Send) and expected.sign and type(action) is not Send
        ):
            batch, expected = self._made.popleft()
        if type(expected) is not type(action):
            raise LawBroken(f"{action} leaves before {expected}")
        if batch.durable:
            row = self._disk.rows.get(batch.position)
            if batch.position > self._disk.position or (
                batch.facts and row is not None and len(row.facts) != len(batch.facts)
            ):
                raise LawBroken(f"{action} leaves before its facts are on disk")
        if isinstance(action, Send) and action.sign:
            raise LawBroken(f"{action} leaves unsigned")


@dataclass
class Host:
    """One node with its disk. `journal` is the digest of all that it ever decided, for law 3."""

    world: World
    name: str
    disk: SimulatedDisk
    node: Node | None = None
    gate: Gate | None = None
    keys: Any = None
    """Those of this life."""
    batches: int = 0
    digest: Any = field(default_factory=sha256)
    frozen: list[Notify] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    """Why it had to stop: those of its disk."""
    breath: int | None = None
    """After so many more actions the process dies; None: it does not."""
    env: Env = field(init=False)
    """What its machines see but for the passing of seconds; a test may put another in its place."""

    @property
    def node_id(self) -> NodeId:
        return self.world.family.node_id(self.name)

    def start(self) -> None:
        family = self.world.family
        self.env = family.env(self.name)
        keys = self.keys = family.keys(self.name)
        limits = Limits(tail_rows=8, snapshots_per_batch=1)
        self.node = Node(
            (*family.mounts, *family.mounts_of(self.name)),
            lambda: replace(self.env, wall=Timestamp(self.env.wall + self.world.seconds)),
            verify=family.verify(keys),
            cold=self.disk,
            limits=limits,
            audit=audit,
        )
        self.transport = Transport(self.disk)
        self.gate = Gate(
            self.node,
            self.disk,
            keys,
            perform=self._perform,
            wanted=self._wanted,
            refused=self._refused,
        )
        self.disk.on_failure(self._stop)
        stored = self.disk.load()
        self._submit(self.node.resume(stored.snapshots, stored.rows), first=True)

    def run(self, events: Iterable[tuple[Address, Event] | Lull]) -> None:
        if self.node is not None:
            self._submit(self.node.run(events))

    def crash(self) -> None:
        """Memory is gone; so is what was not on disk, and every connection."""
        if self.gate is not None:
            self.gate.shut()
        self.node = self.gate = self.breath = None
        self.disk.crash()
        for other in self.world.hosts.values():
            self.world.cut(self, other)

    def _stop(self, fault: Fault) -> None:
        """The disk has failed: the process ends."""
        self.faults.append(fault)
        self.crash()

    def _submit(self, batch: Batch, first: bool = False) -> None:
        if self.gate is None:
            return
        self.batches += 1
        self.digest.update(repr((batch.facts, batch.actions, batch.wants)).encode())
        self.transport.made(batch)
        if first:
            self.gate.resume(batch)
        else:
            self.gate.submit(batch)

    def _perform(self, _sender: Address, action: Action) -> None:
        if self.node is None:
            return  # it died while it performed the actions of a batch
        if self._breathes_its_last():
            return
        self.transport.leaves(action)
        match action:
            case Send():
                self.world.send(self, action)
            case HangUp():
                self.world.cut(self, self.world.by_id(action.to))
            case Answer():
                self.world.answers[action.command_id].append(action)
            case Notify(topic="frozen"):
                self.frozen.append(action)
            case _:
                self.world.family.asked(self, action)

    def _breathes_its_last(self) -> bool:
        if self.breath == 0:
            self.crash()
            return True
        if self.breath is not None:
            self.breath -= 1
        return False

    def _wanted(self, _wants: WantsChanged) -> None:
        pass

    def _refused(self, address: Address, fault: Fault) -> None:
        self.transport.refusing = True
        self.run([(address, Freeze(str(fault)))])


class World:
    """Hosts, and a link between every two of them. Everything that happens is drawn from the seed."""

    hosts_are: type[Host] = Host

    def __init__(
        self, family: Family, names: Sequence[str], seed: int = 0, disks: Mapping[str, SimulatedDisk] | None = None
    ) -> None:
        self.family = family
        self.random = random.Random(seed)
        self.seconds = 0
        """How far the clocks have come."""
        self.answers: dict[bytes, list[Answer]] = defaultdict(list)
        self.links: dict[tuple[str, str], deque[Any]] = {}
        disks = disks if disks is not None else {name: SimulatedDisk(family.rewrite) for name in names}
        self.hosts = {name: self.hosts_are(self, name, disks[name]) for name in names}
        for host in self.hosts.values():
            host.start()

    def by_id(self, node_id: NodeId) -> Host:
        return next(host for host in self.hosts.values() if host.node_id == node_id)

    # ---- links ---------------------------------------------------------------------------------

    def connect(self, one: Host, other: Host) -> None:
        if one is other or one.node is None or other.node is None or (one.name, other.name) in self.links:
            return
        self.links[one.name, other.name] = deque()
        self.links[other.name, one.name] = deque()
        one.run(self.family.connected(other.node_id))
        other.run(self.family.connected(one.node_id))

    def cut(self, one: Host, other: Host) -> None:
        if self.links.pop((one.name, other.name), None) is None:
            return
        self.links.pop((other.name, one.name), None)
        one.run(self.family.parted(other.node_id))
        other.run(self.family.parted(one.node_id))

    def send(self, sender: Host, action: Send) -> None:
        """Onto the link, or nowhere if the peer is gone: it will be said again after a reconnect."""
        queue = self.links.get((sender.name, self.by_id(action.to).name))
        if queue is not None:
            queue.append(action.message)

    def deliver(self, sender: str, receiver: str) -> bool:
        queue = self.links.get((sender, receiver))
        if not queue:
            return False
        message = queue.popleft()
        self.hosts[receiver].run(self.family.heard(self.hosts[sender].node_id, message))
        return True

    # ---- walks ---------------------------------------------------------------------------------

    def step(self, crashes: bool = True) -> None:
        """One thing happens."""
        host = self.random.choice(list(self.hosts.values()))
        other = self.random.choice(list(self.hosts.values()))
        match self.random.randrange(100):
            case draw if draw < 45:
                self.deliver(host.name, other.name)
            case draw if draw < 70:
                host.disk.sync(self.random.randrange(1, 4))
            case draw if draw < 86:
                host.run([Lull()])
            case draw if draw < 93:
                self.connect(host, other)
            case draw if draw < 96:
                self.cut(host, other)
            case draw if draw < 98 and crashes:
                host.crash()
            case _:
                if host.node is None:
                    host.start()

    def settle(self, rounds: int = 1000) -> None:
        """Everything that can come right comes right: all are up and connected, and nothing is left to say."""
        hosts = list(self.hosts.values())
        for _ in range(rounds):
            for host in hosts:
                if host.node is None:
                    host.start()
            for one in hosts:
                for other in hosts:
                    self.connect(one, other)
            moved = False
            for sender, receiver in list(self.links):
                while self.deliver(sender, receiver):
                    moved = True
            for host in hosts:
                host.run([Lull()])
                moved = bool(host.disk.sync()) or moved
            if not moved:
                return
        raise LawBroken("the world does not come to rest")


def crash_at_every_commit_point(
    scenario: Callable[[World], None],
    world: Callable[[], World],
    name: str,
    right: Callable[[World], None],
) -> int:
    """Run a scenario once for every batch that a host makes durable, and crash the host there, in two ways.

    Once after the disk has the batch and before any of its actions leave, once before the disk has it. Then the world
    settles and `right` judges it. Gives the number of commit points.
    """
    quiet = world()
    points = 0

    def count(_batch: Batch) -> None:
        nonlocal points
        points += 1

    quiet.hosts[name].disk.before_done = count
    scenario(quiet)
    quiet.settle()
    right(quiet)
    for point in range(1, points + 1):
        for written in (True, False):
            again = world()
            crash_at(again.hosts[name].disk, again.hosts[name].crash, point, written)
            scenario(again)
            again.settle()
            right(again)
    return points


def deliver_everything_twice(mount: Mount) -> Mount:
    """The same machine, saying everything that it tells other machines twice: receiving it again must be a no-op."""

    def decide(state: Any, event: Event, env: Env) -> Step[Any]:
        step = mount.decide(state, event, env)
        step.actions = [
            said for action in step.actions for said in ((action, action) if type(action) is Tell else (action,))
        ]
        return step

    return replace(mount, decide=decide)
