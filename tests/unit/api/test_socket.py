import asyncio
import contextlib
import json
import os
import select
import socket
import stat
from pathlib import Path

import pytest
from tests.builders.handle import RunningNode

import fulmen.api.commands  # noqa: F401  (fills the registry)
from fulmen.api.client import NodeUnreachable, RemoteError, RpcClient
from fulmen.api.dispatch import Dispatcher
from fulmen.api.errors import TOO_BUSY
from fulmen.api.server import RpcServer
from fulmen.api.socketpath import MAX_PATH, POINTER, socket_to_call, socket_to_serve
from fulmen.lab.waiting import until


@contextlib.asynccontextmanager
async def served(directory: Path, node: RunningNode):
    server = RpcServer(node, socket_to_serve(directory))
    await server.start()
    try:
        yield server
    finally:
        await server.close()


def with_server(directory, work, node=None):
    """Run blocking work in a thread while a server runs."""

    async def run():
        async with served(directory, node or RunningNode()) as server:
            return await asyncio.to_thread(work, server.path)

    return asyncio.run(run())


def raw_lines(path, data, answers):
    """What comes back for raw bytes, until so many answers came or it hangs up."""
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(10)
        one.connect(str(path))
        one.sendall(data)
        got = b""
        while got.count(b"\n\n") < answers and (more := one.recv(65536)):
            got += more
    return [json.loads(text) for text in got.split(b"\n\n") if text]


def test_a_call_is_answered_over_the_socket(tmp_path):
    def work(path):
        with RpcClient(path) as node:
            return node.call("getinfo"), node.call("mine", {"blocks": 2})

    info, mined = with_server(tmp_path, work)
    assert info["alias"] == "told"
    assert len(mined["hashes"]) == 2


def test_only_the_owner_may_connect(tmp_path):
    assert with_server(tmp_path, lambda path: stat.S_IMODE(os.stat(path).st_mode)) == 0o600


def test_a_refusal_keeps_its_code_name_and_sentence(tmp_path):
    def work(path):
        with RpcClient(path) as node, pytest.raises(RemoteError) as caught:
            node.call("fly")
        return caught.value

    error = with_server(tmp_path, work)
    assert (error.code, error.name) == (-32601, "UnknownCommand")
    assert "'fly'" in error.message


def test_calls_of_one_connection_are_answered_by_their_ids(tmp_path):
    data = b"".join(json.dumps({"jsonrpc": "2.0", "id": f"x:{n}", "method": "getinfo"}).encode() for n in range(200))
    answers = with_server(tmp_path, lambda path: raw_lines(path, data, 200))
    assert sorted(answer["id"] for answer in answers) == sorted(f"x:{n}" for n in range(200))


@pytest.mark.parametrize("junk", [b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 100, b"[[[", b'{"a":' * 100])
def test_junk_gets_a_named_error_and_the_line_is_cut(tmp_path, junk):
    def work(path):
        with socket.socket(socket.AF_UNIX) as one:
            one.settimeout(10)
            one.connect(str(path))
            one.sendall(junk)
            one.shutdown(socket.SHUT_WR)
            got = b""
            while more := one.recv(65536):
                got += more
        return got

    got = with_server(tmp_path, work)
    assert got == b"" or json.loads(got.strip())["error"]["data"]["name"] == "BadJson"


def test_a_request_that_is_no_request_leaves_the_line_open(tmp_path):
    data = b'{"id":1}{"id":2,"method":"getinfo"}'
    answers = with_server(tmp_path, lambda path: raw_lines(path, data, 2))
    assert {"BadRequest"} == {one["error"]["data"]["name"] for one in answers if "error" in one}
    assert any(one.get("id") == 2 and "result" in one for one in answers)


def test_news_comes_to_who_asked_for_it(tmp_path):
    node = RunningNode()
    node.news_to_tell = [{"payment_hash": "00", "attempt": 1}]
    request = b'{"id":1,"method":"notifications","params":{"enable":true}}'
    answers = with_server(tmp_path, lambda path: raw_lines(path, request, 6), node)
    assert {"jsonrpc": "2.0", "method": "payment attempt", "params": node.news_to_tell[0]} in answers


