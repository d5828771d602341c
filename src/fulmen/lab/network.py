"""A network from a file: up, with coins and channels, and down again, as often as one likes.

What it has made once it finds again: seeds, blocks, coins and channels lie in its directory, ports are remembered.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from fulmen.core.base.faults import Refused
from fulmen.lab import claims, nodes, state
from fulmen.lab.chains import FIRST_BLOCKS, PASSWORD, USER, Bitcoind, ChainDaemon, ChainRefused, Embedded
from fulmen.lab.file import CHAIN, ChannelPlan, LabPlan, NodePlan
from fulmen.lab.http_json import Unanswered
from fulmen.lab.ldk import LdkNode
from fulmen.lab.lnd import LndNode
from fulmen.lab.members import Member, Order, Ours
from fulmen.lab.nodes import Node
from fulmen.lab.programs import Process, ourselves
from fulmen.lab.waiting import Deviation, until

UP = "up.pid"
PATIENCE_S = 90.0
DEEP = 6
QUICK = {**nodes.QUICK, "chain.poll_s": "0.2"}
"""There may be a hundred nodes, and all of them ask one chain."""
PEER_PORT_AT = {"fulmen": 0, "lnd": 2, "ldk": 0}
"""Which of a node's ports is the one for other nodes."""
LOOK_S = 0.5

Say = Callable[[str], None]


class ProgramMissing(Refused):
    """A program of the file is not on this machine."""


