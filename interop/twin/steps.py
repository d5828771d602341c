"""What a case is made of: things to ask of every side, and things to do to all of them alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fulmen.core.base.ids import Txid
from fulmen.core.bitcoin.transaction import Tx


@dataclass(frozen=True, slots=True)
class Send:
    """`testmempoolaccept` and then `sendrawtransaction`, with no limit to the feerate unless one is given."""

    tx: Tx
    ceiling: float | None = 0
    raw: str = ""
    """Sent instead of the transaction: bytes that a `Tx` cannot be."""

    @property
    def hex(self) -> str:
        """What is sent."""
        return self.raw or self.tx.serialize().hex()


@dataclass(frozen=True, slots=True)
class Try:
    """`testmempoolaccept` of several."""

    txs: tuple[Tx, ...]


@dataclass(frozen=True, slots=True)
class Package:
    """`submitpackage`."""

    txs: tuple[Tx, ...]
    ceiling: float | None = 0


@dataclass(frozen=True, slots=True)
class Prioritise:
    """`prioritisetransaction`."""

    txid: Txid
    delta: int


@dataclass(frozen=True, slots=True)
class Mine:
    """One side mines what it has, paying `kind`; the others are handed the blocks."""

    by: int
    count: int = 1


@dataclass(frozen=True, slots=True)
class Block:
    """A block made by hand, `below` blocks under the tip, handed to all sides."""

    txs: tuple[Tx, ...] = ()
    defect: str = ""
    below: int = 0
    again: bool = False
    """Hand it over twice."""


@dataclass(frozen=True, slots=True)
class Invalidate:
    """Rule out the last `depth` blocks."""

    depth: int = 1


@dataclass(frozen=True, slots=True)
class Reconsider:
    """Take back all that this case ruled out."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Let so many seconds pass."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Any other call; "@tip" stands for the hash of the tip."""

    method: str
    params: tuple[Any, ...] = ()


Step = Send | Try | Package | Prioritise | Mine | Block | Invalidate | Reconsider | Clock | Ask


@dataclass(frozen=True, slots=True)
class World:
    """What a case may know when it is made."""

    height: int
    median_time: int
    time: int


@dataclass(frozen=True, slots=True)
class Case:
    """A few steps about one subject."""

    number: int
    family: str
    steps: tuple[Step, ...]


def told(step: Step) -> str:
    """A step to read: transactions by the beginnings of their txids, and what they spend."""
    match step:
        case Send(tx):
            return f"Send {_told_tx(tx)}"
        case Try(txs) | Package(txs):
            return f"{type(step).__name__} {' + '.join(_told_tx(tx) for tx in txs)}"
        case Block(txs):
            more = f" {step.defect}" * bool(step.defect) + f" {step.below} below" * bool(step.below)
            return f"Block {' + '.join(_told_tx(tx) for tx in txs) or 'of nothing'}{more}"
        case Prioritise(txid, delta):
            return f"Prioritise {_named(txid)} by {delta}"
    return str(step)


def _told_tx(tx: Tx) -> str:
    spent = ", ".join(f"{_named(put.outpoint.txid)}:{put.outpoint.vout}" for put in tx.inputs[:5])
    paid = ", ".join(str(output.amount_sat) for output in tx.outputs[:5])
    return f"{_named(tx.txid)} (v{tx.version}, {tx.vsize} vB: {spent} -> {paid})"


def _named(txid: Txid) -> str:
    return txid[::-1].hex()[:8]
