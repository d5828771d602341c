"""A wire is cut between two messages, wherever the chunks end in which they come."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from interop.frames import Frames
from interop.proxy import FROM_TARGET, TO_TARGET, Judge
from interop.scissors import Place, Scissors
from interop.telling_node import KEYS

from fulmen.core.base.ids import ChannelId
from fulmen.core.transport.cipher import Sealer
from fulmen.core.wire import encode
from fulmen.core.wire.messages.setup import Ping, Pong
from fulmen.core.wire.messages.updates import UpdateFee

CHAINING_KEY = b"\x03" * 32
KEY = {TO_TARGET: b"\x01" * 32, FROM_TARGET: b"\x02" * 32}
ACTS = {TO_TARGET: b"one and three" + bytes(103), FROM_TARGET: b"two" + bytes(47)}
PING, PONG, FEE = encode(Ping(1, b"")), encode(Pong(b"\x00")), encode(UpdateFee(ChannelId(bytes(32)), 253))


@pytest.fixture
def us(tmp_path: Path) -> Any:
    """All that scissors know of a node: where its keys are."""
    lines = [b"\x09" * 32, *KEY.values(), b"\x08" * 32]
    told = "".join(f"{key.hex()} {CHAINING_KEY.hex()}\n" for key in lines)
    (tmp_path / KEYS).write_text(told, encoding="ascii")
    return SimpleNamespace(home=tmp_path)


def sealed(way: int, *messages: bytes) -> bytes:
    """The first messages of a connection."""
    sealer = Sealer(KEY[way], CHAINING_KEY)
    return ACTS[way] + b"".join(map(sealer.seal, messages))


@pytest.mark.parametrize("chunk", [1, 7, 18, 66, 10_000])
@pytest.mark.parametrize("way", [TO_TARGET, FROM_TARGET])
def test_frames_are_found_in_any_chunks(way: int, chunk: int) -> None:
    frames = Frames(way, lambda: [(key, CHAINING_KEY) for key in KEY.values()])
    data = sealed(way, PING, FEE, PONG)
    found = [frame for at in range(0, len(data), chunk) for frame in frames.feed(data[at : at + chunk])]
    assert [frame.name for frame in found if frame.name] == ["ping", "update_fee", "pong"]
    assert b"".join(frame.data for frame in found) == data


def test_a_wire_of_somebody_else_is_not_read() -> None:
    with pytest.raises(LookupError):
        list(Frames(TO_TARGET, lambda: [(b"\x07" * 32, CHAINING_KEY)]).feed(sealed(TO_TARGET, PING)))


def test_the_cut_is_before_the_message_that_is_lost(us: Any) -> None:
    scissors = Scissors(us, ["ping", "update_fee"])
    scissors.arm(TO_TARGET, 1)
    whole = sealed(TO_TARGET, PING, PONG, FEE, PING)
    before = sealed(TO_TARGET, PING, PONG)
    half = (len(FEE) + 34) // 2
    assert passed(scissors.wire(), TO_TARGET, whole) == (whole[: len(before) + half], False)
    assert scissors.places == [Place(TO_TARGET, "ping", "update_fee")]
    assert not scissors.disarm()
    # The next connection is whole, and of the next message that is lost nothing arrives.
    assert passed(scissors.wire(), TO_TARGET, whole) == (whole, True)
    scissors.arm(TO_TARGET, 0)
    assert passed(scissors.wire(), TO_TARGET, whole) == (ACTS[TO_TARGET], False)
    assert scissors.places[1] == Place(TO_TARGET, "", "ping")


def test_the_next_connection_is_cut_where_that_was_asked_for(us: Any) -> None:
    scissors = Scissors(us, ["ping", "update_fee"])
    scissors.arm(TO_TARGET, 1, (TO_TARGET, 0))
    whole = sealed(TO_TARGET, PING, FEE)
    assert not passed(scissors.wire(), TO_TARGET, whole)[1]
    assert scissors.armed
    assert passed(scissors.wire(), TO_TARGET, whole) == (ACTS[TO_TARGET], False)
    assert passed(scissors.wire(), TO_TARGET, whole) == (whole, True)
    assert scissors.places == [Place(TO_TARGET, "ping", "update_fee"), Place(TO_TARGET, "", "ping")]


def test_the_other_direction_is_not_cut(us: Any) -> None:
    scissors = Scissors(us, ["ping"])
    scissors.arm(FROM_TARGET, 0)
    wire = scissors.wire()
    assert passed(wire, TO_TARGET, sealed(TO_TARGET, PING)) == (sealed(TO_TARGET, PING), True)
    assert passed(wire, FROM_TARGET, sealed(FROM_TARGET, PONG)) == (sealed(FROM_TARGET, PONG), True)
    assert scissors.disarm() and not scissors.places


def passed(wire: Judge, way: int, data: bytes) -> tuple[bytes, bool]:
    """What passes of bytes that come in chunks of ten, and whether the wire holds."""
    through = b""
    for at in range(0, len(data), 10):
        some, holds = wire(way, data[at : at + 10])
        through += some
        if not holds:
            return through, False
    return through, True
