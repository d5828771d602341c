"""A stream of payments of one satoshi each, with latency and rate as they come."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from rich.text import Text

from demo.screen import Screen
from demo.story import Story
from fulmen.api.errors import RpcError
from fulmen.lab.nodes import Node
from fulmen.lab.waiting import Deviation, expect

TITLE = "A stream of satoshis"

AMOUNT_MSAT = 1000
ONE_BY_ONE_S = 4.0
SIDE_BY_SIDE_S = 6.0
LANES = 16
LOOK_S = 0.1


@dataclass
class Meter:
    """Milliseconds of each payment, and how many there were when."""

    lanes: int
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None
    took_ms: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        """Payments that have arrived, by the time that has gone."""
        now = time.monotonic() if self.ended is None else self.ended
        return len(self.took_ms) / max(now - self.began, 1e-9)

    def percentile_ms(self, part: float) -> float:
        """What this part of all payments did not exceed."""
        ordered = sorted(self.took_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else 0.0

    def line(self) -> str:
        """All of it in a line."""
        how = "one by one" if self.lanes == 1 else f"{self.lanes} at a time"
        return (
            f"  {how:>13}: {len(self.took_ms):5} payments   p50 {self.percentile_ms(0.5):6.1f} ms   "
            f"p99 {self.percentile_ms(0.99):6.1f} ms   {self.per_second:6.1f} payments/s"
        )


def play(story: Story) -> None:
    """One by one for the latency, then many at a time for the rate."""
    stage, ledger, screen = story.stage, story.ledger, story.screen
    alice, carol = stage["alice"], stage["carol"]
    screen.say(f"Alice pays Carol through Bob, {sat_each()} at a time, each with an invoice of its own.")
    total = 0
    for lanes, seconds in ((1, ONE_BY_ONE_S), (LANES, SIDE_BY_SIDE_S)):
        meter = pour(alice, carol, lanes, seconds, screen)
        if meter.wrong:
            raise Deviation(f"{len(meter.wrong)} payments of the stream failed, the first with: {meter.wrong[0]}")
        screen.say(meter.line())
        total += len(meter.took_ms)
    for _ in range(total):
        ledger.paid(AMOUNT_MSAT, "alice", "bob", "carol")
    stage.quiet()
    channel = ledger.between("bob", "carol")
    expect(
        carol.balance_msat(channel.channel_id) == channel.msat["carol"], "Carol did not get what was streamed to her"
    )
    each = ledger.fee_msat(AMOUNT_MSAT, "alice", "bob", "carol")
    screen.good(f"{total} satoshis arrived for {each} msat of fee each; every one was on three disks before it went on")


def sat_each() -> str:
    """The size of a drop."""
    return f"{AMOUNT_MSAT // 1000} sat"


def pour(payer: Node, payee: Node, lanes: int, seconds: float, screen: Screen | None = None) -> Meter:
    """Pay in so many lanes for so long."""
    meter = Meter(lanes)
    stop = threading.Event()
    threads = [
        threading.Thread(target=_lane, args=(payer, payee, f"{lanes}-{number}", meter, stop)) for number in range(lanes)
    ]
    for thread in threads:
        thread.start()
    try:
        if screen is None:
            stop.wait(seconds)
        else:
            _watch(screen, meter, seconds, stop)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        meter.ended = time.monotonic()
    return meter


def _watch(screen: Screen, meter: Meter, seconds: float, stop: threading.Event) -> None:
    with screen.live() as live:
        while time.monotonic() < meter.began + seconds and not stop.wait(LOOK_S):
            if live is not None:
                live.update(Text(meter.line(), style="cyan"))


def _lane(payer: Node, payee: Node, lane: str, meter: Meter, stop: threading.Event) -> None:
    number = 0
    try:
        with payer.caller() as paying, payee.caller() as asking:
            while not stop.is_set():
                number += 1
                request = {"amount_msat": AMOUNT_MSAT, "label": f"drop {lane}-{number}", "description": "one satoshi"}
                bolt11 = asking.call("invoice", request)["bolt11"]
                began = time.monotonic()
                paying.call("pay", {"bolt11": bolt11})
                meter.took_ms.append(1000 * (time.monotonic() - began))
    except RpcError as wrong:
        meter.wrong.append(wrong.message)
        stop.set()