def test_who_leaves_in_the_middle_harms_nobody(tmp_path):
    def work(path):
        for _ in range(20):
            with socket.socket(socket.AF_UNIX) as one:
                one.connect(str(path))
                one.sendall(b'{"id":1,"method":"getinfo"}{"id":2,"meth')
        with RpcClient(path) as node:
            return node.call("getinfo")["alias"]

    assert with_server(tmp_path, work) == "told"


def test_who_never_reads_his_answers_harms_nobody(tmp_path):
    def work(path):
        for _ in range(20):
            with socket.socket(socket.AF_UNIX) as one:
                one.connect(str(path))
                one.sendall(b'{"id":1,"method":"help"}' * 20)
                one.recv(1)
        with RpcClient(path) as node:
            return node.call("getinfo")["alias"]

    assert with_server(tmp_path, work) == "told"


def test_no_call_begins_while_too_many_answers_wait_to_be_read(tmp_path, monkeypatch):
    begun = []
    whole = Dispatcher.call

    async def counted(self, method, params):
        begun.append(method)
        return await whole(self, method, params)

    monkeypatch.setattr(Dispatcher, "call", counted)
    data = b'{"jsonrpc":"2.0","id":1,"method":"help"}' * 2000

    async def run():
        async with served(tmp_path, RunningNode()) as server:
            reader, writer = await asyncio.open_unix_connection(str(server.path))
            writer.write(data)
            settled = -1
            while settled != len(begun):
                settled = len(begun)
                await asyncio.sleep(0.2)
            for _ in range(2000):
                assert json.loads(await reader.readuntil(b"\n\n"))["result"]
            writer.close()
            return settled

    assert asyncio.run(run()) < 500
    assert len(begun) == 2000


def test_nobody_at_the_socket_is_said_in_a_sentence(tmp_path):
    with pytest.raises(NodeUnreachable, match="No node answers"):
        RpcClient.of(tmp_path)


def test_a_socket_that_a_dead_node_left_is_replaced(tmp_path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(socket_to_serve(tmp_path)))
    with_server(tmp_path, lambda path: RpcClient(path).close())


def test_data_that_lies_deep_gets_a_short_socket_and_a_pointer(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path)[:59])
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)

    def work(path):
        assert len(str(path)) <= MAX_PATH
        with RpcClient.of(deep) as node:
            return node.call("getinfo")["alias"]

    assert with_server(deep, work) == "told"
    assert (deep / POINTER).read_text().strip() == str(socket_to_call(deep))


def test_who_comes_when_all_places_are_taken_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setattr("fulmen.api.server.MAX_CONNECTIONS", 3)

    def work(path):
        with contextlib.ExitStack() as stack:
            first, *_ = [stack.enter_context(RpcClient(path, timeout_s=10)) for _ in range(3)]
            assert first.call("getinfo")["alias"] == "told"
            with RpcClient(path, timeout_s=10) as late:
                wait_until_it_is_refused(late)
                with pytest.raises(RemoteError, match="At most 3 callers") as busy:
                    late.call("getinfo")
            assert (busy.value.name, busy.value.code) == ("TooBusy", TOO_BUSY)
        return until(lambda: alias_or_busy(path), "there is room once they have left")

    assert with_server(tmp_path, work) == "told"


def alias_or_busy(path):
    """The answer; nothing where the node has not seen yet that others left."""
    with RpcClient(path, timeout_s=10) as caller, contextlib.suppress(RemoteError):
        return caller.call("getinfo")["alias"]


def wait_until_it_is_refused(caller):
    """It has its refusal before it has asked anything, and the node has hung up."""
    poll = select.poll()
    poll.register(caller._socket, select.POLLHUP)
    assert poll.poll(10_000)
