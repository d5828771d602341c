"""The unspent outputs, and the way back.

A block changes the set by what it spends and what it creates. What it spent is kept as its undo, in order, so that
disconnecting a block restores the set exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from fulmen.core.base.faults import InvariantBroken
from fulmen.core.base.ids import OutPoint
from fulmen.core.base.record import Record
from fulmen.core.bitcoin.transaction import Tx, TxOut

OP_RETURN = 0x6A
MAX_SCRIPT_BYTES = 10_000


class Coin(Record):
    """An unspent output and where it comes from."""

    output: TxOut
    height: int
    coinbase: bool


Undo = tuple[tuple[Coin, ...], ...]
"""What each transaction of a block but the first spent, in order of its inputs."""


def is_unspendable(script_pubkey: bytes) -> bool:
    """True for outputs that nobody can ever spend: they are not kept."""
    return script_pubkey[:1] == bytes([OP_RETURN]) or len(script_pubkey) > MAX_SCRIPT_BYTES


class Coins:
    """The set of unspent outputs of the active chain."""

    def __init__(self) -> None:
        self._coins: dict[OutPoint, Coin] = {}

    def get(self, outpoint: OutPoint) -> Coin | None:
        """The coin, or None when it is spent or never was."""
        return self._coins.get(outpoint)

    def __len__(self) -> int:
        return len(self._coins)

    def items(self) -> Iterator[tuple[OutPoint, Coin]]:
        """All of them, oldest first."""
        return iter(self._coins.items())

    def as_mapping(self) -> Mapping[OutPoint, Coin]:
        """The set as a value to compare with."""
        return dict(self._coins)

    def connect(self, txs: Iterable[Tx], height: int) -> Undo:
        """Apply a block whose inputs were checked; gives what leads back."""
        undo = []
        for index, tx in enumerate(txs):
            if index:
                undo.append(tuple([self._coins.pop(spent.outpoint) for spent in tx.inputs]))
            for vout, output in enumerate(tx.outputs):
                if not is_unspendable(output.script_pubkey):
                    self._coins[OutPoint(tx.txid, vout)] = Coin(output, height, index == 0)
        return tuple(undo)

    def disconnect(self, txs: tuple[Tx, ...], undo: Undo) -> None:
        """Take the last applied block back.

        Raises:
            InvariantBroken: the block is not the last one.
        """
        for index in range(len(txs) - 1, -1, -1):
            tx = txs[index]
            for vout, output in enumerate(tx.outputs):
                if self._coins.pop(OutPoint(tx.txid, vout), None) is None and not is_unspendable(output.script_pubkey):
                    raise InvariantBroken("a block is disconnected out of order", txid=tx.txid[::-1])
            if index:
                for spent, coin in zip(tx.inputs, undo[index - 1], strict=True):
                    self._coins[spent.outpoint] = coin
