"""A wire that can be cut, slowed down and shut."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from interop.proxy import FROM_TARGET, Judge, Proxy


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says everything back."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                while data := peer.recv(1000):
                    peer.sendall(data)

    server = threading.Thread(target=serve)
    server.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    server.join()


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    proxy = Proxy(0, echo)
    yield proxy
    proxy.close()


def connected(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=10)


def received(wire: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        data += wire.recv(100)
    return data


def test_what_goes_in_comes_out(proxy: Proxy) -> None:
    with connected(proxy) as wire:
        wire.sendall(b"there")
        assert wire.recv(100) == b"there"
    assert proxy.connections == 1


def test_it_calls_from_the_address_that_it_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = Proxy(0, listener.getsockname()[1])
        proxy.source = "127.0.0.2"
        with connected(proxy):
            peer, (host, _) = listener.accept()
            peer.close()
        proxy.close()
    assert host == "127.0.0.2"


def test_a_judge_holds_back_what_is_not_whole_and_cuts_where_it_likes(proxy: Proxy) -> None:
    def judge() -> Judge:
        held = bytearray()

        def of_this_wire(way: int, data: bytes) -> tuple[bytes, bool]:
            if way == FROM_TARGET:
                return data, True
            held.extend(data)
            passed, _, rest = bytes(held).rpartition(b";")
            held[:] = rest
            return passed, b"end" not in passed

        return of_this_wire

    proxy.judge = judge
    for _ in range(2):
        with connected(proxy) as wire:
            wire.sendall(b"one")
            wire.sendall(b"two;end")
            assert received(wire, 6) == b"onetwo"
            wire.sendall(b";never")
            assert wire.recv(100) in (b"end", b"")


def test_a_wire_that_is_shut_takes_nobody(proxy: Proxy) -> None:
    with connected(proxy) as wire:
        wire.sendall(b"one")
        assert wire.recv(100) == b"one"
        proxy.shut()
        assert wire.recv(100) == b""
    with connected(proxy) as wire:
        assert wire.recv(100) == b""
    proxy.shut(False)
    with connected(proxy) as wire:
        wire.sendall(b"two")
        assert wire.recv(100) == b"two"
