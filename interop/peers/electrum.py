"""Electrum 4.3.4, as Debian packages it, each with an Electrum server of its own: a wallet with legacy channels.

It has static_remotekey channels only, never announced, and pays and asks in whole satoshis.
"""

from __future__ import annotations

import json
import os
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

from fulmen.lab.chains import PASSWORD, USER, ChainDaemon
from fulmen.lab.http_json import Unanswered, ask
from fulmen.lab.members import Order, PeerRefused
from fulmen.lab.programs import Process
from fulmen.lab.waiting import until
from interop.peers.peer import Asked, Can, NotPaid, Options, Peer
from interop.ports import Ports
from interop.recipe import Recipe, Tool

ASKED = ("/usr/bin/python3", "-c", "from importlib import metadata; print(metadata.version('electrum'))")
"""Electrum itself wants a wallet, or a second, to say its version."""
ELECTRUM = Recipe(
    name="electrum",
    version="4.3.4",
    programs=("bin/electrum-node", "venv/bin/electrumx_server", "/usr/bin/electrum"),
    tools=(
        Tool("electrum", ("electrum",), "/usr/bin/electrum", asked=ASKED, only="4.3.4"),
        Tool("venv", ("python3-venv",), "/usr/lib/python3*/ensurepip"),
    ),
    steps=(
        ("/usr/bin/python3", "-m", "venv", "{out}/venv"),
        ("{out}/venv/bin/pip", "install", "--quiet", "--require-hashes", "-r", "requirements.txt"),
        ("install", "-D", "electrum-node", "{out}/bin/electrum-node"),
    ),
)
AT_ONCE = """
import runpy, sys
from electrumx.server.transport import PaddedRSTransport
PaddedRSTransport.WAIT_FOR_BUFFER_GROWTH_SECONDS = 0.01
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""How its server is started: against listeners it would keep each answer back until a second's worth is together."""
SAT_PER_KVB = 2_000
TO_SELF_DELAY = 6
CALL_S = 90
COIN = 100_000_000
PAID = 3
"""Its number for a request that was paid."""


