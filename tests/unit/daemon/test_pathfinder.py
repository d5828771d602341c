"""The pathfinder beside the loop: as a process, when that process dies, and in line."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.builders.gossip import CHAIN, NODES, a_channel, a_node, an_update

from fulmen.core.base.ids import ChannelId, NodeId, ShortChannelId, Signature, scid
from fulmen.core.base.machine import Address, Event
from fulmen.core.base.peers import GossipLink, GossipReceived
from fulmen.core.base.units import BlockHeight, Msat, Timestamp
from fulmen.core.gossip.graph import Graph
from fulmen.core.gossip.intake import FundingOutput, funding_script
from fulmen.core.gossip.policy import GossipPolicy
from fulmen.core.routing.requests import FindRoute, FirstHop, Learn, Outcome, Route, RouteAnswered, RouteRequest
from fulmen.core.routing.words import BlockConnected, Find, Found, HowMuch, Known, ListNodes, Nodes, Settings
from fulmen.core.signer.announcing import SignAnnouncement
from fulmen.core.wire import decode
from fulmen.core.wire.features import GOSSIP_QUERIES, optional
from fulmen.core.wire.messages.gossip import ChannelAnnouncement
from fulmen.daemon.pathfinder import PathfinderInLine, PathfinderProcess, Pathfinding
from fulmen.daemon.pathfinder import process as process_module
from fulmen.daemon.pathfinder.face import PathfinderStopped
from fulmen.daemon.pathfinder.frames import PipeBroken, Reader, Start, Writer
from fulmen.daemon.pathfinder.graph_file import read_graph, write_graph
from fulmen.daemon.pathfinder.worker import Worker

US, PEER = NODES[30], NODES[0]
FEATURES = optional(GOSSIP_QUERIES).to_bytes()
ASKER = Address("payment", bytes(32))


def settings(check_funding: bool = False) -> Settings:
    return Settings(US, CHAIN, FEATURES, GossipPolicy(check_funding=check_funding, max_future_s=10**9, stale_s=10**9))


class World:
    """What the pathfinder needs of a daemon, written down."""

    def __init__(self) -> None:
        self.frames: list[tuple[NodeId, bytes]] = []
        self.left: list[NodeId] = []
        self.events: list[tuple[Address, Event]] = []
        self.signed: list[bytes] = []
        self.fundings: dict[ShortChannelId, FundingOutput] = {}

    def send_frame(self, to: NodeId, frame: bytes) -> None:
        self.frames.append((to, frame))

    def hang_up(self, to: NodeId, reason: str) -> None:
        self.left.append(to)

    def look_up(self, scid: ShortChannelId, found: Callable[[FundingOutput | None, bool], None]) -> None:
        asyncio.get_running_loop().call_soon(found, self.fundings.get(scid), False)

    def sign_gossip(
        self, request: SignAnnouncement, signed: Callable[[Signature | None, Signature | None], None]
    ) -> None:
        self.signed.append(request.frame)
        signed(None, None)

    def full_outboxes(self) -> tuple[NodeId, ...]:
        return ()

    def post(self, address: Address, event: Event) -> None:
        self.events.append((address, event))


Made = Callable[[World, Path | None], Pathfinding]


def in_line(world: World, cache: Path | None) -> Pathfinding:
    return PathfinderInLine(settings(), world, world.post, cache)


def in_process(world: World, cache: Path | None) -> Pathfinding:
    return PathfinderProcess(settings(), world, world.post, cache, compile=False)


both = pytest.mark.parametrize("make", [in_line, in_process])


def live(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(test(), 60)

    asyncio.run(bounded())


def hear(pathfinding: Pathfinding, *frames: bytes) -> None:
    for frame in frames:
        pathfinding.on_gossip(GossipReceived(PEER, frame))


def a_line() -> tuple[bytes, ...]:
    """Peer - 1 - 2."""
    return a_channel(1, 0, 1), an_update(1), a_channel(2, 1, 2), an_update(2, signer=1), a_node(1)


def a_request(destination: int = 2) -> RouteRequest:
    first = FirstHop(ChannelId(bytes(32)), scid(1, 1, 1), PEER, Msat(10**9))
    return RouteRequest(
        source=US,
        destination=NODES[destination],
        amount_msat=Msat(100_000),
        height=BlockHeight(800_000),
        first_hops=(first,),
    )


async def knows(pathfinding: Pathfinding, channels: int, seconds: float = 30) -> Known:
    """Wait until it knows so many channels."""
    end = asyncio.get_running_loop().time() + seconds
    while True:
        known = await pathfinding.ask(HowMuch(0), Known)
        if known.channels >= channels or asyncio.get_running_loop().time() > end:
            return known
        await asyncio.sleep(0.01)


async def routed(pathfinding: Pathfinding, destination: int = 2) -> Found:
    """Ask until there is a route: updates may still be looked at when their channels are known."""
    while True:
        found = await pathfinding.ask(Find(0, a_request(destination)), Found)
        if found.route is not None:
            return found
        await asyncio.sleep(0.01)


PERMANENT_CHANNEL_FAILURE = 0x4008
"""What stays shut; a passing failure only makes a way dear (BOLT 4, "Failure Messages")."""


async def begun(pathfinding: Pathfinding) -> None:
    await pathfinding.start()
    pathfinding.tell(BlockConnected(BlockHeight(800_000)))
    pathfinding.on_link(GossipLink(PEER, up=True, remote_features=FEATURES))


@both
def test_gossip_in_and_routes_out(make: Made) -> None:
    async def test() -> None:
        world = World()
        pathfinding = make(world, None)
        await begun(pathfinding)
        hear(pathfinding, *a_line())
        await routed(pathfinding)
        pathfinding.on_find(FindRoute(ASKER, 7, a_request()))
        while not world.events:
            await asyncio.sleep(0.01)
        ((address, event),) = world.events
        assert address == ASKER
        assert isinstance(event, RouteAnswered)
        assert event.ref == 7
        assert isinstance(event.answer, Route)
        pathfinding.on_learn(
            Learn(Outcome(event.answer, settled=False, failed_at=1, failure_code=PERMANENT_CHANNEL_FAILURE))
        )
        found = await pathfinding.ask(Find(0, a_request()), Found)
        assert found.route is None
        assert any(to == PEER for to, _ in world.frames), "the peer is asked for what it knows"
        await pathfinding.stop()

    live(test)


@both
def test_a_node_may_have_any_feature_bits(make: Made) -> None:
    """LND sets bit 2023: more than the 64 bits that a number may have on its way out of the process."""

    async def test() -> None:
        pathfinding = make(World(), None)
        await begun(pathfinding)
        features = optional(2022).to_bytes()
        hear(pathfinding, *a_line()[:-1], a_node(1, features=features))
        while not (shown := [node for node in (await pathfinding.ask(ListNodes(0), Nodes)).nodes if node.alias]):
            await asyncio.sleep(0.01)
        assert [node.features for node in shown] == [features]
        await pathfinding.stop()

    live(test)


@both
def test_a_peer_that_signs_wrongly_is_left(make: Made) -> None:
    async def test() -> None:
        world = World()
        pathfinding = make(world, None)
        await begun(pathfinding)
        frame = bytearray(a_channel(1, 0, 1))
        frame[10] ^= 1
        hear(pathfinding, bytes(frame))
        while not world.left:
            await asyncio.sleep(0.01)
        assert world.left == [PEER]
        await pathfinding.stop()

    live(test)


@both
def test_a_restart_has_routes_at_once(make: Made, tmp_path: Path) -> None:
    async def test() -> None:
        first = make(World(), tmp_path / "graph")
        await begun(first)
        hear(first, *a_line())
        await routed(first)
        await first.stop()
        assert (tmp_path / "graph").stat().st_mode & 0o777 == 0o600
        second = make(World(), tmp_path / "graph")
        await second.start()
        found = await second.ask(Find(0, a_request()), Found)
        assert found.route is not None
        await second.stop()

    live(test)


@both
def test_what_was_not_answered_when_it_stops_is_refused(make: Made) -> None:
    async def test() -> None:
        pathfinding = make(World(), None)
        asked = asyncio.ensure_future(pathfinding.ask(HowMuch(0), Known))
        await asyncio.sleep(0)
        await pathfinding.stop()
        with pytest.raises(PathfinderStopped):
            await asked

    live(test)


def test_the_funding_of_a_channel_is_looked_up() -> None:
    async def test() -> None:
        world = World()
        announcement = a_channel(1, 0, 1)
        message = decode(announcement)
        assert isinstance(message, ChannelAnnouncement)
        from tests.builders.gossip import an_outpoint

        script = funding_script(message)
        world.fundings[message.short_channel_id] = FundingOutput(an_outpoint(1), 1_000_000, script)
        pathfinding = PathfinderProcess(settings(check_funding=True), world, world.post, compile=False)
        await begun(pathfinding)
        hear(pathfinding, announcement, a_channel(2, 1, 2))
        assert (await knows(pathfinding, 1)).channels == 1
        await pathfinding.stop()

    live(test)


def test_a_worker_that_dies_is_started_again_and_answers_what_was_asked(tmp_path: Path) -> None:
    async def test() -> None:
        first = PathfinderProcess(settings(), World(), World().post, tmp_path / "graph", compile=False)
        await begun(first)
        hear(first, *a_line())
        await routed(first)
        await first.stop()

        world = World()
        pathfinding = PathfinderProcess(settings(), world, world.post, tmp_path / "graph", compile=False)
        await begun(pathfinding)
        await knows(pathfinding, 2)
        process_id = pathfinding.process_id
        assert process_id is not None
        os.kill(process_id, signal.SIGSTOP)
        asked = asyncio.ensure_future(pathfinding.ask(Find(0, a_request()), Found))
        await asyncio.sleep(0.05)
        assert not asked.done()
        os.kill(process_id, signal.SIGKILL)
        assert (await asked).route is not None
        assert pathfinding.process_id not in (None, process_id)
        # The new worker knows who is connected: what the peer says is listened to.
        hear(pathfinding, a_channel(3, 2, 3))
        assert (await knows(pathfinding, 3)).channels == 3
        await pathfinding.stop()

    live(test)


def test_a_stop_while_a_new_worker_is_being_made_ends_that_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        world = World()
        pathfinding = PathfinderProcess(settings(), world, world.post, None, compile=False)
        await pathfinding.start()
        making, may_go_on = asyncio.Event(), asyncio.Event()
        spawn = asyncio.create_subprocess_exec
        made: list[asyncio.subprocess.Process] = []

        async def slowly(*words: Any, **how: Any) -> asyncio.subprocess.Process:
            making.set()
            await may_go_on.wait()
            made.append(await spawn(*words, **how))
            return made[-1]

        monkeypatch.setattr(asyncio, "create_subprocess_exec", slowly)
        assert pathfinding.process_id is not None
        os.kill(pathfinding.process_id, signal.SIGKILL)
        await making.wait()
        stopping = asyncio.ensure_future(pathfinding.stop())
        await asyncio.sleep(0)
        may_go_on.set()
        await stopping
        assert [process.returncode for process in made] == [0]

    live(test)


def test_a_worker_does_not_end_by_a_signal_that_is_meant_for_the_daemon() -> None:
    async def test() -> None:
        world = World()
        pathfinding = PathfinderProcess(settings(), world, world.post, None, compile=False)
        await begun(pathfinding)
        await knows(pathfinding, 0)
        worker = pathfinding.process_id
        assert worker is not None
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(worker, number)
        await knows(pathfinding, 0)
        assert pathfinding.process_id == worker
        await pathfinding.stop()

    live(test)


def test_when_the_worker_keeps_dying_the_daemon_searches_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(process_module, "MAX_DEATHS", 1)

    async def test() -> None:
        world = World()
        pathfinding = PathfinderProcess(settings(), world, world.post, tmp_path / "graph", compile=False)
        await begun(pathfinding)
        hear(pathfinding, *a_line())
        process_id = pathfinding.process_id
        assert process_id is not None
        os.kill(process_id, signal.SIGKILL)
        while pathfinding.process_id is not None:
            await asyncio.sleep(0.01)
        assert (await pathfinding.ask(HowMuch(0), Known)).channels == 0
        hear(pathfinding, *a_line())
        await routed(pathfinding)
        await pathfinding.stop()

    live(test)


def test_when_no_other_worker_can_be_made_the_daemon_searches_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine has no memory left, for which the worker was killed, or no file descriptors."""

    async def test() -> None:
        world = World()
        pathfinding = PathfinderProcess(settings(), world, world.post, None, compile=False)
        await begun(pathfinding)

        async def impossible(*_words: Any, **_how: Any) -> None:
            raise OSError(12, "Cannot allocate memory")

        monkeypatch.setattr(asyncio, "create_subprocess_exec", impossible)
        process_id = pathfinding.process_id
        assert process_id is not None
        asked = asyncio.ensure_future(pathfinding.ask(HowMuch(0), Known))
        os.kill(process_id, signal.SIGKILL)
        await asked
        hear(pathfinding, *a_line())
        await routed(pathfinding)
        await pathfinding.stop()

    live(test)


