"""A payment as it happens: one line for each attempt."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fulmen.api.client import RpcClient
from fulmen.cli.show import amount_text

_COLUMNS = ("attempt", "route", "amount", "fee", "state")


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

    def table(self) -> Table:
        """All so far, and what keeps it from going on."""
        waiting = f"waiting for {self._waits_for}" if self._waits_for else None
        table = Table(*_COLUMNS, caption=waiting, caption_justify="left")
        for number, row in self._rows.items():
            route = row.get("route") or ()
            table.add_row(
                str(number),
                Text(" → ".join(map(str, route)), overflow="fold"),
                amount_text(row["amount_msat"]) if "amount_msat" in row else "",
                amount_text(row["fee_msat"]) if "fee_msat" in row else "",
                Text("paid" if row.get("done") else str(row.get("why") or "under way")),
            )
        return table


def pay_live(console: Console, node: RpcClient, params: dict[str, Any], payment_hash: str) -> dict[str, Any]:
    """Pay, and show each attempt while it lasts."""
    attempts = Attempts(payment_hash)
    node.call("notifications", {"enable": True})
    with Live(attempts.table(), console=console, refresh_per_second=8, transient=False) as live:

        def hear(topic: str, about: dict[str, Any]) -> None:
            attempts.hear(topic, about)
            live.update(attempts.table())

        return node.call("pay", params, on_news=hear)
