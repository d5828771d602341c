"""Connections over real sockets: one per peer, bounded, and honest about what came and went."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
from hashlib import sha256
from typing import Any

import pytest
from structlog.testing import capture_logs

from fulmen.core.base.ids import CommandId, NodeId, Secret
from fulmen.core.base.machine import Address, Disconnected
from fulmen.core.base.outer import HangUp, Send, WantConnection
from fulmen.core.base.peers import Connected, ConnectFailed, FrameReceived, FrameRefused, MessageReceived
from fulmen.core.crypto.secp256k1 import ecdh, point_of
from fulmen.core.node import WantsChanged
from fulmen.core.wire import UnknownMessage
from fulmen.core.wire.messages.setup import Ping
from fulmen.daemon import connection as connection_room
from fulmen.daemon import connections as room
from fulmen.daemon.connections import BadAddress, CannotListen, Connections, host_and_port

counter = itertools.count(1)


class End:
    """One node's connections, and what they told its machines."""

    def __init__(self, name: str) -> None:
        secret = Secret(sha256(name.encode()).digest())
        self.node_id = NodeId(point_of(secret))
        self.events: asyncio.Queue[tuple[Address, Any]] = asyncio.Queue()
        self.connections = Connections(
            self.node_id,
            self,
            ecdh=functools.partial(ecdh, secret),
            ephemeral=lambda: Secret(sha256(b"%d" % next(counter)).digest()),
        )

    def post(self, address: Address, event: Any) -> None:
        self.events.put_nowait((address, event))

    async def next(self) -> Any:
        return (await self.events.get())[1]

    def send(self, other: End, *messages: Any) -> None:
        for message in messages:
            self.connections.send(Send(other.node_id, message))

    def dial(self, node_id: NodeId, *addresses: str, asked_by: tuple[CommandId, ...] = ()) -> None:
        want = (Address("peer", node_id), WantConnection(node_id, addresses, asked_by))
        self.connections.wants_changed(WantsChanged(added=(want,)))


def on_a_loop(test: Any) -> Any:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def bounded() -> None:
            anna, bert = End("anna"), End("bert")
            try:
                async with asyncio.timeout(30):
                    await test(anna, bert, *args, **kwargs)
            finally:
                await anna.connections.close()
                await bert.connections.close()

        asyncio.run(bounded())

    del run.__wrapped__
    return run


async def joined(anna: End, bert: End) -> int:
    """anna has dialed bert, and both know."""
    port = await bert.connections.listen("127.0.0.1", 0)
    anna.dial(bert.node_id, f"127.0.0.1:{port}")
    dialed, answered = await anna.next(), await bert.next()
    assert dialed == Connected(False, f"127.0.0.1:{port}")
    assert isinstance(answered, Connected)
    assert answered.inbound
    return port


@on_a_loop
async def test_messages_go_both_ways_in_order(anna, bert):
    await joined(anna, bert)
    pings = [Ping(number, bytes(number)) for number in range(50)]
    anna.send(bert, *pings)
    bert.send(anna, *pings)
    for end in (anna, bert):
        assert [await end.next() for _ in pings] == [MessageReceived(ping) for ping in pings]


@on_a_loop
async def test_gossip_comes_raw_and_what_nobody_can_read_comes_with_its_fault(anna, bert):
    await joined(anna, bert)
    anna.connections.send_gossip(bert.node_id, b"\x01\x02 a channel_update, perhaps")
    assert await bert.next() == FrameReceived(b"\x01\x02 a channel_update, perhaps")
    anna.connections.send_gossip(bert.node_id, b"\x00\x12\x00")
    refused = await bert.next()
    assert isinstance(refused, FrameRefused)
    assert refused.message_type == 18
    anna.connections.send_gossip(bert.node_id, b"\x00")
    assert isinstance(await bert.next(), FrameRefused)
    anna.connections.send_gossip(bert.node_id, b"\xff\xff?")
    assert await bert.next() == MessageReceived(UnknownMessage(0xFFFF, b"?"))
    assert not anna.connections.send_gossip(anna.node_id, b"\x01\x02")


