"""LDK, by `ldk-node` and the small driver of ours around it (`interop/recipes/ldk`), which listens to lines of JSON."""

from __future__ import annotations

import json
import secrets
import shlex
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fulmen.lab.chains import PASSWORD, USER, ChainDaemon, Ports
from fulmen.lab.members import Order, PeerRefused
from fulmen.lab.programs import Process, ourselves
from fulmen.lab.waiting import until

CALL_S = 60.0
SEED_LETTERS = 64


class LdkNode:
    """One LDK node, which may live several times; `program` is the command line of its driver."""

    id = ""
    address = ""

    def __init__(
        self, name: str, home: Path, ports: Ports, chain: ChainDaemon, *, program: Sequence[str] = ("ldk-peer",)
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.home = home
        self._chain = chain
        self._program = tuple(program)
        self._listen, self._control = ports.take(), ports.take()
        self._settings_file = home / "settings.json"
        self._seed = self._seed_of_before() or secrets.token_hex(SEED_LETTERS // 2)
        self.events: list[dict[str, Any]] = []
        self._reading = threading.Lock()
        self.process = self._process()

    def __str__(self) -> str:
        return self.name

    def _process(self) -> Process:
        return Process(self.name, (*self._program, str(self._settings_file)), self.home / "ldk.log")

    def _seed_of_before(self) -> str:
        """What it was started with in an earlier life of its network."""
        with suppress(OSError, ValueError, KeyError):
            return str(json.loads(self._settings_file.read_text(encoding="utf-8"))["seed"])
        return ""

    def settings(self) -> dict[str, Any]:
        """What it is started with."""
        return {
            "directory": str(self.home / "data"),
            "seed": self._seed,
            "alias": self.name,
            "listen": f"127.0.0.1:{self._listen}",
            "control_port": self._control,
            "rpc_port": self._chain.port,
            "rpc_user": USER,
            "rpc_password": PASSWORD,
            "anchors": True,
            "zeroconf_from": [],
        }

    # ---- life ----------------------------------------------------------------------------------

    def launch(self) -> None:
        """Start it, and do not wait."""
        self._settings_file.write_text(json.dumps(self.settings()), encoding="utf-8")
        claim = self.process.claim
        self.process = self._process()
        self.process.claim = claim
        self.process.launch()

    def ready(self) -> None:
        """Wait until it answers."""
        self.id = self.process.line_with(" is up").split()[0]
        self.address = f"{self.id}@127.0.0.1:{self._listen}"
        self.events = []

    def ask_to_stop(self) -> None:
        """Let it end, and do not wait: a Ctrl-C would be heard as a kill. It answers nothing to this."""
        with suppress(PeerRefused):
            self.call("stop")

    def caught_up(self, height: int) -> None:
        """Wait until it has read the chain."""
        until(lambda: self._synced() >= height, f"{self} reads the chain to {height}", 60)

    def _synced(self) -> int:
        return int(self.call("sync")["height"])

    # ---- calls ---------------------------------------------------------------------------------

    def call(self, do: str, **about: Any) -> Any:
        """One command to the driver.

        Raises:
            PeerRefused: in LDK's words.
        """
        return ask_driver("127.0.0.1", self._control, do, about)

    def happened(self, kind: str, which: Callable[[dict[str, Any]], bool] = bool) -> dict[str, Any] | None:
        """The first event of a kind that is looked for, if it came since the last start."""
        with self._reading:
            self.events += self.call("events", **{"from": len(self.events)})
        return next((event for event in self.events if event["event"] == kind and which(event)), None)

    def _channel(self, outpoint: str) -> dict[str, Any]:
        return next((row for row in self.call("channels") if row["funding"] == outpoint), {})

    # ---- coins ---------------------------------------------------------------------------------

    def new_address(self) -> str:
        """For coins."""
        return str(self.call("new_address")["address"])

    def coins_sat(self) -> int:
        """Confirmed on chain."""
        return int(self.call("balances")["onchain_sat"])

    def connect(self, address: str) -> None:
        """Be connected to node id @ host : port."""
        node_id, _, where = address.partition("@")

        def connected() -> bool:
            if node_id not in self.peers():
                try:
                    self.call("connect", node_id=node_id, address=where)
                except PeerRefused as why:
                    # Both sides may have called at once, and one of the two connections was dropped.
                    if "Network connection closed" not in str(why):
                        raise
            return node_id in self.peers()

        until(connected, f"{self} connects to {where}")

    def peers(self) -> list[str]:
        """The node ids it is connected to."""
        return [row["node_id"] for row in self.call("peers") if row["connected"]]

    def open(self, node_id: str, order: Order) -> str:
        """Open a channel; its outpoint."""
        where = next((row["address"] for row in self.call("peers") if row["node_id"] == node_id), None)
        if where is None:
            raise PeerRefused(f"open: {node_id} is no peer")
        known = {row["channel_id"] for row in self.call("channels")}
        self.happened("ChannelPending")
        seen = len(self.events)
        self.call(
            *("open",),
            node_id=node_id,
            address=where,
            amount_sat=order.sat,
            push_msat=order.push_sat * 1000,
            announced=order.announce,
        )

        def opened() -> str:
            self.happened("ChannelPending")
            for event in self.events[seen:]:
                if event["event"] == "ChannelPending" and event["peer"] == node_id:
                    return str(event["funding"])
                if event["event"] == "ChannelClosed" and event["peer"] == node_id and event["channel_id"] not in known:
                    raise PeerRefused(f"open: {event['reason']}")
            return ""

        return until(opened, f"{self} opens a channel", 60)

    def usable(self, outpoint: str) -> bool:
        """Whether a channel could carry a payment now; one that is announced is in its graph by then, both ways."""
        row = self._channel(outpoint)
        if not row.get("usable") or not row["announced"]:
            return bool(row.get("usable"))
        known = next((one for one in self.call("graph")["channels"] if one["scid"] == row["scid"]), None)
        return known is not None and known["one_to_two"] is not None and known["two_to_one"] is not None

    def has(self, outpoint: str) -> bool:
        """Whether a channel is open, used or not."""
        return bool(self._channel(outpoint))

    # ---- for its users -------------------------------------------------------------------------

    def credentials(self) -> dict[str, str]:
        """Where its driver listens."""
        return {"dir": str(self.home), "control": f"127.0.0.1:{self._control}"}

    def usage(self) -> Sequence[str]:
        """How its driver is asked."""
        return (shlex.join((*ourselves(), "lab", "ask", f"127.0.0.1:{self._control}", "balances")),)


def ask_driver(host: str, port: int, do: str, about: Mapping[str, Any]) -> Any:
    """One command to the driver of an LDK node.

    Raises:
        PeerRefused: in LDK's words.
    """
    try:
        with socket.create_connection((host, port), timeout=CALL_S) as line:
            line.sendall(json.dumps({"id": 1, "do": do, **about}).encode() + b"\n")
            answer = json.loads(line.makefile("r", encoding="utf-8").readline() or "{}")
    except (OSError, ValueError) as why:
        raise PeerRefused(f"{do}: {why!r}") from why
    if not isinstance(answer, dict):
        raise PeerRefused(f"{do}: this is no driver of ours: {answer!r}")
    if "ok" not in answer:
        raise PeerRefused(f"{do}: {answer.get('error', 'it hung up')}")
    return answer["ok"]