def test_gossip_that_comes_faster_than_it_is_taken_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fulmen.daemon.pathfinder.face.MAX_WAITING", 1000)

    async def test() -> None:
        pathfinding = PathfinderInLine(settings(), World(), World().post)
        hear(pathfinding, *(bytes(400) for _ in range(10)))
        assert pathfinding.dropped == 7
        await pathfinding.stop()

    live(test)


def test_a_worker_whose_daemon_was_killed_ends_without_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    (incoming, ours), (theirs, outgoing) = os.pipe(), os.pipe()
    os.write(ours, Writer().pack(HowMuch(0)))
    os.close(theirs)
    Worker(Start(settings(), compile=False), incoming, outgoing).run()
    assert capfd.readouterr().err == ""
    for end in (incoming, ours, outgoing):
        os.close(end)


def test_the_compiled_search_takes_over_while_questions_are_answered() -> None:
    pytest.importorskip("numba")

    async def test() -> None:
        world = World()
        pathfinding = PathfinderProcess(settings(), world, world.post)
        await begun(pathfinding)
        hear(pathfinding, *a_line())
        plain = await routed(pathfinding)
        while not (await pathfinding.ask(HowMuch(0), Known)).compiled:
            await asyncio.sleep(0.05)
        compiled = await pathfinding.ask(Find(0, a_request()), Found)
        assert compiled.route == plain.route
        await pathfinding.stop()

    live(test)


def test_a_graph_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "graph"
    assert len(read_graph(path, CHAIN)) == 0
    graph = Graph()
    message = decode(a_channel(1))
    assert isinstance(message, ChannelAnnouncement)
    graph.add_channel(message, a_channel(1), Timestamp(5))
    write_graph(path, graph, CHAIN)
    assert [channel.scid for channel in read_graph(path, CHAIN).channels()] == [message.short_channel_id]
    assert len(read_graph(path, bytes(32))) == 0
    path.write_bytes(b"rubbish")
    assert len(read_graph(path, CHAIN)) == 0
    with pytest.raises(OSError):
        write_graph(tmp_path / "nowhere" / "graph", graph, CHAIN)


def test_values_are_found_however_the_pipe_cuts_them() -> None:
    writer, reader = Writer(), Reader[Any](list[int])
    stream = b"".join(writer.pack([number]) for number in range(50))
    found = []
    for at in range(0, len(stream), 3):
        found += reader.feed(stream[at : at + 3])
    assert found == [[number] for number in range(50)]


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x01\xc1", b"\x00\x00\x00\x00"])
def test_rubbish_in_the_pipe_has_a_name(data: bytes) -> None:
    with pytest.raises(PipeBroken):
        Reader[Any](list[int]).feed(data)
