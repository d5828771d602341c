"""No two daemons on one machine get the same port, whoever starts them."""

from __future__ import annotations

import socket

from interop.ports import PER_LANE, Ports


def test_two_lanes_have_ports_of_their_own() -> None:
    one, other = Ports(), Ports()
    assert abs(one.take() - other.take()) >= PER_LANE - 10
    one.release()
    other.release()


def test_a_port_that_somebody_listens_on_is_left_out() -> None:
    ports = Ports()
    first = ports.take()
    with socket.create_server(("127.0.0.1", first + 1)):
        assert ports.take() == first + 2
    ports.release()