@on_a_loop
async def test_hanging_up_sends_first_what_was_said_before(anna, bert):
    await joined(anna, bert)
    pings = [Ping(1, bytes(60_000))] * 20
    anna.send(bert, *pings)
    anna.connections.hang_up(HangUp(bert.node_id, "enough"))
    anna.send(bert, Ping(0, b"too late"))
    for ping in pings:
        assert await bert.next() == MessageReceived(ping)
    assert await bert.next() == Disconnected()
    assert await anna.next() == Disconnected()


@on_a_loop
async def test_a_newer_connection_replaces_the_one_before_without_a_disconnect(anna, bert):
    port = await joined(anna, bert)
    again = End("anna")
    again.dial(bert.node_id, f"127.0.0.1:{port}")
    assert isinstance(await again.next(), Connected)
    assert isinstance(await bert.next(), Connected)
    assert await anna.next() == Disconnected(), "the older end sees that it was closed"
    bert.send(again, Ping(7, b""))
    assert await again.next() == MessageReceived(Ping(7, b""))
    assert bert.events.empty()
    assert bert.connections.connected == (anna.node_id,)
    await again.connections.close()
    assert await bert.next() == Disconnected()


@on_a_loop
async def test_an_attempt_that_fails_is_told_once_for_all_addresses(anna, bert):
    anna.dial(bert.node_id)
    assert await anna.next() == ConnectFailed("no address is known")
    port = await bert.connections.listen("127.0.0.1", 0)
    anna.dial(anna.node_id, "nonsense", f"127.0.0.1:{port}")
    failed = await anna.next()
    assert isinstance(failed, ConnectFailed), "bert is not who was dialed: the handshake fails"
    said = failed.why.split("; ")
    assert [why.partition(": ")[0] for why in said] == ["nonsense", f"127.0.0.1:{port}"]
    anna.dial(NodeId(bytes(33)), f"127.0.0.1:{port}")
    assert isinstance(await anna.next(), ConnectFailed), "no such point"
    assert bert.events.empty()


@on_a_loop
async def test_a_failure_says_on_whose_behalf_was_dialed_and_what_the_system_said(anna, bert):
    anna.dial(bert.node_id, "127.0.0.1:1", asked_by=(CommandId(bytes(16)),))
    assert await anna.next() == ConnectFailed("127.0.0.1:1: Connection refused", (CommandId(bytes(16)),))


@on_a_loop
async def test_a_name_that_no_host_can_have_is_a_failure_like_another(anna, bert):
    port = await bert.connections.listen("127.0.0.1", 0)
    for name in ("a" * 64, "a..b", "\u0661" * 64, "a\0b"):
        anna.dial(bert.node_id, f"{name}:1")
        assert await anna.next() == ConnectFailed(f"{name}:1: no host has such a name")
        with pytest.raises(CannotListen, match="no host has such a name"):
            await anna.connections.listen(name, 0)
    anna.dial(bert.node_id, f"{'a' * 64}:1", f"127.0.0.1:{port}")
    assert isinstance(await anna.next(), Connected)
    async with asyncio.timeout(5):
        await anna.connections.close()


@on_a_loop
async def test_the_next_address_is_tried(anna, bert):
    port = await bert.connections.listen("127.0.0.1", 0)
    anna.dial(bert.node_id, "127.0.0.1:1", f"127.0.0.1:{port}")
    assert isinstance(await anna.next(), Connected)


