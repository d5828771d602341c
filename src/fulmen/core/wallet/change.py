"""Our own change before it is confirmed: which of it can be spent, and how long such chains may get.

Only the outputs of transactions that nobody but us can replace, back to the blocks: never a stranger's, and never one
that takes a part in somebody else's contract (`Spend.lent`), whose peer may be faster and whose fee may be raised. A
mempool takes no chain of more than 25 transactions or 101,000 virtual bytes (Bitcoin Core); ours end sooner, so that
a child that raises the fee still finds room.
"""

from __future__ import annotations

from fulmen.core.base.ids import Txid
from fulmen.core.wallet.state import Coin, Wallet

MAX_CHAIN = 20
"""Of unconfirmed transactions, with the one that is being made."""
MAX_CHAIN_BYTES = 50_000
"""Of a chain without its witnesses, before the one that is being made."""

Line = dict[Txid, int]
"""A transaction and its unconfirmed ancestors, with their sizes in bytes."""


def spendable_change(wallet: Wallet) -> tuple[Coin, ...]:
    """The unconfirmed coins that a transaction could spend now, however many of them it takes."""
    lines, safe = _lines(wallet)
    below: dict[Txid, int] = {}
    for line in lines.values():
        for txid in line:
            below[txid] = below.get(txid, 0) + 1
    coins = [coin for coin in wallet.unspent if coin.outpoint.txid in safe and coin.outpoint not in wallet.reserved]
    together: Line = {}
    taken = []
    for coin in sorted(coins, key=lambda coin: (len(lines[coin.outpoint.txid]), coin.outpoint)):
        line = together | lines[coin.outpoint.txid]
        too_long = len(line) >= MAX_CHAIN or sum(line.values()) > MAX_CHAIN_BYTES
        if not too_long and all(below[txid] < MAX_CHAIN for txid in line):
            together = line
            taken.append(coin)
    return tuple(taken)


def _lines(wallet: Wallet) -> tuple[dict[Txid, Line], dict[Txid, bool]]:
    """The lines of all transactions of ours that wait, and which of them nobody else can undo.

    Parents stand before their children, for a child is made of what is there.
    """
    lines: dict[Txid, Line] = {}
    safe: dict[Txid, bool] = {}
    for tx in (*wallet.alive, *wallet.reservations):
        if tx.block is not None or tx.own is None:
            continue
        line = {tx.txid: len(tx.own.tx)}
        for outpoint in tx.spends:
            line |= lines.get(outpoint.txid, {})
        lines[tx.txid] = line
        # What it spends may have been undone, and be a stranger's to do again.
        stands = all(outpoint in wallet.in_blocks or outpoint.txid in safe for outpoint in tx.spends)
        if stands and not tx.own.lent:
            safe[tx.txid] = True
    return lines, safe
