"""Our side of the lab: a real `fulmen start`, asked over its socket, with what scenarios want to know of channels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fulmen.api.errors import RpcError
from fulmen.lab.asking import Asking
from fulmen.lab.chains import ChainDaemon
from fulmen.lab.members import Order, can_use, channel_at, open_channel
from fulmen.lab.nodes import QUICK, Node
from fulmen.lab.waiting import until
from interop.peers.peer import Asked

TO_SELF_DELAY = 6
LEAST_MSAT = 2
"""What we forward at least."""
SETTINGS = {
    **QUICK,
    "policy.opening.to_self_delay": str(TO_SELF_DELAY),
    # Scenarios open more channels with one peer than a stranger should.
    "policy.opening.max_pending_per_peer": "20",
    "policy.forward.htlc_minimum_msat": str(LEAST_MSAT),
    # And change their terms more often than is polite.
    "gossip.min_update_interval_s": "1",
}


class Us(Node):
    """One node of ours."""

    def __init__(self, name: str, home: Path, chain: ChainDaemon, settings: dict[str, str] | None = None) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.network = chain.network.name
        super().__init__(name, home, {**chain.settings(), **SETTINGS, **(settings or {})})
        self._labels = 0
        self.frozen = False

    def __str__(self) -> str:
        return self.name

    def freeze(self) -> None:
        """Let it stand still with all its connections open: it answers nothing."""
        self.frozen = True
        self.program.freeze()

    def thaw(self) -> None:
        """Let it go on."""
        self.frozen = False
        self.program.thaw()

    def kill(self) -> None:
        """`kill -9`."""
        self.frozen = False
        super().kill()

    # ---- channels, by their outpoints ----------------------------------------------------------

    def open(self, node_id: str, order: Order) -> str:
        """Open a channel; its outpoint."""
        return open_channel(self, node_id, order)

    def at(self, outpoint: str) -> dict[str, Any]:
        """One channel; empty when there is none."""
        return channel_at(self, outpoint)

    def can_use(self, outpoint: str) -> bool:
        """Whether a channel could carry a payment now."""
        return can_use(self, outpoint)

    def await_channel(self, outpoint: str) -> None:
        """Wait until a channel could carry a payment."""
        until(lambda: self.can_use(outpoint), f"{self} can use the channel {outpoint[:16]}", 60)

    def shut(self, outpoint: str, **how: Any) -> dict[str, Any]:
        """Close a channel."""
        return self.call("close", id=self.at(outpoint)["channel_id"], **how)

    @property
    def coins_sat(self) -> int:
        """Confirmed on chain, as it is with them: what a close owes is not there before a block has it."""
        coins = self.call("listfunds")["outputs"]
        return int(sum(coin["amount_msat"] for coin in coins if coin["status"] == "confirmed")) // 1000

    # ---- money ---------------------------------------------------------------------------------

    def ask(self, msat: int | None, **more: Any) -> Asked:
        """Ask for money; None is any amount."""
        self._labels += 1
        made = self.call(
            "invoice", amount_msat="any" if msat is None else msat, label=str(self._labels), description="", **more
        )
        return Asked(made["bolt11"], made["payment_hash"])

    def was_paid(self, asked: Asked) -> bool:
        """Whether an invoice of ours was paid."""
        rows = self.call("listinvoices", payment_hash=asked.payment_hash)["invoices"]
        return bool(rows[0]["status"] == "paid")

    def pays(self, asked: Asked, **more: Any) -> dict[str, Any]:
        """Pay and wait for the end, on a connection of its own, so that threads may do it at once.

        Raises:
            RpcError: it failed.
        """
        with self.caller() as caller:
            return caller.call("pay", {"bolt11": asked.bolt11, **more})

    def begin_to_pay(self, asked: Asked) -> Asking:
        """Pay in a thread of its own; `wrong` says how it failed, if it did."""
        return self.begin("pay", bolt11=asked.bolt11)

    def fails_to_pay(self, asked: Asked, **more: Any) -> RpcError:
        """Pay what cannot be paid; the refusal."""
        try:
            done = self.pays(asked, **more)
        except RpcError as refused:
            return refused
        raise AssertionError(f"{self} paid what could not be paid: {done}")
