"""The words in which a channel's opening (and whoever else spends coins) speaks with the wallet.

The asker names its request by `ref`; asking twice with one ref is a no-op that answers again.
"""

from __future__ import annotations

from fulmen.core.base.ids import OutPoint
from fulmen.core.base.machine import Address, Event
from fulmen.core.base.record import Record
from fulmen.core.base.units import FeeratePerKw, Sat


class Output(Record):
    """An output to be paid."""

    amount_sat: Sat
    script_pubkey: bytes


class FundTransaction(Event):
    """To the wallet: choose coins that pay these outputs, and reserve them. All inputs are segwit (BOLT 2)."""

    ref: bytes
    reply_to: Address
    outputs: tuple[Output, ...]
    feerate_per_kw: FeeratePerKw
    inputs: tuple[OutPoint, ...] = ()
    """Use exactly these coins; empty lets the wallet choose."""


class Funded(Event):
    """From the wallet: this transaction, not signed yet, pays what was asked. Its coins are reserved, which passes."""

    ref: bytes
    tx: bytes
    """Serialised without witness; its txid is final, for all inputs are segwit."""
    fee_sat: Sat


class FundingRefused(Event):
    """From the wallet: it cannot be paid."""

    ref: bytes
    why: str
    """A name: `InsufficientFunds`, `DustOutput`, `FeerateOutOfRange` …"""
    text: str
    """The whole sentence for the caller."""


class SpendFunding(Event):
    """To the wallet: the reserved transaction goes out. From now on it is durable, and published until it confirms."""

    ref: bytes


class ReleaseFunding(Event):
    """To the wallet: the reserved transaction will never be; its coins are free again."""

    ref: bytes


class WalletView(Record):
    """What the wallet shows to others (`Env.views["wallet"]`)."""

    script_pubkey: bytes
    """A script of ours that nobody was given yet: for shutdowns, and for what is swept from the chain."""
