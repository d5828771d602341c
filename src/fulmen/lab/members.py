"""What a network asks of each of its nodes, whoever wrote it; and nodes of ours, asked so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fulmen.api.socketpath import socket_to_call
from fulmen.lab.nodes import OVER, Node, is_usable
from fulmen.lab.programs import Process


class PeerRefused(Exception):
    """The node says no to a call of ours; in its own words."""


@dataclass(frozen=True)
class Order:
    """How a channel is to be opened."""

    sat: int
    push_sat: int = 0
    announce: bool = True
    anchors: bool = True
    zeroconf: bool = False
    scid_alias: bool = False
    sat_per_vbyte: int | None = None


class Member(Protocol):
    """A node of a network."""

    name: str

    @property
    def id(self) -> str:
        """Its node id."""

    @property
    def process(self) -> Process:
        """The one that runs, or ran last."""

    @property
    def address(self) -> str:
        """node id @ host : port."""

    def launch(self) -> None:
        """Start it, and do not wait."""

    def ready(self) -> None:
        """Wait until it answers."""

    def ask_to_stop(self) -> None:
        """Let it end, and do not wait."""

    def caught_up(self, height: int) -> None:
        """Wait until it has read the chain, and would open and accept channels."""

    def new_address(self) -> str:
        """For coins."""

    def coins_sat(self) -> int:
        """Confirmed on chain."""

    def connect(self, address: str) -> None:
        """Be connected to node id @ host : port."""

    def peers(self) -> list[str]:
        """The node ids it is connected to."""

    def open(self, node_id: str, order: Order) -> str:
        """Open a channel; its outpoint."""

    def has(self, outpoint: str) -> bool:
        """Whether a channel is open, used or not."""

    def usable(self, outpoint: str) -> bool:
        """Whether a channel could carry a payment now."""

    def credentials(self) -> dict[str, str]:
        """What its users have to know: name -> value."""

    def usage(self) -> Sequence[str]:
        """Commands for a second terminal."""


class Ours:
    """A node of ours, by its socket."""

    def __init__(self, node: Node, words: str) -> None:
        self.node = node
        self.name = node.name
        self._words = words

    @property
    def id(self) -> str:
        """Its node id."""
        return self.node.id

    @property
    def process(self) -> Process:
        """The one that runs, or ran last."""
        return self.node.program

    @property
    def address(self) -> str:
        """node id @ host : port."""
        return self.node.address

    def launch(self) -> None:
        """Start it, and do not wait."""
        self.node.launch()

    def ready(self) -> None:
        """Wait until it answers."""
        self.node.ready()

    def ask_to_stop(self) -> None:
        """Let it end, and do not wait."""
        self.process.ask_to_stop()

    def caught_up(self, height: int) -> None:
        """Wait until it has read the chain."""
        self.node.caught_up(height)

    def new_address(self) -> str:
        """For coins."""
        return str(self.node.call("newaddr")["bech32"])

    def coins_sat(self) -> int:
        """Confirmed and free."""
        return self.node.spendable_sat

    def connect(self, address: str) -> None:
        """Be connected to node id @ host : port."""
        self.node.call("connect", id=address)

    def peers(self) -> list[str]:
        """The node ids it is connected to."""
        return [peer["id"] for peer in self.node.call("listpeers")["peers"] if peer["connected"]]

    def open(self, node_id: str, order: Order) -> str:
        """Open a channel; its outpoint."""
        return open_channel(self.node, node_id, order)

    def has(self, outpoint: str) -> bool:
        """Whether a channel is open, used or not."""
        return channel_at(self.node, outpoint).get("state", OVER[0]) not in OVER

    def usable(self, outpoint: str) -> bool:
        """Whether a channel could carry a payment now."""
        return can_use(self.node, outpoint)

    def credentials(self) -> dict[str, str]:
        """Where its data and its socket are."""
        directory = self.node.home / self.node.network
        return {"dir": str(self.node.home), "network": self.node.network, "socket": str(socket_to_call(directory))}

    def usage(self) -> Sequence[str]:
        """How its verbs are called."""
        return (f"{self._words} getinfo",)


def open_channel(node: Node, node_id: str, order: Order) -> str:
    """Have a node of ours open a channel; its outpoint."""
    made = node.call(
        "fundchannel",
        id=node_id,
        amount=str(order.sat),
        announce=order.announce,
        push_msat=order.push_sat * 1000,
        zeroconf=order.zeroconf,
        scid_alias=order.scid_alias,
    )
    return f"{made['txid']}:{made['outnum']}"


def channel_at(node: Node, outpoint: str) -> dict[str, Any]:
    """One channel of a node of ours; empty when it has none with this funding."""
    rows = node.channels()
    return next((row for row in rows if f"{row['funding_txid']}:{row['funding_outnum']}" == outpoint), {})


def can_use(node: Node, outpoint: str) -> bool:
    """Whether a channel could carry a payment now."""
    return is_usable(channel_at(node, outpoint))