class Electrum(Peer):
    """One Electrum, and its server."""

    kind = "electrum"
    depth = 3
    can = frozenset(
        {
            *(Can.LEGACY, Can.STATIC_REMOTEKEY, Can.FORCE_CLOSE, Can.KILL, Can.HINTS),
            *(Can.HOLDS_BACK, Can.LETS_STAND),
        }
    )

    def __init__(self, name: str, home: Path, ports: Ports, chain: ChainDaemon, options: Options | None = None) -> None:
        super().__init__(name)
        self.home = home
        self._data = home / "data"
        self._options = options or Options()
        self._rpc, self._listen, served, admin = (ports.take() for _ in range(4))
        # Beside the directory of the wallet: one that is set back to an old copy of it keeps its server.
        beside = home.with_name(f"{home.name}-server")
        database = beside / "database"
        database.mkdir(parents=True, exist_ok=True)
        server = ELECTRUM.program("electrumx_server")
        self.server = Process(
            f"{name}'s server",
            (str(server.with_name("python")), "-c", AT_ONCE, str(server)),
            beside / "server.log",
            {
                **_plain_environ(),
                "COIN": "Bitcoin",
                "NET": "regtest",
                "DB_ENGINE": "leveldb",
                "DB_DIRECTORY": str(database),
                "ALLOW_ROOT": "1",
                "PEER_DISCOVERY": "off",
                "PEER_ANNOUNCE": "",
                # Milliseconds; by itself it looks every five seconds.
                "DAEMON_POLL_INTERVAL_BLOCKS": "200",
                "DAEMON_POLL_INTERVAL_MEMPOOL": "200",
                "COST_SOFT_LIMIT": "0",
                "COST_HARD_LIMIT": "0",
                "DAEMON_URL": f"http://{USER}:{PASSWORD}@127.0.0.1:{chain.port}/",
                "SERVICES": f"tcp://127.0.0.1:{served},rpc://127.0.0.1:{admin}",
            },
        )
        self.others = (self.server,)
        self._words = (str(ELECTRUM.program("electrum-node")), "--regtest", "-D", str(self._data))
        environ = _plain_environ() | {"ELECTRUM_SAT_PER_KVB": str(self._options.sat_per_kvb or SAT_PER_KVB)}
        self.process = Process(
            name,
            (*self._words, "-v", "daemon", "--server", f"127.0.0.1:{served}:t", "--oneserver"),
            home / "electrum.log",
            environ,
        )

    # ---- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start server and wallet, and wait until they answer."""
        if not self.server.alive:
            self.server.launch()
        if not self._data.exists():
            self._begin()
        self.process.launch()
        until(self._answers, f"{self} answers", 60)
        self.call("load_wallet")
        self.id = str(self.call("nodeid")).partition("@")[0]
        self.address = f"{self.id}@127.0.0.1:{self._listen}"
        until(lambda: self.call("is_synchronized"), f"{self} has read its addresses", 60)

    def _begin(self) -> None:
        settings = {
            "rpcuser": USER,
            "rpcpassword": PASSWORD,
            "rpcport": self._rpc,
            "lightning_listen": f"127.0.0.1:{self._listen}",
            "use_gossip": True,
            "lightning_to_self_delay": TO_SELF_DELAY,
            **dict(map(_setting, self._options.more)),
            "dynamic_fees": False,
            "log_to_file": False,
        }
        (self._data / "regtest").mkdir(parents=True)
        (self._data / "regtest" / "config").write_text(json.dumps(settings), encoding="utf-8")
        made = subprocess.run(
            (*self._words, "create", "--offline"), check=False, env=_plain_environ(), capture_output=True, timeout=60
        )
        if made.returncode:
            raise PeerRefused(f"create: {made.stderr.decode(errors='replace')}")

    def _answers(self) -> bool:
        try:
            return bool(self.call("getinfo")["connected"])
        except (Unanswered, PeerRefused):
            if not self.process.alive:
                raise
            return False

    def caught_up(self, height: int) -> None:
        """Wait until it has read the chain, and knows what it means for its channels."""

        def there() -> bool:
            return int(self.call("getinfo")["blockchain_height"]) >= height and bool(self.call("is_synchronized"))

        until(there, f"{self} is at block {height}", 60)

    # ---- calls ---------------------------------------------------------------------------------

    def call(self, method: str, **params: Any) -> Any:
        """One command.

        Raises:
            PeerRefused: in its words.
        """
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = ask(self._rpc, "POST", "/", body, login=f"{USER}:{PASSWORD}", timeout_s=CALL_S)
        if answer.get("error"):
            raise PeerRefused(f"{method}: {answer['error'].get('message', answer['error'])}")
        return answer["result"]

    def _channel(self, outpoint: str) -> dict[str, Any]:
        return next((row for row in self.call("list_channels") if row["channel_point"] == outpoint), {})

    # ---- coins ---------------------------------------------------------------------------------

    def new_address(self) -> str:
        """For coins."""
        return str(self.call("createnewaddress"))

    def coins_sat(self) -> int:
        """Confirmed on chain."""
        return int(Decimal(self.call("getbalance").get("confirmed", "0")) * COIN)

    # ---- peers and channels --------------------------------------------------------------------

    def connect(self, address: str) -> None:
        """Be connected to node id @ host : port."""
        self.call("add_peer", connection_string=address)
        until(lambda: address.partition("@")[0] in self.peers(), f"{self} connects to {address}")

    def disconnect(self, node_id: str) -> None:
        """It has no command for this."""
        raise NotImplementedError

    def peers(self) -> list[str]:
        """The node ids it is connected to."""
        return [row["node_id"] for row in self.call("list_peers") if row["initialized"]]

    def open(self, node_id: str, order: Order) -> str:
        """Open a channel; its outpoint."""
        row = next((row for row in self.call("list_peers") if row["node_id"] == node_id), None)
        if row is None:
            raise PeerRefused(f"open: {node_id} is no peer")
        return str(
            self.call(
                "open_channel", connection_string=node_id, amount=_btc(order.sat), push_amount=_btc(order.push_sat)
            )
        )

    def usable(self, outpoint: str) -> bool:
        """Whether a channel could carry a payment now."""
        row = self._channel(outpoint)
        return row.get("state") == "OPEN" and row["peer_state"] == "GOOD"

    def balance_msat(self, outpoint: str) -> int:
        """Its own, in whole satoshis."""
        return int(self._channel(outpoint)["local_balance"]) * 1000

    def pending(self, outpoint: str) -> int:
        """Whether HTLCs are in a channel, as it tells no number of them."""
        row = self._channel(outpoint)
        return int(bool(row.get("local_unsettled_sent") or row.get("remote_unsettled_sent")))

    def has(self, outpoint: str) -> bool:
        """Whether a channel is open, used or not."""
        return self._channel(outpoint).get("state") in ("OPENING", "FUNDED", "OPEN")

    def close(self, outpoint: str, *, force: bool = False) -> None:
        """Close a channel, together or alone."""
        self.call("close_channel", channel_point=outpoint, force=force)

    # ---- money ---------------------------------------------------------------------------------

    def invoice(self, msat: int | None, *, hints: bool = False) -> Asked:
        """Ask for whole satoshis."""
        made = self.call("add_request", amount=_btc(-(-(msat or 0) // 1000)), force=True)
        return Asked(made["lightning_invoice"], made["rhash"])

    def paid(self, payment_hash: str) -> bool:
        """Whether an invoice of its own was paid."""
        rows = self.call("list_requests")
        return any(row.get("rhash") == payment_hash and row["status"] == PAID for row in rows)

    def pay(self, bolt11: str, *, msat: int | None = None, max_fee_msat: int | None = None) -> str:
        """Pay an invoice and wait for the end; the preimage."""
        try:
            answer = self.call("lnpay", invoice=bolt11)
        except PeerRefused as why:
            raise NotPaid(str(why)) from why
        if not answer["success"]:
            log = answer["log"]
            raise NotPaid("no attempt came through", log[-1][2] if log else "")
        return str(answer["preimage"])

    # ---- what only some can do -----------------------------------------------------------------

    def hold_back(self, hold: bool) -> None:
        """Settle nothing for now, or go on."""
        self.call("enable_htlc_settle", b=not hold)


def _setting(words: str) -> tuple[str, bool | int]:
    """`name=number`, or a name that is switched on."""
    name, _, number = words.partition("=")
    return name, int(number) if number else True


def _btc(sat: int) -> str:
    return f"{Decimal(sat) / COIN:.8f}"


def _plain_environ() -> dict[str, str]:
    """Without our own Python's settings: these programs have a Python of their own."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