@on_a_loop
async def test_what_nobody_wants_any_more_is_not_dialed(anna, bert):
    async def silent(reader: Any, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        left.set()
        writer.close()

    arrived, left = asyncio.Event(), asyncio.Event()
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    anna.dial(bert.node_id, f"127.0.0.1:{port}")
    await arrived.wait()
    want = (Address("peer", bert.node_id), WantConnection(bert.node_id))
    anna.connections.wants_changed(WantsChanged(removed=(want,)))
    async with asyncio.timeout(room.HANDSHAKE_TIMEOUT_S / 2):  # hung up at once, not when the handshake takes too long
        await left.wait()
    assert anna.events.empty()
    server.close()


@on_a_loop
async def test_who_does_not_finish_the_handshake_is_dropped(anna, bert):
    room.HANDSHAKE_TIMEOUT_S, before = 0.05, room.HANDSHAKE_TIMEOUT_S
    try:
        port = await bert.connections.listen("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x00half of act one")
        assert await reader.read() == b""
        writer.close()
    finally:
        room.HANDSHAKE_TIMEOUT_S = before
    assert bert.events.empty()


@on_a_loop
async def test_garbage_instead_of_a_handshake_ends_without_a_word(anna, bert):
    port = await bert.connections.listen("127.0.0.1", 0)
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", bytes(50), b"\xff" * 5000, b""):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(garbage)
        writer.write_eof()
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
    assert bert.events.empty()


@on_a_loop
async def test_too_many_strangers_are_turned_away(anna, bert):
    """The oldest goes: a stranger that keeps its place in silence keeps nobody out that wants to talk."""
    room.MAX_STRANGERS, before = 3, room.MAX_STRANGERS
    try:
        port = await bert.connections.listen("127.0.0.1", 0)
        strangers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        while len(bert.connections._all) < 3:
            await asyncio.sleep(0)
        anna.dial(bert.node_id, f"127.0.0.1:{port}")
        assert isinstance(await anna.next(), Connected)
        with contextlib.suppress(ConnectionError):
            assert await strangers[0][0].read() == b""
        assert not any(reader.at_eof() for reader, _ in strangers[1:])
        for _, stranger in strangers:
            stranger.close()
    finally:
        room.MAX_STRANGERS = before


@on_a_loop
async def test_strangers_do_not_fill_the_log(_anna, bert):
    """A connection without a handshake costs nothing, and a line of the log is there for ever."""
    strangers = [bert.connections._answer() for _ in range(20)]
    with capture_logs() as lines:
        for stranger in strangers:
            bert.connections.lost(stranger, "closed by the peer")
    assert [line["event"] for line in lines] == ["no handshake"]


@on_a_loop
async def test_a_peer_that_does_not_read_is_dropped(anna, bert):
    connection_room.MAX_UNSENT, before = 100_000, connection_room.MAX_UNSENT
    try:
        await joined(anna, bert)
        bert.connections.hold(True)
        lost = asyncio.create_task(anna.next())
        while not lost.done():
            anna.send(bert, *([Ping(1, bytes(60_000))] * 10))
            await asyncio.sleep(0)
        assert lost.result() == Disconnected()
    finally:
        connection_room.MAX_UNSENT = before
        bert.connections.hold(False)


@on_a_loop
async def test_under_pressure_nothing_is_read_and_nothing_is_lost(anna, bert):
    await joined(anna, bert)
    bert.connections.hold(True)
    anna.send(bert, Ping(1, b""))
    assert bert.events.empty()
    bert.connections.hold(False)
    assert await bert.next() == MessageReceived(Ping(1, b""))


async def joined_once_let_go(holder, anna, bert):
    holder.connections.hold(True)
    joining = asyncio.create_task(joined(anna, bert))
    for _ in range(100):
        await asyncio.sleep(0)
    assert holder.connections.connected == ()
    holder.connections.hold(False)
    await joining


@on_a_loop
async def test_while_we_hold_nobody_that_we_dial_becomes_a_peer(anna, bert):
    await joined_once_let_go(anna, anna, bert)


@on_a_loop
async def test_while_we_hold_nobody_that_dials_us_becomes_a_peer(anna, bert):
    await joined_once_let_go(bert, anna, bert)


@on_a_loop
async def test_a_port_that_is_taken_is_refused_by_name(anna, bert):
    port = await bert.connections.listen("127.0.0.1", 0)
    with pytest.raises(CannotListen):
        await anna.connections.listen("127.0.0.1", port)


@pytest.mark.parametrize(
    "address", ["", "host", "host:", ":9735", "host:0", "host:65536", "host:9x", "host:999999999", "host:0000099999"]
)
def test_what_is_no_address_is_refused_by_name(address):
    with pytest.raises(BadAddress):
        host_and_port(address)


def test_addresses_have_two_halves():
    assert host_and_port("localhost:9735") == ("localhost", 9735)
    assert host_and_port("[::1]:1") == ("::1", 1)
