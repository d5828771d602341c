"""A node of the story: a process, its socket, and the few questions that the story asks again and again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fulmen.api.client import RpcClient
from fulmen.lab.asking import Asking
from fulmen.lab.programs import Process, Program, plain_environ
from fulmen.lab.waiting import until

NETWORK = "regtest"
CALL_S = 120.0
QUICK = {
    "chain.poll_s": "0.1",
    "gossip.flush_interval_s": "1",
    "policy.peer.reconnect_min_s": "0.1",
    "policy.peer.reconnect_max_s": "1",
}
"""On one machine nobody needs to wait: nodes look at the chain, gossip and look for each other more often."""
OVER = ("CLOSINGD_COMPLETE", "AWAITING_UNILATERAL", "ONCHAIN", "CLOSED")
"""A channel in these states holds nothing any more: what it held is, or comes, on chain."""
COMMITTED = ("SENT_ADD_ACK_REVOCATION", "RCVD_ADD_ACK_REVOCATION")
"""An HTLC in these states is in the commitments of both sides for good."""


class Node:
    """One node process with its own directory and port.

    Args:
        port: where it listens; 0 takes a free one at its first start, and the same one ever after.
        command: another fulmen than this one, as it is called.
    """

    front = "fulmen.cli"
    """The module that takes the words of the command line."""
    network = NETWORK

    def __init__(
        self, name: str, home: Path, settings: dict[str, str], *, port: int = 0, command: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.home = home
        self._settings = settings
        self._port = port
        self._command = tuple(command)
        self._socket: RpcClient | None = None
        self.id = ""
        self.program = self._program()

    def _program(self) -> Process:
        settings = [word for name, value in self._settings.items() for word in ("--set", f"{name}={value}")]
        listen = ["--listen", f"127.0.0.1:{self._port}", "--alias", self.name]
        words = ["--dir", str(self.home), "--network", self.network, "start", *listen, *settings]
        log = self.home / "node.log"
        if self._command:
            return Process(self.name, (*self._command, *words), log, plain_environ())
        return Program(self.name, words, log, self.front)

    def __str__(self) -> str:
        return self.name.capitalize()

    # ---- life ----------------------------------------------------------------------------------

    def launch(self) -> None:
        """Start the process, and do not wait; after a first life, it listens where it did before."""
        claim = self.program.claim
        self.program = self._program()
        self.program.claim = claim
        self.program.launch()

    def ready(self) -> None:
        """Wait until it answers."""
        words = self.program.line_with(" is up, listens on ").split()
        self.id = words[0]
        self._port = int(words[5].rstrip(",").rpartition(":")[2])
        self._hang_up()
        self._socket = self.caller()

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.launch()
        self.ready()

    def set(self, settings: dict[str, str]) -> None:
        """Other settings from the next start on."""
        self._settings.update(settings)

    def kill(self) -> None:
        """`kill -9`."""
        self._hang_up()
        self.program.kill()

    def stop(self) -> int:
        """Stop gracefully; gives the exit code."""
        self._hang_up()
        return self.program.stop()

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    @property
    def address(self) -> str:
        """node id @ host : port."""
        return f"{self.id}@127.0.0.1:{self._port}"

    # ---- calls ---------------------------------------------------------------------------------

    def caller(self) -> RpcClient:
        """A connection of one's own to its socket, for one thread."""
        return RpcClient.of(self.home / self.network, timeout_s=CALL_S)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask this node."""
        if self._socket is None:
            self._socket = self.caller()
        return self._socket.call(method, params)

    def begin(self, method: str, **params: Any) -> Asking:
        """Ask for something that takes its time, in a thread of its own."""
        return Asking(self.caller, method, params)

    def invoice(self, msat: int, label: str, **more: Any) -> dict[str, Any]:
        """Ask for money."""
        return self.call("invoice", amount_msat=msat, label=label, description=label, **more)

    @property
    def height(self) -> int:
        """How far it has read the chain."""
        return int(self.call("getinfo")["blockheight"])

    @property
    def coins_sat(self) -> int:
        """All on chain that is ours, whether it can be spent now or not."""
        parts = self.call("listfunds")["balances"]
        names = ("spendable_msat", "pending_msat", "reserved_msat", "immature_msat")
        return int(sum(parts[name] for name in names)) // 1000

    @property
    def spendable_sat(self) -> int:
        """Confirmed and free."""
        return int(self.call("listfunds")["balances"]["spendable_msat"]) // 1000

    def channels(self) -> list[dict[str, Any]]:
        """All its channels that are not over."""
        return list(self.call("listpeerchannels")["channels"])

    def channel(self, channel_id: str) -> dict[str, Any]:
        """One channel; an empty one when it has none of this name."""
        return next((row for row in self.channels() if row["channel_id"] == channel_id), {})

    def balance_msat(self, channel_id: str) -> int:
        """What is ours in a channel, by the latest commitment."""
        return int(self.channel(channel_id).get("to_us_msat", 0))

    def committed(self, channel_id: str) -> list[dict[str, Any]]:
        """The HTLCs of a channel that both sides have in their commitments."""
        return [row for row in self.channel(channel_id).get("htlcs", ()) if row["state"] in COMMITTED]

    def pending_htlcs(self) -> int:
        """Payments that are passing through its channels now."""
        return sum(len(row["htlcs"]) for row in self.channels() if row["state"] not in OVER)

    def under_way(self) -> list[dict[str, Any]]:
        """Payments that it has taken and passed on, and has no answer for."""
        return list(self.call("listforwards", status="offered")["forwards"])

    def routing_paid_msat(self) -> int:
        """What others got for passing its payments on, by its own list."""
        return sum(row["amount_sent_msat"] - row["amount_msat"] for row in self._all("listpays", "pays", "complete"))

    def routing_earned_msat(self) -> int:
        """What it got for passing payments on, by its own list."""
        return sum(row["fee_msat"] for row in self._all("listforwards", "forwards", "settled"))

    def _all(self, method: str, name: str, status: str) -> Iterator[dict[str, Any]]:
        start: int | None = 0
        while start is not None:
            page = self.call(method, status=status, start=start, limit=10_000)
            yield from page[name]
            start = page.get("next")

    def usable(self, channel_id: str) -> bool:
        """Whether a channel could carry a payment either way now."""
        return is_usable(self.channel(channel_id))

    def connect(self, other: Node) -> None:
        """Be connected to another node."""
        self.call("connect", id=other.address)

    # ---- waiting -------------------------------------------------------------------------------

    def await_coins(self, sat: int) -> None:
        """Wait until it has exactly so much on chain."""
        until(lambda: self.coins_sat == sat, f"{self} has {sat} sat on chain")

    def await_usable(self, channel_id: str) -> None:
        """Wait until a channel could carry a payment."""
        until(lambda: self.usable(channel_id), f"{self} can use the channel {channel_id[:16]}")

    def await_quiet(self) -> None:
        """Wait until no payment is in its channels."""
        until(lambda: not self.pending_htlcs(), f"no payment is under way in the channels of {self}")

    def caught_up(self, height: int) -> None:
        """Wait until it has read the chain up to here."""
        until(lambda: self.height >= height, f"{self} reads the chain up to block {height}")


def is_usable(row: dict[str, Any]) -> bool:
    """Whether the channel of a row of `listpeerchannels` could carry a payment; no row is no channel."""
    return row.get("state") == "CHANNELD_NORMAL" and row["peer_connected"] and "frozen" not in row
