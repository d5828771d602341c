"""LND, over its REST API: started, given coins, and told to open channels.

A user's network gets it as it comes, with TLS and macaroons; the matrix, which meets nobody else, does without.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fulmen.lab.chains import PASSWORD, USER, ChainDaemon, Ports
from fulmen.lab.http_json import Unanswered, ask
from fulmen.lab.members import Order, PeerRefused
from fulmen.lab.programs import Process
from fulmen.lab.waiting import until

START_S = 90


class LndNode:
    """One lnd, which may live several times.

    Args:
        program: its command line, up to where its own arguments begin.
        client: that of its lncli.
        open_to_all: no TLS, and no macaroons.
    """

    id = ""
    address = ""

    def __init__(
        self,
        name: str,
        home: Path,
        ports: Ports,
        chain: ChainDaemon,
        *,
        program: Sequence[str] = ("lnd",),
        client: Sequence[str] = ("lncli",),
        more: Sequence[str] = (),
        open_to_all: bool = False,
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.home = home
        self._chain = chain
        self._program = tuple(program)
        self._client = tuple(client)
        self._more = tuple(more)
        self._open_to_all = open_to_all
        self._rest, self._rpc, self.port = ports.take(), ports.take(), ports.take()
        self.process = self._process()

    def __str__(self) -> str:
        return self.name

    def _process(self) -> Process:
        return Process(self.name, (*self._program, *self.arguments()), self.home / "lnd.log")

    def arguments(self) -> tuple[str, ...]:
        """What it is started with."""
        return (
            f"--lnddir={self.home}",
            f"--alias={self.name}",
            f"--listen=127.0.0.1:{self.port}",
            f"--rpclisten=127.0.0.1:{self._rpc}",
            f"--restlisten=127.0.0.1:{self._rest}",
            *("--noseedbackup", "--nobootstrap"),
            *(("--no-rest-tls", "--no-macaroons") if self._open_to_all else ()),
            "--bitcoin.regtest",
            *self.chain_arguments(),
            # By itself it takes new gossip from the first three of its peers only.
            "--numgraphsyncpeers=30",
            *("--trickledelay=50", "--gossip.sub-batch-delay=50ms", "--minbackoff=200ms", "--maxbackoff=1s"),
            *("--debuglevel=info", *self._more),
        )

    def chain_arguments(self) -> tuple[str, ...]:
        """Where its chain is."""
        return (
            *("--bitcoin.node=bitcoind", f"--bitcoind.rpchost=127.0.0.1:{self._chain.port}"),
            *(f"--bitcoind.rpcuser={USER}", f"--bitcoind.rpcpass={PASSWORD}", "--bitcoind.rpcpolling"),
            *("--bitcoind.blockpollinginterval=100ms", "--bitcoind.txpollinginterval=200ms"),
        )

    # ---- life ----------------------------------------------------------------------------------

    def launch(self) -> None:
        """Start it, and do not wait."""
        claim = self.process.claim
        self.process = self._process()
        self.process.claim = claim
        self.process.launch()

    def ready(self) -> None:
        """Wait until it serves."""
        until(self._serves, f"{self} serves", START_S)
        self.id = self._get("/v1/getinfo")["identity_pubkey"]
        self.address = f"{self.id}@127.0.0.1:{self.port}"

    def ask_to_stop(self) -> None:
        """Let it end, and do not wait."""
        self.process.ask_to_stop()

    def _serves(self) -> bool:
        try:
            state = self._ask("GET", "/v1/state").get("state")
            return state == "SERVER_ACTIVE" and bool(self._get("/v1/getinfo")["identity_pubkey"])
        except (Unanswered, PeerRefused):
            if not self.process.alive:
                raise PeerRefused(
                    f"{self} ended; the end of {self.process.log}:\n{self.process.last_words()}"
                ) from None
            return False

    def caught_up(self, height: int) -> None:
        """Wait until it is synced at this height."""

        def synced() -> bool:
            info = self._get("/v1/getinfo")
            return bool(info["block_height"] >= height and info["synced_to_chain"])

        until(synced, f"{self} is synced at block {height}", 60)

    # ---- calls ---------------------------------------------------------------------------------

    def _ask(self, method: str, path: str, body: Any = None, timeout_s: float = 60) -> Any:
        headers, certificate = self._login()
        return ask(self._rest, method, path, body, headers=headers, certificate=certificate, timeout_s=timeout_s)

    def _checked(self, answer: Any) -> Any:
        first = answer[0] if isinstance(answer, list) and answer else answer
        if isinstance(first, dict):
            error = first.get("error") or (first if {"code", "message"} <= first.keys() else None)
            if error:
                raise PeerRefused(str(error.get("message", error) if isinstance(error, dict) else error))
        return answer

    def _get(self, path: str) -> Any:
        return self._checked(self._ask("GET", path))

    def _post(self, path: str, body: Any, timeout_s: float = 60) -> Any:
        return self._checked(self._ask("POST", path, body, timeout_s))

    # ---- coins ---------------------------------------------------------------------------------

    def new_address(self) -> str:
        """A p2wpkh address."""
        return str(self._get("/v1/newaddress?type=WITNESS_PUBKEY_HASH")["address"])

    def coins_sat(self) -> int:
        """Confirmed on chain."""
        return int(self._get("/v1/balance/blockchain")["confirmed_balance"])

    def _login(self) -> tuple[dict[str, str], Path | None]:
        if self._open_to_all:
            return {}, None
        try:
            return {"Grpc-Metadata-macaroon": self._macaroon.read_bytes().hex()}, self._certificate
        except OSError as why:
            raise Unanswered(f"{self} has no macaroon yet: {why}") from why

    @property
    def _macaroon(self) -> Path:
        return self.home / "data" / "chain" / "bitcoin" / "regtest" / "admin.macaroon"

    @property
    def _certificate(self) -> Path:
        return self.home / "tls.cert"

    def connect(self, address: str) -> None:
        """Be connected; that it is already is fine."""
        node_id, _, host = address.partition("@")
        if node_id in self.peers():
            return
        try:
            self._post("/v1/peers", {"addr": {"pubkey": node_id, "host": host}, "perm": False, "timeout": "20"})
        except PeerRefused as refused:
            if "already connected" not in str(refused):
                raise

    def peers(self) -> list[str]:
        """Who is connected."""
        return [peer["pub_key"] for peer in self._get("/v1/peers")["peers"]]

    def open(self, node_id: str, order: Order) -> str:
        """Open a channel."""
        body: dict[str, Any] = {
            "node_pubkey_string": node_id,
            "local_funding_amount": str(order.sat),
            "push_sat": str(order.push_sat),
            "private": not order.announce,
            "commitment_type": "ANCHORS" if order.anchors else "STATIC_REMOTE_KEY",
            "zero_conf": order.zeroconf,
            "scid_alias": order.scid_alias,
            "spend_unconfirmed": True,
        }
        if order.sat_per_vbyte:
            body["sat_per_vbyte"] = str(order.sat_per_vbyte)
        point = self._post("/v1/channels", body)
        txid = base64.b64decode(point["funding_txid_bytes"])[::-1].hex()
        return f"{txid}:{point['output_index']}"

    def _channel(self, outpoint: str) -> dict[str, Any]:
        rows = self._get("/v1/channels")["channels"]
        return next((row for row in rows if row["channel_point"] == outpoint), {})

    def usable(self, outpoint: str) -> bool:
        """Active, in its graph with its own terms, and with those of the other where all may know: it finds the way."""
        row = self._channel(outpoint)
        if not row.get("active"):
            return False
        try:
            edge = self._get(f"/v1/graph/edge/{row['chan_id']}")
        except PeerRefused:
            return False
        own, other = edge["node1_policy"], edge["node2_policy"]
        if edge["node1_pub"] != self.id:
            own, other = other, own
        return own is not None and (row["private"] or other is not None)

    def has(self, outpoint: str) -> bool:
        """Open, used or not."""
        return bool(self._channel(outpoint))

    # ---- for its users -------------------------------------------------------------------------

    def credentials(self) -> dict[str, str]:
        """Where its two APIs are, and what opens them."""
        return {
            "dir": str(self.home),
            "grpc": f"127.0.0.1:{self._rpc}",
            "rest": f"https://127.0.0.1:{self._rest}",
            "tls_cert": str(self._certificate),
            "macaroon": str(self._macaroon),
        }

    def usage(self) -> Sequence[str]:
        """How lncli finds it."""
        where = (f"--lnddir={self.home}", "--network=regtest", f"--rpcserver=127.0.0.1:{self._rpc}")
        return (shlex.join((*self._client, *where, "getinfo")),)