class Network:
    """The processes of one file, in one directory."""

    def __init__(self, plan: LabPlan, directory: Path, say: Say = lambda words: None) -> None:
        self._plan = plan
        self._directory = directory
        self._say = say
        self._state = state.State()
        self._taken: set[int] = set()
        self._gone: set[str] = set()
        self.members: dict[str, Member] = {}
        self.chain: ChainDaemon

    # ---- up ------------------------------------------------------------------------------------

    def up(self) -> None:
        """Start all, and see that coins and channels of the file are there.

        Raises:
            ProgramMissing, BadLabState, Deviation, ChainRefused, Unanswered, PeerRefused, RpcError
        """
        self._programs()
        self._state = state.load(self._directory)
        left = end_all(self._directory)
        if left:
            self._say(f"Stopped what an earlier life had left: {', '.join(left)}.")
        self._open_chain()
        self._open_nodes()
        self._give_coins()
        self._open_channels()

    def _programs(self) -> None:
        """See that all are there before anything is started."""
        wanted = {"chain": command_of(self._plan.chain.program, self._plan.chain.image, "bitcoind", self._directory)}
        if self._plan.chain.kind == "embedded":
            wanted = {}
        for name, node in self._plan.nodes.items():
            if node.kind != "fulmen" or node.program:
                wanted[f"nodes.{name}"] = self._command(node, name)
        for key, command in wanted.items():
            if shutil.which(command[0]) is None:
                raise ProgramMissing(
                    f"{key}: {command[0]} is not on the path; say where it is by program, or give an image"
                )

    def _command(self, node: NodePlan, name: str) -> tuple[str, ...]:
        usual = {"fulmen": "fulmen", "lnd": "lnd", "ldk": "ldk-peer"}[node.kind]
        return command_of(node.program, node.image, usual, self._directory / name)

    def _open_chain(self) -> None:
        plan, home = self._plan.chain, self._directory / CHAIN
        ports = self._ports(CHAIN, {0: plan.port})
        if plan.kind == "embedded":
            self.chain = Embedded(home, ports)
        else:
            self.chain = Bitcoind(home, ports, program=command_of(plan.program, plan.image, "bitcoind", home))
        self._remember_ports(CHAIN, ports)
        self.chain.process.claim = self._directory / f"{CHAIN}.pid"
        self._say(f"Starting {self.chain.name} ...")
        self.chain.start()
        if self.chain.height == 0:
            self.chain.mine(FIRST_BLOCKS)
        # Some nodes call themselves behind when the last block is old.
        self.chain.mine()

    def _open_nodes(self) -> None:
        self._say(f"Starting nodes: {', '.join(self._plan.nodes)} ...")
        for name, plan in self._plan.nodes.items():
            ports = self._ports(name, {PEER_PORT_AT[plan.kind]: plan.port})
            member = self._member(name, plan, ports)
            self._remember_ports(name, ports)
            self.members[name] = member
            member.process.claim = self._directory / f"{name}.pid"
            member.launch()
        for member in self.members.values():
            member.ready()
        self._caught_up()

    def _member(self, name: str, plan: NodePlan, ports: state.PortsOf) -> Member:
        home = self._directory / name
        home.mkdir(mode=0o700, exist_ok=True)
        if plan.kind == "lnd":
            client = client_of(plan.program, plan.image, "lncli", home)
            return LndNode(
                *(name, home, ports, self.chain),
                program=self._command(plan, name),
                client=client,
                more=plan.arguments,
            )
        if plan.kind == "ldk":
            return LdkNode(name, home, ports, self.chain, program=self._command(plan, name))
        own = {key: _setting(value) for key, value in flat(plan.settings)}
        command = self._command(plan, name) if plan.program else ()
        node = Node(name, home, {**self.chain.settings(), **QUICK, **own}, port=ports.take(), command=command)
        return Ours(node, shlex.join((*(command or ourselves()), "--dir", str(home))))

    def _ports(self, name: str, wanted: dict[int, int]) -> state.PortsOf:
        return state.PortsOf(self._state.ports.get(name, ()), wanted, self._taken)

    def _remember_ports(self, name: str, ports: state.PortsOf) -> None:
        self._save(ports={**self._state.ports, name: ports.ports})

    # ---- coins and channels --------------------------------------------------------------------

    def _give_coins(self) -> None:
        wanted: dict[str, int] = {}
        for name, plan in self._plan.nodes.items():
            missing = plan.coins_sat - self._state.given_sat.get(name, 0)
            if missing > 0:
                wanted[name] = self.members[name].coins_sat() + missing
                self.chain.give({self.members[name].new_address(): missing})
        if not wanted:
            return
        self._say("Giving coins ...")
        self.chain.mine()
        self._caught_up()
        for name, sat in wanted.items():
            until(partial(_has_coins, self.members[name], sat), f"{name} has {sat} sat", PATIENCE_S)
            self._save(given_sat={**self._state.given_sat, name: self._plan.nodes[name].coins_sat})

    def _open_channels(self) -> None:
        missing = [each for each in self._numbered() if not self._state.outpoint(each[0].opener, each[0].to, each[1])]
        if missing:
            self._say(f"Opening channels ({len(missing)}) ...")
            for plan, nth in missing:
                self._open(plan, nth)
            self.chain.mine(DEEP - 1)
            self._caught_up()
        for plan, nth in self._numbered():
            outpoint = self._state.outpoint(plan.opener, plan.to, nth)
            ends = self._connected(plan)
            # One that was closed since is not opened again.
            if all(end.has(outpoint) for end in ends):
                for end in ends:
                    what = f"{end.name} can use the channel {plan.opener} – {plan.to}"
                    until(partial(end.usable, outpoint), what, PATIENCE_S)
        self._gossip_has_gone_round()

    def _numbered(self) -> Iterator[tuple[ChannelPlan, int]]:
        seen: Counter[tuple[str, str]] = Counter()
        for plan in self._plan.channels:
            yield plan, seen[plan.opener, plan.to]
            seen[plan.opener, plan.to] += 1

    def _open(self, plan: ChannelPlan, nth: int) -> None:
        opener, to = self._connected(plan)
        outpoint = opener.open(to.id, Order(plan.capacity_sat, plan.push_sat, announce=plan.announce))
        made = state.Opened(plan.opener, plan.to, nth, outpoint)
        self._save(channels=(*self._state.channels, made))
        # Each in a block of its own: not everybody spends change that is not in one.
        self.chain.mine_with(outpoint.partition(":")[0])
        self._caught_up()

    def _connected(self, plan: ChannelPlan) -> tuple[Member, Member]:
        """Both ends of a channel; not everybody looks for his peers at once when he is started again."""
        opener, to = self.members[plan.opener], self.members[plan.to]

        def connected() -> bool:
            if to.id not in opener.peers():
                opener.connect(to.address)
            return to.id in opener.peers() and opener.id in to.peers()

        until(connected, f"{plan.opener} is connected to {plan.to}")
        return opener, to

    def _gossip_has_gone_round(self) -> None:
        """Whoever is told that the network is up may pay over several channels at once."""
        public = [self._state.outpoint(plan.opener, plan.to, nth) for plan, nth in self._numbered() if plan.announce]
        open_now = sum(any(member.has(outpoint) for member in self.members.values()) for outpoint in public)
        for member in self.members.values():
            if isinstance(member, Ours):
                with contextlib.suppress(Deviation):
                    until(partial(_knows, member.node, 2 * open_now), "gossip has gone round", PATIENCE_S)

    def _caught_up(self) -> None:
        height = self.chain.height
        for member in self.members.values():
            member.caught_up(height)

    def _save(self, **changes: Any) -> None:
        self._state = self._state.but(**changes)
        state.save(self._directory, self._state)

    # ---- while it is up ------------------------------------------------------------------------

    def told(self) -> dict[str, Any]:
        """What users have to know."""
        channels = []
        for plan, nth in self._numbered():
            outpoint = self._state.outpoint(plan.opener, plan.to, nth)
            usable = self.members[plan.opener].usable(outpoint)
            channels.append({"from": plan.opener, "to": plan.to, "funding": outpoint, "usable": usable})
        chain = {
            "kind": self._plan.chain.kind,
            "url": self.chain.url,
            "user": USER,
            "password": PASSWORD,
            "dir": str(self.chain.home),
        }
        nodes = {
            name: {
                "kind": self._plan.nodes[name].kind,
                "id": member.id,
                "address": member.address,
                "log": str(member.process.log),
                **member.credentials(),
                "usage": list(member.usage()),
            }
            for name, member in self.members.items()
        }
        return {
            "directory": str(self._directory),
            "pid": os.getpid(),
            "chain": chain,
            "nodes": nodes,
            "channels": channels,
        }

    def stay(self) -> None:
        """Find a block now and then, and say who has ended, until told to stop.

        Raises:
            Deviation: the chain has ended.
            KeyboardInterrupt: that was it.
        """
        every = self._plan.chain.blocks_every_s
        due = time.monotonic() + every
        while True:
            time.sleep(LOOK_S)
            if not self.chain.process.alive:
                raise Deviation(f"{self.chain.name} has ended:\n{self.chain.process.last_words()}")
            for name, member in self.members.items():
                if not member.process.alive and name not in self._gone:
                    self._gone.add(name)
                    self._say(f"{name} has ended (its log: {member.process.log}); the next `lab up` starts it again.")
            if every and time.monotonic() > due:
                due = time.monotonic() + every
                with contextlib.suppress(Unanswered, ChainRefused):
                    self.chain.mine()

    # ---- down ----------------------------------------------------------------------------------

    def down(self) -> list[str]:
        """Stop all, nodes before the chain; what was wrong with it."""
        wrong: list[str] = []
        for member in self.members.values():
            if member.process.alive:
                member.ask_to_stop()
        for member in self.members.values():
            wrong += _stopped(member.process)
        if hasattr(self, "chain"):
            wrong += _stopped(self.chain.process)
        _forget(self._directory)
        return wrong


