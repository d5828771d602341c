"""Our conformance scripts against the nodes of others: `python -m interop.conformance [lnd] [ldk] [--write]`.

What they do not keep is listed in docs/conformance-others.md with what was said, so that whoever meets such a node
knows it, and so that a script of ours that is wrong is found out by the nodes that work.
"""

from __future__ import annotations

import argparse
import functools
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fulmen.adapters.chain.rpc_client import Endpoint, RpcClient
from fulmen.conformance.chain import Coins, RpcChain
from fulmen.conformance.links import Subject, tcp_connect
from fulmen.conformance.report import summary, text_of
from fulmen.conformance.runner import Outcome, Verdict, run_all
from fulmen.conformance.script import Script
from fulmen.conformance.scripts import ALL
from fulmen.core.base.ids import ChannelId, NodeId, Secret
from fulmen.core.base.units import Sat
from fulmen.core.crypto.secp256k1 import is_secret
from fulmen.lab.chains import PASSWORD, USER
from fulmen.lab.members import Order
from interop.columns import PEERS, Column
from interop.lab import Lab
from interop.peers.peer import Peer
from interop.play import LANES
from interop.ports import Ports
from interop.recipe import NotHere

PAGE = Path(__file__).parent.parent / "docs" / "conformance-others.md"
SEED = b"the lab"
LAST_LINES = 8
BEGIN = """# What the nodes of others do not keep

Made by `python -m interop.conformance --write`: the scripts of [conformance.md](conformance.md) played over TCP against
unmodified nodes on Bitcoin Core. A script that fails may also be one that asks for more than the node's settings
allow, or that is too quick for it; the sentence of the BOLTs, what was missing, and the last messages stand with each.
"""


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


def main(arguments: list[str]) -> int:
    """Play all scripts with each peer that was asked for; 0 when all could be played."""
    parser = argparse.ArgumentParser(prog="python -m interop.conformance", description="our scripts, their nodes")
    columns = {column.key: column for column in PEERS if column.key in ("lnd", "ldk")}
    parser.add_argument("peers", nargs="*", metavar="peer", help="by default lnd and ldk")
    parser.add_argument("--only", default="", help="only scripts with one of these ids or words, parted by commas")
    parser.add_argument("--write", action="store_true", help="write docs/conformance-others.md")
    wanted = parser.parse_args(arguments)
    if unknown := [key for key in wanted.peers if key not in columns]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(columns)}")
    scripts = [script for script in ALL if _is_wanted(script, wanted.only)]
    told: dict[str, list[Outcome]] = {}
    missing = 0
    for key in wanted.peers or columns:
        column = columns[key]
        try:
            for recipe in column.recipes:
                recipe.ensure()
        except NotHere as why:
            print(f"not run: {key}: {why}")
            missing += 1
            continue
        told[column.title] = _played(column, scripts)
        print(f"{column.title}: {summary(told[column.title])}")
    if wanted.write:
        PAGE.write_text(page(told), encoding="utf-8")
    return 1 if missing else 0


def page(told: dict[str, list[Outcome]]) -> str:
    """The whole page."""
    parts = [BEGIN]
    for title, outcomes in told.items():
        parts.append(f"## {title}\n\n{summary(outcomes)}.\n")
        for verdict, heading in ((Verdict.FAILED, "MUST, not kept"), (Verdict.WARNED, "SHOULD, not kept")):
            of_them = [outcome for outcome in outcomes if outcome.verdict is verdict]
            if of_them:
                parts.append(f"### {heading}\n")
                parts += [_shown(outcome) for outcome in of_them]
    return "\n".join(parts)


def _shown(outcome: Outcome) -> str:
    script = outcome.script
    quotes = "\n".join(f"> {quote}  " for quote in script.quotes)
    said = "\n".join(_without_values(text_of(line)) for line in outcome.trace[-LAST_LINES:])
    return f"**{script.name}** ({', '.join(script.ids)})\n\n{quotes}\n\n{outcome.reason}\n\n```\n{said}\n```\n"


def _without_values(line: str) -> str:
    """Who said what, without keys and signatures, which are others in each run."""
    return re.sub(r"\s\w+=.*", "", line)[:100]


def _played(column: Column, scripts: Sequence[Script]) -> list[Outcome]:
    # No other lane of the lab runs on these ports.
    lab = column.open(Path(tempfile.mkdtemp(prefix=f"fulmen-conformance-{column.key}-")), Ports(LANES))
    try:
        chain = _chain_of(lab)
        try:
            # LDK's driver does one thing at a time: told to open, it could not be asked whether it has seen a block.
            operator = PeerOperator(lab.them) if column.key == "lnd" else None
            return run_all(scripts, _subject_of(lab, chain, operator), SEED, _say)
        finally:
            chain.close()
    finally:
        lab.close()


def _chain_of(lab: Lab) -> RpcChain:
    client = RpcClient(Endpoint("127.0.0.1", lab.chain.port, USER, PASSWORD))
    return RpcChain(client, lab.chain.network, lab.them.caught_up)


def _subject_of(lab: Lab, chain: RpcChain, operator: PeerOperator | None) -> Subject:
    node_id = NodeId(bytes.fromhex(lab.them.id))
    host, _, port = lab.them.address.partition("@")[2].rpartition(":")
    connect = tcp_connect(host, int(port), node_id, _secret)
    coins = Coins(chain, os.urandom(16))
    return Subject(node_id, lab.chain.network, connect, time.time, time.sleep, coins, operator)


def _is_wanted(script: Script, only: str) -> bool:
    words = [word.strip().lower() for word in only.split(",") if word.strip()]
    return not words or any(word in map(str.lower, script.ids) or word in script.name.lower() for word in words)


def _secret() -> Secret:
    while not is_secret(candidate := os.urandom(32)):
        pass
    return Secret(candidate)


def _say(outcome: Outcome) -> None:
    if outcome.verdict is not Verdict.PASSED:
        print(f"{outcome.verdict.value}: {outcome.script.name}: {outcome.reason}", flush=True)


def _aside(work: Callable[[], object]) -> None:
    """Do it beside the script; that it fails shows in what the node does, or does not."""

    def run() -> None:
        try:
            work()
        except Exception as why:
            print(f"the operator's command failed: {why}", flush=True)

    threading.Thread(target=run, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
