"""Find again, in blocks that passed, all that one seed can spend: the wallet's coins and what lost channels paid.

Blocks are looked at from the first to the tip, and more addresses ahead than the gap of BIP 44 asks for. Where so many
are in use that others have to be looked for, the blocks are gone through once more, until nothing new turns up.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from fulmen.core.base.ids import OutPoint, Txid
from fulmen.core.base.outer import Block
from fulmen.core.bitcoin.accounts import Accounts, KeyPath, script_at
from fulmen.core.bitcoin.transaction import Tx
from fulmen.core.wallet.lost import LostOutput, Payee, lost_in
from fulmen.core.wallet.scripts import BRANCHES, GAP_LIMIT

LOOKAHEAD = 200
"""How many addresses beyond the last in use are looked for at once on each branch: one round is mostly enough."""


class Rescan:
    """What was found so far. `look` at every block in order, and all of them `again` as long as it says so."""

    def __init__(
        self,
        accounts: Accounts,
        issued: tuple[int, int, int, int],
        payees: Mapping[bytes, Payee],
        living: Collection[OutPoint],
    ) -> None:
        self._accounts = accounts
        self._payees = payees
        self._living = living
        self._in_use = list(issued)
        self._watched = [0] * len(BRANCHES)
        self._scripts: dict[bytes, tuple[int, int]] = {}
        self._ours: dict[OutPoint, bool] = {}
        self._lost: dict[OutPoint, LostOutput] = {}
        self._found: dict[Txid, tuple[Block, int, Tx]] = {}
        self._taken: dict[OutPoint, bool] = {}
        self._widened = False
        self._widen()

    @property
    def issued(self) -> tuple[int, int, int, int]:
        """For each branch the index after the last in use."""
        first, second, third, fourth = self._in_use
        return first, second, third, fourth

    @property
    def found(self) -> tuple[tuple[Block, Tx], ...]:
        """The wallet's transactions, in the order of the chain."""
        ordered = sorted(self._found.values(), key=lambda each: (each[0].height, each[1]))
        return tuple([(block, tx) for block, _, tx in ordered])

    @property
    def lost(self) -> tuple[LostOutput, ...]:
        """What lost channels paid and nobody has taken."""
        return tuple(self._lost.values())

    def look(self, block: Block, txs: Iterable[Tx | None]) -> None:
        """The next block; a transaction that cannot be read is None."""
        for index, tx in enumerate(txs):
            if tx is not None and self._concerns(tx):
                self._found[tx.txid] = (block, index, tx)

    def again(self) -> bool:
        """Whether addresses came in view for which the blocks before were not searched."""
        widened, self._widened = self._widened, False
        return widened

    def _concerns(self, tx: Tx) -> bool:
        concerns = False
        for spent in tx.inputs:
            if self._lost.pop(spent.outpoint, None) is not None:
                self._taken[spent.outpoint] = True
            concerns = concerns or spent.outpoint in self._ours
        for vout, output in enumerate(tx.outputs):
            place = self._scripts.get(output.script_pubkey)
            if place is not None:
                concerns = True
                self._ours[tx.outpoint(vout)] = True
                self._use(*place)
        for lost in lost_in(tx, self._payees, self._living):
            if lost.outpoint not in self._taken:
                self._lost[lost.outpoint] = lost
        return concerns

    def _use(self, branch: int, index: int) -> None:
        if index >= self._in_use[branch]:
            self._in_use[branch] = index + 1
            if index + 1 + GAP_LIMIT > self._watched[branch]:
                self._widen()
                self._widened = True

    def _widen(self) -> None:
        for branch, (purpose, change) in enumerate(BRANCHES):
            end = self._in_use[branch] + LOOKAHEAD
            for index in range(self._watched[branch], end):
                self._scripts[script_at(self._accounts, KeyPath(purpose, change, index))] = branch, index
            self._watched[branch] = end