def take_down(directory: Path) -> list[str]:
    """Stop a network from another process: whoever keeps it up, who stops the rest, and then whatever was left.

    Raises:
        Deviation: somebody does not end.
    """
    stopped = ["lab up"] if claims.end(directory / UP, PATIENCE_S) else []
    stopped += end_all(directory)
    _forget(directory)
    return stopped


def end_all(directory: Path) -> list[str]:
    """Stop, by their claims, the processes that nobody keeps up any more; the chain last."""
    found = [path for path in directory.glob("*.pid") if path.name != UP]
    found.sort(key=lambda path: path.stem == CHAIN)
    return [path.stem for path in found if claims.end(path)]


def _forget(directory: Path) -> None:
    """Take away what says that a network is up."""
    (directory / state.SHOWN).unlink(missing_ok=True)
    for path in directory.glob("*.pid"):
        if not claims.is_held(path):
            path.unlink(missing_ok=True)


def command_of(program: str | tuple[str, ...], image: str, usual: str, home: Path) -> tuple[str, ...]:
    """How a program is called: as the file says, in its image, or by its usual name."""
    if image:
        home = home.absolute()
        own = f"{os.getuid()}:{os.getgid()}"
        return (
            *("docker", "run", "--rm", "--init", "--network=host", f"--user={own}"),
            *(f"--volume={home}:{home}", f"--entrypoint={usual}", image),
        )
    if isinstance(program, str):
        return (str(Path(program).expanduser()),)
    return program or (usual,)


def client_of(program: str | tuple[str, ...], image: str, usual: str, home: Path) -> tuple[str, ...]:
    """How the program that asks a daemon is called: it lies in the daemon's image, beside it, or on the path."""
    if isinstance(program, str) and program:
        beside = Path(program).expanduser().with_name(usual)
        return (str(beside),) if beside.exists() else (usual,)
    return command_of((), image, usual, home)


def flat(settings: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Settings of nested tables by their full names."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _setting(value: Any) -> str:
    """As `--set` takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _has_coins(member: Member, sat: int) -> bool:
    return member.coins_sat() >= sat


def _knows(node: Node, directions: int) -> bool:
    return len(node.call("listchannels")["channels"]) >= directions


def _stopped(process: Process) -> list[str]:
    if not process.pid:
        return []
    try:
        process.stop()
    except Deviation as why:
        return [str(why)]
    return []
