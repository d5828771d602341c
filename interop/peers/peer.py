"""What scenarios ask of a Lightning node that others wrote, whatever its own API is called.

A driver says by `can` which features its node has: a scenario that needs another one is not played, and the report
says that it is no feature of this peer. Amounts are millisatoshis unless a name says otherwise; a channel is named by
its funding outpoint, `txid:vout`.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from fulmen.lab.http_json import Unanswered
from fulmen.lab.members import Order, PeerRefused
from fulmen.lab.programs import Process
from fulmen.lab.waiting import until


class Can(Enum):
    """A feature that not every node has."""

    ANCHORS = auto()
    STATIC_REMOTEKEY = auto()
    """Can be told to open or accept channels without anchors."""
    ANNOUNCED = auto()
    SCID_ALIAS = auto()
    ZEROCONF_IN = auto()
    """Takes a channel of ours before it is confirmed."""
    ZEROCONF_OUT = auto()
    """Opens one to us that we may use before it is confirmed."""
    WUMBO = auto()
    FORWARDS = auto()
    HINTS = auto()
    """Puts hints into its invoices, and pays over those of ours."""
    GRAPH = auto()
    """Tells what it knows of channels and nodes."""
    POLICY = auto()
    """Can change what forwarding over its channels costs."""
    HOLD = auto()
    """Has hold invoices."""
    HOLDS_BACK = auto()
    """Can be told to settle nothing for now, and forgets that when it is started anew."""
    LETS_STAND = auto()
    """Lets a payment of ours stand in the channel, in one of these two ways."""
    HODL = auto()
    """Can be started so that HTLCs stand still in a state."""
    FEES = auto()
    """Says what a commitment pays."""
    FORCE_CLOSE = auto()
    KILL = auto()
    """Comes back by itself after a kill -9."""
    LEGACY = auto()
    """Believes in any feerate that it is given, and can be told to close without `fee_range`."""
    FOLLOWS = auto()
    """Sends an `update_fee` of its own within a minute or two of its start, once the chain asks for more."""
    PAYS_MANY = auto()
    """Has many payments under way at once."""
    ROUTES = auto()
    """Sends over a route that is given hop by hop, whatever stands in it."""
    MESSAGES = auto()
    """Can be told to send us any message."""


class NotPaid(Exception):
    """A payment of theirs failed; `reason` in their words, `code` the BOLT 4 failure they decoded last, if any."""

    def __init__(self, reason: str, code: str = "", source: int | None = None) -> None:
        super().__init__(f"{reason} {code}".strip())
        self.reason = reason
        self.code = code
        self.source = source
        """Which hop they say failed: 0 they themselves, 1 the first node after them …"""


@dataclass(frozen=True)
class Terms:
    """What forwarding in one direction of a channel costs, as somebody knows it."""

    base_msat: int
    proportional_millionths: int
    cltv_expiry_delta: int
    disabled: bool = False


@dataclass(frozen=True)
class Asked:
    """An invoice."""

    bolt11: str
    payment_hash: str


@dataclass
class Options:
    """How a node is started, beyond what every one of the lab is; a driver reads those that it understands."""

    anchors: bool = True
    hodl: tuple[str, ...] = ()
    sat_per_kvb: int = 0
    """The feerate it shall believe in; 0: what it takes by itself."""
    chain_port: int = 0
    """Where it asks the chain, if not at its daemon."""
    more: tuple[str, ...] = field(default_factory=tuple)


@dataclass(frozen=True)
class Wrong:
    """What is changed in a route before it is used: None leaves it as it should be."""

    htlc_msat: int | None = None
    """What the first hop is given."""
    htlc_expiry: int | None = None
    forward_msat: int | None = None
    forward_expiry: int | None = None
    """What the first hop is told to forward with (or, where it is the last, what it is told to get)."""
    next_scid: str | None = None
    """The channel that the first hop is told to forward over."""
    secret: bytes | None = None
    """The payment_secret for the last hop."""
    last_tlv: tuple[int, bytes] | None = None
    """One more record for the last hop."""


class Peer(ABC):
    """One node, which may live several times."""

    kind: str
    """lnd, ldk, electrum …"""
    can: frozenset[Can]
    process: Process
    others: tuple[Process, ...] = ()
    """Processes that it needs besides; started before it, and stopped with the rest of the lab."""
    depth: int = 6
    """Blocks that it wants to see on an unannounced channel, at most."""
    home: Path
    id: str = ""
    address: str = ""
    """node id @ host : port."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return self.name

    # ---- life ----------------------------------------------------------------------------------

    @abstractmethod
    def start(self) -> None:
        """Start it, and wait until it answers."""

    def stop(self) -> None:
        """Stop it gracefully."""
        if self.process.alive:
            self.process.stop()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()

    @abstractmethod
    def caught_up(self, height: int) -> None:
        """Wait until it has read the chain, and would open and accept channels."""

    # ---- coins ---------------------------------------------------------------------------------

    @abstractmethod
    def new_address(self) -> str:
        """For coins."""

    @abstractmethod
    def coins_sat(self) -> int:
        """Confirmed on chain."""

    # ---- peers and channels --------------------------------------------------------------------

    @abstractmethod
    def connect(self, address: str) -> None:
        """Be connected to node id @ host : port."""

    @abstractmethod
    def disconnect(self, node_id: str) -> None:
        """Hang up."""

    @abstractmethod
    def peers(self) -> list[str]:
        """The node ids it is connected to."""

    @abstractmethod
    def open(self, node_id: str, order: Order) -> str:
        """Open a channel; its outpoint.

        Raises:
            PeerRefused
        """

    @abstractmethod
    def usable(self, outpoint: str) -> bool:
        """Whether a channel could carry a payment now."""

    @abstractmethod
    def balance_msat(self, outpoint: str) -> int:
        """What is its own in a channel."""

    @abstractmethod
    def pending(self, outpoint: str) -> int:
        """How many HTLCs are in a channel."""

    @abstractmethod
    def has(self, outpoint: str) -> bool:
        """Whether a channel is open, used or not."""

    @abstractmethod
    def close(self, outpoint: str, *, force: bool = False) -> None:
        """Close a channel, together or alone; does not wait for blocks."""

    def await_usable(self, outpoint: str) -> None:
        """Wait until a channel could carry a payment."""
        until(lambda: self.usable(outpoint), f"{self} can use the channel {outpoint[:16]}", 60)

    # ---- money ---------------------------------------------------------------------------------

    @abstractmethod
    def invoice(self, msat: int | None, *, hints: bool = False) -> Asked:
        """Ask for money; None is any amount."""

    @abstractmethod
    def paid(self, payment_hash: str) -> bool:
        """Whether an invoice of its own was paid."""

    @abstractmethod
    def pay(self, bolt11: str, *, msat: int | None = None, max_fee_msat: int | None = None) -> str:
        """Pay an invoice and wait for the end; the preimage.

        Raises:
            NotPaid
        """

    # ---- what only some can do -----------------------------------------------------------------

    def channels_known(self) -> list[str]:
        """Short channel ids, `BLOCKxTXxOUT`, of all channels in its graph. `Can.GRAPH`."""
        raise NotImplementedError

    def terms_known(self, scid: str, of_node: str) -> Terms | None:
        """What a node asks for forwarding over a channel, as far as it knows. `Can.GRAPH`."""
        raise NotImplementedError

    def alias_known(self, node_id: str) -> str:
        """A node's alias, empty while it has not heard it. `Can.GRAPH`."""
        raise NotImplementedError

    def set_terms(self, outpoint: str, terms: Terms) -> None:
        """Change what forwarding over a channel costs. `Can.POLICY`."""
        raise NotImplementedError

    def hold_invoice(self, msat: int, payment_hash: str) -> Asked:
        """Ask for money that is held until `settle` or `cancel`. `Can.HOLD`."""
        raise NotImplementedError

    def held(self, payment_hash: str) -> bool:
        """Whether the money for a held invoice is there. `Can.HOLD`."""
        raise NotImplementedError

    def settle(self, preimage: str) -> None:
        """Take what is held. `Can.HOLD`."""
        raise NotImplementedError

    def cancel(self, payment_hash: str) -> None:
        """Give back what is held. `Can.HOLD`."""
        raise NotImplementedError

    def hold_back(self, hold: bool) -> None:
        """Settle nothing for now, or go on. `Can.HOLDS_BACK`."""
        raise NotImplementedError

    def send_over(self, nodes: list[str], msat: int, asked: Asked, wrong: Wrong) -> str:
        """Pay an invoice over these nodes with something wrong: the name of the failure, as it decodes it.

        The empty string says that it was paid. `Can.ROUTES`.
        """
        raise NotImplementedError

    def send_message(self, node_id: str, kind: int, payload: bytes) -> None:
        """Send a peer a message of this type. `Can.MESSAGES`."""
        raise NotImplementedError

    def feerate_per_kw(self, outpoint: str) -> int:
        """What it says that its commitment pays. `Can.FEES`."""
        raise NotImplementedError

    def accept_unconfirmed(self, node_id: str) -> None:
        """Say yes to channels of a node that are used before they are confirmed. `Can.ZEROCONF_IN`."""
        raise NotImplementedError

    def restart(self, options: Options) -> None:
        """Stop it, and start it in another way."""
        raise NotImplementedError


class TheirPayer(threading.Thread):
    """A payment of theirs in a thread of its own; `wrong` says how it failed, if it did."""

    def __init__(self, peer: Peer, bolt11: str) -> None:
        super().__init__(daemon=True)
        self._peer = peer
        self._bolt11 = bolt11
        self.wrong = ""
        self.preimage = ""
        self.start()

    def run(self) -> None:
        """Pay."""
        try:
            self.preimage = self._peer.pay(self._bolt11)
        except (NotPaid, PeerRefused, Unanswered) as why:
            self.wrong = str(why) or type(why).__name__
