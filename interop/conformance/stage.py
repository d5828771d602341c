"""The daemons that scripts are played to: started, asked, and started anew when they are stuck or dead."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from fulmen.adapters.chain.rpc_client import Endpoint, RpcClient
from fulmen.conformance.chain import Coins, NodeLags, RpcChain
from fulmen.conformance.links import Subject, tcp_connect
from fulmen.conformance.runner import Outcome, run
from fulmen.conformance.script import Script
from fulmen.core.base.ids import ChannelId, NodeId, Secret
from fulmen.core.base.units import Sat
from fulmen.core.crypto.secp256k1 import is_secret
from fulmen.lab.chains import PASSWORD, USER
from fulmen.lab.http_json import Unanswered
from fulmen.lab.members import Order, PeerRefused
from fulmen.lab.waiting import Deviation
from interop.columns import Column
from interop.lab import Lab
from interop.peers.peer import Peer
from interop.play import LANES
from interop.ports import Ports

SCRIPTS_A_LIFE = 70
"""So many with one node: it remembers the channels of each, and looks after them at each block."""
LIMIT_S = 300.0


class PeerOperator:
    """Tells a node of the lab what to do; it may take as long as the channel."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def open_channel(self, node_id: NodeId, amount_sat: Sat) -> None:
        """Have it open a channel to a connected peer."""
        _aside(functools.partial(self._peer.open, node_id.hex(), Order(amount_sat, announce=False)))

    def close_channel(self, channel_id: ChannelId, funding: str) -> None:
        """Have it close a channel."""
        _aside(functools.partial(self._peer.close, funding))


class Stage:
    """A chain and a node of theirs."""

    def __init__(self, column: Column, patience: float) -> None:
        self.column = column
        self._patience = patience
        # No other lane of the lab runs on these ports.
        self._ports = Ports(LANES)
        self._home = Path(tempfile.mkdtemp(prefix=f"fulmen-conformance-{column.key}-"))
        self._lives = 0
        self._played = 0
        self._lab: Lab | None = None
        self._chain: RpcChain | None = None
        self._subject: Subject | None = None

    def __enter__(self) -> Stage:
        self.renew()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._end()
        self._ports.release()
        if error is None:
            shutil.rmtree(self._home, ignore_errors=True)

    def renew(self) -> None:
        """A new chain and a new node, with coins."""
        self._end()
        self._lives += 1
        self._played = 0
        before = self._subject
        lab = self._lab = self.column.open(self._home / str(self._lives), self._ports)
        client = RpcClient(Endpoint("127.0.0.1", lab.chain.port, USER, PASSWORD))
        chain = self._chain = RpcChain(client, lab.chain.network, functools.partial(_await_height, lab))
        node_id = NodeId(bytes.fromhex(lab.them.id))
        host, _, port = lab.them.address.partition("@")[2].rpartition(":")
        self._subject = Subject(
            node_id,
            lab.chain.network,
            tcp_connect(host, int(port), node_id, _secret),
            time.time,
            time.sleep,
            Coins(chain, os.urandom(16)),
            PeerOperator(lab.them),
            self._patience,
            # What it took it will take again; what it did not is tried anew.
            {name: why for name, why in before.played.items() if not why} if before is not None else {},
            before is None or before.answers_queries,
        )

    def play(self, script: Script) -> Outcome:
        """Play one script. A node that it leaves stuck or dead is started anew for the next one."""
        if self._played == SCRIPTS_A_LIFE:
            self.renew()
        self._played += 1
        assert self._subject is not None and self._lab is not None
        outcome = run(script, self._subject, os.urandom(8), LIMIT_S)
        if not self._lab.them.process.alive:
            outcome = outcome.but(reason=f"{outcome.reason}; the node's process has ended")
        if outcome.unfinished or not self._lab.them.process.alive:
            self.renew()
        return outcome

    def _end(self) -> None:
        if self._chain is not None:
            self._chain.close()
            self._chain = None
        if self._lab is not None:
            self._lab.close()
            self._lab = None


def _await_height(lab: Lab, height: int) -> None:
    try:
        lab.them.caught_up(height)
    except (Deviation, PeerRefused, Unanswered) as why:
        raise NodeLags(height=height, why=str(why)) from why


def _secret() -> Secret:
    while not is_secret(candidate := os.urandom(32)):
        pass
    return Secret(candidate)


def _aside(work: Callable[[], object]) -> None:
    """Do it beside the script; that it fails shows in what the node does, or does not."""

    def run() -> None:
        try:
            work()
        except (Deviation, PeerRefused, Unanswered, KeyError):
            # Most fake peers see to it that it comes to nothing.
            return

    threading.Thread(target=run, daemon=True).start()
