"""Where the time of a payment goes, room by room: `python -m bench.profile [--write]`.

Two nodes in processes of their own, each under Python's profiler while one of them pays the other. The profiler makes
Python calls dearer than C calls, so the parts are a map and no clock; the clock is `python -m bench payments`.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import pstats
import signal
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path, PurePath

from demo.stage import Stage

from bench.__main__ import machine
from bench.profiled import FILE
from bench.stage import opened, pay
from fulmen.lab.nodes import Node
from fulmen.lab.waiting import until

PAGE = Path(__file__).parent.parent / "docs" / "profile.md"
PAYER, PAYEE = "payer", "payee"
WARM, BUSY, IDLE, WORKERS = 100, 1500, 150, 100
WAITING = ("select.epoll", "select.kqueue", "select.poll")
SMALL = 0.01
"""Rooms with less than this part of the time are summed up in one line."""
ELSEWHERE = "everything else"

Function = tuple[str, int, str]
Shares = Mapping[str, float]
"""Room -> its part of the time, all together 1."""

NAMES = {
    "curve": "curve (libsecp256k1)",
    "codec": "codec (msgspec)",
    "disk": "disk (SQLite, on the loop's side)",
    "loop": "event loop and sockets (asyncio)",
}


class Profiled(Node):
    """A node that can be profiled."""

    front = "bench.profiled"


class ProfiledStage(Stage):
    """A stage on which only such nodes play."""

    node = Profiled


def main(arguments: list[str]) -> int:
    """Profile busy and idle payments, show where the time goes."""
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description="Where a payment's time goes.")
    parser.add_argument("--write", action="store_true", help="write docs/profile.md as well")
    asked = parser.parse_args(arguments)
    measured: dict[str, Shares] = {}
    with ProfiledStage() as stage:
        opened(stage, (PAYER, PAYEE))
        _pay(stage, "warm", WARM, WORKERS)
        for about, count, workers in (("busy", BUSY, WORKERS), ("idle", IDLE, 1)):
            for name in (PAYER, PAYEE):
                stage[name].program.send_signal(signal.SIGUSR1)
            _pay(stage, about, count, workers)
            for name in (PAYER, PAYEE):
                measured[f"{name}, {about}"] = shares(_written(stage[name]))
    lines = table(measured)
    print("\n".join(lines))
    if asked.write:
        PAGE.write_text(page(lines, " ".join(["python -m bench.profile", *arguments])), encoding="utf-8")
        print(f"\nwritten to {PAGE}")
    return 0


def shares(stats: pstats.Stats) -> Shares:
    """The part of the working time that each room took itself; waiting for the next event is no work."""
    own: dict[str, float] = defaultdict(float)
    for function, (_, _, seconds, _, callers) in vars(stats)["stats"].items():
        if any(word in function[2] for word in WAITING):
            continue
        if room := room_of(function):
            own[room] += seconds
            continue
        # A function in C is the work of whoever called it.
        for caller, (_, _, its_seconds, _) in callers.items():
            own[room_of(caller) or ELSEWHERE] += its_seconds
    total = sum(own.values())
    return {room: seconds / total for room, seconds in own.items()}


def room_of(function: Function) -> str:
    """Where a function lives, as docs/architecture.md names it. Empty for functions in C that serve everybody."""
    path, _, name = function
    if "secp256k1" in name:
        return NAMES["curve"]
    if "msgspec" in name:
        return NAMES["codec"]
    if "apsw" in name:
        return NAMES["disk"]
    parts = PurePath(path).parts
    if "fulmen" in parts:
        inside = parts[len(parts) - parts[::-1].index("fulmen") :]
        return "/".join(inside[: 2 if inside[0] in ("core", "adapters") else 1])
    if "asyncio" in parts or "socket" in name or path.endswith(("selectors.py", "socket.py")):
        return NAMES["loop"]
    if path == "~":
        return ""
    return ELSEWHERE


def table(measured: Mapping[str, Shares]) -> list[str]:
    """A column for each node and load, the largest room first."""
    rooms = {room for parts in measured.values() for room in parts}
    weight = {room: sum(parts.get(room, 0.0) for parts in measured.values()) for room in rooms}
    shown = [room for room in sorted(rooms, key=lambda room: (-weight[room], room)) if room != ELSEWHERE]
    shown = [room for room in shown if any(parts.get(room, 0.0) >= SMALL for parts in measured.values())]
    lines = [f"| room | {' | '.join(measured)} |", f"| --- |{' ---: |' * len(measured)}"]
    for room in shown:
        lines.append(f"| {room} | {' | '.join(_percent(parts.get(room, 0.0)) for parts in measured.values())} |")
    rest = (1 - sum(parts.get(room, 0.0) for room in shown) for parts in measured.values())
    return [*lines, f"| {ELSEWHERE} | {' | '.join(map(_percent, rest))} |"]


def page(lines: list[str], command: str) -> str:
    """For docs/profile.md."""
    head = [
        "# Where the time of a payment goes",
        "",
        "Each room's own part of the processor time of a node that pays, or is paid, over one channel: `busy` with",
        f"{WORKERS} callers at once, `idle` with one. Functions in C count for the room that calls them, but for the",
        "curve, the codec and the disk, which have lines of their own. Waiting does not count, nor does the writer",
        "thread, which is inside SQLite almost all of its time. The profiler makes Python dearer than C, so this is a",
        "map; the clock is `docs/benchmarks.md`.",
        "",
        f"    {command}",
        "",
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {machine()}",
        "",
    ]
    return "\n".join([*head, *lines, ""])


def _pay(stage: Stage, about: str, count: int, workers: int) -> None:
    asyncio.run(pay(stage[PAYER], stage[PAYEE], {}, about, count, workers))


def _written(node: Node) -> pstats.Stats:
    path = node.home / FILE
    path.unlink(missing_ok=True)
    node.program.send_signal(signal.SIGUSR2)
    until(path.exists, f"{node} writes its profile")
    return pstats.Stats(str(path))


def _percent(part: float) -> str:
    return f"{100 * part:.0f} %" if part >= 0.005 else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
