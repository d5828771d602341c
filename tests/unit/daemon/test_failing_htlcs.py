"""How many HTLCs of each peer come to nothing."""

from __future__ import annotations

from structlog.testing import capture_logs

from fulmen.api.handle import FailedHtlcs
from fulmen.core.base.ids import ChannelId, NodeId
from fulmen.core.base.outer import Notify
from fulmen.daemon.failing_htlcs import FailingHtlcs

ALICE, BOB = NodeId(b"\x02" + b"a" * 32), NodeId(b"\x03" + b"b" * 32)
PEERS = {ChannelId(b"1" * 32): ALICE, ChannelId(b"2" * 32): ALICE, ChannelId(b"3" * 32): BOB}


class Game:
    """A count with a clock that stands until it is set."""

    def __init__(self, warned_above: int = 3) -> None:
        self.now = 6000.0
        self.count = FailingHtlcs(PEERS.get, warned_above, lambda: self.now)

    def fail(self, channel: bytes, times: int = 1) -> None:
        for _ in range(times):
            self.count.heard(Notify("htlc failed", {"channel_id": (channel * 32).hex(), "failure": "x"}))


def test_htlcs_of_all_channels_of_a_peer_count_together() -> None:
    game = Game()
    game.fail(b"1")
    game.fail(b"2")
    game.fail(b"3")
    assert (game.count.of(ALICE), game.count.of(BOB)) == (FailedHtlcs(2, 2), FailedHtlcs(1, 1))


def test_what_is_no_failed_htlc_or_nobodys_is_not_counted() -> None:
    game = Game()
    game.count.heard(Notify("forward", {"channel_id": (b"1" * 32).hex()}))
    game.fail(b"9")
    assert game.count.of(ALICE) == FailedHtlcs(0, 0)


def test_a_rate_is_that_of_the_busier_of_this_minute_and_the_last() -> None:
    game = Game()
    game.fail(b"1", 5)
    game.now += 60
    assert game.count.of(ALICE) == FailedHtlcs(5, 5)
    game.fail(b"1", 2)
    assert game.count.of(ALICE) == FailedHtlcs(7, 5)
    game.now += 60
    assert game.count.of(ALICE) == FailedHtlcs(7, 2)
    game.now += 120
    assert game.count.of(ALICE) == FailedHtlcs(7, 0)


def test_more_than_so_many_in_a_minute_are_one_warning() -> None:
    game = Game(warned_above=3)
    with capture_logs() as lines:
        game.fail(b"1", 3)
        game.fail(b"3", 3)
        assert not lines
        game.fail(b"1", 5)
        game.now += 60
        game.fail(b"1", 4)
    assert [(line["log_level"], line["peer"], line["in_a_minute"], line["since_start"]) for line in lines] == [
        ("warning", ALICE.hex(), 4, 4),
        ("warning", ALICE.hex(), 4, 12),
    ]


def test_nobody_has_to_be_warned() -> None:
    game = Game(warned_above=0)
    with capture_logs() as lines:
        game.fail(b"1", 1000)
    assert not lines and game.count.of(ALICE).total == 1000
