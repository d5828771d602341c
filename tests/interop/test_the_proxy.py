"""A wire that can be cut, slowed down and shut."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from interop.proxy import FROM_TARGET, TO_TARGET, Proxy
from interop.scenarios.cutting import Scissors


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


def test_what_goes_in_comes_out(proxy: Proxy) -> None:
    with connected(proxy) as wire:
        wire.sendall(b"there")
        assert wire.recv(100) == b"there"
    assert proxy.connections == 1


@pytest.mark.parametrize("way", [TO_TARGET, FROM_TARGET])
def test_scissors_let_pieces_pass_and_then_cut(proxy: Proxy, way: int) -> None:
    scissors = Scissors()
    proxy.judge = scissors
    with connected(proxy) as wire:
        scissors.arm(way, 1, 0)
        wire.sendall(b"one")
        assert wire.recv(100) == b"one"
        wire.sendall(b"two")
        assert wire.recv(100) == b""
    assert not scissors.disarm()
    with connected(proxy) as wire:
        wire.sendall(b"three")
        assert wire.recv(100) == b"three"


def test_scissors_let_the_beginning_of_a_piece_pass(proxy: Proxy) -> None:
    scissors = Scissors()
    proxy.judge = scissors
    with connected(proxy) as wire:
        scissors.arm(FROM_TARGET, 0, 4)
        wire.sendall(b"half and half")
        assert wire.recv(100) == b"half"


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
