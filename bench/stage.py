"""Whole nodes in processes of their own, seen from outside: what they take, and callers who keep them busy."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import apsw
import msgspec
from demo.stage import Stage

from fulmen.api.socketpath import socket_to_call
from fulmen.lab.nodes import NETWORK, Node

AMOUNT_MSAT = 1_000_000
FUNDING_SAT = 16_000_000
COINS_SAT = 50_000_000
SETTINGS = {"log.level": "warning", "chain.poll_s": "0.5"}


def opened(stage: Stage, names: tuple[str, ...]) -> None:
    """Nodes in a row, each with a channel to the next: the first one announced, the others known by route hints."""
    stage.open(dict.fromkeys(names, SETTINGS))
    stage.give(dict.fromkeys(names[:-1], COINS_SAT))
    channels = []
    for number, (one, other) in enumerate(pairwise(names)):
        opening = stage.fund(one, other, FUNDING_SAT, announce=number == 0)
        stage.chain.transaction(opening["txid"])  # it is out
        channels.append((str(opening["channel_id"]), one, other))
    stage.lock_in(channels)


class Caller:
    """One connection to a node's socket, for many calls one after the other."""

    def __init__(self, node: Node) -> None:
        self._path = socket_to_call(node.home / NETWORK)
        self._numbers = 0

    async def __aenter__(self) -> Caller:
        self._reader, self._writer = await asyncio.open_unix_connection(str(self._path), limit=1 << 24)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask, and wait for the answer."""
        self._numbers += 1
        request = {"jsonrpc": "2.0", "id": self._numbers, "method": method, "params": params}
        self._writer.write(msgspec.json.encode(request))
        answer = msgspec.json.decode(await self._reader.readuntil(b"\n\n"))
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result


@dataclass(frozen=True)
class Used:
    """What one node has used up so far."""

    cpu_s: float
    """Of the node's own process."""
    pathfinder_s: float
    """Of its worker."""
    syncs: int
    stored: int
    """Bytes of facts and rows in its database."""
    written: int
    """Bytes that the kernel wrote for it; 0 where nobody counts them."""

    def __sub__(self, before: Used) -> Used:
        return Used(
            self.cpu_s - before.cpu_s,
            self.pathfinder_s - before.pathfinder_s,
            self.syncs - before.syncs,
            self.stored - before.stored,
            self.written - before.written,
        )


def used(node: Node) -> Used:
    """What a node has used up since it started."""
    pid = node.program.pid
    return Used(
        _cpu_s(pid),
        sum(_cpu_s(child) for child in _children(pid)),
        node.call("counters")["counters"]["syncs"],
        _stored(node.home / NETWORK / "journal.sqlite"),
        _written(pid),
    )


def rss_mb(node: Node) -> float:
    """Resident memory of a node's own process."""
    pages = int(Path(f"/proc/{node.program.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        yield from map(int, (task / "children").read_text().split())


def _written(pid: int) -> int:
    lines = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(lines["write_bytes"])


def _stored(path: Path) -> int:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(10_000)
    try:
        sizes = "SELECT total(length(row)) FROM journal UNION ALL SELECT total(length(row)) FROM cold"
        return int(sum(size for (size,) in connection.execute(sizes)))
    finally:
        connection.close()


@dataclass(frozen=True)
class Run:
    """How a number of payments went."""

    count: int
    seconds: float
    taken_s: list[float]
    """Each payment's time, sorted."""
    used: Mapping[str, Used]
    """By node."""

    def cpu_ms(self, name: str) -> float:
        """Processor time of a node, for each payment."""
        return 1000 * self.used[name].cpu_s / self.count


async def pay(payer: Node, payee: Node, watched: Mapping[str, Node], about: str, count: int, workers: int) -> Run:
    """So many payments, by so many callers at once. Each asks for an invoice, then pays it; the paying is timed."""
    numbers = iter(range(count))
    taken: list[float] = []

    async def worker() -> None:
        async with Caller(payee) as asks, Caller(payer) as pays:
            for number in numbers:
                label = f"{about} {number}"
                invoice = await asks.call("invoice", amount_msat=AMOUNT_MSAT, label=label, description="bench")
                begin = time.perf_counter()
                await pays.call("pay", bolt11=invoice["bolt11"])
                taken.append(time.perf_counter() - begin)

    before = {name: used(node) for name, node in watched.items()}
    begin = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(workers)))
    seconds = time.perf_counter() - begin
    return Run(count, seconds, sorted(taken), {name: used(node) - before[name] for name, node in watched.items()})
