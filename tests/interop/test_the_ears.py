"""What was said on a wire is heard in its order, with who said it, and passes unchanged."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from interop.ears import Ears
from interop.proxy import FROM_TARGET, TO_TARGET
from interop.telling_node import KEYS

from fulmen.core.base.ids import ChannelId
from fulmen.core.base.units import Sat
from fulmen.core.transport.cipher import Sealer
from fulmen.core.wire import encode
from fulmen.core.wire.messages.closing import ClosingSigned, FeeRange
from fulmen.core.wire.messages.setup import Ping

CHAINING_KEY = b"\x03" * 32
KEY = {TO_TARGET: b"\x01" * 32, FROM_TARGET: b"\x02" * 32}
ACTS = {TO_TARGET: bytes(116), FROM_TARGET: bytes(50)}
ODD = (32769).to_bytes(2, "big") + b"odd"


def closing(fee_sat: int, fee_range: FeeRange | None = None) -> ClosingSigned:
    """At a fee."""
    return ClosingSigned(ChannelId(bytes(32)), Sat(fee_sat), bytes(64), fee_range)


@pytest.fixture
def us(tmp_path: Path) -> Any:
    """All that ears know of a node: where its keys are."""
    told = "".join(f"{key.hex()} {CHAINING_KEY.hex()}\n" for key in KEY.values())
    (tmp_path / KEYS).write_text(told, encoding="ascii")
    return SimpleNamespace(home=tmp_path)


def test_what_is_said_is_heard_with_who_said_it(us: Any) -> None:
    ears = Ears(us)
    wire = ears.wire()
    first, second, third = closing(300, FeeRange(Sat(200), Sat(900))), closing(500), closing(400)
    sealers = {way: Sealer(KEY[way], CHAINING_KEY) for way in KEY}
    for way, messages in ((TO_TARGET, [first]), (FROM_TARGET, [second, Ping(1, b"")]), (TO_TARGET, [third])):
        data = b"".join(sealers[way].seal(encode(message)) for message in messages)
        assert wire(way, ACTS.pop(way, b"") + data)[1]
    assert ears.said(ClosingSigned) == [(TO_TARGET, first), (FROM_TARGET, second), (TO_TARGET, third)]
    assert ears.heard(FROM_TARGET, "ping") and not ears.heard(TO_TARGET, "ping")


def test_what_nobody_knows_is_heard_by_its_number_and_everything_passes(us: Any) -> None:
    ears = Ears(us)
    data = bytes(50) + Sealer(KEY[FROM_TARGET], CHAINING_KEY).seal(ODD)
    assert ears.wire()(FROM_TARGET, data) == (data, True)
    assert ears.heard(FROM_TARGET, "32769")
