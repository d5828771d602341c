"""Whole nodes: payments over one channel, and through a node between two others, all of it over the API and durable.

The workload is that of the field's published figures: 1,000 sat, invoice then pay, so many callers at once; and one
caller alone for the latency of an idle node.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from demo.stage import Stage

from bench.floor import Floor
from bench.measure import Figure, percentile
from bench.stage import Run, opened, pay, rss_mb

IDLE = 200
BUSY = 3000
FORWARDED = 1500
WORKERS = 100
PAYER, PAYEE, FARTHER = "payer", "payee", "farther"


def run(floor: Floor) -> Iterator[Figure]:
    """All figures of whole nodes."""
    with Stage() as stage:
        opened(stage, (PAYER, PAYEE, FARTHER))
        yield from direct(floor, stage)
        yield from forwarded(floor, stage)


def direct(floor: Floor, stage: Stage) -> Iterator[Figure]:
    """From one end of a channel to the other."""
    ends = {name: stage[name] for name in (PAYER, PAYEE)}

    def paid(about: str, count: int, workers: int) -> Run:
        return asyncio.run(pay(stage[PAYER], stage[PAYEE], ends, about, count, workers))

    paid("warm", 50, 5)
    idle = paid("idle", IDLE, 1)
    busy = paid("busy", BUSY, WORKERS)
    least = least_direct_us(floor) / 1000
    for part in (0.5, 0.99):
        name = f"idle payment, p{100 * part:.0f}"
        yield Figure("payments", name, 1000 * percentile(idle.taken_s, part), "ms", None, "one caller")
    yield Figure("payments", "payments per second", busy.count / busy.seconds, "/s", None, f"{WORKERS} callers")
    yield Figure("payments", "busy payment, p50", 1000 * percentile(busy.taken_s, 0.5), "ms", None, "from `pay` on")
    for name in ends:
        yield Figure("payments", f"processor time per payment, {name}", busy.cpu_ms(name), "ms", least)
        yield Figure("payments", f"the same, idle, {name}", idle.cpu_ms(name), "ms", None, "nothing is batched")
        yield from _disk("payments", name, busy, idle)
        yield Figure("payments", f"resident memory, {name}", rss_mb(ends[name]), "MB")


def forwarded(floor: Floor, stage: Stage) -> Iterator[Figure]:
    """From the first node to the third, through the second."""
    between = {PAYEE: stage[PAYEE]}

    def paid(about: str, count: int, workers: int) -> Run:
        return asyncio.run(pay(stage[PAYER], stage[FARTHER], between, about, count, workers))

    paid("far and warm", 50, 5)
    idle = paid("far and idle", IDLE // 2, 1)
    busy = paid("far and busy", FORWARDED, WORKERS)
    yield Figure("forwards", "idle payment over two hops, p50", 1000 * percentile(idle.taken_s, 0.5), "ms", None)
    yield Figure("forwards", "forwards per second", busy.count / busy.seconds, "/s", None, f"{WORKERS} callers")
    least = least_forward_us(floor) / 1000
    yield Figure("forwards", "processor time per forward, in between", busy.cpu_ms(PAYEE), "ms", least)
    yield from _disk("forwards", "in between", busy, idle, PAYEE)


def _disk(subject: str, shown: str, busy: Run, idle: Run, name: str = "") -> Iterator[Figure]:
    busily, idly = busy.used[name or shown], idle.used[name or shown]
    note = f"idle {idly.syncs / idle.count:.1f}"
    yield Figure(subject, f"syncs each, {shown}", busily.syncs / busy.count, "", None, note)
    yield Figure(subject, f"bytes stored each, {shown}", busily.stored / busy.count, "B", None, "facts and rows")
    if busily.written:
        yield Figure(subject, f"bytes written each, {shown}", busily.written / busy.count, "B", None, "whole pages")


def least_direct_us(floor: Floor) -> float:
    """What nobody can do without, per payment in a large batch: the payer's one HTLC signature and its onion."""
    return floor.sign + floor.ecdh + floor.create_key


def least_forward_us(floor: Floor) -> float:
    """The same for a forward: check one HTLC signature, sign another, peel one layer."""
    return floor.verify + floor.sign + floor.ecdh + floor.multiply
