"""Four nodes in a row as processes of their own, with books that never ask them, and a load that survives crashes."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Self

from demo.ledger import Ledger
from demo.stage import Stage
from demo.story import PLAYERS, PRICES, settings_of

from fulmen.api.errors import RpcError
from fulmen.lab.nodes import Node
from fulmen.lab.waiting import until

CAPACITY_SAT = 1_000_000
PUSH_MSAT = 500_000_000
COINS_SAT = 3_000_000
LINGERING = {"carol": {"policy.relay.max_delay_ms": "20"}}
"""One of the two in between passes HTLCs on as a node with real coins does."""


@dataclass
class Line:
    """The row, and what must be true of its money."""

    stage: Stage
    ledger: Ledger
    names: dict[str, int] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Node:
        return self.stage[name]

    def label(self, about: str) -> str:
        """One that nobody has used."""
        self.names[about] = self.names.get(about, 0) + 1
        return f"{about} {self.names[about]}"

    def path(self, payer: str, payee: str) -> tuple[str, ...]:
        """From one end to the other."""
        one, two = PLAYERS.index(payer), PLAYERS.index(payee)
        return PLAYERS[one : two + 1] if one < two else PLAYERS[two : one + 1][::-1]

    def pay(self, payer: str, payee: str, msat: int) -> dict[str, object]:
        """One payment, entered in the books."""
        made = self[payee].invoice(msat, self.label(f"from {payer}"))
        paid = self[payer].call("pay", bolt11=made["bolt11"])
        self.ledger.paid(msat, *self.path(payer, payee))
        return paid

    def await_usable(self) -> None:
        """Wait until both ends of every channel can use it."""
        for channel in self.ledger.channels.values():
            for name in channel.msat if channel.is_open else ():
                self[name].await_usable(channel.channel_id)

    def all_agree(self) -> None:
        """Nothing is under way, and every node says of every channel what the books say."""
        self.stage.quiet()
        for channel in self.ledger.channels.values():
            for name, msat in channel.msat.items() if channel.is_open else ():
                row = self[name].channel(channel.channel_id)
                assert row["to_us_msat"] == msat, f"{name} says {row['to_us_msat']} of {channel.name}, not {msat}"
                assert "frozen" not in row and "failed_because" not in row
        for node in self.stage.running():
            assert node.call("getinfo")["fees_collected_msat"] == node.routing_earned_msat(), node


def line_of_four(stage: Stage) -> Line:
    """Open the row."""
    stage.open({name: settings_of(name) | LINGERING.get(name, {}) for name in PLAYERS})
    line = Line(stage, Ledger(dict(PRICES)))
    openers = PLAYERS[:-1]
    stage.give(dict.fromkeys(openers, COINS_SAT))
    for name in openers:
        line.ledger.given(name, COINS_SAT)
    opened = []
    for opener, other in zip(openers, PLAYERS[1:], strict=True):
        answer = stage.fund(opener, other, CAPACITY_SAT, push_msat=PUSH_MSAT)
        funding = stage.chain.transaction(answer["txid"])
        line.ledger.opened(answer["channel_id"], opener, other, CAPACITY_SAT, funding, PUSH_MSAT)
        opened.append((answer["channel_id"], opener, other))
    stage.lock_in(opened)
    for name in ("alice", "dave"):
        _await_gossip(line[name], 2 * len(openers))
    return line


def _await_gossip(node: Node, directions: int) -> None:
    until(lambda: len(node.call("listchannels")["channels"]) == directions, f"{node} knows the whole row")


class Load:
    """Payments of one satoshi from several threads, each for an invoice of its own, until it is told to stop.

    A refusal or a lost connection ends a payment, never the load: who asked for what is written down before.
    """

    def __init__(
        self, line: Line, payer: str, payee: str, lanes: int, msat: int = 1000, count: int | None = None
    ) -> None:
        self.line = line
        self.payer, self.payee = payer, payee
        self.msat = msat
        self.hashes: list[str] = []
        self.ended = 0
        self._left = count
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(lane,), daemon=True) for lane in range(lanes)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self.wait()

    def wait(self) -> None:
        """Until every lane has ended: when the count is reached, or after `stop`."""
        for thread in self._threads:
            thread.join()

    def until_ended(self, count: int) -> None:
        """Wait until so many payments have ended."""
        until(lambda: self.ended >= count, f"{count} payments of the load have ended", 60)

    def settle(self) -> int:
        """Wait until every payment that was begun has ended; enter those in the books that arrived. How many did.

        Payer and payee must agree on each, and the payer has a receipt for exactly those that arrived.
        """
        payer, payee = self.line[self.payer], self.line[self.payee]
        until(lambda: not payer.call("listpays", status="pending")["pays"], "every payment has ended", 90)
        arrived = 0
        for payment_hash in self.hashes:
            pays = payer.call("listpays", payment_hash=payment_hash)["pays"]
            complete = bool(pays) and pays[0]["status"] == "complete"
            invoice = payee.call("listinvoices", payment_hash=payment_hash)["invoices"][0]
            assert complete == (invoice["status"] == "paid"), (payment_hash, pays, invoice)
            if complete:
                self.line.ledger.paid(self.msat, *self.line.path(self.payer, self.payee))
                arrived += 1
        return arrived

    def _run(self, lane: int) -> None:
        payer, payee = self.line[self.payer], self.line[self.payee]
        label = self.line.label(f"{self.payer} to {self.payee}, lane {lane}")
        number = 0
        while not self._stop.is_set() and self._takes_one():
            number += 1
            try:
                with payee.caller() as asking, payer.caller() as paying:
                    request = {"amount_msat": self.msat, "label": f"{label}.{number}", "description": ""}
                    made = asking.call("invoice", request)
                    self.hashes.append(made["payment_hash"])
                    paying.call("pay", {"bolt11": made["bolt11"], "retry_for": 10})
            except RpcError:
                # Refused, or the node is gone for now: not more often than a person would try again.
                self._stop.wait(0.05)
            self.ended += 1

    def _takes_one(self) -> bool:
        with self._lock:
            if self._left is None:
                return True
            self._left -= 1
            return self._left >= 0
