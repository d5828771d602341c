"""Whole nodes: two daemons in processes of their own, one channel, invoice and pay over the API, all of it durable.

The workload is that of the field's published figures: 1,000 sat, invoice then pay, so many workers at once; and one
worker alone for the idle latency.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

import fulmen
from bench.floor import Floor
from bench.measure import Figure
from fulmen.api.client import RpcClient
from fulmen.api.socketpath import socket_to_call

IDLE = 300
BUSY = 3000
WORKERS = 100
AMOUNT_MSAT = 1_000_000
FUNDING_SAT = 16_000_000
READY_S = 60.0


class Process:
    """One process of ours, with its output in a file."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        source = str(Path(fulmen.__file__).parent.parent)
        self._log = (home / "log").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fulmen.cli", "--dir", str(home), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": source},
        )

    def stop(self) -> None:
        """Stop it and wait."""
        self.process.terminate()
        self.process.wait(30)
        self._log.close()

    def cpu_s(self) -> float:
        """Seconds of processor time so far, the pathfinder apart."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mb(self) -> float:
        """Resident memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def until(what: str, condition: Any) -> Any:
    """Wait for a condition, with a limit."""
    end = time.monotonic() + READY_S
    while time.monotonic() < end:
        try:
            found = condition()
        except Exception:
            found = None
        if found:
            return found
        time.sleep(0.05)
    raise TimeoutError(what)


class Caller:
    """One connection to a node's socket, for many calls one after the other."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._numbers = 0

    async def open(self) -> Caller:
        """Connect."""
        self._reader, self._writer = await asyncio.open_unix_connection(str(self._path), limit=1 << 24)
        return self

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

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


def run(floor: Floor) -> Iterator[Figure]:
    """All figures of whole nodes."""
    with ExitStack() as exits:
        home = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="fulmen-bench-")))
        chain = Process(home / "c", "chain", "--rpcuser", "u", "--rpcpassword", "p")
        exits.callback(chain.stop)
        port = until("the chain listens", (home / "c" / "chain" / "port").read_text)
        nodes = []
        for name in ("payer", "payee"):
            url = f"http://u:p@127.0.0.1:{port}"
            flags = ("--set", "chain.poll_s=0.1", "--set", "log.level=warning")
            node = Process(home / name, "start", "--listen", "127.0.0.1:0", "--chain", url, *flags)
            exits.callback(node.stop)
            nodes.append(node)
        payer, payee = nodes
        paths = [until("a node serves", lambda node=node: _socket(node.home / "regtest")) for node in nodes]
        _open(payer.home / "regtest", payee.home / "regtest")
        yield from asyncio.run(_measure(floor, payer, payee, *paths))


def _socket(directory: Path) -> Path:
    path = socket_to_call(directory)
    with RpcClient(path) as node:
        node.call("getinfo")
    return path


def _open(payer: Path, payee: Path) -> None:
    with RpcClient.of(payer) as one, RpcClient.of(payee) as other:
        info = other.call("getinfo")
        bound = info["binding"][0]
        one.call("faucet", {"address": one.call("newaddr")["bech32"], "satoshi": 50_000_000})
        one.call("mine", {"blocks": 1})
        until("the coins are there", lambda: one.call("listfunds")["balances"]["spendable_msat"])
        one.call("connect", {"id": info["id"], "host": bound["address"], "port": bound["port"]})
        one.call("fundchannel", {"id": info["id"], "amount": FUNDING_SAT})
        one.call("mine", {"blocks": 6})
        until("the channel is usable", lambda: _usable(one, payer) and _usable(other, payee))


def _usable(node: RpcClient, _directory: Path) -> bool:
    channels = node.call("listpeerchannels")["channels"]
    if channels and channels[0]["state"] != "CHANNELD_NORMAL":
        node.call("mine", {"blocks": 1})
    return bool(channels) and channels[0]["state"] == "CHANNELD_NORMAL" and channels[0]["peer_connected"]


async def _measure(floor: Floor, payer: Process, payee: Process, pay_at: Path, ask_at: Path) -> list[Figure]:
    asker, pays = await Caller(ask_at).open(), await Caller(pay_at).open()
    for number in range(20):
        await _one(asker, pays, f"warm {number}")
    latencies = []
    for number in range(IDLE):
        invoice = await asker.call("invoice", amount_msat=AMOUNT_MSAT, label=f"idle {number}", description="bench")
        begin = time.perf_counter()
        await pays.call("pay", bolt11=invoice["bolt11"])
        latencies.append(time.perf_counter() - begin)
    latencies.sort()
    cpu_before = payer.cpu_s(), payee.cpu_s()
    begin = time.perf_counter()
    queue = iter(range(BUSY))
    slow: list[float] = []

    async def worker() -> None:
        asks, pays = await Caller(ask_at).open(), await Caller(pay_at).open()
        for number in queue:
            start = time.perf_counter()
            await _one(asks, pays, f"busy {number}")
            slow.append(time.perf_counter() - start)
        asks.close()
        pays.close()

    await asyncio.gather(*(worker() for _ in range(WORKERS)))
    elapsed = time.perf_counter() - begin
    cpu = [
        (after - before) * 1000 / BUSY for after, before in zip((payer.cpu_s(), payee.cpu_s()), cpu_before, strict=True)
    ]
    slow.sort()
    note = f"{WORKERS} workers, one channel, invoice + pay, durable"
    return [
        Figure("payments", "idle payment, p50", latencies[IDLE // 2] * 1000, "ms", None, "one worker, durable"),
        Figure("payments", "idle payment, p99", latencies[IDLE * 99 // 100] * 1000, "ms", None, "one worker, durable"),
        Figure("payments", "payments per second", BUSY / elapsed, "/s", None, note),
        Figure("payments", "busy invoice + payment, p50", statistics.median(slow) * 1000, "ms", None, note),
        Figure("payments", "processor time per payment, payer", cpu[0], "ms", None, note),
        Figure("payments", "processor time per payment, payee", cpu[1], "ms", None, note),
        Figure("payments", "resident memory, payer", payer.rss_mb(), "MB", None, f"after {IDLE + BUSY} payments"),
        Figure("payments", "resident memory, payee", payee.rss_mb(), "MB", None, f"after {IDLE + BUSY} payments"),
    ]


async def _one(asks: Caller, pays: Caller, label: str) -> None:
    invoice = await asks.call("invoice", amount_msat=AMOUNT_MSAT, label=label, description="bench")
    await pays.call("pay", bolt11=invoice["bolt11"])
