"""The words in which a channel's opening, its close on the chain, and whoever else spends coins speak with the wallet.

The asker names its request by `ref`; asking twice with one ref is a no-op that answers again.
"""

from __future__ import annotations

from fulmen.core.base.ids import OutPoint
from fulmen.core.base.machine import Address, Event
from fulmen.core.base.outer import SignRequest
from fulmen.core.base.record import Record
from fulmen.core.base.units import FeeratePerKw, Sat, Weight


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
    minconf: int = 0
    """How deep in the chain the coins that the wallet chooses have to lie; 0: our own change may be unconfirmed."""


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


class AskScript(Event):
    """To the wallet: a script of yours that nobody else is given. Asking again with one ref gives the same."""

    ref: bytes
    reply_to: Address


class ScriptGiven(Event):
    """From the wallet: everything that is paid to this script is ours."""

    ref: bytes
    script_pubkey: bytes


class WalletView(Record):
    """What the wallet shows to others (`Env.views["wallet"]`)."""

    script_pubkey: bytes
    """A script of ours that nobody was given yet: for shutdowns, and for what is swept from the chain."""
    path: Record | None = None
    """The `KeyPath` of its key, by which the key holder knows the script for one of ours."""


class ForeignInput(Record):
    """An input that somebody else than the wallet signs."""

    outpoint: OutPoint
    sequence: int
    spends: Output
    weight: Weight
    """Of the input with its witness."""


class Parent(Record):
    """An unconfirmed transaction that its child pays for."""

    weight: Weight
    fee_sat: Sat
    """What it pays itself."""


class AttachFee(Event):
    """To the wallet: add coins of yours to a transaction that cannot pay its fee, or not all of it.

    Inputs and outputs keep their places, so that signatures with SIGHASH_SINGLE stay good; coins and change come after
    them. What the wallet keeps back for anchors may be spent: it is there for this. The answer is durable at once, and
    whoever asked publishes the transaction.

    Who asks again with the same `ref` for a higher feerate, or for other inputs, gets a transaction that replaces the
    one before (BIP 125, rules 3 and 4); the wallet forgets that one until a block holds it all the same.
    """

    ref: bytes
    reply_to: Address
    name: str
    """What the transaction is, for logs and lists."""
    inputs: tuple[ForeignInput, ...]
    outputs: tuple[Output, ...]
    """With no output at all the change is the one."""
    locktime: int
    version: int
    feerate_per_kw: FeeratePerKw
    least_per_kw: FeeratePerKw | None = None
    """Where the coins do not reach for that feerate, the highest they do reach for, down to this one."""
    parent: Parent | None = None
    """The feerate is that of parent and child together."""
    alongside: int = 0
    """How many more requests come with this one, each for a transaction that must not wait for the others."""


class FeeAttached(Event):
    """From the wallet: the whole transaction, without witnesses; `sign` asks for those of the wallet's own inputs."""

    ref: bytes
    tx: bytes
    sign: SignRequest
    fee_sat: Sat
    feerate_per_kw: FeeratePerKw
    """What was reached; with a parent, of both together."""


class FeeRefused(Event):
    """From the wallet: it cannot pay that fee."""

    ref: bytes
    why: str
    """A name: `InsufficientFunds`, `FeerateOutOfRange` …"""
    text: str


class DetachFee(Event):
    """To the wallet: that transaction can no longer be, or is not wanted any more; its coins are free again."""

    ref: bytes
