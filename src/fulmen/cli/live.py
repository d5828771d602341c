"""What takes its time, as it happens: a payment with a line for each attempt, a close with what it waits for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from fulmen.api.client import RpcClient
from fulmen.cli.show import amount_text, plain_table
from fulmen.core.base.faults import Fault

_COLUMNS = ("attempt", "route", "amount", "fee", "state")
LOOK_S = 1.0
"""How often a close is looked at."""


class Attempts:
    """The attempts of one payment, as the node tells of them."""

    def __init__(self, payment_hash: str) -> None:
        self._payment_hash = payment_hash
        self._rows: dict[Any, dict[str, Any]] = {}
        self._waits_for = ""

    def hear(self, topic: str, about: dict[str, Any]) -> None:
        """Take news in; what is not about this payment is not ours."""
        if about.get("payment_hash") != self._payment_hash:
            return
        self._waits_for = about["for"] if topic == "payment waits" else ""
        if topic in ("payment attempt", "payment attempt failed"):
            self._rows.setdefault(about["attempt"], {}).update(about)
        elif topic == "payment complete" and self._rows:
            next(reversed(self._rows.values()))["done"] = True

    def shown(self) -> RenderableType:
        """All so far, and what keeps it from going on; nothing before there is something to say."""
        waiting = Text(f"waiting for {self._waits_for} (Ctrl-C stops the waiting, not the payment)", style="dim")
        lines: list[RenderableType] = [waiting] if self._waits_for else []
        if self._rows:
            table = plain_table(*_COLUMNS)
            for number, row in self._rows.items():
                route = row.get("route") or ()
                table.add_row(
                    str(number),
                    Text(" → ".join(map(str, route)), overflow="fold"),
                    amount_text(row["amount_msat"]) if "amount_msat" in row else "",
                    amount_text(row["fee_msat"]) if "fee_msat" in row else "",
                    Text("paid" if row.get("done") else str(row.get("why") or "under way")),
                )
            lines.insert(0, table)
        return Group(*lines)


def pay_live(console: Console, node: RpcClient, params: dict[str, Any], payment_hash: str) -> dict[str, Any]:
    """Pay, and show each attempt while it lasts."""
    attempts = Attempts(payment_hash)
    node.call("notifications", {"enable": True})
    with Live(attempts.shown(), console=console, refresh_per_second=8, transient=False) as live:

        def hear(topic: str, about: dict[str, Any]) -> None:
            attempts.hear(topic, about)
            live.update(attempts.shown())

        answer = node.call("pay", params, on_news=hear)
    if not console.is_terminal:
        console.print()  # what is drawn for no terminal ends without a new line
    return answer


class Closing:
    """What a close waits for, by what the node says of the channel now and then."""

    def __init__(self, look: Callable[[], list[dict[str, Any]]], name: str, alone_after_s: int) -> None:
        self._look = look
        self._name = name
        self._began = time.monotonic()
        self._alone_after_s = alone_after_s
        self._looked: float | None = None
        self._waits = "the node's answer"

    def line(self) -> Text:
        """One line; the node is asked again now and then."""
        now = time.monotonic()
        if self._looked is None or now - self._looked >= LOOK_S:
            self._looked = now
            try:
                self._waits = _waits_for([row for row in self._look() if self._name in _names(row)])
            except Fault:
                self._waits = "the node's answer"
        left = int(self._alone_after_s - (now - self._began))
        end = f"closing alone in {_duration(left)}" if self._alone_after_s and left > 0 else "Ctrl-C stops the waiting"
        return Text(f"waiting for {self._waits}; {end} (--force closes alone at once)", style="dim")


def close_live(
    console: Console, node: RpcClient, params: dict[str, Any], alone_after_s: int, look: Callable[[], RpcClient]
) -> dict[str, Any]:
    """Close, and show what it waits for while it lasts."""
    with look() as other:
        closing = Closing(lambda: list(other.call("listpeerchannels")["channels"]), params["id"], alone_after_s)
        with Live(console=console, get_renderable=closing.line, refresh_per_second=4, transient=True):
            return node.call("close", params)


def _names(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in ("channel_id", "short_channel_id", "alias_local", "alias_remote", "peer_id"))


def _waits_for(rows: list[dict[str, Any]]) -> str:
    row = next((row for row in rows if row["state"] not in ("ONCHAIN", "CLOSED")), None)
    if row is None:
        return "the node's answer"
    if not row["peer_connected"]:
        return "the peer to come back"
    under_way = len(row["htlcs"])
    if under_way:
        return f"{under_way} payment{'s' if under_way > 1 else ''} to leave the channel"
    return "the peer's signature"


def _duration(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
