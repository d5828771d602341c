"""The server over a real socket: authentication, keep-alive, bounds, a graceful stop that keeps the chain."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import subprocess
import sys

import pytest
from tests.builders.regtest import Wallet

from fulmen.core.bitcoin.address import address_of
from fulmen.core.bitcoin.networks import REGTEST
from fulmen.regtest.judges import kernel_installed
from fulmen.regtest.rpc.server import ChainOptions, DirectoryInUse, RunningChain, serve

ADDRESS = address_of(Wallet().script, REGTEST)
OPTIONS = ChainOptions(user="alice", password="in wonderland", judge="btclib")


def a_request(body: bytes, user: str = "alice", password: str = "in wonderland", head: str = "") -> bytes:
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    return (
        f"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {token}\r\n{head}Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
    return int(head.split(" ")[1]), await reader.readexactly(length)


async def exchange(port: int, *requests: bytes) -> list[tuple[int, bytes]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        answers = []
        for request in requests:
            writer.write(request)
            answers.append(await read_answer(reader))
        return answers
    finally:
        writer.close()
        await writer.wait_closed()


def over_a_socket(*requests: bytes) -> list[tuple[int, bytes]]:
    async def play() -> list[tuple[int, bytes]]:
        async with serve(OPTIONS) as chain:
            return await exchange(chain.port, *requests)

    return asyncio.run(play())


def test_several_requests_share_a_connection():
    count = a_request(b'{"method":"getblockcount","id":1}')
    answers = over_a_socket(count, count, a_request(b'{"method":"nothing","id":2}'))
    assert [status for status, _ in answers] == [200, 200, 404]
    assert json.loads(answers[0][1]) == {"result": 0, "error": None, "id": 1}


def test_a_wrong_password_is_401():
    assert over_a_socket(a_request(b"{}", password="wrong"))[0][0] == 401
    assert over_a_socket(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")[0][0] == 401


def test_only_post_is_answered():
    assert over_a_socket(b"GET / HTTP/1.1\r\n\r\n")[0][0] == 405


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\n" + b"x: y\r\n" * 20_000 + b"\r\n", 400),
        (b"\xff\xfe\x00 / HTTP/9.9\r\n\r\n", 400),
    ],
)
def test_what_is_no_request_ends_the_connection(request_bytes, status):
    assert over_a_socket(request_bytes)[0][0] == status


def test_the_cookie_lets_in_and_a_restart_finds_chain_and_mempool(tmp_path):
    address = address_of(Wallet().script, REGTEST)

    async def play() -> None:
        options = ChainOptions(directory=tmp_path / "chain", judge="btclib")
        async with serve(options) as chain:
            user, password = (tmp_path / "chain" / ".cookie").read_text().split(":")
            assert (tmp_path / "chain" / "port").read_text() == str(chain.port)
            body = json.dumps({"method": "faucet", "params": [address, 1], "id": 1}).encode()
            [(status, reply)] = await exchange(chain.port, a_request(body, user, password))
            assert status == 200
            txid, tip = json.loads(reply)["result"], chain.node.chain.tip.hash
            assert not chain.stopped.is_set()
            await exchange(chain.port, a_request(b'{"method":"stop"}', user, password))
            assert chain.stopped.is_set()
        assert not (tmp_path / "chain" / ".cookie").exists()
        async with serve(options) as chain:
            assert chain.node.chain.tip.hash == tip
            assert [pooled.txid[::-1].hex() for pooled in chain.node.pool] == [txid]

    asyncio.run(play())


def test_after_a_restart_it_listens_where_it_did_unless_somebody_else_does(tmp_path):
    async def play() -> None:
        options = ChainOptions(directory=tmp_path, judge="btclib")
        ports = []
        for _ in range(2):
            async with serve(options) as chain:
                ports.append(chain.port)
        assert ports[0] == ports[1]
        other = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", ports[0])
        async with other, serve(options) as chain:
            assert chain.port != ports[0]
        (tmp_path / "port").write_text("no number")
        async with serve(options) as chain:
            assert chain.port > 0

    asyncio.run(play())


def test_a_directory_belongs_to_one_process(tmp_path):
    async def play() -> None:
        options = ChainOptions(directory=tmp_path, judge="btclib")
        async with serve(options):
            with pytest.raises(DirectoryInUse):
                RunningChain(options)
        async with serve(options) as chain:
            assert chain.node.chain.height == 0

    asyncio.run(play())


@pytest.mark.skipif(not kernel_installed(), reason="there is no wheel of the kernel here")
def test_what_a_killed_process_leaves_lies_in_its_own_directory_and_goes_with_the_next(tmp_path):
    home, temporary = tmp_path / "chain", tmp_path / "temporary"
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "fulmen.regtest", "--datadir", str(home), "--judge", "kernel"],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": "src", "TMPDIR": str(temporary)},
    )
    assert process.stdout is not None
    with process.stdout:
        port = int(process.stdout.readline().split("http://127.0.0.1:")[1].split("/")[0].split(",")[0].split()[0])
        user, _, password = (home / ".cookie").read_text().partition(":")
        body = json.dumps({"method": "generatetoaddress", "params": [1, ADDRESS], "id": 1}).encode()
        [(status, _)] = asyncio.run(exchange(port, a_request(body, user, password)))
        assert status == 200
        process.kill()
        process.wait(20)
    assert [*temporary.iterdir()] == []
    assert (home / "kernel").exists()

    async def play() -> None:
        async with serve(ChainOptions(directory=home, judge="kernel")) as chain:
            assert chain.node.chain.height == 1

    asyncio.run(play())
    assert not (home / "kernel").exists()


def test_a_process_stops_gracefully_when_it_is_told_to(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "fulmen.regtest", "--datadir", str(tmp_path), "--judge", "btclib"],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": "src"},
    )
    assert process.stdout is not None
    with process.stdout:
        assert "judged by btclib, listens on http://127.0.0.1:" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert (tmp_path / "mempool.dat").exists()
