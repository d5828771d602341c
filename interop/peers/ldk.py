"""LDK, by `ldk-node` and a small driver of ours around it (`recipes/ldk`), which listens to lines of JSON."""

from __future__ import annotations

import itertools
import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from fulmen.core.crypto.hashes import sha256
from fulmen.lab.chains import PASSWORD, USER, ChainDaemon
from fulmen.lab.programs import Process
from fulmen.lab.waiting import Deviation, until
from interop.peers.lnd import scid_text
from interop.peers.peer import Asked, Can, NotPaid, Options, Order, Peer, PeerRefused, Terms
from interop.ports import Ports
from interop.recipe import Recipe, Tool

LDK = Recipe(
    name="ldk",
    version="0.7.1",
    programs=("bin/ldk-peer",),
    tools=(Tool("cargo", "cargo"), Tool("cc", "gcc")),
    steps=(
        ("cargo", "build", "--release", "--locked", "--jobs", "{jobs}"),
        ("mkdir", "-p", "{out}/bin"),
        ("cp", "target/release/ldk-peer", "{out}/bin/"),
    ),
)
PAYMENT_S = 150.0
SAID_S = 5.0
CALL_S = 60.0


class Ldk(Peer):
    """One LDK node."""

    kind = "ldk"
    can = frozenset(
        {
            *(Can.ANCHORS, Can.STATIC_REMOTEKEY, Can.ANNOUNCED, Can.SCID_ALIAS, Can.ZEROCONF_IN, Can.WUMBO),
            *(Can.FORWARDS, Can.HINTS, Can.GRAPH, Can.POLICY, Can.HOLD, Can.FORCE_CLOSE, Can.KILL, Can.PAYS_MANY),
        }
    )

    def __init__(self, name: str, home: Path, ports: Ports, chain: ChainDaemon, options: Options | None = None) -> None:
        super().__init__(name)
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self._chain = chain
        self._listen, self._control = ports.take(), ports.take()
        self._ids = itertools.count(1)
        self.events: list[dict[str, Any]] = []
        self._reading = threading.Lock()
        self._restarted(options or Options())

    def _restarted(self, options: Options) -> None:
        self._options = options
        settings = {
            "directory": str(self.home / "data"),
            "seed": f"the seed of {self.name}".ljust(64),
            "alias": self.name,
            "listen": f"127.0.0.1:{self._listen}",
            "control_port": self._control,
            "rpc_port": self._chain.port,
            "rpc_user": USER,
            "rpc_password": PASSWORD,
            "anchors": options.anchors,
            "zeroconf_from": list(options.more),
        }
        path = self.home / "settings.json"
        path.write_text(json.dumps(settings), encoding="utf-8")
        self.process = Process(self.name, (str(LDK.program("ldk-peer")), str(path)), self.home / "ldk.log")

    # ---- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.process.launch()
        self.id = self.process.line_with(" is up").split()[0]
        self.address = f"{self.id}@127.0.0.1:{self._listen}"
        self.events = []

    def stop(self) -> None:
        """Stop it gracefully."""
        if self.process.alive:
            # It answers nothing to this.
            with suppress(PeerRefused):
                self.call("stop")
            until(lambda: not self.process.alive, f"{self} stops", 60)

    def restart(self, options: Options) -> None:
        """Stop it, and start it in another way."""
        self.stop()
        self._restarted(options)
        self.start()

    def accept_unconfirmed(self, node_id: str) -> None:
        """Say yes to channels of a node that are used before they are confirmed."""
        self.restart(replace(self._options, more=(node_id,)))

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
        try:
            with socket.create_connection(("127.0.0.1", self._control), timeout=CALL_S) as line:
                line.sendall(json.dumps({"id": next(self._ids), "do": do, **about}).encode() + b"\n")
                answer = json.loads(line.makefile("r", encoding="utf-8").readline() or "{}")
        except (OSError, ValueError) as why:
            raise PeerRefused(f"{do}: {why!r}") from why
        if "ok" not in answer:
            raise PeerRefused(f"{do}: {answer.get('error', 'it hung up')}")
        return answer["ok"]

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

    # ---- peers and channels --------------------------------------------------------------------

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

    def disconnect(self, node_id: str) -> None:
        """Hang up."""
        self.call("disconnect", node_id=node_id)

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

    def balance_msat(self, outpoint: str) -> int:
        """What is its own in a channel: what it can send, and what it must leave there."""
        row = self._channel(outpoint)
        return int(row["outbound_msat"]) + 1000 * int(row["reserve_sat"] or 0)

    def pending(self, outpoint: str) -> int:
        """How many HTLCs are in a channel."""
        return int(self._channel(outpoint)["htlcs"])

    def has(self, outpoint: str) -> bool:
        """Whether a channel is open, used or not."""
        return bool(self._channel(outpoint))

    def close(self, outpoint: str, *, force: bool = False) -> None:
        """Close a channel, together or alone."""
        self.call("force_close" if force else "close", channel_id=self._channel(outpoint)["channel_id"])

    # ---- money ---------------------------------------------------------------------------------

    def invoice(self, msat: int | None, *, hints: bool = False) -> Asked:
        """Ask for money; LDK itself puts hints into it when it has no public channel."""
        made = self.call("invoice", amount_msat=msat)
        return Asked(made["invoice"], made["payment_hash"])

    def paid(self, payment_hash: str) -> bool:
        """Whether an invoice of its own was paid; it says so a moment after it has shown the preimage."""

        def said() -> bool:
            return self.happened("PaymentReceived", lambda event: event["payment_hash"] == payment_hash) is not None

        with suppress(Deviation):
            return until(said, f"{self} says that it was paid", SAID_S)
        return False

    def pay(self, bolt11: str, *, msat: int | None = None, max_fee_msat: int | None = None) -> str:
        """Pay an invoice and wait for the end; the preimage."""
        self.happened("PaymentFailed")
        seen = len(self.events)
        try:
            payment_hash = self.call("pay", invoice=bolt11, amount_msat=msat, max_fee_msat=max_fee_msat)["payment_hash"]
        except PeerRefused as why:
            raise NotPaid(str(why)) from why

        def ended() -> dict[str, Any] | None:
            self.happened("PaymentFailed")
            for event in self.events[seen:]:
                if event["event"] in ("PaymentSuccessful", "PaymentFailed") and event["payment_hash"] == payment_hash:
                    return event
            return None

        event = until(ended, f"{self} comes to an end with its payment", PAYMENT_S)
        if event["event"] == "PaymentFailed":
            raise NotPaid(event["reason"])
        return str(event["preimage"])

    # ---- what only some can do -----------------------------------------------------------------

    def channels_known(self) -> list[str]:
        """Short channel ids of all channels in its graph."""
        return [scid_text(row["scid"]) for row in self.call("graph")["channels"]]

    def terms_known(self, scid: str, of_node: str) -> Terms | None:
        """What a node asks for forwarding over a channel, as far as it knows."""
        for row in self.call("graph")["channels"]:
            if scid_text(row["scid"]) != scid:
                continue
            said = row["one_to_two"] if row["node_one"] == of_node else row["two_to_one"]
            if said is None:
                return None
            return Terms(
                said["fee_base_msat"],
                said["fee_proportional_millionths"],
                said["cltv_expiry_delta"],
                disabled=not said["enabled"],
            )
        return None

    def alias_known(self, node_id: str) -> str:
        """A node's alias, empty while it has not heard it."""
        return next((row["alias"] or "" for row in self.call("graph")["nodes"] if row["node_id"] == node_id), "")

    def set_terms(self, outpoint: str, terms: Terms) -> None:
        """Change what forwarding over a channel costs."""
        self.call(
            *("set_policy",),
            channel_id=self._channel(outpoint)["channel_id"],
            fee_base_msat=terms.base_msat,
            fee_proportional_millionths=terms.proportional_millionths,
            cltv_expiry_delta=terms.cltv_expiry_delta,
        )

    def hold_invoice(self, msat: int, payment_hash: str) -> Asked:
        """Ask for money that is held until `settle` or `cancel`."""
        made = self.call("invoice", amount_msat=msat, payment_hash=payment_hash)
        return Asked(made["invoice"], payment_hash)

    def held(self, payment_hash: str) -> bool:
        """Whether the money for a held invoice is there."""
        return self._held(payment_hash) is not None

    def settle(self, preimage: str) -> None:
        """Take what is held."""
        payment_hash = sha256(bytes.fromhex(preimage)).hex()
        held = self._held(payment_hash)
        if held is None:
            raise PeerRefused(f"nothing is held for {payment_hash}")
        self.call("claim", payment_hash=payment_hash, preimage=preimage, amount_msat=held["amount_msat"])

    def cancel(self, payment_hash: str) -> None:
        """Give back what is held."""
        self.call("fail", payment_hash=payment_hash)

    def _held(self, payment_hash: str) -> dict[str, Any] | None:
        return self.happened("PaymentClaimable", lambda event: event["payment_hash"] == payment_hash)
